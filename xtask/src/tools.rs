//! The programs that set-up needs: named, with the command that installs them, where they lack.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program, how to ask whether it is there, and the packages that hold it.
pub struct Tool {
    name: &'static str,
    /// The environment variable that names another program instead of the probe's first word.
    variable: Option<&'static str>,
    probe: &'static [&'static str],
    /// In the order of [`MANAGERS`].
    packages: [&'static str; 3],
}

pub const PYTHON: Tool = Tool {
    name: "python3",
    variable: None,
    probe: &["python3", "--version"],
    packages: ["python3", "python3", "python"],
};

pub const PIP: Tool = Tool {
    name: "pip for python3",
    variable: None,
    probe: &["python3", "-m", "pip", "--version"],
    packages: ["python3-pip", "python3-pip", "python"],
};

pub const VENV: Tool = Tool {
    name: "venv for python3",
    variable: None,
    probe: &["python3", "-m", "ensurepip", "--version"],
    packages: ["python3-venv", "python3", "python"],
};

pub const CXX: Tool = Tool {
    name: "a C++ compiler",
    variable: Some("CXX"),
    probe: &["c++", "--version"],
    packages: ["g++", "gcc-c++", "gcc"],
};

pub const CC: Tool = Tool {
    name: "a C compiler",
    variable: Some("CC"),
    probe: &["cc", "--version"],
    packages: ["gcc", "gcc", "gcc"],
};

pub const VALGRIND: Tool = Tool {
    name: "valgrind",
    variable: None,
    probe: &["valgrind", "--version"],
    packages: ["valgrind", "valgrind", "valgrind"],
};

pub const STRACE: Tool = Tool {
    name: "strace",
    variable: None,
    probe: &["strace", "--version"],
    packages: ["strace", "strace", "strace"],
};

pub const UNSHARE: Tool = Tool {
    name: "a network namespace of its own",
    variable: None,
    probe: &["unshare", "--map-root-user", "--net", "true"],
    packages: ["util-linux", "util-linux", "util-linux"],
};

/// Rustup's; no package manager has it.
pub const NIGHTLY: Tool = Tool {
    name: "a nightly Rust toolchain (`rustup toolchain install nightly`)",
    variable: None,
    probe: &["rustup", "run", "nightly", "cargo", "--version"],
    packages: ["rustup", "rustup", "rustup"],
};

/// Cargo's; no package manager has it.
pub const CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz (`cargo install cargo-fuzz`) or a nightly Rust toolchain",
    variable: None,
    probe: &["rustup", "run", "nightly", "cargo", "fuzz", "--version"],
    packages: ["rustup", "rustup", "rustup"],
};

pub const QEMU_ARM64: Tool = Tool {
    name: "qemu for aarch64 programs",
    variable: None,
    probe: &["qemu-aarch64-static", "--version"],
    packages: ["qemu-user-static", "qemu-user-static", "qemu-user-static"],
};

pub const QEMU_ARMHF: Tool = Tool {
    name: "qemu for ARM programs",
    variable: None,
    probe: &["qemu-arm-static", "--version"],
    packages: ["qemu-user-static", "qemu-user-static", "qemu-user-static"],
};

/// The dynamic one: the static one of the same name with `-static` takes no plugins.
pub const QEMU_PLUGINS: Tool = Tool {
    name: "qemu for aarch64 programs, with plugins",
    variable: None,
    probe: &["qemu-aarch64", "--version"],
    packages: ["qemu-user", "qemu-user", "qemu-user"],
};

pub const MMDEBSTRAP: Tool = Tool {
    name: "mmdebstrap",
    variable: None,
    probe: &["mmdebstrap", "--version"],
    packages: ["mmdebstrap", "mmdebstrap", "mmdebstrap"],
};

/// mmdebstrap asks it whether programs of another machine run here.
pub const ARCH_TEST: Tool = Tool {
    name: "arch-test",
    variable: None,
    probe: &["arch-test"],
    packages: ["arch-test", "arch-test", "arch-test"],
};

pub const BUBBLEWRAP: Tool = Tool {
    name: "bubblewrap",
    variable: None,
    probe: &["bwrap", "--version"],
    packages: ["bubblewrap", "bubblewrap", "bubblewrap"],
};

/// Package managers, and the command in front of a package's name.
const MANAGERS: [(&str, &str); 3] = [
    ("apt-get", "{sudo}apt-get update && {sudo}apt-get install -y"),
    ("dnf", "{sudo}dnf install -y"),
    ("brew", "brew install"),
];

impl Tool {
    /// The program to run.
    pub fn program(&self) -> &'static str {
        self.probe.first().copied().unwrap_or_default()
    }
}

/// # Errors
/// The tool does not run; the message says how to install it.
pub fn require(tool: &Tool) -> Result<()> {
    let Some((program, arguments)) = tool.probe.split_first() else { return Ok(()) };
    let program = tool.variable.and_then(env::var_os).unwrap_or_else(|| program.into());
    let answer = quiet(&program, arguments).status();
    if answer.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let program = program.to_string_lossy();
    bail!(
        "{} is missing (`{program} {}` does not run): {}",
        tool.name,
        arguments.join(" "),
        advice(tool, is_on_path)
    )
}

/// Prints the command, runs it, and waits.
///
/// # Errors
/// It cannot be started or ends with another status than success.
pub fn run(command: &mut Command) -> Result<()> {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let line = words.join(" ".as_ref()).to_string_lossy().into_owned();
    eprintln!("+ {line}");
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// The Cargo that runs this task.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Brings every package of the lock file here, for whatever machine.
///
/// # Errors
/// As [`run`].
pub fn fetch(workspace: &Path) -> Result<()> {
    run(cargo().current_dir(workspace).args(["fetch", "--locked"]))
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// It cannot be removed; the message names it.
pub fn remove_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove '{}'", folder.display()))?;
    }
    Ok(())
}

fn quiet(program: &OsString, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn advice(tool: &Tool, is_there: impl Fn(&str) -> bool) -> String {
    let sudo = if is_there("sudo") { "sudo " } else { "" };
    for ((manager, install), package) in MANAGERS.iter().zip(tool.packages) {
        if is_there(manager) {
            return format!("install it with `{} {package}`", install.replace("{sudo}", sudo));
        }
    }
    "install it with your system's package manager".to_owned()
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_uses_the_package_manager_that_is_there() {
        let with = |programs: &'static [&str]| move |name: &str| programs.contains(&name);
        let on_debian = advice(&CXX, with(&["apt-get", "sudo"]));
        assert_eq!(
            on_debian,
            "install it with `sudo apt-get update && sudo apt-get install -y g++`"
        );
        assert_eq!(advice(&CXX, with(&["dnf"])), "install it with `dnf install -y gcc-c++`");
        assert_eq!(advice(&PIP, with(&["brew", "sudo"])), "install it with `brew install python`");
        assert!(advice(&PYTHON, with(&[])).contains("package manager"));
    }

    #[test]
    fn a_missing_tool_is_named_and_a_present_one_passes() {
        let missing = Tool { probe: &["no-such-program-here", "--version"], ..PYTHON };
        let message = require(&missing).unwrap_err().to_string();
        assert!(message.contains("python3 is missing") && message.contains("install"), "{message}");
        let failing = Tool { probe: &["cargo", "no-such-subcommand"], ..PYTHON };
        assert!(require(&failing).is_err());
        require(&Tool { probe: &["cargo", "--version"], ..PYTHON }).unwrap();
    }

    #[test]
    fn a_failing_command_is_named() {
        let message = run(Command::new("cargo").arg("no-such-subcommand")).unwrap_err();
        assert!(message.to_string().contains("`cargo no-such-subcommand` failed"), "{message}");
    }
}
