//! Set-up and tests of the workspace: `cargo xtask setup`, `test` and `onnxruntime`.

mod install;
mod libtorch;
mod onnxruntime;
mod package;
mod python;
mod python_environment;
mod tools;
mod unpack;
mod wheel;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use crate::libtorch::Libtorch;

/// Set-up and tests of the workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
enum Task {
    /// Puts a CPU libtorch into target/libtorch, unless LIBTORCH or LIBTORCH_USE_PYTORCH says
    /// otherwise; the second call is instant.
    Setup,
    /// Does what `setup` does, then runs every test of every crate.
    Test {
        /// Handed to `cargo test --workspace`, for example `-- --release` or `-- -- --nocapture`.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Compares the answers of a model file in onnxruntime with ours; fetches onnxruntime for
    /// Python into target/onnxruntime-venv. `cargo xtask onnxruntime --help` names the options.
    #[command(disable_help_flag = true)]
    Onnxruntime {
        /// Handed to benches/compare_onnxruntime.py: `--model FILE`, `--data FACES`, `--count N`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Builds the Python wheel, installs it into a fresh environment and runs its tests there.
    Python {
        /// Handed to pytest.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Checks examples/ray_label.py with two workers, one of which is killed.
    Ray {
        /// A Parquet file of faces.
        #[arg(default_value = "../shared/data/ferplus_valid.parquet")]
        images: PathBuf,
    },
    /// Makes the crate file of dmue-edge, checks its size, and has it build and answer a picture outside
    /// this workspace.
    Package,
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup => setup().map(|_| ()),
        Task::Test { arguments } => test(&arguments),
        Task::Onnxruntime { arguments } => {
            workspace_root().and_then(|root| onnxruntime::compare(root, &arguments))
        }
        Task::Python { arguments } => {
            workspace_root().and_then(|root| python::test(root, &arguments))
        }
        Task::Ray { images } => workspace_root().and_then(|root| python::check_ray(root, &images)),
        Task::Package => workspace_root().and_then(package::package),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes sure that there is a libtorch and says which one it is.
fn setup() -> Result<Libtorch> {
    let managed = workspace_root()?.join("target/libtorch");
    let libtorch = Libtorch::choose(
        env::var_os("LIBTORCH").as_deref(),
        env::var_os("LIBTORCH_USE_PYTORCH").as_deref(),
        &managed,
    )?;
    if let Libtorch::Managed(folder) = &libtorch {
        install::install(folder)?;
    }
    eprintln!("{libtorch}");
    Ok(libtorch)
}

fn test(arguments: &[OsString]) -> Result<()> {
    // torch-sys compiles a C++ file; its own message about a missing compiler names no package.
    tools::require(&tools::CXX)?;
    let libtorch = setup()?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_root()?).args(["test", "--workspace"]).args(arguments);
    if let Some(folder) = libtorch.folder() {
        cargo.env("LIBTORCH", folder);
    }
    tools::run(&mut cargo)
}

fn workspace_root() -> Result<&'static Path> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().context("the xtask package lies in no workspace folder")
}
