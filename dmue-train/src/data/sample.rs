//! One labelled face, and what every reader does with a bad row.

use std::path::Path;

use dmue_edge::face::align::FaceCrop;
use dmue_edge::model::{Colour, InputSpec};
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
    /// Width and height in pixels of the image that it was cut from.
    pub original: [u32; 2],
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

    /// What a model file asks for.
    pub fn of_input(input: &InputSpec) -> Self {
        Self { size: input.size, colour: input.colour }
    }

    /// Decodes an image file's bytes and brings them to size with the edge's own function; also
    /// returns the image's own width and height.
    pub fn decode(&self, bytes: &[u8]) -> std::result::Result<(FaceCrop, [u32; 2]), String> {
        let photo = Photo::from_bytes(bytes).map_err(|error| error.to_string())?;
        let view = photo.view().map_err(|error| error.to_string())?;
        let crop = FaceCrop::resized(&view, self.size, self.colour);
        Ok((crop, [view.width(), view.height()]))
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
    /// What was wrong with the first of them.
    pub first_bad: Option<String>,
    /// Rows left out by rule.
    pub undecided: usize,
    /// What the rule says of these rows.
    pub rule: &'static str,
}

impl<'a> Collector<'a> {
    /// Nothing collected yet; `file` is named in errors.
    pub fn new(file: &'a Path, skip_bad: bool) -> Self {
        Self {
            file,
            skip_bad,
            samples: vec![],
            bad: 0,
            first_bad: None,
            undecided: 0,
            rule: "without a majority",
        }
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
            Err(reason) if self.skip_bad => {
                self.bad += 1;
                self.first_bad.get_or_insert_with(|| format!("row {row}: {reason}"));
            }
            Err(reason) => return Err(Error::Row { file: self.file.into(), row, reason }),
        }
        Ok(())
    }
}
