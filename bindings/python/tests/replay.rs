//! The Python door: the questions that every door is asked, through the installed wheel.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "each door uses its own part")]
#[path = "../../../dmue-edge/tests/conformance/mod.rs"]
mod conformance;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use conformance::{Answer, Case, DETECTOR_LEVELS, Question, has_model};
use serde_json::{Value, json};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replay.py");

#[test]
fn golden_answers_through_python() {
    let Some(python) = std::env::var_os("DMUE_PYTHON") else {
        eprintln!("skipped: DMUE_PYTHON names no Python with the wheel; `cargo xtask python` does");
        return;
    };
    if !has_model() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-replay");
    std::fs::create_dir_all(&folder).unwrap();
    let mut questions = String::new();
    for (index, case) in conformance::cases().iter().enumerate() {
        let file = folder.join(format!("{index}.raw"));
        std::fs::write(&file, &case.picture.bytes).unwrap();
        questions += &format!("{}\n", question(case, &file));
    }
    let output = replay(python, questions.as_bytes());
    let answers: Vec<Vec<Answer>> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    conformance::check("Python", &answers);
}

/// What `replay.py` reads.
fn question(case: &Case, file: &Path) -> Value {
    let (kind, place) = match case.question {
        Question::Predict => ("predict", Value::Null),
        Question::Crop => ("crop", Value::Null),
        Question::Box(face) => ("box", json!([face.x, face.y, face.width, face.height])),
        Question::Landmarks(points) => {
            ("landmarks", json!([points.right_eye, points.left_eye, points.nose, points.mouth]))
        }
    };
    let picture = &case.picture;
    json!({
        "kind": kind,
        "place": place,
        "file": file,
        "format": format!("{:?}", picture.format).to_lowercase(),
        "size": { "width": picture.width, "height": picture.height, "stride": picture.stride },
    })
}

fn replay(python: OsString, questions: &[u8]) -> String {
    let mut child = Command::new(python)
        .args([SCRIPT, &DETECTOR_LEVELS.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(questions).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{SCRIPT}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
