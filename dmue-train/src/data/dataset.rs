//! Images and labels in memory, as tensors.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use dmue_edge::face::align::FaceCrop;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::layout;
use super::sample::{Collector, CropSpec, Sample};
use super::votes::distribution;
use crate::error::{Error, Result};

/// What a reader found, before it is checked.
#[derive(Debug)]
pub struct Source {
    /// Class names in label order.
    pub classes: Vec<String>,
    /// The labelled faces.
    pub samples: Vec<Sample>,
    /// What was left out, in words.
    pub summary: String,
}

/// Images `[n,ch,S,S]` as bytes and their labels, in memory.
#[derive(Debug)]
pub struct Dataset {
    /// Class names in label order.
    pub classes: Vec<String>,
    /// u8 `[n, ch, S, S]`
    pub images: Tensor,
    /// Label of each image.
    pub labels: Vec<usize>,
    /// The labels as the data have them, which differ where [`Self::flip_labels`] changed some.
    pub annotated: Vec<usize>,
    /// Taggers who chose each class `[n][C]`, where the data set has them.
    pub votes: Option<Vec<Vec<u8>>>,
}

impl Source {
    /// Opens whatever [`layout`] knows: a pack, a list, class folders, or a published set, of which
    /// `PATH#train`, `PATH#valid` and `PATH#test` name a split.
    ///
    /// # Errors
    /// Data that cannot be read, hold no labelled face or only one class.
    pub fn open(path: &Path, spec: CropSpec, skip_bad: bool) -> Result<Self> {
        layout::part(path)?.read(spec, skip_bad)
    }

    /// What a reader collected.
    pub fn collected(path: &Path, classes: Vec<String>, collector: Collector<'_>) -> Self {
        let mut summary = format!(
            "{}: {} faces of {} classes, {} {} and {} bad rows left out",
            path.display(),
            collector.samples.len(),
            classes.len(),
            collector.undecided,
            collector.rule,
            collector.bad
        );
        if let Some(reason) = collector.first_bad {
            summary += &format!(" (the first is {reason})");
        }
        Self { classes, samples: collector.samples, summary }
    }

    /// Labels by their place in `known`, in the order of which the classes then are.
    ///
    /// # Errors
    /// A class that is not known.
    pub fn labelled_as(mut self, known: &[String]) -> Result<Self> {
        let places = places(&self.classes, known)?;
        self.samples.iter_mut().for_each(|sample| sample.label = places[sample.label]);
        self.classes = known.to_vec();
        Ok(self)
    }

    /// Keeps the classes of these names, in this order, and says in the summary how many faces of
    /// others were left out; keeps all where no name is given.
    ///
    /// # Errors
    /// A name that the set does not have, or that is given twice.
    pub fn select(mut self, names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(self);
        }
        for (place, name) in names.iter().enumerate() {
            let known = self.classes.contains(name);
            if !known || names[..place].contains(name) {
                let trouble = if known { "named twice" } else { "no class of the data" };
                return Err(Error::Config(format!(
                    "data.classes: \"{name}\" is {trouble}, which has {:?}",
                    self.classes
                )));
            }
        }
        let place = |label: usize| names.iter().position(|name| *name == self.classes[label]);
        let places: Vec<Option<usize>> = (0..self.classes.len()).map(place).collect();
        let before = self.samples.len();
        self.samples.retain_mut(|sample| {
            let place = places[sample.label];
            sample.label = place.unwrap_or(sample.label);
            place.is_some()
        });
        let left_out = before - self.samples.len();
        self.summary += &format!("; {left_out} of classes that data.classes does not name");
        self.classes = names.to_vec();
        Ok(self)
    }

    /// Leaves out faces of classes that are not `known`, and says how many in the summary.
    ///
    /// # Errors
    /// None of the classes is known.
    pub fn of_known(self, known: &[String]) -> Result<Self> {
        let shared: Vec<String> =
            self.classes.iter().filter(|name| known.contains(name)).cloned().collect();
        if shared.is_empty() {
            return Err(Error::Config(format!(
                "the data have the classes {:?}, the model knows {known:?}: none of them",
                self.classes
            )));
        }
        self.select(&shared)
    }

    /// Leaves out images whose pixels stand earlier in this set; returns how many.
    pub fn drop_duplicates(&mut self) -> usize {
        let mut seen = HashSet::new();
        self.retain(|sample| seen.insert(sample.crop.pixels.clone()))
    }

    /// Leaves out images whose pixels stand in `others`; returns how many.
    pub fn drop_known(&mut self, others: &[Sample]) -> usize {
        let known: HashSet<&[u8]> =
            others.iter().map(|sample| sample.crop.pixels.as_slice()).collect();
        self.retain(|sample| !known.contains(sample.crop.pixels.as_slice()))
    }

    fn retain(&mut self, keep: impl FnMut(&Sample) -> bool) -> usize {
        let before = self.samples.len();
        self.samples.retain(keep);
        before - self.samples.len()
    }

    /// Each image's index into the classes.
    pub fn labels(&self) -> Vec<usize> {
        self.samples.iter().map(|sample| sample.label).collect()
    }

    /// Taggers who chose each class `[n][C]`; `None` if an image has none.
    pub fn votes(&self) -> Option<Vec<Vec<u8>>> {
        self.samples.iter().map(|sample| sample.votes.clone()).collect()
    }

    /// Splits off `share` of the images by a hash of their file's name and the seed, so that the same
    /// image falls on the same side whatever else is in the set, wherever it lies and at whatever size a
    /// network takes it. Returns (kept, held out).
    pub fn hold_out(self, share: f64, seed: u64) -> (Self, Self) {
        let held = |sample: &Sample| {
            let mut hasher = DefaultHasher::new();
            (seed, Path::new(&sample.name).file_name()).hash(&mut hasher);
            (hasher.finish() as f64) < share * u64::MAX as f64
        };
        let (out, kept) = self.samples.into_iter().partition(held);
        let part = |samples| Self {
            classes: self.classes.clone(),
            samples,
            summary: self.summary.clone(),
        };
        (part(kept), part(out))
    }
}

impl Dataset {
    /// Copies the pixels into one tensor.
    ///
    /// # Errors
    /// An empty set.
    pub fn new(source: &Source) -> Result<Self> {
        let Some(first) = source.samples.first() else {
            return Err(Error::Config(format!("no face is left of {}", source.summary)));
        };
        let (size, channels) = (i64::from(first.crop.size), i64::from(first.crop.channels));
        let bytes: Vec<u8> =
            source.samples.iter().flat_map(|sample| sample.crop.pixels.iter().copied()).collect();
        let images = Tensor::from_slice(&bytes)
            .view([-1, size, size, channels])
            .permute([0, 3, 1, 2])
            .contiguous();
        let labels = source.labels();
        Ok(Self {
            classes: source.classes.clone(),
            images,
            annotated: labels.clone(),
            labels,
            votes: source.votes(),
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none; never, as built.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Synthetic ambiguity (seed section 2): replaces `share` of the labels by another class, all
    /// others equally likely; [`Self::annotated`] keeps what they were.
    pub fn flip_labels(&mut self, share: f64, seed: u64) {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let classes = self.classes.len();
        for label in &mut self.labels {
            if generator.random::<f64>() < share {
                *label = (*label + generator.random_range(1..classes)) % classes;
            }
        }
    }

    /// The crowd's distribution over the classes for the images of `indices`, `[N,C]`, rows sum to
    /// 1: single votes are dropped as the majority rule does. `None` without votes.
    pub fn crowd(&self, indices: &[usize], device: Device) -> Option<Tensor> {
        let votes = self.votes.as_ref()?;
        let rows: Vec<f32> =
            indices.iter().flat_map(|&index| distribution(&votes[index])).collect();
        let shape = [indices.len() as i64, self.classes.len() as i64];
        Some(Tensor::from_slice(&rows).view(shape).to_device(device))
    }

    /// Images per class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.labels.iter().for_each(|&label| counts[label] += 1);
        counts
    }

    /// Share of each class among the images, sums to 1.
    pub fn shares(&self) -> Vec<f64> {
        self.counts().iter().map(|&count| count as f64 / self.len() as f64).collect()
    }

    /// The images of `indices` as 0..1 floats `[N,ch,S,S]` and their labels `[N]`.
    pub fn batch(&self, indices: &[usize], device: Device) -> (Tensor, Tensor) {
        let rows: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let labels: Vec<i64> = indices.iter().map(|&index| self.labels[index] as i64).collect();
        let images = self.images.index_select(0, &Tensor::from_slice(&rows));
        let images = images.to_device(device).to_kind(Kind::Float) / 255.;
        (images, Tensor::from_slice(&labels).to_device(device))
    }
}

/// Where each of the data's `classes` stands among those that the model knows.
///
/// # Errors
/// A class of the data that the model does not know.
pub fn places(classes: &[String], known: &[String]) -> Result<Vec<usize>> {
    let place = |name: &String| {
        known.iter().position(|class| class == name).ok_or_else(|| {
            Error::Config(format!("the data has the class \"{name}\", the model knows {known:?}"))
        })
    };
    classes.iter().map(place).collect()
}

/// Images `[n,ch,S,S]` in 0..1 as the edge takes them, to the nearest step of 255.
///
/// # Errors
/// A tensor of another shape.
pub fn crops(images: &Tensor) -> Result<Vec<FaceCrop>> {
    let (_, channels, size, _) = images.size4()?;
    let bytes = (images * 255.).round().to_kind(Kind::Uint8).permute([0, 2, 3, 1]);
    let bytes = Vec::<u8>::try_from(bytes.contiguous().view([-1]))?;
    let crop = |pixels: &[u8]| FaceCrop {
        size: size as u32,
        channels: channels as u32,
        pixels: pixels.to_vec(),
    };
    Ok(bytes.chunks((channels * size * size) as usize).map(crop).collect())
}
