//! Where the detector looks: the whole frame, then overlapping squares of half its size, and so on.
//!
//! The network sees 256x256 pixels, so in a group photo seen as a whole a face is 10 or 15 of them
//! wide: some are missed and most boxes sit beside the face. Tiles of half the longer side show the
//! same face twice as large. Each face is the business of the level that shows it best and whole.

use super::FaceBox;
use super::detector::NETWORK_SIDE;
use crate::resample::Region;

/// On a level with a finer one below, faces under this share of the tile's side (32 of the
/// network's 256 pixels) are left to the finer level, which shows them whole up to twice that size.
const SMALLEST_SHARE: f32 = 1.0 / 8.0;

/// On a level with a coarser one above, faces over this share of the tile's side are left to the coarser level:
/// the network places the landmarks of faces that fill its input worse, and what looks whole may be cut.
const LARGEST_SHARE: f32 = 1.0 / 2.0;

/// One look at a part of the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tile {
    /// The part of the frame.
    pub region: Region,
    /// Longer side in frame pixels of the smallest and the largest face that this tile answers for.
    smallest: f32,
    largest: f32,
    /// Width and height of the frame.
    frame: [u32; 2],
}

impl Tile {
    /// Whether a face found in this tile counts: of the level's sizes and not cut by a border
    /// of the tile behind which the frame goes on (a neighbour shows that face whole).
    pub fn answers_for(&self, face: &FaceBox) -> bool {
        let whole = |low: f32, size: f32, tile_low: u32, tile_size: u32, frame: u32| {
            let tile_high = tile_low + tile_size;
            (tile_low == 0 || low >= tile_low as f32)
                && (tile_high == frame || low + size <= tile_high as f32)
        };
        let Region { x, y, width, height } = self.region;
        (self.smallest..=self.largest).contains(&face.width.max(face.height))
            && whole(face.x, face.width, x, width, self.frame[0])
            && whole(face.y, face.height, y, height, self.frame[1])
    }
}

/// The whole frame and, for each further one of `levels`, squares of half the side before, each
/// overlapping the next by at least half. It ends where a tile would have fewer pixels than the
/// network sees. A 4:3 frame has 1 + 6 tiles at two levels and 1 + 6 + 35 at three.
pub(crate) fn tiles(width: u32, height: u32, levels: u32) -> Vec<Tile> {
    let longer = width.max(height);
    let sides: Vec<u32> = (0..levels.max(1))
        .map_while(|level| longer.checked_shr(level))
        .take_while(|side| *side >= NETWORK_SIDE || *side == longer)
        .collect();
    let mut tiles = Vec::new();
    for (level, side) in sides.iter().enumerate() {
        let finest = level + 1 == sides.len();
        let smallest = if finest { 0.0 } else { *side as f32 * SMALLEST_SHARE };
        let largest = if level == 0 { f32::INFINITY } else { *side as f32 * LARGEST_SHARE };
        for y in starts(height, *side) {
            for x in starts(width, *side) {
                let (width_left, height_left) = (width.min(*side), height.min(*side));
                let region = Region { x, y, width: width_left, height: height_left };
                tiles.push(Tile { region, smallest, largest, frame: [width, height] });
            }
        }
    }
    tiles
}

/// Evenly spaced starts of tiles along an axis, at most half a tile apart, from border to border.
fn starts(length: u32, side: u32) -> impl Iterator<Item = u32> + Clone {
    let free = length.saturating_sub(side);
    let steps = free.div_ceil((side / 2).max(1));
    (0..=steps).map(move |i| (u64::from(free) * u64::from(i) / u64::from(steps.max(1))) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_photo_is_seen_whole_and_in_halves() {
        let tiles = tiles(1024, 768, 2);
        assert_eq!(tiles.len(), 1 + 6);
        assert_eq!(tiles[0].region, Region { x: 0, y: 0, width: 1024, height: 768 });
        assert_eq!(tiles[6].region, Region { x: 512, y: 256, width: 512, height: 512 });
        assert_eq!(super::tiles(1024, 768, 3).len(), 1 + 6 + 35);
    }

    #[test]
    fn no_tile_has_fewer_pixels_than_the_network_sees() {
        assert_eq!(tiles(511, 300, 9).len(), 1);
        assert_eq!(tiles(512, 512, 9).len(), 1 + 9);
        assert_eq!(tiles(1, 1, 9).len(), 1);
        assert_eq!(tiles(640, 480, 1).len(), 1);
    }

    #[test]
    fn a_tile_answers_for_whole_faces_of_its_size() {
        let tiles = tiles(1024, 768, 2);
        let square = |x, y, side| FaceBox { x, y, width: side, height: side };
        assert!(tiles[0].answers_for(&square(-5.0, 10.0, 128.0)), "the frame's border may cut");
        assert!(!tiles[0].answers_for(&square(10.0, 10.0, 127.0)), "the halves show it better");
        let left_top = tiles[1];
        assert!(left_top.answers_for(&square(-5.0, 10.0, 40.0)));
        assert!(left_top.answers_for(&square(10.0, 10.0, 256.0)));
        assert!(
            !left_top.answers_for(&square(10.0, 10.0, 257.0)),
            "the whole frame shows it better"
        );
        assert!(!left_top.answers_for(&square(480.0, 10.0, 40.0)), "cut on the right");
        assert!(!left_top.answers_for(&square(10.0, 480.0, 40.0)), "cut at the bottom");
    }

    proptest! {
        /// Whatever its place, a face that the whole frame leaves to the halves is whole in one.
        #[test]
        fn some_tile_answers_for_every_face(
            (width, height) in (256u32..3000, 256u32..3000),
            (x, y, side) in (0f32..1.0, 0f32..1.0, 0.005f32..1.0),
            levels in 1u32..4,
        ) {
            let side = side * width.min(height) as f32;
            let (x, y) = (x * (width as f32 - side), y * (height as f32 - side));
            let face = FaceBox { x, y, width: side, height: side };
            prop_assert!(tiles(width, height, levels).iter().any(|t| t.answers_for(&face)));
        }
    }
}
