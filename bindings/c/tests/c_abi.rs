//! The C door: real C99 and C++17 programs, compiled against the header and the shared library that
//! this build made, and run.
//!
//! For another machine's library: `DMUE_TEST_LIBRARY` is its path, `DMUE_TEST_CC` and `DMUE_TEST_CXX` the
//! compilers for it and `DMUE_TEST_RUNNER` what runs its programs (`cargo xtask arm`).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "each door uses its own part")]
#[path = "../../../dmue-edge/tests/conformance/mod.rs"]
mod conformance;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conformance::{Answer, Case, DETECTOR_LEVELS, Question, astronaut, has_model};
use dmue_edge::PixelFormat;
use dmue_edge::face::Landmarks;
use dmue_edge::ffi::{DMUE_ABI_VERSION, dmue_pixel_format};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/c");
const INCLUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../include");
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dmue-edge/models/edge.dmue.onnx");

const C99: &[&str] = &["cc", "-std=c99", "-D_POSIX_C_SOURCE=200809L"];
const CXX17: &[&str] = &["c++", "-std=c++17"];
const CXX17_WITHOUT_EXCEPTIONS: &[&str] = &["c++", "-std=c++17", "-fno-exceptions", "-fno-rtti"];

#[test]
fn the_header_stands_alone_in_c99_and_in_cxx17() {
    let folder = Workshop::new();
    for (compiler, name) in [(C99, "c"), (CXX17, "cxx")] {
        // The same file in both languages.
        let language: &[&str] = if compiler == C99 { &[] } else { &["-x", "c++"] };
        let program = folder.compile(&[compiler, language].concat(), "header_c99.c", name);
        assert_eq!(run(&program, &[], b""), format!("{}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn every_door_opens_in_c() {
    if !has_model() {
        return;
    }
    let folder = Workshop::new();
    run(&folder.compile(C99, "smoke.c", "smoke"), &folder.portrait(), b"");
}

#[test]
fn cxx_objects_free_themselves_with_and_without_exceptions() {
    if !has_model() {
        return;
    }
    let folder = Workshop::new();
    for (compiler, name) in [(CXX17, "with"), (CXX17_WITHOUT_EXCEPTIONS, "without")] {
        run(&folder.compile(compiler, "header_cxx.cpp", name), &folder.portrait(), b"");
    }
}

#[test]
fn misuse_is_answered_with_a_status_and_a_reason() {
    if !has_model() {
        return;
    }
    let folder = Workshop::new();
    run(&folder.compile(C99, "misuse.c", "misuse"), &[MODEL.to_owned()], b"");
}

#[test]
fn golden_answers_through_c() {
    if !has_model() {
        return;
    }
    let folder = Workshop::new();
    let program = folder.compile(C99, "replay.c", "replay");
    let mut questions = String::new();
    for (index, case) in conformance::cases().iter().enumerate() {
        let file = folder.path().join(format!("{index}.raw"));
        std::fs::write(&file, &case.picture.bytes).unwrap();
        writeln!(questions, "{}", question(case, &file)).unwrap();
    }
    let output = run(&program, &[DETECTOR_LEVELS.to_string()], questions.as_bytes());
    let answers: Vec<_> = output.lines().map(answers).collect();
    conformance::check("C", &answers);
}

/// The programs of `examples/c`, on a picture and on videos made of it.
#[test]
fn the_c_examples_name_the_astronauts_smile() {
    if !has_model() {
        return;
    }
    let folder = Workshop::new();
    let classify = folder.compile(C99, &format!("{EXAMPLES}/classify.c"), "classify");
    let pixels = astronaut().into_pixels();
    let (width, height) = pixels.dimensions();
    let picture = folder.path().join("astronaut.ppm");
    let ppm = [format!("P6\n{width} {height}\n255\n").as_bytes(), pixels.as_raw()].concat();
    std::fs::write(&picture, ppm).unwrap();
    let output = run(&classify, &[picture.display().to_string()], b"");
    assert!(output.starts_with("happiness, right with probability "), "{output}");
    assert_eq!(output.lines().count(), 1, "{output}");

    let stream = folder.compile(C99, &format!("{EXAMPLES}/stream.c"), "stream");
    let mut video = format!("YUV4MPEG2 W{width} H{height} F10:1 Ip C420jpeg\n").into_bytes();
    let frame = conformance::Picture::unpadded(PixelFormat::I420, width, height, |x, y| {
        pixels.get_pixel(x, y).0
    });
    for _ in 0..3 {
        video.extend(b"FRAME\n");
        video.extend(&frame.bytes);
    }
    let webcam = folder.compile(C99, &format!("{EXAMPLES}/webcam.c"), "webcam");
    let raw = ["--raw", "i420", &width.to_string(), &height.to_string(), "10"].map(String::from);
    let raw_video = frame.bytes.repeat(3);
    let expected = ["0.000", "0.100", "0.200"].map(|time| format!("{time} s: face 1: happiness"));
    for (program, arguments, video) in
        [(&stream, &[][..], &video), (&webcam, &[], &video), (&webcam, &raw, &raw_video)]
    {
        let output = run(program, arguments, video);
        let starts: Vec<_> = output.lines().filter_map(|line| line.split(',').next()).collect();
        assert_eq!(starts, expected, "{}", program.display());
    }
}

/// A linker sees the functions of the header, under the library's own name, and nothing else.
#[test]
fn only_the_headers_functions_are_exported() {
    let library = library();
    let symbols = tool("nm", &["-D", "--defined-only", "--format=posix"], &library);
    let exported: BTreeSet<&str> =
        symbols.lines().filter_map(|line| line.split(' ').next()).collect();
    let header = std::fs::read_to_string(format!("{INCLUDE}/dmue_edge.h")).unwrap();
    let words = header.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '(');
    let declared: BTreeSet<&str> = words
        .filter_map(|word| word.split_once('(').map(|(name, _)| name))
        .filter(|name| name.starts_with("dmue_"))
        .collect();
    assert_eq!(exported, declared);
    let dynamic = tool("readelf", &["--dynamic", "--wide"], &library);
    let soname = format!("[libdmue_edge.so.{DMUE_ABI_VERSION}]");
    assert!(dynamic.contains(&soname), "no {soname} in\n{dynamic}");
}

/// A folder with compiled programs and the library under the name by which they ask for it.
struct Workshop(tempfile::TempDir);

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("libdmue_edge.so.{DMUE_ABI_VERSION}");
        std::os::unix::fs::symlink(library(), folder.path().join(name)).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn compile(&self, compiler: &[&str], source: &str, program: &str) -> PathBuf {
        let program = self.path().join(program);
        let rpath = format!("-Wl,-rpath,{}", self.path().display());
        let mut command = compiler_command(compiler[0]);
        let output = command
            .args(&compiler[1..])
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-I", INCLUDE])
            .arg(Path::new(SOURCES).join(source))
            // After `-x c++` the library must not be read as a source.
            .args(["-x", "none"])
            .arg(library())
            .arg(rpath)
            .arg("-o")
            .arg(&program)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}; a C compiler is needed", compiler[0]));
        assert!(output.status.success(), "{source}:\n{}", text(&output.stderr));
        program
    }

    /// The astronaut's pixels in a file: its name, width and height.
    fn portrait(&self) -> [String; 3] {
        let pixels = astronaut().into_pixels();
        let file = self.path().join("astronaut.rgb");
        std::fs::write(&file, pixels.as_raw()).unwrap();
        [file.display().to_string(), pixels.width().to_string(), pixels.height().to_string()]
    }
}

/// Cargo puts it beside this test.
fn library() -> PathBuf {
    let library = std::env::var_os("DMUE_TEST_LIBRARY").map_or_else(
        || std::env::current_exe().unwrap().with_file_name("libdmue_edge.so"),
        PathBuf::from,
    );
    assert!(library.is_file(), "{} is not there", library.display());
    library
}

/// `cc` or `c++`, or what the environment names in its place.
fn compiler_command(default: &str) -> Command {
    words(if default == "cc" { "DMUE_TEST_CC" } else { "DMUE_TEST_CXX" }, default)
}

/// A command of several words from the variable, or the default.
fn words(variable: &str, default: &str) -> Command {
    let line = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

fn run(program: &Path, arguments: &[String], input: &[u8]) -> String {
    // `env` alone runs the program that follows it.
    let mut child = words("DMUE_TEST_RUNNER", "env")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let (status, errors) = (output.status, text(&output.stderr));
    assert!(status.success(), "{}: {status}\n{errors}", program.display());
    text(&output.stdout)
}

fn tool(name: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(name).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}; binutils are needed"));
    assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The line that `replay.c` reads.
fn question(case: &Case, file: &Path) -> String {
    let mut numbers = [0.0_f32; 8];
    let kind = match case.question {
        Question::Predict => "predict",
        Question::Crop => "crop",
        Question::Box(face) => {
            numbers[..4].copy_from_slice(&[face.x, face.y, face.width, face.height]);
            "box"
        }
        Question::Landmarks(Landmarks { right_eye, left_eye, nose, mouth, .. }) => {
            numbers = [right_eye, left_eye, nose, mouth].concat().try_into().unwrap();
            "landmarks"
        }
    };
    let picture = &case.picture;
    let format = c_format(picture.format) as u32;
    let (width, height, stride) = (picture.width, picture.height, picture.stride);
    let numbers: Vec<String> = numbers.iter().map(f32::to_string).collect();
    let file = OsStr::to_str(file.as_os_str()).unwrap();
    format!("{kind} {format} {width} {height} {stride} {file} {}", numbers.join(" "))
}

/// One line of `replay.c`'s output.
fn answers(line: &str) -> Vec<Answer> {
    let mut words = line.split(' ');
    let count: usize = words.next().unwrap().parse().unwrap();
    let numbers: Vec<f32> = words.map(|word| word.parse().unwrap()).collect();
    let of_one = numbers.len().checked_div(count).unwrap_or(1);
    let answer = |numbers: &[f32]| Answer {
        class_index: numbers[0] as usize,
        score: numbers[1],
        alpha: numbers[2],
        bounding_box: numbers[3..7].try_into().unwrap(),
        probabilities: numbers[7..].to_vec(),
    };
    numbers.chunks_exact(of_one).map(answer).collect()
}

fn c_format(format: PixelFormat) -> dmue_pixel_format {
    match format {
        PixelFormat::Gray8 => dmue_pixel_format::Gray8,
        PixelFormat::Rgb24 => dmue_pixel_format::Rgb24,
        PixelFormat::Bgr24 => dmue_pixel_format::Bgr24,
        PixelFormat::Rgba32 => dmue_pixel_format::Rgba32,
        PixelFormat::Bgra32 => dmue_pixel_format::Bgra32,
        PixelFormat::Nv12 => dmue_pixel_format::Nv12,
        PixelFormat::I420 => dmue_pixel_format::I420,
        PixelFormat::Yuyv => dmue_pixel_format::Yuyv,
        other => panic!("no C name for {other:?}"),
    }
}
