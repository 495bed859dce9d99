//! libFuzzer on all that comes from outside, one target after the other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools;

/// Targets of `fuzz/fuzz_targets`, and the seconds that one input may take: a whole model is loaded,
/// or a frame searched for faces, with every memory access checked.
const TARGETS: [(&str, u32); 3] = [("model_file", 10), ("frame_view", 10), ("c_abi", 120)];

/// One allocation above this is a finding: a small file that asks for much memory.
const MOST_MEGABYTES_AT_ONCE: u32 = 200;
const MOST_MEGABYTES: u32 = 2048;

/// Bytes of an input: more than any seed has.
const LONGEST_INPUT: u32 = 16_384;

/// Runs every target for an equal share of `minutes`, from the seeds in `fuzz/seeds` and from what
/// earlier runs found, which stays in `target/fuzz`.
///
/// # Errors
/// A tool is missing, or an input was found that crashes, hangs or takes too much memory; the message
/// names its file.
pub fn fuzz(workspace: &Path, minutes: u32) -> Result<()> {
    tools::require(&tools::CARGO_FUZZ)?;
    let built = workspace.join("target/fuzz");
    let mut build = Command::new("rustup");
    build.args(["run", "nightly", "cargo", "fuzz", "build", "--fuzz-dir"]);
    build.arg(workspace.join("fuzz")).arg("--target-dir").arg(&built);
    tools::run(&mut build)?;
    let seconds = minutes * 60 / TARGETS.len() as u32;
    for (target, timeout) in TARGETS {
        eprintln!("{target}: {}", run(workspace, &built, target, timeout, seconds)?);
    }
    Ok(())
}

/// Runs one target and says what it did.
fn run(workspace: &Path, built: &Path, target: &str, timeout: u32, seconds: u32) -> Result<String> {
    let corpus = built.join("corpus").join(target);
    let findings = built.join("findings").join(target);
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make '{}'", folder.display()))?;
    }
    let log = built.join(format!("{target}.log"));
    let mut fuzzer = Command::new(program(built, target));
    fuzzer
        .args([&corpus, &workspace.join("fuzz/seeds").join(target)])
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST_INPUT}"))
        .arg(format!("-timeout={timeout}"))
        .arg(format!("-rss_limit_mb={MOST_MEGABYTES}"))
        .arg(format!("-malloc_limit_mb={MOST_MEGABYTES_AT_ONCE}"))
        // From the first on: the library takes no shorter model, and few calls do little.
        .args(["-len_control=0", "-print_final_stats=1"])
        .stderr(File::create(&log).with_context(|| format!("cannot write '{}'", log.display()))?);
    let done = tools::run(&mut fuzzer);
    let told = fs::read(&log).with_context(|| format!("cannot read '{}'", log.display()))?;
    let told = String::from_utf8_lossy(&told);
    if let Err(error) = done {
        let end: Vec<&str> = told.lines().rev().take(40).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        bail!("{}\n{error}: a finding, kept in '{}'", end.join("\n"), findings.display());
    }
    Ok(summary(&told, seconds))
}

fn program(built: &Path, target: &str) -> PathBuf {
    built.join("x86_64-unknown-linux-gnu/release").join(target)
}

fn summary(log: &str, seconds: u32) -> String {
    let after = |line: &str, word: &str| {
        let number = line.split(word).nth(1).and_then(|rest| rest.split_whitespace().next());
        number.unwrap_or("unknown").to_owned()
    };
    let last = |word: &str| log.lines().rev().find(|line| line.contains(word)).unwrap_or_default();
    let executions = after(last("number_of_executed_units:"), "number_of_executed_units:");
    let coverage = after(last(" cov: "), " cov: ");
    let memory = after(last("peak_rss_mb:"), "peak_rss_mb:");
    format!(
        "{executions} executions in {seconds} s, cov: {coverage}, {memory} MB at most, no finding"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_taken_from_the_log() {
        let log = "#1\tINITED cov: 7 ft: 9\n#50\tNEW    cov: 812 ft: 900 corp: 3/9b\n\
                   stat::number_of_executed_units: 4096\nstat::peak_rss_mb:              123\n";
        let expected = "4096 executions in 60 s, cov: 812, 123 MB at most, no finding";
        assert_eq!(summary(log, 60), expected);
        assert!(summary("", 1).starts_with("unknown executions"));
    }
}
