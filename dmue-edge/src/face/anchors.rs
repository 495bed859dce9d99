//! BlazeFace's output, 896 anchors, turned into boxes and landmarks.
//!
//! Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019. The
//! variants here see 256x256 (back camera) or 128x128 pixels (short range) and have 2 anchors in each
//! cell of a 16x16 grid, then 6 in each cell of an 8x8 grid; an anchor is only a centre.

use super::{Face, FaceBox, Landmarks};

/// Anchors, hence candidate faces, of one run.
pub(crate) const ANCHOR_COUNT: usize = 896;
/// Values per anchor: centre x, y, width, height, then x, y of six landmarks.
pub(crate) const REGRESSORS: usize = 16;
/// (cells a side, anchors a cell)
const GRIDS: [(u32, usize); 2] = [(16, 2), (8, 6)];

/// Anchor centres in pixels of an input of that side, in the order of the network's outputs (row by
/// row).
pub(crate) fn centres(side: u32) -> Vec<[f32; 2]> {
    let mut centres = Vec::with_capacity(ANCHOR_COUNT);
    for (cells, anchors_per_cell) in GRIDS {
        let stride = side as f32 / cells as f32;
        for cell in 0..cells * cells {
            let centre = [(cell % cells) as f32, (cell / cells) as f32].map(|c| (c + 0.5) * stride);
            centres.extend(std::iter::repeat_n(centre, anchors_per_cell));
        }
    }
    centres
}

/// The faces with a score of at least `minimum_score`, in network pixels, in anchor order.
///
/// `regressors` is `[896, 16]`, distances from the anchor's centre in network pixels; `scores` is
/// `[896]`, before the logistic function. Candidates that are not finite or have no area are left out.
pub(crate) fn decode(
    centres: &[[f32; 2]],
    regressors: &[f32],
    scores: &[f32],
    minimum_score: f32,
) -> Vec<Face> {
    let rows = regressors.as_chunks::<REGRESSORS>().0;
    centres
        .iter()
        .zip(rows)
        .zip(scores)
        .filter_map(|((centre, row), score)| {
            let score = logistic(*score);
            (score >= minimum_score).then(|| face(*centre, row, score)).flatten()
        })
        .collect()
}

fn face([x, y]: [f32; 2], row: &[f32; REGRESSORS], score: f32) -> Option<Face> {
    let usable = row.iter().all(|value| value.is_finite()) && row[2] > 0.0 && row[3] > 0.0;
    let landmark = |i: usize| [x + row[4 + 2 * i], y + row[5 + 2 * i]];
    usable.then(|| Face {
        bounding_box: FaceBox {
            x: x + row[0] - row[2] / 2.0,
            y: y + row[1] - row[3] / 2.0,
            width: row[2],
            height: row[3],
        },
        landmarks: Landmarks {
            right_eye: landmark(0),
            left_eye: landmark(1),
            nose: landmark(2),
            mouth: landmark(3),
            right_ear: landmark(4),
            left_ear: landmark(5),
        },
        detection_score: score,
    })
}

fn logistic(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grids_give_896_centres_in_rows() {
        let centres = centres(256);
        assert_eq!(centres.len(), ANCHOR_COUNT);
        assert_eq!(centres[..3], [[8.0, 8.0], [8.0, 8.0], [24.0, 8.0]]);
        assert_eq!(centres[32], [8.0, 24.0], "second row of the fine grid");
        assert_eq!(centres[511], [248.0, 248.0]);
        assert_eq!(centres[512..519], [[[16.0, 16.0]; 6].as_slice(), &[[48.0, 16.0]]].concat());
        assert_eq!(centres[895], [240.0, 240.0]);
    }

    #[test]
    fn a_row_is_read_as_distances_from_its_anchor() {
        let row: Vec<f32> = [[2.0, -4.0], [20.0, 10.0]]
            .into_iter()
            .chain((0..6).map(|i| [i as f32, -(i as f32)]))
            .flatten()
            .collect();
        let faces = decode(&[[100.0, 50.0]], &row, &[0.0], 0.5);
        assert_eq!(faces.len(), 1);
        let expected = FaceBox { x: 92.0, y: 41.0, width: 20.0, height: 10.0 };
        assert_eq!(faces[0].bounding_box, expected);
        assert_eq!(faces[0].landmarks.right_eye, [100.0, 50.0]);
        assert_eq!(faces[0].landmarks.mouth, [103.0, 47.0]);
        assert_eq!(faces[0].landmarks.left_ear, [105.0, 45.0]);
        assert_eq!(faces[0].detection_score, 0.5);
    }

    #[test]
    fn weak_flat_and_infinite_candidates_are_left_out() {
        let usable = [1.0; REGRESSORS];
        let mut flat = usable;
        flat[2] = 0.0;
        let mut infinite = usable;
        infinite[9] = f32::INFINITY;
        let rows = [usable, usable, flat, infinite, usable].concat();
        let scores = [3.0, -3.0, 3.0, 3.0, f32::NAN];
        let faces = decode(&[[0.0; 2]; 5], &rows, &scores, 0.5);
        assert_eq!(faces.len(), 1);
        assert!((faces[0].detection_score - 0.952_574_1).abs() < 1e-6);
    }
}
