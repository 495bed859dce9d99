//! One labelled face, and what every reader does with a bad row.

use std::path::Path;

use dmue_edge::face::align::FaceCrop;
use dmue_edge::model::Colour;
use dmue_edge::photo::Photo;

use crate::config::Model;
use crate::error::{Error, Result};

/// A labelled face of the size that the network takes.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Where it came from: file name or the pack's name column.
    pub name: String,
    /// Pixels as the device would hand them to the network.
    pub crop: FaceCrop,
    /// Index into the data set's classes.
    pub label: usize,
    /// Number of taggers who chose each class `[C]`, where the data set has them.
    pub votes: Option<Vec<u8>>,
}

/// The network's input, as far as reading images is concerned.
#[derive(Clone, Copy, Debug)]
pub struct CropSpec {
    /// Side in pixels.
    pub size: u32,
    /// Gray or RGB.
    pub colour: Colour,
}

impl CropSpec {
    /// What a config's network takes.
    pub fn of(model: &Model) -> Self {
        let colour = if model.channels == 1 { Colour::Gray } else { Colour::Rgb };
        Self { size: model.size as u32, colour }
    }

    /// Decodes an image file's bytes and brings them to size with the edge's own function.
    pub fn decode(&self, bytes: &[u8]) -> std::result::Result<FaceCrop, String> {
        let photo = Photo::from_bytes(bytes).map_err(|error| error.to_string())?;
        let view = photo.view().map_err(|error| error.to_string())?;
        Ok(FaceCrop::resized(&view, self.size, self.colour))
    }
}

/// Collects samples; bad rows end the reading or are counted.
#[derive(Debug)]
pub struct Collector<'a> {
    file: &'a Path,
    skip_bad: bool,
    /// The good rows.
    pub samples: Vec<Sample>,
    /// Rows left out with `skip_bad`.
    pub bad: usize,
    /// Rows without a majority, left out by rule.
    pub undecided: usize,
}

impl<'a> Collector<'a> {
    /// Nothing collected yet; `file` is named in errors.
    pub fn new(file: &'a Path, skip_bad: bool) -> Self {
        Self { file, skip_bad, samples: vec![], bad: 0, undecided: 0 }
    }

    /// Takes a row: a sample, `None` for one that the labelling rule leaves out, or what is wrong.
    ///
    /// # Errors
    /// A bad row, unless bad rows are skipped.
    pub fn take(
        &mut self,
        row: usize,
        outcome: std::result::Result<Option<Sample>, String>,
    ) -> Result<()> {
        match outcome {
            Ok(Some(sample)) => self.samples.push(sample),
            Ok(None) => self.undecided += 1,
            Err(_) if self.skip_bad => self.bad += 1,
            Err(reason) => return Err(Error::Row { file: self.file.into(), row, reason }),
        }
        Ok(())
    }
}
