//! Writes the seeds that are in the repository anew: `cargo run --bin write_seeds` in this folder.

use std::fs;
use std::io::Result;
use std::path::Path;

use dmue_fuzz::tiny_model;
use prost::Message;

fn main() -> Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let model = tiny_model().encode_to_vec();
    write(&seeds, "model_file/tiny.dmue.onnx", &model)?;
    write(&seeds, "model_file/half", &model[..model.len() / 2])?;
    // Any bytes are a description and pixels, or a list of calls: some to begin with.
    let bytes: Vec<u8> =
        (0..2048_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for target in ["frame_view", "c_abi"] {
        write(&seeds, &format!("{target}/spread"), &bytes)?;
        write(&seeds, &format!("{target}/zeros"), &[0; 256])?;
    }
    Ok(())
}

fn write(seeds: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = seeds.join(name);
    fs::create_dir_all(path.parent().unwrap_or(seeds))?;
    fs::write(path, bytes)
}
