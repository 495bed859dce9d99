//! Results, copied into the caller's memory.

use super::boundary::check_length;
use super::face::{dmue_face, dmue_known_face};
use super::status::{Failure, dmue_status};
use super::structs::{self, Versioned};
use crate::abstain::Answer;
use crate::engine::Prediction;
use crate::face::KnownFace;
use crate::session::TrackedFace;
use crate::uncertainty::predicted_class;

/// The caller's array of faces: as far apart as the first one's `struct_size` says.
pub(super) struct FaceArray {
    first: *mut dmue_face,
    struct_size: usize,
    capacity: usize,
}

impl FaceArray {
    /// # Safety
    /// `capacity` is 0, or `first` is null or points to that many faces that `dmue_faces_init`
    /// prepared, whose buffers hold what they say, and that nobody else uses while this lives.
    pub unsafe fn new(first: *mut dmue_face, capacity: usize) -> Result<Self, Failure> {
        if capacity == 0 {
            return Ok(Self { first, struct_size: 0, capacity });
        }
        // SAFETY: this function's own condition.
        let struct_size = unsafe { structs::struct_size(first) }?;
        check_length::<dmue_face>(capacity, "faces")?;
        Ok(Self { first, struct_size, capacity })
    }

    /// Writes what fits of `results`, `fill`ed in their order, and says how many were written.
    pub fn write<T>(
        &self,
        results: &[T],
        fill: impl Fn(&mut dmue_face, &T) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        for (index, result) in results.iter().enumerate().take(self.capacity) {
            let face = self.first.wrapping_byte_add(index * self.struct_size);
            // SAFETY: inside the array that `new` was promised.
            let mut written = unsafe { structs::read(face) }?.emptied();
            fill(&mut written, result)?;
            // SAFETY: as above.
            unsafe { structs::write(face, &written) }?;
        }
        Ok(results.len().min(self.capacity))
    }
}

impl dmue_face {
    /// What this frame alone says about the face.
    pub(super) fn set_prediction(&mut self, prediction: &Prediction) -> Result<(), Failure> {
        let Prediction { face, class_index, probabilities, feature, score, alpha, .. } = prediction;
        self.class_index = *class_index as u32;
        (self.score, self.alpha) = (*score, *alpha);
        if let Some(face) = face {
            self.bounding_box = face.bounding_box.into();
            self.landmarks = face.landmarks.into();
            self.detection_score = face.detection_score;
        }
        let capacity = self.probability_capacity;
        // SAFETY: the caller's buffers hold what they say (`FaceArray::new`).
        unsafe {
            copy(self.probabilities, capacity, probabilities, "probability_capacity")?;
            copy(self.feature, self.feature_capacity, feature, "feature_capacity")
        }
    }

    /// What the frame and its track say about the face.
    pub(super) fn set_tracked(&mut self, tracked: &TrackedFace) -> Result<(), Failure> {
        self.set_prediction(&tracked.prediction)?;
        self.bounding_box = tracked.face.bounding_box.into();
        self.landmarks = tracked.face.landmarks.into();
        self.detection_score = tracked.face.detection_score;
        self.unsure = u32::from(tracked.answer == Answer::Unsure);
        self.track_id = tracked.track_id;
        self.age_us = u64::try_from(tracked.age.as_micros()).unwrap_or(u64::MAX);
        self.window_score = tracked.window_score;
        self.steadied_score = tracked.steadied_score;
        let steadied = &tracked.steadied_probabilities;
        (self.steadied_class_index, self.steadied_unsure) = match tracked.steadied {
            Answer::Label(class) => (class as u32, 0),
            Answer::Unsure => (predicted_class(steadied) as u32, 1),
        };
        let (to, capacity) = (self.steadied_probabilities, self.probability_capacity);
        // SAFETY: the caller's buffer holds what it says (`FaceArray::new`).
        unsafe { copy(to, capacity, steadied, "probability_capacity") }
    }

    /// Where the caller said that the face is.
    pub(super) fn set_place(&mut self, known: &dmue_known_face) {
        match known.known() {
            Ok(KnownFace::Box(_)) => self.bounding_box = known.bounding_box,
            _ => self.landmarks = known.landmarks,
        }
    }

    /// Only where the caller wants its results.
    fn emptied(self) -> Self {
        Self {
            probabilities: self.probabilities,
            steadied_probabilities: self.steadied_probabilities,
            probability_capacity: self.probability_capacity,
            feature: self.feature,
            feature_capacity: self.feature_capacity,
            ..Self::defaults()
        }
    }
}

/// Copies `values` unless `to` is null.
///
/// # Safety
/// `to` is null or has room for `capacity` floats.
unsafe fn copy(to: *mut f32, capacity: usize, values: &[f32], name: &str) -> Result<(), Failure> {
    if to.is_null() {
        return Ok(());
    }
    super::boundary::check(to, name)?;
    if capacity < values.len() {
        let text = format!("{name} is {capacity}, but there are {} values", values.len());
        return Err(Failure::new(dmue_status::BufferTooSmall, text));
    }
    // SAFETY: room for `capacity` floats, which is at least as many.
    unsafe { to.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    Ok(())
}
