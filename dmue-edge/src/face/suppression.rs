//! One face per person: of overlapping candidates only the most confident stays.
//!
//! BlazeFace's authors instead average the overlapping candidates, weighted by score, to steady the
//! landmarks of a video. Measured on 92 faces of group photos seen through ten shifted and scaled
//! tiles each, the landmarks then scatter by 4.8 % of the distance between the eyes against 5.1 %
//! (medians 4.6 and 4.7 %): nothing that justifies a box that no anchor proposed.

use super::Face;

/// The most confident faces, best first, none overlapping a better one by `overlap` (intersection
/// over union, 0..=1) or more; at most `maximum` of them.
pub(crate) fn keep_most_confident(
    mut candidates: Vec<Face>,
    overlap: f32,
    maximum: usize,
) -> Vec<Face> {
    candidates.sort_by(|a, b| b.detection_score.total_cmp(&a.detection_score));
    let mut kept: Vec<Face> = Vec::new();
    for candidate in candidates {
        if kept.len() == maximum {
            break;
        }
        if kept.iter().all(|k| k.bounding_box.overlap(&candidate.bounding_box) < overlap) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::square_face as face;
    use proptest::prelude::*;

    fn scores(faces: &[Face]) -> Vec<f32> {
        faces.iter().map(|face| face.detection_score).collect()
    }

    #[test]
    fn the_most_confident_of_each_pile_stays_whatever_the_order() {
        let one_person = [face(0.0, 0.0, 10.0, 0.6), face(1.0, 0.0, 10.0, 0.9)];
        let another = [face(50.0, 0.0, 10.0, 0.7), face(50.0, 1.0, 10.0, 0.8)];
        let mut candidates = [one_person, another].concat();
        assert_eq!(scores(&keep_most_confident(candidates.clone(), 0.3, 9)), [0.9, 0.8]);
        candidates.reverse();
        assert_eq!(scores(&keep_most_confident(candidates, 0.3, 9)), [0.9, 0.8]);
    }

    #[test]
    fn a_suppressed_face_suppresses_nobody() {
        // Each overlaps its neighbour by 1/3; the outer two do not touch.
        let chain =
            vec![face(0.0, 0.0, 10.0, 0.9), face(5.0, 0.0, 10.0, 0.8), face(10.0, 0.0, 10.0, 0.7)];
        assert_eq!(scores(&keep_most_confident(chain, 0.3, 9)), [0.9, 0.7]);
    }

    #[test]
    fn overlap_and_maximum_are_honoured() {
        let pair = vec![face(0.0, 0.0, 10.0, 0.9), face(5.0, 0.0, 10.0, 0.8)];
        assert_eq!(keep_most_confident(pair.clone(), 0.34, 9).len(), 2, "they overlap by 0.333");
        assert_eq!(keep_most_confident(pair.clone(), 0.33, 9).len(), 1);
        assert_eq!(scores(&keep_most_confident(pair.clone(), 0.34, 1)), [0.9]);
        assert!(keep_most_confident(pair, 0.34, 0).is_empty());
        assert!(keep_most_confident(Vec::new(), 0.3, 9).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_left_is_sorted_apart_and_covers_what_went(
            boxes in prop::collection::vec((0f32..50.0, 0f32..50.0, 1f32..30.0, 0f32..1.0), 0..40)
        ) {
            let all: Vec<Face> = boxes.iter().map(|(x, y, s, p)| face(*x, *y, *s, *p)).collect();
            let kept = keep_most_confident(all.clone(), 0.3, usize::MAX);
            for (i, better) in kept.iter().enumerate() {
                for worse in &kept[i + 1..] {
                    prop_assert!(better.detection_score >= worse.detection_score);
                    prop_assert!(better.bounding_box.overlap(&worse.bounding_box) < 0.3);
                }
            }
            for gone in all.iter().filter(|face| !kept.contains(face)) {
                prop_assert!(kept.iter().any(|k| k.detection_score >= gone.detection_score
                    && k.bounding_box.overlap(&gone.bounding_box) >= 0.3));
            }
        }
    }
}
