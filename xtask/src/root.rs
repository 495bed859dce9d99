//! Debian roots in folders, made by mmdebstrap and entered by bubblewrap.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools;

/// What a root is made of.
pub struct Recipe<'a> {
    /// Debian's name of the release.
    pub suite: &'a str,
    /// The first one is this machine's, or the packages are only unpacked.
    pub architectures: &'a [&'a str],
    pub packages: &'a [&'a str],
    /// mmdebstrap's: `apt` to install, `extract` to unpack without running anything.
    pub variant: &'a str,
}

/// Makes the root in `folder`; does nothing where it is.
///
/// # Errors
/// mmdebstrap or bubblewrap is missing, this is no Debian with apt, or a package cannot be had.
pub fn make(folder: &Path, recipe: &Recipe) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    tools::require(&tools::MMDEBSTRAP)?;
    tools::require(&tools::BUBBLEWRAP)?;
    let unfinished = folder.with_extension("unfinished");
    tools::remove_folder(&unfinished)?;
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot make '{}'", parent.display()))?;
    }
    let source = format!(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} {} main",
        mirror()?,
        recipe.suite
    );
    tools::run(
        Command::new("mmdebstrap")
            .arg(format!("--variant={}", recipe.variant))
            .arg(format!("--architectures={}", recipe.architectures.join(",")))
            .arg(format!("--include={}", recipe.packages.join(",")))
            // A mirror's copy of a release that moves may be some weeks old.
            .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
            .arg(recipe.suite)
            .arg(&unfinished)
            .arg(source),
    )?;
    fs::rename(&unfinished, folder).with_context(|| format!("cannot make '{}'", folder.display()))
}

/// Where apt has Debian's packages from on this machine.
fn mirror() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Identifier: Packages"])
        .output()
        .context("cannot ask apt-get for Debian's mirror; the roots are made on Debian")?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut mirrors = lines.lines().filter_map(|line| line.strip_prefix("Debian "));
    match mirrors.find(|address| !address.contains("security")) {
        Some(address) => Ok(address.to_owned()),
        None => bail!("apt knows no mirror of Debian: run `apt-get update` on a Debian machine"),
    }
}

/// A command in a root, with nothing of this machine but what is bound, and without a network.
pub struct Inside {
    command: Command,
}

impl Inside {
    pub fn new(root: &Path) -> Self {
        let mut command = Command::new("bwrap");
        command.arg("--bind").arg(root).arg("/");
        command.args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]);
        command.args(["--unshare-net", "--setenv", "HOME", "/tmp"]);
        Self { command }
    }

    pub fn read_only(mut self, from: &Path, to: &str) -> Self {
        self.command.arg("--ro-bind").arg(from).arg(to);
        self
    }

    /// # Errors
    /// `from` is not there and cannot be made.
    pub fn writable(mut self, from: &Path, to: &str) -> Result<Self> {
        fs::create_dir_all(from).with_context(|| format!("cannot make '{}'", from.display()))?;
        self.command.arg("--bind").arg(from).arg(to);
        Ok(self)
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.args(["--setenv", name, value]);
        self
    }

    /// The command that runs `program` in `folder`; arguments may follow.
    pub fn program(mut self, folder: &str, program: &str) -> Command {
        self.command.args(["--chdir", folder, program]);
        self.command
    }
}
