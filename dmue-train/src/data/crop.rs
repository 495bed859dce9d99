//! Faces cut out of raw photos by the device's own detector and aligner, to train on.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dmue_edge::face::align::{FaceCrop, FaceTemplate, align};
use dmue_edge::face::detector::{Detector, DetectorOptions};
use dmue_edge::face::{Face, FaceBox};
use dmue_edge::photo::Photo;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::folder::{entries, name};
use super::sample::CropSpec;
use crate::error::{Error, Result};
use crate::train::folder::write_whole;

/// File name extensions looked for in folders, lower case. Files named one by one may have any.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "webp"];

/// A photo and where its face goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The photo.
    pub photo: PathBuf,
    /// Path below the output folder, without extension: the photo's own path below the folder that
    /// was named, so that class folders stay.
    pub place: PathBuf,
}

/// The crops of one photo, or why there is none.
pub type Outcome = std::result::Result<Vec<PathBuf>, String>;

/// Cuts faces out.
pub struct Cropper {
    detector: Detector,
    spec: CropSpec,
    every_face: bool,
}

/// Every photo that the arguments name; a folder stands for the images in it and below, in the order
/// of their names. Links to folders are not followed.
///
/// # Errors
/// A folder that cannot be read, no photo at all.
pub fn jobs(arguments: &[PathBuf]) -> Result<Vec<Job>> {
    let (mut jobs, mut taken) = (vec![], HashSet::new());
    for argument in arguments {
        if argument.is_dir() {
            walk(argument, Path::new(""), &mut taken, &mut jobs)?;
        } else {
            jobs.push(job(argument.clone(), Path::new(""), &mut taken));
        }
    }
    match jobs.is_empty() {
        true => Err(Error::Config(format!(
            "there is no photo ({}) in {arguments:?}",
            EXTENSIONS.join(", ")
        ))),
        false => Ok(jobs),
    }
}

fn walk(
    folder: &Path,
    below: &Path,
    taken: &mut HashSet<PathBuf>,
    jobs: &mut Vec<Job>,
) -> Result<()> {
    for entry in entries(folder)? {
        let kind = std::fs::symlink_metadata(&entry).map_err(Error::file(&entry))?.file_type();
        if kind.is_dir() {
            walk(&entry, &below.join(name(&entry)), taken, jobs)?;
        } else if is_photo(&entry) && entry.is_file() {
            jobs.push(job(entry, below, taken));
        }
    }
    Ok(())
}

fn is_photo(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Dots in a name become hyphens: what follows a dot is the number of a further face.
fn job(photo: PathBuf, below: &Path, taken: &mut HashSet<PathBuf>) -> Job {
    let stem = photo.file_stem().unwrap_or_default().to_string_lossy().replace('.', "-");
    let mut place = below.join(&stem);
    let mut count = 1;
    while !taken.insert(place.clone()) {
        count += 1;
        place = below.join(format!("{stem}_{count}"));
    }
    Job { photo, place }
}

impl Cropper {
    /// Crops for a network's input; `every_face` takes all of a photo's faces, else the largest.
    ///
    /// # Errors
    /// A detector that does not load.
    pub fn new(spec: CropSpec, every_face: bool) -> Result<Self> {
        let detector = Detector::new(DetectorOptions::default())?;
        Ok(Self { detector, spec, every_face })
    }

    /// Works through `jobs` on all cores and writes the crops under `out`; `tick` is called after
    /// each photo. The outcomes are in the order of the jobs.
    ///
    /// # Errors
    /// A crop that cannot be written.
    pub fn run(&self, jobs: &[Job], out: &Path, tick: &(dyn Fn() + Sync)) -> Result<Vec<Outcome>> {
        let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![]));
        let work = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.crop(job, out);
                let failed = outcome.is_err();
                lock(&done).push((job, outcome));
                tick();
                if failed {
                    next.store(jobs.len(), Ordering::Relaxed); // the others stop as well
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        let done = std::mem::take(&mut *lock(&done));
        let mut by_place = std::collections::HashMap::new();
        for (job, outcome) in done {
            by_place.insert(&job.place, outcome?);
        }
        Ok(jobs.iter().filter_map(|job| by_place.remove(&job.place)).collect())
    }

    fn crop(&self, job: &Job, out: &Path) -> Result<Outcome> {
        let crops = match self.faces(&job.photo) {
            Ok(crops) => crops,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut written = vec![];
        for (index, crop) in crops.iter().enumerate() {
            let number = if index == 0 { String::new() } else { format!(".{}", index + 1) };
            let path = out.join(format!("{}{number}.png", job.place.display()));
            write_crop(&path, crop)?;
            written.push(path);
        }
        Ok(Ok(written))
    }

    fn faces(&self, photo: &Path) -> std::result::Result<Vec<FaceCrop>, String> {
        let photo = Photo::open(photo).map_err(|error| error.to_string())?;
        let view = photo.view().map_err(|error| error.to_string())?;
        let mut faces = self.detector.detect(&view).map_err(|error| error.to_string())?;
        if faces.is_empty() {
            return Err("no face found".into());
        }
        let area = |FaceBox { width, height, .. }: FaceBox| width * height;
        faces.sort_by(|a, b| area(b.bounding_box).total_cmp(&area(a.bounding_box)));
        faces.truncate(if self.every_face { faces.len() } else { 1 });
        let CropSpec { size, colour } = self.spec;
        let crop =
            |face: &Face| align(&view, &face.landmarks, &FaceTemplate::FERPLUS, size, colour);
        Ok(faces.iter().map(crop).collect())
    }
}

/// A thread that panicked leaves the list as it was: every push is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes a crop as PNG and makes its folder.
fn write_crop(path: &Path, crop: &FaceCrop) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    let colour = if crop.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut bytes = vec![];
    PngEncoder::new(&mut bytes)
        .write_image(&crop.pixels, crop.size, crop.size, colour)
        .map_err(|error| Error::Data { file: path.into(), reason: error.to_string() })?;
    write_whole(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_folders_stay_and_no_two_photos_share_a_place() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["happy/a.jpg", "happy/a.PNG", "sad/a.v2.jpg", "b.webp", "notes.txt"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let jobs = jobs(&[folder.path().into(), folder.path().join("b.webp")]).unwrap();
        let places: Vec<_> = jobs.iter().map(|job| job.place.to_str().unwrap()).collect();
        assert_eq!(places, ["b", "happy/a", "happy/a_2", "sad/a-v2", "b_2"]);
    }

    #[test]
    fn no_photo_at_all_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = jobs(&[folder.path().into()]).unwrap_err().to_string();
        assert!(error.contains("no photo (png, "), "{error}");
    }
}
