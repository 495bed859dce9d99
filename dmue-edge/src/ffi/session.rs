//! Sessions: one video stream each, its faces followed and their labels steadied.

use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use super::boundary::{self, reference};
use super::engine::dmue_engine;
use super::face::dmue_face;
use super::frame::{dmue_frame, frame_view};
use super::results::FaceArray;
use super::status::{Failure, dmue_status};
use super::structs::{self, Versioned};
use crate::session::{Session, SessionOptions};

/// Answers the frames of one stream. One call at a time: a second one from another thread fails with
/// `DMUE_STATUS_BUSY`.
pub struct dmue_session {
    state: Mutex<State>,
}

struct State {
    session: Session,
    timings: dmue_timings,
}

/// How a stream is answered. `dmue_session_options_init` writes the defaults, which suit one camera
/// at 10 to 30 frames a second.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dmue_session_options {
    /// Written by `dmue_session_options_init`.
    pub struct_size: u32,
    /// Frames of a face that the window keeps, 0 to 100000. 0: `window_score` is `score`.
    pub window_frames: u32,
    /// Frames older than this many milliseconds leave the window; above 0.
    pub window_age_ms: u32,
    /// The whole frame is searched for faces at least this often, in milliseconds; 0: every frame.
    pub keyframe_interval_ms: u32,
    /// As often while a face is missing or none is there, in milliseconds.
    pub search_interval_ms: u32,
    /// A face that was not seen for longer than this many milliseconds is lost: its track ends.
    pub lost_after_ms: u32,
    /// Faces narrower than this many frame pixels are not followed; 0 or more.
    pub minimum_face: f32,
    /// Most faces that are followed, at least 1; those found first stay.
    pub maximum_faces: u32,
    /// After this many milliseconds a frame's weight in the steadied label has fallen to 1/e.
    pub smoothing_ms: u32,
    /// The steadied label changes when another class's smoothed probability leads by this, 0 to 1.
    pub label_margin: f32,
    /// Tolerated share of wrong answers among the answers given, above 0 and below 1, from the rates
    /// that the model was calibrated for; 0 (the default): never unsure.
    pub tolerated_error: f64,
}

// SAFETY: numbers only, the size first.
unsafe impl Versioned for dmue_session_options {
    const NAME: &'static str = "dmue_session_options";
    const FIRST_SIZE: usize = size_of::<Self>();

    fn defaults() -> Self {
        let SessionOptions { window, tracking, steady, .. } = SessionOptions::default();
        Self {
            struct_size: size_of::<Self>() as u32,
            window_frames: window.frames as u32,
            window_age_ms: milliseconds(window.age),
            keyframe_interval_ms: milliseconds(tracking.keyframe_interval),
            search_interval_ms: milliseconds(tracking.search_interval),
            lost_after_ms: milliseconds(tracking.lost_after),
            minimum_face: tracking.minimum_face,
            maximum_faces: tracking.maximum_faces as u32,
            smoothing_ms: milliseconds(steady.time_constant),
            label_margin: steady.margin,
            tolerated_error: 0.0,
        }
    }
}

/// Where the time of a session's last frame went. `dmue_timings_init` before its first use.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dmue_timings {
    /// Written by `dmue_timings_init`.
    pub struct_size: u32,
    /// 1 if the whole frame was searched for faces, 0 if only near those known.
    pub searched: u32,
    /// Milliseconds for finding faces.
    pub detect_ms: f64,
    /// Milliseconds for cutting them out upright.
    pub align_ms: f64,
    /// Milliseconds for naming their expressions.
    pub classify_ms: f64,
}

// SAFETY: numbers only, the size first.
unsafe impl Versioned for dmue_timings {
    const NAME: &'static str = "dmue_timings";
    const FIRST_SIZE: usize = size_of::<Self>();

    fn defaults() -> Self {
        Self { struct_size: 0, searched: 0, detect_ms: 0.0, align_ms: 0.0, classify_ms: 0.0 }
    }
}

/// Writes the default options; `struct_size` is `sizeof(dmue_session_options)`.
///
/// # Safety
/// `options` points to `struct_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_session_options_init(
    options: *mut dmue_session_options,
    struct_size: usize,
) -> dmue_status {
    // SAFETY: the caller's `struct_size` bytes.
    boundary::status(|| unsafe { structs::initialise(options, struct_size) })
}

/// Prepares timings; `struct_size` is `sizeof(dmue_timings)`.
///
/// # Safety
/// `timings` points to `struct_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_timings_init(
    timings: *mut dmue_timings,
    struct_size: usize,
) -> dmue_status {
    // SAFETY: the caller's `struct_size` bytes.
    boundary::status(|| unsafe { structs::initialise(timings, struct_size) })
}

/// Starts a stream on an engine, which the session keeps alive until it is freed itself.
///
/// `options` may be `NULL` for the defaults. The session goes to `*session`, which is `NULL` after a
/// failure; free it with `dmue_session_free`.
///
/// # Safety
/// `engine` is open, `options` is `NULL` or was initialised, `session` points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_session_new(
    engine: *const dmue_engine,
    options: *const dmue_session_options,
    session: *mut *mut dmue_session,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's pointers.
        unsafe {
            boundary::write(session, null_mut(), "session")?;
            let engine = reference(engine, "engine")?.engine.clone();
            let options = match options.is_null() {
                true => SessionOptions::default(),
                false => structs::read(options)?.options(),
            };
            let timings = dmue_timings::defaults();
            let state = Mutex::new(State { session: Session::new(engine, options)?, timings });
            boundary::write(session, Box::into_raw(Box::new(dmue_session { state })), "session")
        }
    })
}

/// Answers the stream's next frame.
///
/// `timestamp_us` is when it was captured, in microseconds on any clock that does not go back; an
/// earlier one than the last fails with `DMUE_STATUS_TIMESTAMP`, an equal one counts as no time. The
/// faces in sight come by ascending `track_id`; those that do not fit into `capacity` are left out.
/// `*count` is how many were written, 0 after a failure.
///
/// # Safety
/// `session` is live, `frame` was initialised and its planes hold what it says, `faces` points to
/// `capacity` faces prepared by `dmue_faces_init` (`NULL` if 0), `count` points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_session_process(
    session: *mut dmue_session,
    frame: *const dmue_frame,
    timestamp_us: u64,
    faces: *mut dmue_face,
    capacity: usize,
    count: *mut usize,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's pointers.
        unsafe {
            boundary::write(count, 0, "count")?;
            let mut state = reference(session, "session")?.enter()?;
            let faces = FaceArray::new(faces, capacity)?;
            let view = frame_view(frame)?;
            let written = state.process(&view, Duration::from_micros(timestamp_us), &faces)?;
            boundary::write(count, written, "count")
        }
    })
}

/// Where the time of the last frame went; zeros before the first.
///
/// # Safety
/// `session` is live, `timings` was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_session_timings(
    session: *mut dmue_session,
    timings: *mut dmue_timings,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's pointers.
        unsafe { structs::write(timings, &reference(session, "session")?.enter()?.timings) }
    })
}

/// Forgets every face and the time, for another stream. Track ids go on: none is used twice.
///
/// # Safety
/// `session` is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_session_reset(session: *mut dmue_session) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's session.
        let mut state = unsafe { reference(session, "session") }?.enter()?;
        state.session.reset();
        state.timings = dmue_timings::defaults();
        Ok(())
    })
}

/// Frees a session; `NULL` is allowed.
///
/// # Safety
/// `session` is `NULL` or live, and no thread is inside a call with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_session_free(session: *mut dmue_session) {
    boundary::value((), || {
        if !session.is_null() {
            // SAFETY: made by `dmue_session_new`, and nobody else's any more.
            drop(unsafe { Box::from_raw(session) });
        }
    });
}

impl dmue_session {
    /// The state, for this thread alone.
    fn enter(&self) -> Result<MutexGuard<'_, State>, Failure> {
        self.state.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::new(
                dmue_status::Busy,
                "another thread is inside a call with this session: use one session a thread, \
                 or a lock",
            ),
            TryLockError::Poisoned(_) => Failure::new(
                dmue_status::Panic,
                "a call with this session was stopped by a defect of the library before: free it",
            ),
        })
    }
}

impl State {
    fn process(
        &mut self,
        frame: &crate::FrameView<'_>,
        time: Duration,
        faces: &FaceArray,
    ) -> Result<usize, Failure> {
        let result = self.session.process(frame, time)?;
        self.timings.searched = u32::from(result.searched);
        self.timings.detect_ms = result.timings.detect_ms;
        self.timings.align_ms = result.timings.align_ms;
        self.timings.classify_ms = result.timings.classify_ms;
        faces.write(&result.faces, dmue_face::set_tracked)
    }
}

impl dmue_session_options {
    fn options(&self) -> SessionOptions {
        let duration = |milliseconds: u32| Duration::from_millis(u64::from(milliseconds));
        let mut options = SessionOptions::default();
        options.window.frames = self.window_frames as usize;
        options.window.age = duration(self.window_age_ms);
        options.tracking.keyframe_interval = duration(self.keyframe_interval_ms);
        options.tracking.search_interval = duration(self.search_interval_ms);
        options.tracking.lost_after = duration(self.lost_after_ms);
        options.tracking.minimum_face = self.minimum_face;
        options.tracking.maximum_faces = self.maximum_faces as usize;
        options.steady.time_constant = duration(self.smoothing_ms);
        options.steady.margin = self.label_margin;
        options.tolerated_error = (self.tolerated_error != 0.0).then_some(self.tolerated_error);
        options
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
