//! Faces followed from frame to frame by where they are.
//!
//! The whole frame is searched on keyframes, and sooner while a face is missing or none is there; in
//! between each face is looked for near its last box only. A face that is found where a track's last
//! box is continues that track: by overlap (intersection over union), best pairs first.
//!
//! A face that stays missing longer than [`TrackingOptions::lost_after`] is lost and its track ends. One
//! that comes back sooner, near where it was, goes on under its id; later or elsewhere it is a new
//! face with a new id. People are not recognised.

use std::time::Duration;

use crate::error::Result;
use crate::face::{Face, FaceBox};
use crate::session::SessionError;

/// From this overlap on two tracks have found the same face.
const SAME_FACE: f32 = 0.5;

/// How faces are found again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrackingOptions {
    /// The whole frame is searched at least this often; 0 searches every frame.
    pub keyframe_interval: Duration,
    /// While a face is missing or none is there, the whole frame is searched this often.
    pub search_interval: Duration,
    /// A face that was not seen for longer than this is lost.
    pub lost_after: Duration,
    /// Least overlap of a face with a track's last box, above 0 and at most 1.
    pub overlap: f32,
    /// Faces narrower than this many frame pixels are left out; 0 or more.
    pub minimum_face: f32,
    /// At most this many faces are followed, 1 or more; those found first stay.
    pub maximum_faces: usize,
}

impl Default for TrackingOptions {
    fn default() -> Self {
        Self {
            keyframe_interval: Duration::from_secs(1),
            search_interval: Duration::from_millis(250),
            lost_after: Duration::from_secs(1),
            overlap: 0.3,
            minimum_face: 20.0,
            maximum_faces: 10,
        }
    }
}

impl TrackingOptions {
    /// Checks every option.
    ///
    /// # Errors
    /// [`SessionError::Option`] names the one that is out of range.
    pub fn check(&self) -> Result<(), SessionError> {
        let Self { overlap, minimum_face, maximum_faces, .. } = self;
        let allowed = *overlap > 0.0 && *overlap <= 1.0;
        SessionError::unless(allowed, "tracking.overlap", overlap, "above 0 and at most 1")?;
        let allowed = (0.0..=f32::MAX).contains(minimum_face);
        SessionError::unless(allowed, "tracking.minimum_face", minimum_face, "0 or more pixels")?;
        let allowed = *maximum_faces > 0;
        SessionError::unless(allowed, "tracking.maximum_faces", maximum_faces, "at least 1")
    }
}

/// One frame, as far as finding faces goes.
pub trait FaceSource {
    /// Every face of the frame, the most confident first.
    ///
    /// # Errors
    /// Whatever stops the detector.
    fn search(&mut self) -> Result<Vec<Face>>;

    /// Faces near the box where one was last, at a fraction of the cost.
    ///
    /// # Errors
    /// Whatever stops the detector.
    fn look_near(&mut self, last: &FaceBox) -> Result<Vec<Face>>;
}

/// A face in sight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    /// Of the track.
    pub track_id: u64,
    /// Where the face is in this frame.
    pub face: Face,
    /// Time since the track began.
    pub age: Duration,
}

/// The tracks of one stream.
#[derive(Clone, Debug)]
pub struct Tracker {
    options: TrackingOptions,
    /// By ascending id.
    tracks: Vec<Track>,
    next_id: u64,
    last_search: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    id: u64,
    face: Face,
    began: Duration,
    last_seen: Duration,
    in_sight: bool,
}

impl Tracker {
    /// No tracks yet.
    ///
    /// # Errors
    /// As [`TrackingOptions::check`].
    pub fn new(options: TrackingOptions) -> Result<Self, SessionError> {
        options.check()?;
        Ok(Self { options, tracks: Vec::new(), next_id: 1, last_search: None })
    }

    /// Finds the faces of the frame at `now`, which must not be before the last frame's; gives those
    /// in sight by ascending id.
    ///
    /// # Errors
    /// Those of `source`; the tracks may then be half updated.
    pub fn update(&mut self, now: Duration, source: &mut impl FaceSource) -> Result<Vec<Sighting>> {
        let lost_after = self.options.lost_after;
        self.tracks.retain(|track| now.saturating_sub(track.last_seen) <= lost_after);
        self.tracks.iter_mut().for_each(|track| track.in_sight = false);

        let keyframe = self.is_due(self.options.keyframe_interval, now);
        if keyframe {
            self.search(now, source)?;
        }
        self.follow(now, source)?;
        let missing = self.tracks.is_empty() || self.tracks.iter().any(|track| !track.in_sight);
        if !keyframe && missing && self.is_due(self.options.search_interval, now) {
            self.search(now, source)?;
        }
        Ok(self.sightings(now))
    }

    /// Whether the track goes on: its face is in sight, or missing but not lost.
    pub fn is_live(&self, track_id: u64) -> bool {
        self.tracks.iter().any(|track| track.id == track_id)
    }

    /// Ends every track. Ids go on from where they were.
    pub fn reset(&mut self) {
        self.tracks.clear();
        self.last_search = None;
    }

    fn is_due(&self, interval: Duration, now: Duration) -> bool {
        self.last_search.is_none_or(|last| now.saturating_sub(last) >= interval)
    }

    /// Searches the whole frame: tracks out of sight take what overlaps them, the rest is new.
    fn search(&mut self, now: Duration, source: &mut impl FaceSource) -> Result<()> {
        self.last_search = Some(now);
        let mut faces = source.search()?;
        faces.retain(|face| face.bounding_box.width >= self.options.minimum_face);
        faces.retain(|face| !self.is_taken(face));
        for (track, face) in self.pairs(&faces) {
            if let (Some(track), Some(face)) = (self.tracks.get_mut(track), faces.get(face)) {
                track.see(*face, now);
            }
        }
        for face in faces {
            if !self.is_taken(&face) && self.in_sight() < self.options.maximum_faces {
                self.begin(face, now);
            }
        }
        Ok(())
    }

    /// Looks for each face that is not in sight yet near its last box.
    fn follow(&mut self, now: Duration, source: &mut impl FaceSource) -> Result<()> {
        for index in 0..self.tracks.len() {
            let Some(track) = self.tracks.get(index).filter(|track| !track.in_sight) else {
                continue;
            };
            let last = track.face.bounding_box;
            let mut faces = source.look_near(&last)?;
            faces.retain(|face| {
                let found = face.bounding_box;
                found.width >= self.options.minimum_face
                    && found.overlap(&last) >= self.options.overlap
                    && !self.is_taken(face)
            });
            let overlap = |face: &Face| face.bounding_box.overlap(&last);
            let nearest = faces.into_iter().max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
            if let (Some(face), Some(track)) = (nearest, self.tracks.get_mut(index)) {
                track.see(face, now);
            }
        }
        Ok(())
    }

    /// (track, face) by position: tracks out of sight with overlapping faces, the largest overlap
    /// first, each in one pair at most.
    fn pairs(&self, faces: &[Face]) -> Vec<(usize, usize)> {
        let mut candidates = Vec::new();
        for (t, track) in self.tracks.iter().enumerate().filter(|(_, track)| !track.in_sight) {
            for (f, face) in faces.iter().enumerate() {
                candidates.push((track.face.bounding_box.overlap(&face.bounding_box), t, f));
            }
        }
        candidates.retain(|(overlap, ..)| *overlap >= self.options.overlap);
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        for (_, track, face) in candidates {
            if pairs.iter().all(|pair| pair.0 != track && pair.1 != face) {
                pairs.push((track, face));
            }
        }
        pairs
    }

    /// Starts a track; where there are too many, the one that is missing longest ends.
    fn begin(&mut self, face: Face, now: Duration) {
        let id = self.next_id;
        self.next_id += 1;
        if self.tracks.len() >= self.options.maximum_faces {
            let missing = self.tracks.iter().filter(|track| !track.in_sight);
            let longest = missing.min_by_key(|track| track.last_seen).map(|track| track.id);
            self.tracks.retain(|track| Some(track.id) != longest);
        }
        self.tracks.push(Track { id, face, began: now, last_seen: now, in_sight: true });
    }

    /// Whether the face is one that a track has in sight.
    fn is_taken(&self, face: &Face) -> bool {
        let mut seen = self.tracks.iter().filter(|track| track.in_sight);
        seen.any(|track| track.face.bounding_box.overlap(&face.bounding_box) >= SAME_FACE)
    }

    fn in_sight(&self) -> usize {
        self.tracks.iter().filter(|track| track.in_sight).count()
    }

    fn sightings(&self, now: Duration) -> Vec<Sighting> {
        let seen = self.tracks.iter().filter(|track| track.in_sight);
        let sighting = |track: &Track| Sighting {
            track_id: track.id,
            face: track.face,
            age: now.saturating_sub(track.began),
        };
        seen.map(sighting).collect()
    }
}

impl Track {
    fn see(&mut self, face: Face, now: Duration) {
        self.face = face;
        self.last_seen = now;
        self.in_sight = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::face::square_face;

    /// A made frame: what each detector would find, and how often it was asked.
    #[derive(Default)]
    struct Scene {
        faces: Vec<Face>,
        /// Whether `look_near` sees them.
        near_sees: bool,
        searches: usize,
        looks: usize,
    }

    impl FaceSource for Scene {
        fn search(&mut self) -> Result<Vec<Face>> {
            self.searches += 1;
            Ok(self.faces.clone())
        }

        fn look_near(&mut self, last: &FaceBox) -> Result<Vec<Face>> {
            self.looks += 1;
            let near = |face: &&Face| self.near_sees && face.bounding_box.overlap(last) > 0.0;
            Ok(self.faces.iter().filter(near).copied().collect())
        }
    }

    fn face(x: f32, side: f32) -> Face {
        square_face(x, 0.0, side, 0.9)
    }

    fn scene(xs: &[f32]) -> Scene {
        let faces = xs.iter().map(|x| face(*x, 100.0)).collect();
        Scene { faces, near_sees: true, ..Scene::default() }
    }

    fn tracker() -> Tracker {
        Tracker::new(TrackingOptions::default()).unwrap()
    }

    /// Updates and gives the ids in sight.
    fn ids(tracker: &mut Tracker, milliseconds: u64, scene: &mut Scene) -> Vec<u64> {
        let sightings = tracker.update(Duration::from_millis(milliseconds), scene).unwrap();
        sightings.iter().map(|sighting| sighting.track_id).collect()
    }

    #[test]
    fn faces_keep_their_ids_while_they_move_and_pass() {
        let mut tracker = tracker();
        for step in 0..50 {
            let x = step as f32 * 20.0;
            let mut scene = scene(&[x, 3000.0 - x]);
            scene.faces.reverse();
            let sightings = tracker.update(Duration::from_millis(66 * step), &mut scene).unwrap();
            assert_eq!(sightings.len(), 2);
            let of = |id| sightings.iter().find(|s| s.track_id == id).unwrap().face.bounding_box.x;
            assert_eq!([of(1), of(2)], [3000.0 - x, x], "step {step}");
            assert_eq!(sightings[0].age, Duration::from_millis(66 * step));
        }
    }

    #[test]
    fn the_whole_frame_is_searched_on_keyframes_only_while_all_is_well() {
        let (mut tracker, mut scene) = (tracker(), scene(&[0.0]));
        for step in 0..=30 {
            ids(&mut tracker, step * 100, &mut scene);
        }
        assert_eq!(scene.searches, 4, "at 0, 1, 2 and 3 s");
        assert_eq!(scene.looks, 27, "near the last box on all other frames");
    }

    #[test]
    fn an_empty_frame_is_searched_at_intervals() {
        let (mut tracker, mut scene) = (tracker(), scene(&[]));
        for step in 0..=10 {
            assert!(ids(&mut tracker, step * 100, &mut scene).is_empty());
        }
        assert_eq!(scene.searches, 4, "at 0, 300, 600 and 900 ms");
        assert_eq!(scene.looks, 0);
    }

    #[test]
    fn a_face_that_the_near_look_misses_is_searched_for_at_once_but_not_every_frame() {
        let (mut tracker, mut scene) = (tracker(), scene(&[0.0]));
        assert_eq!(ids(&mut tracker, 0, &mut scene), [1]);
        scene.near_sees = false;
        assert_eq!(ids(&mut tracker, 500, &mut scene), [1], "the search found it");
        assert_eq!(ids(&mut tracker, 600, &mut scene), [0; 0], "too soon for another search");
        assert_eq!(ids(&mut tracker, 750, &mut scene), [1]);
        assert_eq!(scene.searches, 3);
    }

    #[test]
    fn a_face_that_comes_back_in_time_and_place_is_found_again() {
        let mut tracker = tracker();
        assert_eq!(ids(&mut tracker, 0, &mut scene(&[0.0])), [1]);
        assert!(ids(&mut tracker, 400, &mut scene(&[])).is_empty());
        assert!(tracker.is_live(1));
        let sightings = tracker.update(Duration::from_secs(1), &mut scene(&[30.0])).unwrap();
        assert_eq!(sightings[0].track_id, 1, "1 s is not longer than 1 s");
        assert_eq!(sightings[0].age, Duration::from_secs(1));
    }

    #[test]
    fn a_face_that_comes_back_late_or_elsewhere_is_a_new_one() {
        let mut late = tracker();
        ids(&mut late, 0, &mut scene(&[0.0]));
        ids(&mut late, 700, &mut scene(&[]));
        assert_eq!(ids(&mut late, 1001, &mut scene(&[0.0])), [2]);
        assert!(!late.is_live(1));
        let mut elsewhere = tracker();
        ids(&mut elsewhere, 0, &mut scene(&[0.0]));
        assert_eq!(ids(&mut elsewhere, 300, &mut scene(&[80.0])), [2], "overlap 0.11");
        assert!(elsewhere.is_live(1), "missing, not lost");
    }

    #[test]
    fn time_that_stands_still_loses_nobody() {
        let mut tracker = tracker();
        for _ in 0..5 {
            assert_eq!(ids(&mut tracker, 7, &mut scene(&[0.0])), [1]);
        }
        assert!(ids(&mut tracker, 7, &mut scene(&[])).is_empty());
        assert_eq!(ids(&mut tracker, 7, &mut scene(&[0.0])), [1]);
    }

    #[test]
    fn two_tracks_never_share_a_face() {
        let mut tracker = tracker();
        assert_eq!(ids(&mut tracker, 0, &mut scene(&[0.0, 60.0])), [1, 2]);
        // One face is left, near both last boxes.
        assert_eq!(ids(&mut tracker, 100, &mut scene(&[20.0])).len(), 1);
        assert_eq!(ids(&mut tracker, 200, &mut scene(&[20.0])).len(), 1);
    }

    #[test]
    fn the_largest_number_and_smallest_size_are_kept() {
        let options =
            TrackingOptions { maximum_faces: 2, minimum_face: 50.0, ..Default::default() };
        let mut tracker = Tracker::new(options).unwrap();
        let mut crowd = scene(&[0.0, 200.0, 400.0]);
        crowd.faces.insert(0, face(600.0, 40.0));
        assert_eq!(ids(&mut tracker, 0, &mut crowd), [1, 2]);
        // The second is gone: the third takes its place on the next search.
        assert_eq!(ids(&mut tracker, 300, &mut scene(&[0.0, 400.0])), [1, 3]);
        assert!(!tracker.is_live(2));
    }

    #[test]
    fn a_reset_tracker_starts_over_with_new_ids() {
        let mut tracker = tracker();
        ids(&mut tracker, 9000, &mut scene(&[0.0]));
        tracker.reset();
        assert_eq!(ids(&mut tracker, 0, &mut scene(&[0.0])), [2]);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let default = TrackingOptions::default;
        let bad = [
            ("tracking.overlap", TrackingOptions { overlap: 0.0, ..default() }),
            ("tracking.overlap", TrackingOptions { overlap: f32::NAN, ..default() }),
            ("tracking.minimum_face", TrackingOptions { minimum_face: -1.0, ..default() }),
            ("tracking.maximum_faces", TrackingOptions { maximum_faces: 0, ..default() }),
        ];
        for (expected, options) in bad {
            match Tracker::new(options) {
                Err(SessionError::Option { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn ids_are_unique_apart_and_never_used_again(
            frames in prop::collection::vec(
                (prop::collection::vec(0f32..1000.0, 0..6), any::<bool>(), 0u64..700), 1..40),
        ) {
            let options = TrackingOptions { maximum_faces: 3, ..Default::default() };
            let mut tracker = Tracker::new(options).unwrap();
            let (mut time, mut gone, mut known) = (0, Vec::new(), Vec::new());
            for (xs, near_sees, step) in frames {
                time += step;
                let mut scene = Scene { near_sees, ..scene(&xs) };
                let now = Duration::from_millis(time);
                let sightings = tracker.update(now, &mut scene).unwrap();
                prop_assert!(scene.searches <= 1 && sightings.len() <= 3);
                for (i, one) in sightings.iter().enumerate() {
                    prop_assert!(!gone.contains(&one.track_id));
                    prop_assert!(sightings[i + 1..].iter().all(|two| two.track_id > one.track_id));
                    known.push(one.track_id);
                }
                gone = known.iter().copied().filter(|id| !tracker.is_live(*id)).collect();
            }
        }
    }
}
