//! Takes out of a wheel (a zip file) what a CPU libtorch consists of.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use zip::ZipArchive;

/// The libraries that libtorch_cpu.so needs, itself included, as the wheels name them. Everything
/// else in a wheel is Python or needs a GPU.
const LIBRARIES: [&str; 5] = [
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

/// Unpacks the wheel's libraries into `folder`/lib and its C++ headers into `folder`/include.
///
/// # Errors
/// The wheel is no zip file or is damaged, or a file cannot be written; the message names it.
pub fn unpack(wheel: &Path, folder: &Path) -> Result<()> {
    let file = File::open(wheel).with_context(|| format!("cannot open '{}'", wheel.display()))?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .with_context(|| format!("cannot read '{}' as a wheel", wheel.display()))?;
    for index in 0..archive.len() {
        unpack_entry(&mut archive, index, folder)
            .with_context(|| format!("cannot unpack '{}'", wheel.display()))?;
    }
    Ok(())
}

fn unpack_entry(
    archive: &mut ZipArchive<BufReader<File>>,
    index: usize,
    folder: &Path,
) -> Result<()> {
    let mut entry = archive.by_index(index)?;
    if let Some(place) = place(&entry.name()?) {
        let path = folder.join(place);
        write(&mut entry, &path).with_context(|| format!("cannot write '{}'", path.display()))?;
    }
    Ok(())
}

/// Where an entry of a wheel belongs in a libtorch folder; `None` for what is not needed.
fn place(entry: &str) -> Option<PathBuf> {
    let path = Path::new(entry);
    if LIBRARIES.contains(&entry) {
        return Some(Path::new("lib").join(path.file_name()?));
    }
    let header = path.strip_prefix("torch").ok().filter(|rest| rest.starts_with("include"))?;
    let stays_inside = header.components().all(|part| matches!(part, Component::Normal(_)));
    (stays_inside && !entry.ends_with('/')).then(|| header.to_owned())
}

fn write(content: &mut impl io::Read, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    io::copy(content, &mut File::create(path)?)?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// Writes a wheel whose entries hold their own names.
    pub(crate) fn make_wheel(path: &Path, entries: &[&str]) {
        let mut wheel = ZipWriter::new(File::create(path).unwrap());
        for entry in entries {
            wheel.start_file(*entry, SimpleFileOptions::default()).unwrap();
            wheel.write_all(entry.as_bytes()).unwrap();
        }
        wheel.finish().unwrap();
    }

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
        }
        files.sort();
        files
    }

    #[test]
    fn only_libraries_and_headers_are_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        let entries = [
            "torch/__init__.py",
            "torch/lib/libc10.so",
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libtorch.so",
            "torch/include/c10/core/Device.h",
            "torch/include_more/other.h",
            "other/include/other.h",
            "nvidia/cu13/lib/libcupti.so.13",
            "nvidia/cu13/include/cupti.h",
        ];
        make_wheel(&wheel, &entries);
        let out = folder.path().join("out");
        unpack(&wheel, &out).unwrap();
        let expected = ["include/c10/core/Device.h", "lib/libc10.so", "lib/libcupti.so.13"];
        assert_eq!(files_below(&out), expected.map(|file| out.join(file)));
        let library = fs::read_to_string(out.join("lib/libcupti.so.13")).unwrap();
        assert_eq!(library, "nvidia/cu13/lib/libcupti.so.13");
    }

    #[test]
    fn no_entry_leaves_the_folder() {
        assert_eq!(place("torch/include/../../../evil.h"), None);
        assert_eq!(place("/torch/include/evil.h"), None);
        assert_eq!(place("torch/include/torch/"), None);
        assert_eq!(place("torch/include/a.h"), Some("include/a.h".into()));
    }

    #[test]
    fn a_damaged_wheel_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("damaged.whl");
        make_wheel(&wheel, &["torch/lib/libc10.so"]);
        let whole = fs::read(&wheel).unwrap();
        fs::write(&wheel, &whole[..whole.len() / 2]).unwrap();
        let message = format!("{:#}", unpack(&wheel, folder.path()).unwrap_err());
        assert!(message.contains("damaged.whl"), "{message}");
        assert!(unpack(&folder.path().join("absent.whl"), folder.path()).is_err());
    }
}
