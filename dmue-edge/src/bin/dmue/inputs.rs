//! Which image files the arguments mean.

use std::path::{Path, PathBuf};

/// File name extensions looked for in folders, lower case. Files named one by one may have any.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "webp"];

/// An image file, or why an argument gives none.
pub type Input = Result<PathBuf, String>;

/// The files of all arguments in order; a folder stands for the images in it and below, sorted by
/// path. Links to folders inside a folder are not followed, so there is no endless walk.
pub fn collect(arguments: &[PathBuf]) -> Vec<Input> {
    arguments.iter().flat_map(|path| expand(path)).collect()
}

fn expand(path: &Path) -> Vec<Input> {
    if !path.is_dir() {
        return vec![Ok(path.to_path_buf())];
    }
    let mut found = Vec::new();
    walk(path, &mut found);
    if found.is_empty() {
        let kinds = EXTENSIONS.join(", ");
        found.push(Err(format!("{}: no images in this folder ({kinds})", path.display())));
    }
    found
}

fn walk(folder: &Path, found: &mut Vec<Input>) {
    let failed = |error| Err(format!("{}: {error}", folder.display()));
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).and_then(Iterator::collect);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return found.push(failed(error)),
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, found),
            Ok(_) if has_image_extension(&path) && path.is_file() => found.push(Ok(path)),
            Ok(_) => {}
            Err(error) => found.push(failed(error)),
        }
    }
}

fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_sorted_and_filtered() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/deep")).unwrap();
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        for name in ["c.PNG", "a.jpg", "notes.txt", "b/deep/z.webp", "b/x.jpeg"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let names: Vec<_> = collect(&[folder.path().to_path_buf()])
            .into_iter()
            .map(|input| input.unwrap().strip_prefix(folder.path()).unwrap().to_path_buf())
            .collect();
        assert_eq!(names, ["a.jpg", "b/deep/z.webp", "b/x.jpeg", "c.PNG"].map(PathBuf::from));
    }

    #[test]
    fn a_folder_without_images_is_named_and_a_file_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = collect(&[folder.path().to_path_buf(), PathBuf::from("any.thing")]);
        assert!(inputs[0].as_ref().unwrap_err().contains("no images"));
        assert_eq!(inputs[1], Ok(PathBuf::from("any.thing")));
    }
}
