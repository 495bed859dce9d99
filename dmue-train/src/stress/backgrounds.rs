//! Parts of photos without a face.

use std::path::PathBuf;

use dmue_edge::face::FaceBox;
use dmue_edge::face::align::FaceCrop;
use dmue_edge::face::detector::{Detector, DetectorOptions};
use dmue_edge::photo::Photo;
use image::RgbImage;
use image::imageops::{FilterType, crop_imm, resize};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::in_photo;
use crate::data::crop::jobs;
use crate::data::sample::CropSpec;
use crate::error::{Error, Result};

/// Sides of a part in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 40..=200;
/// A face counts as half as large again: hair and neck are no background.
const MARGIN: f32 = 0.5;
/// Parts that are drawn before a photo counts as full of faces.
const TRIES: usize = 1000;

/// Photos and where their faces are.
pub struct Scenes {
    photos: Vec<(RgbImage, Vec<FaceBox>)>,
}

impl Scenes {
    /// Reads photos, or all in a folder, and finds their faces.
    ///
    /// # Errors
    /// A photo that cannot be read; no photo that is large enough.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let detector = Detector::new(DetectorOptions::default())?;
        let mut photos = vec![];
        for job in jobs(paths)? {
            let photo = Photo::open(&job.photo).map_err(|error| in_photo(&job.photo, error))?;
            let view = photo.view().map_err(|error| in_photo(&job.photo, error))?;
            let faces = detector.detect(&view)?;
            let image = photo.into_pixels();
            if image.width().min(image.height()) > *SIDES.end() {
                photos.push((image, faces.iter().map(|face| widened(face.bounding_box)).collect()));
            }
        }
        match photos.is_empty() {
            true => {
                Err(Error::Config(format!("no photo of {paths:?} has 200 pixels on each side")))
            }
            false => Ok(Self { photos }),
        }
    }

    /// `count` crops of parts without a face, as the network takes them.
    ///
    /// # Errors
    /// Photos full of faces.
    pub fn crops(
        &self,
        count: usize,
        spec: CropSpec,
        generator: &mut ChaCha8Rng,
    ) -> Result<Vec<FaceCrop>> {
        (0..count)
            .map(|_| {
                let part = Photo::from(self.part(generator)?);
                let view = part.view().map_err(dmue_edge::Error::from)?;
                Ok(FaceCrop::resized(&view, spec.size, spec.colour))
            })
            .collect()
    }

    /// A frame of 640x480 pixels made of a part without a face.
    ///
    /// # Errors
    /// Photos full of faces.
    pub fn frame(&self, generator: &mut ChaCha8Rng) -> Result<RgbImage> {
        Ok(resize(&self.part(generator)?, 640, 480, FilterType::Triangle))
    }

    fn part(&self, generator: &mut ChaCha8Rng) -> Result<RgbImage> {
        for _ in 0..TRIES {
            let (photo, faces) = &self.photos[generator.random_range(0..self.photos.len())];
            let side = generator.random_range(SIDES);
            let x = generator.random_range(0..=photo.width() - side);
            let y = generator.random_range(0..=photo.height() - side);
            let [left, top, size] = [x, y, side].map(|value| value as f32);
            let part = FaceBox { x: left, y: top, width: size, height: size };
            if faces.iter().all(|face| face.overlap(&part) == 0.) {
                return Ok(crop_imm(photo, x, y, side, side).to_image());
            }
        }
        Err(Error::Config("the photos are full of faces: give some with background".into()))
    }
}

fn widened(FaceBox { x, y, width, height }: FaceBox) -> FaceBox {
    let (more_x, more_y) = (MARGIN * width, MARGIN * height);
    FaceBox {
        x: x - more_x / 2.,
        y: y - more_y / 2.,
        width: width + more_x,
        height: height + more_y,
    }
}
