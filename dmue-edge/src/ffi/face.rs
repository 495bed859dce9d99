//! Faces: what a C program gets, and what it may know already.

use super::boundary;
use super::status::{Failure, dmue_status};
use super::structs::{self, Versioned};
use crate::face::{FaceBox, KnownFace, Landmarks};

/// A rectangle in frame pixels; it may reach past the frame's border.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct dmue_box {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, above 0.
    pub width: f32,
    /// Height, above 0.
    pub height: f32,
}

/// A position in frame pixels; the upper left pixel covers 0 to 1 on both axes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct dmue_point {
    /// From the left edge.
    pub x: f32,
    /// From the top edge.
    pub y: f32,
}

/// Six points of a face. Right and left are the person's own: the right eye is on the left of a
/// frontal picture.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct dmue_landmarks {
    /// Centre of the person's right eye.
    pub right_eye: dmue_point,
    /// Centre of the person's left eye.
    pub left_eye: dmue_point,
    /// Tip of the nose.
    pub nose: dmue_point,
    /// Centre of the mouth.
    pub mouth: dmue_point,
    /// Where the person's right ear meets the cheek.
    pub right_ear: dmue_point,
    /// Where the person's left ear meets the cheek.
    pub left_ear: dmue_point,
}

/// The expression of one face. Written by the library into memory of the caller, who prepares it
/// with `dmue_faces_init` and may then point `probabilities`, `steadied_probabilities` and `feature`
/// to memory of its own to have those as well; left `NULL`, they are not written.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dmue_face {
    /// Written by `dmue_faces_init`.
    pub struct_size: u32,
    /// The most probable class in this frame, from 0 to `dmue_engine_class_count` - 1.
    pub class_index: u32,
    /// Estimated probability that `class_index` is right, 0 to 1.
    pub score: f32,
    /// The paper's confidence of `class_index`, 0 to 1, for comparison.
    pub alpha: f32,
    /// Where the face is; zeros if the caller gave its landmarks or a crop.
    pub bounding_box: dmue_box,
    /// Eyes, nose, mouth and ears; zeros if the caller gave a box or a crop.
    pub landmarks: dmue_landmarks,
    /// How sure the detector is that this is a face, 0 to 1; 0 if the caller gave it.
    pub detection_score: f32,
    /// 1 if `score` does not allow `class_index` at the session's tolerated error rate, else 0. The
    /// calibrated promise is about this answer.
    pub unsure: u32,
    /// The same for the same face from frame to frame, above 0; 0 outside a session, as all the
    /// following up to `steadied_unsure` are.
    pub track_id: u64,
    /// Microseconds since the track began.
    pub age_us: u64,
    /// The score from the window of this track's frames, 0 to 1.
    pub window_score: f32,
    /// This track's smoothed score, 0 to 1.
    pub steadied_score: f32,
    /// The class that holds on this track without flicker; the most probable one if unsure.
    pub steadied_class_index: u32,
    /// As `unsure`, for `steadied_class_index` and without the calibrated promise.
    pub steadied_unsure: u32,
    /// Where this frame's probability of each class goes, in the order of the classes; or `NULL`.
    pub probabilities: *mut f32,
    /// Where this track's smoothed probabilities go; or `NULL`. Not written outside a session.
    pub steadied_probabilities: *mut f32,
    /// Floats that fit at each of these two: at least `dmue_engine_class_count`.
    pub probability_capacity: usize,
    /// Where the face's feature vector goes; or `NULL`.
    pub feature: *mut f32,
    /// Floats that fit at `feature`: at least `dmue_engine_feature_size`.
    pub feature_capacity: usize,
}

// SAFETY: numbers and raw pointers only, the size first.
unsafe impl Versioned for dmue_face {
    const NAME: &'static str = "dmue_face";
    const FIRST_SIZE: usize = size_of::<Self>();

    fn defaults() -> Self {
        Self {
            struct_size: 0,
            class_index: 0,
            score: 0.0,
            alpha: 0.0,
            bounding_box: dmue_box::default(),
            landmarks: dmue_landmarks::default(),
            detection_score: 0.0,
            unsure: 0,
            track_id: 0,
            age_us: 0,
            window_score: 0.0,
            steadied_score: 0.0,
            steadied_class_index: 0,
            steadied_unsure: 0,
            probabilities: std::ptr::null_mut(),
            steadied_probabilities: std::ptr::null_mut(),
            probability_capacity: 0,
            feature: std::ptr::null_mut(),
            feature_capacity: 0,
        }
    }
}

/// Prepares an array of `count` faces for results; `struct_size` is `sizeof(dmue_face)`.
///
/// # Safety
/// `faces` points to `count` times `struct_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_faces_init(
    faces: *mut dmue_face,
    count: usize,
    struct_size: usize,
) -> dmue_status {
    boundary::status(|| {
        boundary::check_length::<dmue_face>(count, "faces")?;
        for index in 0..count {
            // SAFETY: inside the caller's array.
            unsafe {
                structs::initialise(faces.wrapping_byte_add(index * struct_size), struct_size)
            }?;
        }
        Ok(())
    })
}

/// What a caller knows about a face that its own detector found.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dmue_known_face_kind {
    /// `bounding_box`: from the middle of the forehead to the chin, upright. The square around its
    /// centre with its longer side is what the network sees.
    Box = 1,
    /// `landmarks`: eyes, nose and mouth (the ears are not used). The face is turned upright and
    /// framed as the model's training faces are: the better choice.
    Landmarks = 2,
}

/// A face that the caller's own detector found. `dmue_known_face_init`, then the fields by hand.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dmue_known_face {
    /// Written by `dmue_known_face_init`.
    pub struct_size: u32,
    /// A `dmue_known_face_kind`: which of the following counts.
    pub kind: u32,
    /// For `DMUE_KNOWN_FACE_KIND_BOX`.
    pub bounding_box: dmue_box,
    /// For `DMUE_KNOWN_FACE_KIND_LANDMARKS`.
    pub landmarks: dmue_landmarks,
}

// SAFETY: numbers only, the size first.
unsafe impl Versioned for dmue_known_face {
    const NAME: &'static str = "dmue_known_face";
    const FIRST_SIZE: usize = size_of::<Self>();

    fn defaults() -> Self {
        Self {
            struct_size: 0,
            kind: 0,
            bounding_box: dmue_box::default(),
            landmarks: dmue_landmarks::default(),
        }
    }
}

/// Prepares one face that the caller knows; `struct_size` is `sizeof(dmue_known_face)`.
///
/// # Safety
/// `face` points to `struct_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_known_face_init(
    face: *mut dmue_known_face,
    struct_size: usize,
) -> dmue_status {
    // SAFETY: the caller's `struct_size` bytes.
    boundary::status(|| unsafe { structs::initialise(face, struct_size) })
}

impl dmue_known_face {
    pub(super) fn known(&self) -> Result<KnownFace, Failure> {
        match self.kind {
            kind if kind == dmue_known_face_kind::Box as u32 => {
                Ok(KnownFace::Box(self.bounding_box.into()))
            }
            kind if kind == dmue_known_face_kind::Landmarks as u32 => {
                Ok(KnownFace::Landmarks(self.landmarks.into()))
            }
            kind => Err(boundary::invalid(format!("kind {kind} is no dmue_known_face_kind"))),
        }
    }
}

impl From<dmue_box> for FaceBox {
    fn from(dmue_box { x, y, width, height }: dmue_box) -> Self {
        Self { x, y, width, height }
    }
}

impl From<FaceBox> for dmue_box {
    fn from(FaceBox { x, y, width, height }: FaceBox) -> Self {
        Self { x, y, width, height }
    }
}

impl From<dmue_landmarks> for Landmarks {
    fn from(from: dmue_landmarks) -> Self {
        let point = |dmue_point { x, y }: dmue_point| [x, y];
        Self {
            right_eye: point(from.right_eye),
            left_eye: point(from.left_eye),
            nose: point(from.nose),
            mouth: point(from.mouth),
            right_ear: point(from.right_ear),
            left_ear: point(from.left_ear),
        }
    }
}

impl From<Landmarks> for dmue_landmarks {
    fn from(from: Landmarks) -> Self {
        let point = |[x, y]: [f32; 2]| dmue_point { x, y };
        Self {
            right_eye: point(from.right_eye),
            left_eye: point(from.left_eye),
            nose: point(from.nose),
            mouth: point(from.mouth),
            right_ear: point(from.right_ear),
            left_ear: point(from.left_ear),
        }
    }
}
