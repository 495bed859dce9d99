//! The C tests under checkers of memory, of undefined behaviour and of data races.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::c_program::{Checks, Workshop, release_library};
use crate::tools;

const TESTS: &str = "bindings/c/tests/c";
const MODEL: &str = "dmue-edge/models/edge.dmue.onnx";

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The checker's own words for a finding.
const RACE: &str = "WARNING: ThreadSanitizer: data race";

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Checker {
    /// AddressSanitizer, LeakSanitizer and UBSan in the C tests, the library as it ships: what it does to
    /// a program's memory. `cargo xtask fuzz` has AddressSanitizer in the library itself.
    Address,
    /// valgrind, on everything.
    Valgrind,
    /// ThreadSanitizer, in the library too; a planted race must be found. Needs a nightly compiler.
    Thread,
}

impl fmt::Display for Checker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        formatter.write_str(name.as_ref().map_or("", |name| name.get_name()))
    }
}

/// Runs the C tests under each of `checkers`, all of them where none is named.
///
/// # Errors
/// A tool is missing, a test fails, a checker has a finding, or the planted race is not found.
pub fn sanitize(workspace: &Path, checkers: &[Checker]) -> Result<()> {
    let checkers = if checkers.is_empty() { Checker::value_variants() } else { checkers };
    for checker in checkers {
        match checker {
            Checker::Address => address(workspace)?,
            Checker::Valgrind => valgrind(workspace)?,
            Checker::Thread => thread(workspace)?,
        }
        eprintln!("{checker}: no finding");
    }
    Ok(())
}

fn address(workspace: &Path) -> Result<()> {
    let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"].map(OsString::from);
    let checks = Checks { compile: flags.to_vec(), link: flags.to_vec() };
    let library = release_library(workspace)?;
    let workshop = Workshop::new(workspace, folder(workspace, Checker::Address), &library, checks)?;
    let strict = "detect_leaks=1:detect_stack_use_after_return=1";
    for mut test in tests(workspace, &workshop, &[])? {
        tools::run(test.env("ASAN_OPTIONS", strict).env("UBSAN_OPTIONS", "print_stacktrace=1"))?;
    }
    Ok(())
}

fn valgrind(workspace: &Path) -> Result<()> {
    const CHECKS: &[&str] = &[
        "valgrind",
        "--quiet",
        "--error-exitcode=1",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
    ];
    tools::require(&tools::VALGRIND)?;
    let library = release_library(workspace)?;
    let workshop = Workshop::new(
        workspace,
        folder(workspace, Checker::Valgrind),
        &library,
        Checks::default(),
    )?;
    tests(workspace, &workshop, CHECKS)?.iter_mut().try_for_each(tools::run)
}

fn thread(workspace: &Path) -> Result<()> {
    let library = race_checked_library(workspace)?;
    let folder = folder(workspace, Checker::Thread);
    let workshop = Workshop::new(workspace, folder.clone(), &library, race_checks()?)?;
    let program = workshop.compile(&format!("{TESTS}/threads.c"))?;
    let portrait = workshop.portrait()?;
    let mut threads = Command::new(&program);
    tools::run(threads.args(&portrait).env("TSAN_OPTIONS", "halt_on_error=1"))?;

    let report = folder.join("planted.txt");
    let mut planted = Command::new(&program);
    planted.args(&portrait).arg("--race").stderr(
        File::create(&report).with_context(|| format!("cannot write '{}'", report.display()))?,
    );
    let done = tools::run(&mut planted);
    let found = fs::read_to_string(&report)
        .with_context(|| format!("cannot read '{}'", report.display()))?;
    if done.is_ok() || !found.contains(RACE) || !found.contains("libdmue_edge.so") {
        bail!("the planted race inside the library was not found, see '{}'", report.display());
    }
    eprintln!("thread: the planted race was found, see '{}'", report.display());
    Ok(())
}

/// The shared library with ThreadSanitizer in all of its code but the standard library's, in a target
/// folder of its own.
fn race_checked_library(workspace: &Path) -> Result<PathBuf> {
    tools::require(&tools::NIGHTLY)?;
    let target = workspace.join("target/tsan");
    let mut build = Command::new("rustup");
    build
        .current_dir(workspace)
        .args(["run", "nightly", "cargo", "build", "--locked", "--release"])
        // Named, so that build scripts are not instrumented.
        .args(["--package", "dmue-edge-c", "--target", TARGET, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer")
        // Compiles in a third of the time, and is not there to be fast.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none");
    tools::run(&mut build)?;
    Ok(target.join(TARGET).join("release/libdmue_edge.so"))
}

/// The C compiler's code with the Rust compiler's runtime, which knows all that the library calls.
fn race_checks() -> Result<Checks> {
    let mut ask = Command::new("rustup");
    ask.args(["run", "nightly", "rustc", "--target", TARGET, "--print", "target-libdir"]);
    let answer = ask.output().context("cannot start rustup")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    let runtime = folder.join("librustc-nightly_rt.tsan.a");
    if !runtime.is_file() {
        bail!("the nightly toolchain has no ThreadSanitizer: no '{}'", runtime.display());
    }
    let whole = [OsString::from("-Wl,--whole-archive"), runtime.into_os_string()];
    let rest = ["-Wl,--no-whole-archive", "-rdynamic", "-lm", "-ldl", "-lrt"].map(OsString::from);
    Ok(Checks { compile: vec!["-fsanitize=thread".into()], link: [&whole[..], &rest].concat() })
}

fn folder(workspace: &Path, checker: Checker) -> PathBuf {
    workspace.join("target/sanitize").join(checker.to_string())
}

/// The commands that run every C test, each behind the words of `checks`.
fn tests(workspace: &Path, workshop: &Workshop, checks: &[&str]) -> Result<Vec<Command>> {
    let portrait = workshop.portrait()?;
    let questions = workshop.write("questions.txt", questions(&portrait))?;
    let mut commands = Vec::new();
    for (name, arguments) in [
        ("smoke", portrait.to_vec()),
        ("misuse", vec![workspace.join(MODEL).display().to_string()]),
        ("replay", vec!["1".to_owned()]),
        ("threads", portrait.to_vec()),
    ] {
        let program = workshop.compile(&format!("{TESTS}/{name}.c"))?;
        let words = checks.iter().map(Into::into).chain([program.into_os_string()]);
        let mut words = words.collect::<Vec<_>>().into_iter();
        let Some(first) = words.next() else { continue };
        let mut command = Command::new(first);
        command.args(words).args(arguments);
        let input = File::open(&questions)
            .with_context(|| format!("cannot read '{}'", questions.display()))?;
        command.stdin(input);
        commands.push(command);
    }
    Ok(commands)
}

/// One of each kind, as `replay.c` reads them: the portrait as a whole, as a crop, and the places of
/// its face.
fn questions([file, width, height]: &[String; 3]) -> String {
    let stride = width.parse::<u32>().map_or(0, |width| width * 3);
    let question = |kind: &str, numbers: &str| {
        // 2 is DMUE_PIXEL_FORMAT_RGB24.
        format!("{kind} 2 {width} {height} {stride} {file} {numbers}\n")
    };
    [
        question("predict", "0 0 0 0 0 0 0 0"),
        question("crop", "0 0 0 0 0 0 0 0"),
        question("box", "172 74 105 105 0 0 0 0"),
        question("landmarks", "205 110 245 110 225 135 225 155"),
    ]
    .concat()
}
