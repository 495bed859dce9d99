//! Kill -9 at any moment: a run loses at most the epoch in progress, a model file is never torn.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Draws;
use common::runs::{Run, succeed, tensors};
use dmue_edge::model::Model;
use dmue_train::train::checkpoint;
use serde_json::Value;

const EPOCHS: usize = 60;
const FIT_KILLS: usize = 20;
const EXPORT_KILLS: usize = 8;

/// When to kill: half of the time at a drawn moment, half of the time while a file is written.
#[derive(Debug)]
enum Moment {
    After(Duration),
    WhileWriting(Duration),
}

impl Moment {
    fn draw(kill: usize, longest: Duration, draws: &mut Draws) -> Self {
        let share = 0.5 + draws.spread(0.5);
        match kill % 2 {
            0 => Self::After(longest.mul_f64(share)),
            _ => Self::WhileWriting(Duration::from_micros((share * 2000.) as u64)),
        }
    }
}

/// Kills the child at the moment, unless it ends before; whether it was killed.
fn kill(child: &mut Child, moment: &Moment, folder: &Path) -> bool {
    let (start, mut writing) = (Instant::now(), None);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "ended by itself: {status}");
            return false;
        }
        let due = match moment {
            Moment::After(delay) => start.elapsed() >= *delay,
            Moment::WhileWriting(delay) => {
                if writing.is_none() && is_writing(folder) {
                    writing = Some(Instant::now());
                }
                writing.is_some_and(|since: Instant| since.elapsed() >= *delay)
            }
        };
        if due {
            child.kill().unwrap(); // SIGKILL
            return !child.wait().unwrap().success();
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Whether a file stands under a temporary name.
fn is_writing(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains("partial"))
}

fn remove_partial_files(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains("partial") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn spawn(command: &mut Command, stderr: &Path) -> Child {
    command.stdout(Stdio::null()).stderr(File::create(stderr).unwrap()).spawn().unwrap()
}

#[test]
fn a_run_killed_again_and_again_ends_like_one_that_was_not() {
    let run = Run::new(EPOCHS);
    let start = Instant::now();
    succeed(&mut run.fit("whole"));
    let longest = start.elapsed().mul_f64(0.25);

    let (mut draws, mut kills, mut saved) = (Draws::new(7), 0, 0);
    loop {
        let started = run.path("killed/run.toml").exists();
        let mut command = if started { run.resume("killed") } else { run.fit("killed") };
        let stderr = run.path("stderr.txt");
        let mut child = spawn(&mut command, &stderr);
        let folder = run.checkpoints("killed");
        let moment = match kills < FIT_KILLS {
            true => Moment::draw(kills, longest, &mut draws),
            false => Moment::After(Duration::from_secs(600)),
        };
        let killed = kill(&mut child, &moment, &folder);
        saved = check_saved(&run, saved, &fs::read_to_string(&stderr).unwrap());
        eprintln!("{kills}: {moment:?}, killed {killed}, {saved} epochs saved");
        if !killed {
            break;
        }
        kills += 1;
        // A left-over is no sign of writing for the next kill; half of them stay for the run to meet.
        if kills % 2 == 1 {
            remove_partial_files(&folder);
        }
    }
    assert_eq!((kills, saved), (FIT_KILLS, EPOCHS));
    for ((name, expected), (_, found)) in run.newest("whole").iter().zip(run.newest("killed")) {
        assert!(expected.equal(&found), "{name} differs");
    }
    assert!(log(&run, "killed") == log(&run, "whole"), "the logs differ");
    assert!(!is_writing(&run.checkpoints("killed")), "left-overs are cleared away");
}

/// The newest checkpoint can be read, is not older than the one before the kill, and holds every
/// epoch that was reported and all but the last that was logged.
fn check_saved(run: &Run, before: usize, stderr: &str) -> usize {
    let newest = checkpoint::newest_if_any(&run.checkpoints("killed")).unwrap();
    let saved = newest.map_or(0, |newest| {
        let tensors = tensors(&newest);
        let (_, epochs) = tensors.iter().find(|(name, _)| name == "epochs").unwrap();
        epochs.int64_value(&[0]) as usize
    });
    let told = stderr.lines().filter(|line| line.starts_with("epoch ")).filter_map(|line| {
        line.split_whitespace().nth(1).and_then(|epoch| epoch.parse::<usize>().ok())
    });
    assert!(saved >= before, "{saved} epochs are left of {before}");
    let told = told.max().unwrap_or(0);
    assert!(saved >= told, "{saved} epochs are saved, {told} were reported");
    let logged = log(run, "killed").len();
    assert!(saved + 1 >= logged, "{saved} epochs are saved, {logged} logged");
    saved
}

/// The log's whole lines without their times.
fn log(run: &Run, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(run.path(out).join("log.jsonl")).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("seconds");
            line
        })
        .collect()
}

#[test]
fn an_export_killed_at_any_moment_leaves_the_file_before_or_the_whole_new_one() {
    let run = Run::new(12);
    succeed(&mut run.fit("run"));
    let folder = run.path("models");
    fs::create_dir(&folder).unwrap();
    let (file, stderr) = (folder.join("made.dmue.onnx"), run.path("stderr.txt"));
    let start = Instant::now();
    succeed(&mut run.export("run", &file));
    let longest = start.elapsed();
    let whole = fs::read(&file).unwrap();

    let (mut draws, mut kills, mut attempts) = (Draws::new(8), 0, 0);
    while kills < EXPORT_KILLS {
        attempts += 1;
        assert!(attempts <= 3 * EXPORT_KILLS, "only {kills} kills in {attempts} exports");
        fs::write(&file, b"the file before").unwrap();
        let mut child = spawn(&mut run.export("run", &file), &stderr);
        let moment = Moment::draw(kills, longest, &mut draws);
        let killed = kill(&mut child, &moment, &folder);
        let left = fs::read(&file).unwrap();
        let kind = if left == whole { "new" } else { "before" };
        eprintln!("{kills}: {moment:?}, killed {killed}, the {kind} file");
        assert!(left == whole || (killed && left == b"the file before"), "{} bytes", left.len());
        remove_partial_files(&folder);
        kills += usize::from(killed);
    }
    fs::write(&file, &whole).unwrap();
    Model::open(&file).unwrap();
}
