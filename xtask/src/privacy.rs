//! Shows that a prediction talks to nobody and writes nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::c_program::{Checks, Workshop, release_build, release_library};
use crate::tools;

/// Every system call that opens, makes, renames or removes a file, and all of networking.
const WATCHED: &str = "trace=%network,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,\
                       unlink,unlinkat,link,linkat,symlink,symlinkat,truncate,execve,io_uring_setup";

/// Names the expression in a picture, with no network interface and under `strace`: the C example and
/// the `dmue` command.
///
/// # Errors
/// A tool is missing, the answer is wrong, or a call that opens a socket or changes a file was made.
pub fn privacy(workspace: &Path) -> Result<()> {
    tools::require(&tools::STRACE)?;
    tools::require(&tools::UNSHARE)?;
    let library = release_library(workspace)?;
    let folder = workspace.join("target/privacy");
    let workshop = Workshop::new(workspace, folder.clone(), &library, Checks::default())?;
    let classify = workshop.compile("examples/c/classify.c")?;
    let picture = workshop.ppm()?;
    watch(Command::new(classify).arg(&picture), &folder.join("classify.strace"))?;

    let dmue = release_build(workspace, ["--bin", "dmue"], "dmue")?;
    let png = workspace.join("examples/images/astronaut.png");
    watch(Command::new(dmue).arg("predict").arg(png), &folder.join("dmue.strace"))
}

/// Runs `command` in a network namespace of its own, which has no interface that is up, and checks
/// what it asked the system for.
fn watch(command: &Command, trace: &Path) -> Result<()> {
    let mut watched = Command::new("unshare");
    watched
        .args([
            "--map-root-user",
            "--net",
            "strace",
            "--follow-forks",
            "--quiet=all",
            "-e",
            WATCHED,
        ])
        .arg("--output")
        .arg(trace)
        .arg(command.get_program())
        .args(command.get_args());
    let shown = format!("{:?}", command.get_program());
    let output = watched.output().context("cannot start unshare")?;
    let answer = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !answer.contains("happiness") {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{shown} did not answer: {answer}{errors}");
    }
    let calls =
        fs::read_to_string(trace).with_context(|| format!("cannot read '{}'", trace.display()))?;
    let (reads, changes): (Vec<&str>, Vec<&str>) =
        calls.lines().filter(|line| line.contains('(')).partition(|line| is_read_only(line));
    if let Some(first) = changes.first() {
        bail!("{shown} made {} forbidden calls, the first: {first}", changes.len());
    }
    if reads.is_empty() {
        bail!("nothing was traced in '{}': the check is blind", trace.display());
    }
    eprintln!("{shown}: {} files opened, all to read; no socket; nothing written", reads.len() - 1);
    Ok(())
}

/// Whether a line of the trace opens an existing file to read, or is the start of the program.
fn is_read_only(call: &str) -> bool {
    let call = call.split_once(char::is_whitespace).map_or(call, |(process, rest)| {
        if process.bytes().all(|byte| byte.is_ascii_digit()) { rest.trim_start() } else { call }
    });
    let opens = ["open(", "openat("].iter().any(|name| call.starts_with(name));
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
    call.starts_with("execve(")
        || opens && call.contains("O_RDONLY") && !writes.iter().any(|flag| call.contains(flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_and_starting_is_allowed() {
        for allowed in [
            r#"7 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3"#,
            r#"openat(AT_FDCWD, "/proc/cpuinfo", O_RDONLY) = -1 ENOENT"#,
            r#"12  execve("/bin/classify", ["classify"], 0x7ff /* 3 vars */) = 0"#,
        ] {
            assert!(is_read_only(allowed), "{allowed}");
        }
        for forbidden in [
            "7 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
            r#"7 connect(3, {sa_family=AF_UNIX, sun_path="/run/nscd"}, 110) = -1"#,
            r#"7 openat(AT_FDCWD, "log", O_WRONLY|O_CREAT, 0666) = 3"#,
            r#"openat(AT_FDCWD, "/dev/shm/x", O_RDWR) = 3"#,
            r#"7 unlink("x") = 0"#,
            r#"7 mkdir("x", 0777) = 0"#,
        ] {
            assert!(!is_read_only(forbidden), "{forbidden}");
        }
    }
}
