//! Batches that hold at least two distinct images of every class (method.md sections 4 and 4c).

use std::cmp::Reverse;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::Config;
use crate::error::{Error, Result};

/// Images of each class that every batch holds: SV needs another one of the class.
pub const RESERVED: usize = 2;

/// Draws the batches of one epoch.
///
/// Two images of each class are reserved, or as many as [`Sampler::reserving`] says; the class of every further one is drawn with weight
/// `count^(1-p)`, which weights an image by `count^-p`. Within a class images come from a shuffled
/// queue, so all are used before one comes again, and a batch repeats an image only where it
/// holds more of a class than the class has, and then each as seldom as can be.
#[derive(Debug)]
pub struct Sampler {
    members: Vec<Vec<usize>>,
    batch: usize,
    exponent: f64,
    reserved: usize,
}

impl Sampler {
    /// labels: class of each image; exponent p in 0 (natural) ..= 1 (balanced).
    ///
    /// # Errors
    /// A class with fewer than two images, a batch smaller than 2C, fewer images than one batch.
    pub fn new(labels: &[usize], classes: &[String], batch: usize, exponent: f64) -> Result<Self> {
        let mut members = vec![vec![]; classes.len()];
        labels.iter().enumerate().for_each(|(index, &label)| members[label].push(index));
        if let Some(short) = members.iter().position(|images| images.len() < RESERVED) {
            return Err(Error::Config(format!(
                "class \"{}\" has {} training images once repeated and held-out ones are taken away: \
                 at least {RESERVED} are needed, add some or name the other classes in data.classes",
                classes[short],
                members[short].len()
            )));
        }
        if batch < RESERVED * classes.len() || labels.len() < batch {
            return Err(Error::Config(format!(
                "batch = {batch}: must be at least {} (2 images of each of {} classes) and at most \
                 the {} training images",
                RESERVED * classes.len(),
                classes.len(),
                labels.len()
            )));
        }
        Ok(Self { members, batch, exponent, reserved: RESERVED })
    }

    /// As the settings of a run say.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of(labels: &[usize], classes: &[String], config: &Config) -> Result<Self> {
        let sampler = Self::new(labels, classes, config.batch, config.data.class_exponent)?;
        sampler.reserving(config.data.reserved)
    }

    /// Reserves `count` images of each class in place of two.
    ///
    /// # Errors
    /// More than a batch holds.
    pub fn reserving(self, count: usize) -> Result<Self> {
        if count * self.members.len() > self.batch {
            return Err(Error::Config(format!(
                "data.reserved = {count}: {} classes and a batch of {} allow at most {}",
                self.members.len(),
                self.batch,
                self.batch / self.members.len()
            )));
        }
        Ok(Self { reserved: count, ..self })
    }

    /// Batches per epoch.
    pub fn steps(&self) -> usize {
        self.members.iter().map(Vec::len).sum::<usize>() / self.batch
    }

    /// Expected share of each class in a batch.
    pub fn shares(&self) -> Vec<f64> {
        let weights = self.weights();
        let total: f64 = weights.iter().sum();
        let reserved = self.reserved as f64;
        let drawn = self.batch as f64 - reserved * weights.len() as f64;
        let share = |weight: &f64| (reserved + drawn * weight / total) / self.batch as f64;
        weights.iter().map(share).collect()
    }

    fn weights(&self) -> Vec<f64> {
        let weight = |images: &Vec<usize>| (images.len() as f64).powf(1. - self.exponent);
        self.members.iter().map(weight).collect()
    }

    /// The epoch's batches as image indices; the same for the same seed.
    pub fn epoch(&self, seed: u64) -> Vec<Vec<usize>> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut queues: Vec<Queue<'_>> =
            self.members.iter().map(|images| Queue { images, left: vec![] }).collect();
        (0..self.steps()).map(|_| self.draw(&mut queues, &mut generator)).collect()
    }

    fn draw(&self, queues: &mut [Queue<'_>], generator: &mut ChaCha8Rng) -> Vec<usize> {
        let mut wanted = vec![self.reserved; queues.len()];
        let weights = self.weights();
        for _ in self.reserved * queues.len()..self.batch {
            wanted[pick(&weights, generator.random::<f64>())] += 1;
        }
        let mut batch = vec![];
        for (queue, count) in queues.iter_mut().zip(wanted) {
            queue.take(count, generator, &mut batch);
        }
        batch.shuffle(generator);
        batch
    }
}

/// A class's images in shuffled order, refilled when empty.
struct Queue<'a> {
    images: &'a [usize],
    left: Vec<usize>,
}

impl Queue<'_> {
    fn take(&mut self, count: usize, generator: &mut ChaCha8Rng, batch: &mut Vec<usize>) {
        let start = batch.len();
        while batch.len() - start < count {
            if self.left.is_empty() {
                self.refill(generator, &batch[start..]);
            }
            batch.extend(self.left.pop());
        }
    }

    /// The more often this batch already holds an image, the later it comes.
    fn refill(&mut self, generator: &mut ChaCha8Rng, taken: &[usize]) {
        let times = |image: &usize| taken.iter().filter(|other| *other == image).count();
        self.left = self.images.to_vec();
        self.left.shuffle(generator);
        self.left.sort_by_cached_key(|image| Reverse(times(image))); // taken from the end
    }
}

fn pick(weights: &[f64], share: f64) -> usize {
    let mut rest = share * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        rest -= weight;
        if rest < 0. {
            return index;
        }
    }
    weights.len() - 1
}
