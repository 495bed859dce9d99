//! Looks for a face near where it was: BlazeFace short range on the surroundings of its last box, at a
//! fifth of the cost of one look at the whole frame.

use super::blazeface::Blazeface;
use super::{Face, FaceBox};
use crate::error::Result;
use crate::frame::FrameView;
use crate::kernels::Kernels;
use crate::resample::Region;

/// Provenance and licence: `models/README.md`.
static BLAZEFACE_SHORT_RANGE: &[u8] = include_bytes!("../../models/blazeface_short_range.onnx");

/// Side of its input in pixels.
const NETWORK_SIDE: u32 = 128;

/// Side of the square that is looked at, in sides of the last box: the face may move by half its
/// size in any direction and is half of the picture's side, as the network was trained for.
const SURROUNDINGS: f32 = 2.0;

/// Least detection score. Lower than the detector's: where a face just was, one is likely.
const MINIMUM_SCORE: f32 = 0.5;

/// Finds a face again. Immutable: share one between threads.
pub struct Follower {
    network: Blazeface,
}

impl Follower {
    /// Loads the embedded network.
    ///
    /// # Errors
    /// [`crate::Error::Run`] if tract refuses it.
    pub fn new(kernels: Kernels) -> Result<Self> {
        Ok(Self { network: Blazeface::load(BLAZEFACE_SHORT_RANGE, NETWORK_SIDE, kernels)? })
    }

    /// Candidates near `last`, a box in frame pixels; none where that lies outside of the frame.
    /// Several candidates may be of one face.
    ///
    /// # Errors
    /// [`crate::Error::Run`] if tract fails.
    pub fn look_near(&self, frame: &FrameView<'_>, last: &FaceBox) -> Result<Vec<Face>> {
        match surroundings(last, frame.width(), frame.height()) {
            Some(region) => self.network.look(frame, region, MINIMUM_SCORE),
            None => Ok(Vec::new()),
        }
    }
}

/// The square around the box, cut to a frame of that size; none if nothing is left.
fn surroundings(face: &FaceBox, width: u32, height: u32) -> Option<Region> {
    let half = face.width.max(face.height) * SURROUNDINGS / 2.0;
    let cut = |middle: f32, length: u32| {
        // A bound that is not a number becomes 0 here, and the region empty.
        let low = (middle - half).clamp(0.0, length as f32) as u32;
        let high = (middle + half).clamp(0.0, length as f32) as u32;
        (low, high.saturating_sub(low))
    };
    let (x, width) = cut(face.x + face.width / 2.0, width);
    let (y, height) = cut(face.y + face.height / 2.0, height);
    (width > 0 && height > 0).then_some(Region { x, y, width, height })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_surroundings_are_twice_the_box_and_inside_the_frame() {
        let face = FaceBox { x: 100.0, y: 50.0, width: 40.0, height: 40.0 };
        let whole = Region { x: 80, y: 30, width: 80, height: 80 };
        assert_eq!(surroundings(&face, 640, 480), Some(whole));
        assert_eq!(surroundings(&face, 120, 480), Some(Region { width: 40, ..whole }));
        assert_eq!(surroundings(&face, 80, 480), None, "it left the frame");
        let nothing = FaceBox { x: f32::NAN, ..face };
        assert_eq!(surroundings(&nothing, 640, 480), None);
    }

    proptest! {
        #[test]
        fn no_box_reaches_outside(
            (x, y) in (any::<f32>(), any::<f32>()),
            (w, h) in (any::<f32>(), any::<f32>()),
            (width, height) in (1u32..5000, 1u32..5000),
        ) {
            let face = FaceBox { x, y, width: w, height: h };
            if let Some(region) = surroundings(&face, width, height) {
                prop_assert!(region.width > 0 && region.x + region.width <= width);
                prop_assert!(region.height > 0 && region.y + region.height <= height);
            }
        }
    }
}
