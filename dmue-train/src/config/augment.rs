//! How images are varied.

use serde::{Deserialize, Serialize};

use super::within;
use crate::error::Result;

/// How images are varied in training; 0 switches a variation off.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Degrees, drawn from +-.
    pub rotation: f64,
    /// Scale drawn log-uniformly from 1/(1+s)..(1+s).
    pub scale: f64,
    /// Share of the side, drawn from +- in both directions.
    pub shift: f64,
    /// Probability of a mirror image.
    pub flip: f64,
    /// Contrast factor drawn from 1 +- c.
    pub contrast: f64,
    /// Brightness drawn from +- b on 0..1.
    pub brightness: f64,
    /// Probability of erasing a rectangle of 0.02 to `erase_area` of the image.
    pub erase: f64,
    /// Largest share of the image that is erased.
    pub erase_area: f64,
    /// Probability of Gaussian noise of variance 30 on 0..255.
    pub noise: f64,
    /// Probability of a low resolution: shrunk to a third of the side or more, and enlarged again.
    #[serde(default)]
    pub shrink: f64,
    /// Probability of what JPEG at a quality of 10 to 90 leaves.
    #[serde(default)]
    pub jpeg: f64,
    /// Probability that a face is seen as the device's detector and aligner would cut it, where it is found.
    #[serde(default)]
    pub aligned: f64,
    /// a of Beta(a, a), from which the share is drawn that a face keeps beside another (mixup).
    #[serde(default)]
    pub mixup: f64,
    /// Probability that a batch gets rectangles of its other faces instead (cutmix).
    #[serde(default)]
    pub cutmix: f64,
}

impl Augment {
    /// Images as they are.
    pub const OFF: Self = Self {
        rotation: 0.,
        scale: 0.,
        shift: 0.,
        flip: 0.,
        contrast: 0.,
        brightness: 0.,
        erase: 0.,
        erase_area: 0.25,
        noise: 0.,
        shrink: 0.,
        jpeg: 0.,
        aligned: 0.,
        mixup: 0.,
        cutmix: 0.,
    };

    /// Whether faces of different classes are mixed.
    pub fn mixes(&self) -> bool {
        self.mixup > 0. || self.cutmix > 0.
    }

    pub(super) fn check(&self) -> Result<()> {
        within("augment.rotation", self.rotation, 0., 180.)?;
        within("augment.scale", self.scale, 0., 4.)?;
        within("augment.shift", self.shift, 0., 1.)?;
        within("augment.flip", self.flip, 0., 1.)?;
        within("augment.contrast", self.contrast, 0., 1.)?;
        within("augment.brightness", self.brightness, 0., 1.)?;
        within("augment.erase", self.erase, 0., 1.)?;
        within("augment.erase_area", self.erase_area, 0.02, 0.9)?;
        within("augment.noise", self.noise, 0., 1.)?;
        within("augment.shrink", self.shrink, 0., 1.)?;
        within("augment.jpeg", self.jpeg, 0., 1.)?;
        within("augment.aligned", self.aligned, 0., 1.)?;
        within("augment.mixup", self.mixup, 0., 10.)?;
        within("augment.cutmix", self.cutmix, 0., 1.)
    }
}
