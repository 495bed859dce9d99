//! Made answers for tests.

use dmue_edge::engine::Prediction;
use dmue_edge::face::align::FaceCrop;
use dmue_edge::face::{Face, FaceBox, Landmarks};

/// An answer of no class in particular about a face in `bounding_box`, all of whose landmarks are at its
/// corner.
pub fn prediction(bounding_box: FaceBox, detection_score: f32) -> Prediction {
    let point = [bounding_box.x, bounding_box.y];
    let landmarks = Landmarks {
        right_eye: point,
        left_eye: point,
        nose: point,
        mouth: point,
        right_ear: point,
        left_ear: point,
    };
    Prediction {
        face: Some(Face { bounding_box, landmarks, detection_score }),
        crop: FaceCrop { size: 1, channels: 1, pixels: vec![0] },
        label: "surprise".into(),
        class_index: 2,
        probabilities: vec![],
        logits: vec![],
        feature: vec![],
        score: 0.8,
        alpha: 0.5,
    }
}
