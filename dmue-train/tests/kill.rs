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

const EPOCHS: usize = 40;
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

    /// `writing` is how long a file has stood under a temporary name.
    fn has_come(&self, running: Duration, writing: Option<Duration>) -> bool {
        match self {
            Self::After(delay) => running >= *delay,
            Self::WhileWriting(delay) => writing.is_some_and(|writing| writing >= *delay),
        }
    }
}

/// Kills the child at the moment, or as soon as it has got far `enough`; whether it was killed, or
/// had ended before.
fn kill(child: &mut Child, moment: &Moment, folder: &Path, enough: &dyn Fn() -> bool) -> bool {
    let (start, mut writing) = (Instant::now(), None);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "ended by itself: {status}");
            return false;
        }
        if writing.is_none() && is_writing(folder) {
            writing = Some(Instant::now());
        }
        let since = writing.map(|start: Instant| start.elapsed());
        if moment.has_come(start.elapsed(), since) || enough() {
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
fn runs_killed_again_and_again_end_like_one_that_was_not() {
    let run = Run::new(EPOCHS);
    let start = Instant::now();
    succeed(&mut run.fit("whole"));
    let longest = start.elapsed().mul_f64(0.25);
    let (mut draws, mut kills, mut runs) = (Draws::new(7), 0, 0);
    while kills < FIT_KILLS {
        assert!(runs < FIT_KILLS, "only {kills} kills in {runs} runs");
        let out = format!("killed{runs}");
        kills += killed_run(&run, &out, longest, &mut draws);
        runs += 1;
        for ((name, expected), (_, found)) in run.newest("whole").iter().zip(run.newest(&out)) {
            assert!(expected.equal(&found), "{name} differs");
        }
        assert!(log(&run, &out) == log(&run, "whole"), "the logs differ");
        assert!(!is_writing(&run.checkpoints(&out)), "left-overs are cleared away");
    }
}

/// Trains to the end through up to [`FIT_KILLS`] kills; how many there were.
fn killed_run(run: &Run, out: &str, longest: Duration, draws: &mut Draws) -> usize {
    let (mut kills, mut saved) = (0, 0);
    let (stderr, folder) = (run.path("stderr.txt"), run.checkpoints(out));
    loop {
        let started = run.path(out).join("run.toml").exists();
        let mut command = if started { run.resume(out) } else { run.fit(out) };
        let last = kills == FIT_KILLS;
        let moment = match last {
            true => Moment::After(Duration::MAX),
            false => Moment::draw(kills, longest, draws),
        };
        let before = log(run, out).len();
        let enough = || !last && log(run, out).len() >= before + 3;
        let killed = kill(&mut spawn(&mut command, &stderr), &moment, &folder, &enough);
        saved = check_saved(run, out, saved, &fs::read_to_string(&stderr).unwrap());
        eprintln!("{out} {kills}: {moment:?}, killed {killed}, {saved} epochs saved");
        if !killed {
            assert_eq!(saved, EPOCHS);
            return kills;
        }
        kills += 1;
        // A left-over is no sign of writing for the next kill; half of them stay for the run to meet.
        if kills % 2 == 1 {
            remove_partial_files(&folder);
        }
    }
}

/// The newest checkpoint can be read, is not older than the one before the kill, and holds every
/// epoch that was reported and all but the last that was logged.
fn check_saved(run: &Run, out: &str, before: usize, stderr: &str) -> usize {
    let newest = checkpoint::newest_if_any(&run.checkpoints(out)).unwrap();
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
    let logged = log(run, out).len();
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
            line.as_object_mut().unwrap().remove("loading");
            line
        })
        .collect()
}

#[test]
fn an_export_killed_at_any_moment_leaves_the_file_before_or_the_whole_new_one() {
    let run = Run::new(30); // long enough for outputs whose range parity can be judged by
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
        let killed = kill(&mut child, &moment, &folder, &|| false);
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
