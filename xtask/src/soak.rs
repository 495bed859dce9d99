//! A session that runs for a long time, and the memory it has then.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::c_program::{Checks, Workshop, release_library};
use crate::tools;

/// Runs `benches/soak.c`, which prints what memory it has, for so many frames.
///
/// # Errors
/// It does not compile, a call has another answer than it must, or the memory grew.
pub fn soak(workspace: &Path, frames: u32) -> Result<()> {
    let library = release_library(workspace)?;
    let workshop =
        Workshop::new(workspace, workspace.join("target/soak"), &library, Checks::default())?;
    let mut program = Command::new(workshop.compile("benches/soak.c")?);
    tools::run(program.args(workshop.portrait()?).arg(frames.to_string()))
}
