//! AffectNet's manually annotated lists: `training.csv` and `validation.csv` with the paths, face
//! boxes, landmarks and expressions of photos under `Manually_Annotated_Images`.

use std::path::{Path, PathBuf};

use dmue_edge::face::Landmarks;
use dmue_edge::face::align::{FaceCrop, FaceTemplate, align};
use dmue_edge::photo::Photo;
use dmue_edge::{FrameView, PixelFormat};
use image::RgbImage;

use super::affectnet::{NO_EXPRESSION, classes, label};
use super::dataset::Source;
use super::layout::{Part, Parts, first_existing};
use super::sample::{Collector, CropSpec, Sample};
use super::split::Split;
use super::table::Table;
use crate::error::{Error, Result};

/// The column that no other kind of list has.
pub const PATH_COLUMN: &str = "subDirectory_filePath";

const COLUMNS: [&str; 7] = [
    PATH_COLUMN,
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
];
const LISTS: [(Split, &[&str]); 2] = [
    (Split::Train, &["training.csv", "Manually_Annotated_file_lists/training.csv"]),
    (Split::Valid, &["validation.csv", "Manually_Annotated_file_lists/validation.csv"]),
];
const IMAGES: [&str; 4] = [
    "Manually_Annotated_Images",
    "Manually_Annotated/Manually_Annotated_Images",
    "../Manually_Annotated_Images",
    "../Manually_Annotated/Manually_Annotated_Images",
];

/// The splits of a folder that holds one of the lists or both.
///
/// # Errors
/// A list without the folder of its photos, or that folder without a list.
pub fn find(root: &Path) -> Result<Option<Parts>> {
    let mut parts = vec![];
    for (split, names) in LISTS {
        if let Some(list) = first_existing(root, names) {
            parts.push((Some(split), part(list)?));
        }
    }
    if parts.is_empty() && first_existing(root, &IMAGES[..2]).is_some() {
        let names = LISTS.map(|(_, names)| names);
        let reason = format!("looks like AffectNet but lacks its lists: looked for {names:?}");
        return Err(Error::Data { file: root.into(), reason });
    }
    Ok((!parts.is_empty()).then_some(parts))
}

/// A list that is named itself; its photos are looked for beside it and one folder up.
///
/// # Errors
/// The folder of the photos is missing.
pub fn part(list: PathBuf) -> Result<Part> {
    let beside = list.parent().unwrap_or(Path::new(".")).to_owned();
    match first_existing(&beside, &IMAGES) {
        Some(images) => Ok(Part::AffectNetList { list, images }),
        None => {
            let reason =
                format!("the photos it lists are missing: looked for {IMAGES:?} beside it");
            Err(Error::Data { file: list, reason })
        }
    }
}

/// The faces of one list, cut out as the device does it: by eyes, nose and mouth of the 68
/// landmarks, or by the face box where a row has no landmarks.
///
/// # Errors
/// A column that is missing, a bad row.
pub fn read(list: &Path, images: &Path, spec: CropSpec, skip_bad: bool) -> Result<Source> {
    let mut collector = Collector::new(list, skip_bad);
    collector.rule = NO_EXPRESSION;
    for (row, cells) in Table::open(list, COLUMNS)?.rows().enumerate() {
        collector.take(row, cells.and_then(|cells| sample(images, &cells, spec)))?;
    }
    Ok(Source::collected(list, classes(), collector))
}

fn sample(
    images: &Path,
    cells: &[String; 7],
    spec: CropSpec,
) -> std::result::Result<Option<Sample>, String> {
    let [path, .., code] = cells;
    let code =
        code.parse().map_err(|_| format!("expression of {path} is \"{code}\", no number"))?;
    let Some(label) = label(code).map_err(|reason| format!("{path}: {reason}"))? else {
        return Ok(None);
    };
    let photo = Photo::open(images.join(path)).map_err(|error| error.to_string())?.into_pixels();
    let crop = cut(&photo, cells, spec).map_err(|reason| format!("{path}: {reason}"))?;
    let original = photo.dimensions().into();
    Ok(Some(Sample { name: path.clone(), crop, label, votes: None, original }))
}

fn cut(
    photo: &RgbImage,
    cells: &[String; 7],
    spec: CropSpec,
) -> std::result::Result<FaceCrop, String> {
    let [_, x, y, width, height, points, _] = cells;
    if let Some(landmarks) = landmarks(points)? {
        let whole = view(photo, [0, 0], photo.dimensions().into())?;
        return Ok(align(&whole, &landmarks, &FaceTemplate::FERPLUS, spec.size, spec.colour));
    }
    let number = |name: &str, text: &str| {
        text.parse::<u32>().map_err(|_| {
            format!("there are no landmarks, and {name} is \"{text}\", not a count of pixels")
        })
    };
    let corner = [number("face_x", x)?, number("face_y", y)?];
    let size = [number("face_width", width)?, number("face_height", height)?];
    let face = view(photo, corner, size)
        .map_err(|reason| format!("the face box at {corner:?} of size {size:?}: {reason}"))?;
    Ok(FaceCrop::resized(&face, spec.size, spec.colour))
}

/// The part of a rectangle that lies within the photo.
fn view(
    photo: &RgbImage,
    [x, y]: [u32; 2],
    [width, height]: [u32; 2],
) -> std::result::Result<FrameView<'_>, String> {
    let pixel = 3; // bytes
    let stride = photo.width() as usize * pixel;
    let width = width.min(photo.width().saturating_sub(x));
    let height = height.min(photo.height().saturating_sub(y));
    let start = y as usize * stride + x as usize * pixel;
    let bytes = photo.as_raw().get(start..).unwrap_or_default();
    FrameView::new(bytes, width, height, stride, PixelFormat::Rgb24)
        .map_err(|error| error.to_string())
}

/// `x;y;x;y...` of the 68 points of the common (iBUG) numbering; None where the cell is empty.
fn landmarks(text: &str) -> std::result::Result<Option<Landmarks>, String> {
    if ["", "NULL", "NaN"].contains(&text) {
        return Ok(None);
    }
    let numbers: Vec<f32> = text
        .split(';')
        .map(|number| number.trim().parse().ok().filter(|value: &f32| value.is_finite()))
        .collect::<Option<_>>()
        .ok_or("facial_landmarks holds something that is no number")?;
    let (points, rest) = numbers.as_chunks::<2>();
    if points.len() != 68 || !rest.is_empty() {
        return Err(format!("facial_landmarks holds {} numbers, must be 136", numbers.len()));
    }
    let mean = |range: std::ops::Range<usize>| {
        let count = range.len() as f32;
        let sum = points[range].iter().fold([0.; 2], |sum, p| [sum[0] + p[0], sum[1] + p[1]]);
        sum.map(|value| value / count)
    };
    Ok(Some(Landmarks {
        right_eye: mean(36..42),
        left_eye: mean(42..48),
        nose: points[30],
        mouth: mean(48..60),
        right_ear: points[0],
        left_ear: points[16],
    }))
}
