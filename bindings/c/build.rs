//! Gives the shared library the name by which programs ask for it: `libdmue_edge.so.ABI_VERSION`.

use std::error::Error;

const VERSION_SOURCE: &str = "../../dmue-edge/src/ffi/version.rs";
const DECLARATION: &str = "pub const DMUE_ABI_VERSION: u32 = ";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={VERSION_SOURCE}");
    let source = std::fs::read_to_string(VERSION_SOURCE)?;
    let version = source.lines().find_map(|line| line.strip_prefix(DECLARATION)?.strip_suffix(';'));
    let version = version.ok_or(format!("{VERSION_SOURCE} has no line `{DECLARATION}N;`"))?;
    match std::env::var("CARGO_CFG_TARGET_OS")?.as_str() {
        "linux" | "android" | "freebsd" => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libdmue_edge.so.{version}");
        }
        "macos" => {
            let name = format!("@rpath/libdmue_edge.{version}.dylib");
            println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,{name}");
        }
        _ => {}
    }
    Ok(())
}
