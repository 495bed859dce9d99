//! Subcommands of Cargo that the tasks need, installed below `target/tools`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::tools;

/// A package of the crate registry that holds a program of the same name.
pub struct CargoTool {
    pub name: &'static str,
    pub version: &'static str,
    pub features: &'static str,
}

pub const DEB: CargoTool = CargoTool { name: "cargo-deb", version: "3.8.0", features: "" };
pub const ABOUT: CargoTool = CargoTool { name: "cargo-about", version: "0.9.3", features: "cli" };
pub const CYCLONEDX: CargoTool =
    CargoTool { name: "cargo-cyclonedx", version: "0.5.9", features: "" };

impl CargoTool {
    /// The program, built first if this version is not there (minutes).
    ///
    /// # Errors
    /// It cannot be had or does not compile.
    pub fn install(&self, workspace: &Path) -> Result<PathBuf> {
        let folder = workspace.join("target/tools");
        let wanted = format!("{}@{}", self.name, self.version);
        let mut install = tools::cargo();
        // Without this it would build into the workspace's own target folder.
        install.env("CARGO_TARGET_DIR", folder.join("target"));
        install.args(["install", "--quiet", "--locked", "--root"]).arg(&folder);
        tools::run(install.args(["--features", self.features, &wanted]))?;
        Ok(folder.join("bin").join(self.name))
    }
}
