//! `include/dmue_edge.h` is what the sources say, and every function in it stops panics.
//!
//! `DMUE_BLESS=1 cargo test --workspace --test header` writes the header anew.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../include/dmue_edge.h");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dmue-edge/src/ffi");

/// In the order in which the header shows them.
const NOUNS: [&str; 7] = ["version", "status", "log", "frame", "face", "engine", "session"];

#[test]
fn the_committed_header_is_what_the_sources_say() {
    let generated = generate();
    if std::env::var_os("DMUE_BLESS").is_some() {
        std::fs::write(HEADER, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(HEADER).unwrap_or_default();
    let differing = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "include/dmue_edge.h is not what src/ffi says (first difference: line {:?}); \
         run `DMUE_BLESS=1 cargo test --workspace --test header` and commit it",
        differing.map(|line| line + 1)
    );
}

#[test]
fn every_export_is_declared() {
    let header = generate();
    let exports = exports();
    assert!(exports.len() > 20, "only {} functions were found", exports.len());
    for export in &exports {
        let declaration = format!("{}(", export.name);
        assert!(
            header.contains(&declaration),
            "{} is not in the header: add its file",
            export.name
        );
    }
    let version = format!("#define DMUE_ABI_VERSION {}\n", dmue_edge::ffi::DMUE_ABI_VERSION);
    assert!(header.contains(&version), "no `{version}`");
}

#[test]
fn the_whole_body_of_every_export_is_inside_the_panic_boundary() {
    for Export { name, body, unmangled } in exports() {
        assert!(unmangled, "{name} has no #[unsafe(no_mangle)]");
        let guarded = inside(&body, "boundary::status(").or(inside(&body, "boundary::value("));
        assert_eq!(guarded, Some(""), "{name} does something outside boundary::status or ::value");
    }
}

/// The test above can fail.
#[test]
fn code_outside_the_boundary_is_seen() {
    let inside = |body: &str| inside(body, "boundary::status(").map(str::to_owned);
    assert_eq!(inside("boundary::status(|| f(1))").as_deref(), Some(""));
    assert_eq!(inside("boundary::status(|| f(1));").as_deref(), Some(""));
    assert_eq!(inside("f(1)"), None);
    assert_eq!(inside("let x = y[0]; boundary::status(|| f(x))"), None);
    assert_eq!(inside("boundary::status(|| f(1)); g()").as_deref(), Some("g()"));
}

/// `panic = "abort"` would end the C program that the boundary protects.
#[test]
fn no_profile_aborts_on_panic() {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let text = std::fs::read_to_string(workspace).unwrap();
    assert!(text.lines().all(|line| !line.trim_start().starts_with("panic")), "{workspace}");
}

fn generate() -> String {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/cbindgen.toml");
    let mut builder =
        cbindgen::Builder::new().with_config(cbindgen::Config::from_file(config).unwrap());
    for noun in NOUNS {
        builder = builder.with_src(format!("{SOURCES}/{noun}.rs"));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    // What rustdoc calls safety is what a C function requires.
    String::from_utf8(header).unwrap().replace("# Safety", "Requires:")
}

struct Export {
    name: String,
    /// Between the outermost braces, without comments.
    body: String,
    unmangled: bool,
}

fn exports() -> Vec<Export> {
    sources().iter().flat_map(|path| exports_of(&std::fs::read_to_string(path).unwrap())).collect()
}

fn sources() -> Vec<PathBuf> {
    let paths = std::fs::read_dir(Path::new(SOURCES)).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn exports_of(source: &str) -> Vec<Export> {
    let code: String = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    let pattern = "extern \"C\" fn ";
    // A type of a function has no name before its parenthesis.
    let starts =
        code.match_indices(pattern).filter(|(at, _)| !code[at + pattern.len()..].starts_with('('));
    starts
        .map(|(at, _)| {
            let rest = &code[at + pattern.len()..];
            let name = rest.split('(').next().unwrap().to_owned();
            let body = balanced(&rest[rest.find('{').unwrap()..], '{', '}').unwrap();
            let before: Vec<&str> = code[..at].lines().rev().take(2).collect();
            let unmangled = before.join(" ").contains("#[unsafe(no_mangle)]");
            Export { name, body: body.trim().to_owned(), unmangled }
        })
        .collect()
}

/// What is left of `body` after a call that begins with `opening`; none if it does not begin so.
fn inside<'a>(body: &'a str, opening: &str) -> Option<&'a str> {
    let call = body.strip_prefix(opening)?;
    let arguments = balanced(&body[opening.len() - 1..], '(', ')')?;
    Some(call[arguments.len() + 1..].trim_start_matches(';').trim())
}

/// Between the bracket that `text` starts with and the one that closes it.
fn balanced(text: &str, open: char, close: char) -> Option<&str> {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        depth += i32::from(character == open) - i32::from(character == close);
        if depth == 0 {
            return Some(&text[1..at]);
        }
    }
    None
}
