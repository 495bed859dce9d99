//! Files written whole or not at all, and pictures beside the answers.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use dmue_edge::face::align::FaceCrop;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

/// A folder that takes PNG files named after their source. Two sources of one name in one run get
/// different files; files of an earlier run are replaced.
pub struct OutputFolder {
    folder: PathBuf,
    used: HashSet<String>,
}

impl OutputFolder {
    /// Creates the folder if it is not there.
    pub fn create(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| naming(folder, &error))?;
        Ok(Self { folder: folder.to_path_buf(), used: HashSet::new() })
    }

    /// A name for the pictures of `source` that no other source of this run has.
    pub fn stem(&mut self, source: &Path) -> String {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let free = std::iter::once(stem.clone()).chain(numbered).find(|s| !self.used.contains(s));
        let free = free.unwrap_or(stem);
        self.used.insert(free.clone());
        free
    }

    /// Writes a picture as `name`.png, whole or not at all.
    pub fn write(&self, name: &str, picture: &DynamicImage) -> io::Result<()> {
        let path = self.folder.join(format!("{name}.png"));
        let mut bytes = Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, ImageFormat::Png)
            .map_err(io::Error::other)
            .and_then(|()| replace(&path, bytes.get_ref()))
            .map_err(|error| naming(&path, &error))
    }
}

/// The crop as a picture.
pub fn crop_picture(crop: &FaceCrop) -> Option<DynamicImage> {
    let (size, pixels) = (crop.size, crop.pixels.clone());
    match crop.channels {
        1 => GrayImage::from_raw(size, size, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(size, size, pixels).map(DynamicImage::from),
    }
}

/// Writes a file, whole or not at all; one of the name is replaced.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = with_suffix(path, ".part");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// `path` with `suffix` after its whole name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The error with the path in front.
pub fn naming(path: &Path, error: &io::Error) -> io::Error {
    // Not of the error's own kind: a full disk must not pass for a reader that left.
    io::Error::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_one_name_get_different_stems() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = OutputFolder::create(&folder.path().join("new/deep")).unwrap();
        assert_eq!(output.stem(Path::new("a/x.png")), "x");
        assert_eq!(output.stem(Path::new("b/x.jpg")), "x-2");
        assert_eq!(output.stem(Path::new("x-2.jpg")), "x-2-2");
    }

    #[test]
    fn a_picture_is_written_whole_and_a_bad_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let output = OutputFolder::create(folder.path()).unwrap();
        let crop = FaceCrop { size: 2, channels: 1, pixels: vec![1, 2, 3, 4] };
        output.write("crop", &crop_picture(&crop).unwrap()).unwrap();
        let read = image::open(folder.path().join("crop.png")).unwrap();
        assert_eq!(read.into_luma8().into_raw(), [1, 2, 3, 4]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary left");
        let error = OutputFolder::create(&folder.path().join("crop.png")).err().unwrap();
        assert!(error.to_string().contains("crop.png"), "{error}");
    }
}
