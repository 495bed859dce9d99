//! Set-up and tests of the workspace: `cargo xtask --help` names the tasks.

mod arm;
mod bench_peers;
mod c_program;
mod cargo_tools;
mod dist;
mod fuzz;
mod install;
mod instructions;
mod libtorch;
mod onnxruntime;
mod package;
mod privacy;
mod python;
mod python_environment;
mod root;
mod sanitize;
mod soak;
mod tools;
mod try_package;
mod unpack;
mod wheel;
mod zig;

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
    /// Times the shipped networks here, in plain tract and in other runtimes, all in turns on one core; fetches
    /// those into target/peers-venv. `cargo xtask bench-peers --help` names the options.
    #[command(disable_help_flag = true)]
    BenchPeers {
        /// Handed to benches/bench_peers.py: `--network FILE`, `--rounds N`, `--json FILE`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Counts the instructions that the shipped networks execute on ARM processors here, in plain tract and in
    /// onnxruntime, in an emulator. `cargo xtask instructions --help` names the options.
    #[command(disable_help_flag = true)]
    Instructions {
        /// Handed to benches/count_instructions.py: `--network FILE`, `--cpu NAME`, `--json FILE`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Builds the shared library for ARM boards and runs the C tests and examples against it under qemu,
    /// in the C library of Debian 11.
    Arm {
        /// All of them where none is named.
        boards: Vec<arm::Board>,
    },
    /// Makes what users install in dist/: a folder, an archive and a Debian package.
    Dist {
        /// amd64 and arm64 where none is named.
        machines: Vec<dist::Machine>,
    },
    /// Builds examples/board_bench as one program to copy to a board, dist/board_bench-ARCHITECTURE.
    BoardBench {
        /// arm64 where none is named.
        machines: Vec<dist::Machine>,
    },
    /// Installs the Debian packages of `dist` in a clean Debian and builds a program against them. Needs root.
    TryPackage {
        /// amd64 where none is named.
        machines: Vec<dist::Machine>,
    },
    /// Feeds model files, frames and calls through the C interface to libFuzzer, from the seeds in
    /// fuzz/seeds and from what earlier runs found.
    Fuzz {
        /// For all targets together.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        minutes: u32,
    },
    /// Runs the C tests under AddressSanitizer, UBSan, valgrind and ThreadSanitizer.
    Sanitize {
        /// All of them where none is named.
        checkers: Vec<sanitize::Checker>,
    },
    /// Answers many frames in one session through the C interface; fails if its memory grew.
    Soak {
        /// How many.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..))]
        frames: u32,
    },
    /// Makes the crate file of dmue-edge, checks its size, and has it build and answer a picture outside
    /// this workspace.
    Package,
    /// Shows that a prediction opens no socket and writes no file.
    Privacy,
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
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup => setup().map(|_| ()),
        Task::Test { arguments } => test(&arguments),
        Task::Onnxruntime { arguments } => {
            workspace_root().and_then(|root| onnxruntime::compare(root, &arguments))
        }
        Task::BenchPeers { arguments } => {
            workspace_root().and_then(|root| bench_peers::bench(root, &arguments))
        }
        Task::Instructions { arguments } => {
            workspace_root().and_then(|root| instructions::count(root, &arguments))
        }
        Task::Arm { boards } => workspace_root().and_then(|root| {
            arm::check(root, or_else(&boards, &[arm::Board::Arm64, arm::Board::Armhf]))
        }),
        Task::Dist { machines } => workspace_root().and_then(|root| {
            dist::make(root, or_else(&machines, &[dist::Machine::Amd64, dist::Machine::Arm64]))
        }),
        Task::BoardBench { machines } => workspace_root()
            .and_then(|root| dist::board_bench(root, or_else(&machines, &[dist::Machine::Arm64]))),
        Task::TryPackage { machines } => workspace_root()
            .and_then(|root| try_package::check(root, or_else(&machines, &[dist::Machine::Amd64]))),
        Task::Fuzz { minutes } => workspace_root().and_then(|root| fuzz::fuzz(root, minutes)),
        Task::Sanitize { checkers } => {
            workspace_root().and_then(|root| sanitize::sanitize(root, &checkers))
        }
        Task::Soak { frames } => workspace_root().and_then(|root| soak::soak(root, frames)),
        Task::Package => workspace_root().and_then(package::package),
        Task::Privacy => workspace_root().and_then(privacy::privacy),
        Task::Python { arguments } => {
            workspace_root().and_then(|root| python::test(root, &arguments))
        }
        Task::Ray { images } => workspace_root().and_then(|root| python::check_ray(root, &images)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What was named, or the default.
fn or_else<'a, T>(named: &'a [T], default: &'a [T]) -> &'a [T] {
    if named.is_empty() { default } else { named }
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
    tools::run(test_command()?.args(arguments))
}

/// `cargo test --workspace`, with a libtorch.
fn test_command() -> Result<Command> {
    // torch-sys compiles a C++ file; its own message about a missing compiler names no package.
    tools::require(&tools::CXX)?;
    let libtorch = setup()?;
    let mut cargo = tools::cargo();
    cargo.current_dir(workspace_root()?).args(["test", "--workspace"]);
    if let Some(folder) = libtorch.folder() {
        cargo.env("LIBTORCH", folder);
    }
    Ok(cargo)
}

fn workspace_root() -> Result<&'static Path> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().context("the xtask package lies in no workspace folder")
}
