//! Faces in a frame: found, located, cut out upright.

pub mod align;
mod anchors;
mod blazeface;
pub mod detector;
pub mod follower;
mod known;
mod suppression;
mod tiles;

pub use known::{KnownFace, KnownFaceError};

/// A rectangle in frame pixels; it may reach past the frame's border.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FaceBox {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, positive.
    pub width: f32,
    /// Height, positive.
    pub height: f32,
}

impl FaceBox {
    /// The shared area divided by the area of both together, 0..=1 (intersection over union).
    pub fn overlap(&self, other: &Self) -> f32 {
        let shared = self.shared_area(other);
        let united = self.area() + other.area() - shared;
        if united > 0.0 { shared / united } else { 0.0 }
    }

    fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    fn shared_area(&self, other: &Self) -> f32 {
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        (right - self.x.max(other.x)).max(0.0) * (bottom - self.y.max(other.y)).max(0.0)
    }
}

/// Six points of a face as `[x, y]` in frame pixels. Right and left are the person's own: the right
/// eye is on the left of a frontal picture.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Landmarks {
    /// Centre of the person's right eye.
    pub right_eye: [f32; 2],
    /// Centre of the person's left eye.
    pub left_eye: [f32; 2],
    /// Tip of the nose.
    pub nose: [f32; 2],
    /// Centre of the mouth.
    pub mouth: [f32; 2],
    /// Where the person's right ear meets the cheek (tragion).
    pub right_ear: [f32; 2],
    /// Where the person's left ear meets the cheek (tragion).
    pub left_ear: [f32; 2],
}

/// One face that the detector found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// From above the eyebrows to the chin, about square.
    pub bounding_box: FaceBox,
    /// Eyes, nose, mouth and ears.
    pub landmarks: Landmarks,
    /// How sure the detector is that this is a face, 0..=1.
    pub detection_score: f32,
}

/// A made square face, all landmarks in its middle.
#[cfg(test)]
pub(crate) fn square_face(x: f32, y: f32, side: f32, detection_score: f32) -> Face {
    let point = [x + side / 2.0, y + side / 2.0];
    Face {
        bounding_box: FaceBox { x, y, width: side, height: side },
        landmarks: Landmarks {
            right_eye: point,
            left_eye: point,
            nose: point,
            mouth: point,
            right_ear: point,
            left_ear: point,
        },
        detection_score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_intersection_over_union() {
        let square = |x, side| FaceBox { x, y: 0.0, width: side, height: side };
        assert_eq!(square(0.0, 2.0).overlap(&square(0.0, 2.0)), 1.0);
        assert!((square(0.0, 2.0).overlap(&square(1.0, 2.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(square(0.0, 4.0).overlap(&square(0.0, 2.0)), 0.25);
        assert_eq!(square(0.0, 2.0).overlap(&square(2.0, 2.0)), 0.0);
        assert_eq!(square(0.0, 0.0).overlap(&square(0.0, 0.0)), 0.0);
    }
}
