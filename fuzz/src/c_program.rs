//! A C program that calls the library as it likes.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use dmue_edge::ffi::*;

use crate::calls::{Call, Size, Time, tiny_bytes};
use crate::memory::{Bytes, Structures};

/// Pixels that a program has.
const PIXELS: usize = 48 * 1024;

/// What a C program has in its variables.
pub struct Program {
    engines: Vec<*mut dmue_engine>,
    sessions: Vec<*mut dmue_session>,
    engine_options: Structures<dmue_engine_options>,
    session_options: Structures<dmue_session_options>,
    timings: Structures<dmue_timings>,
    frames: Structures<dmue_frame>,
    known: Structures<dmue_known_face>,
    faces: Structures<dmue_face>,
    floats: Vec<Box<[f32]>>,
    pixels: Bytes,
    time: u64,
    may_open: usize,
    may_search: usize,
}

impl Program {
    /// A program with structures that are initialised, and the one engine that all share. `patience` is
    /// drawn: one in 16 may open an engine of its own, which takes half a second under a sanitizer;
    /// none to three frames are searched for faces, a tenth of a second each.
    pub fn new(patience: u8) -> Self {
        let mut program = Self {
            engines: vec![],
            sessions: vec![],
            engine_options: Structures::new(1),
            session_options: Structures::new(1),
            timings: Structures::new(1),
            frames: Structures::new(4),
            known: Structures::new(4),
            faces: Structures::new(4),
            floats: vec![],
            pixels: Bytes::varied(PIXELS),
            time: 0,
            may_open: usize::from(patience >= 240),
            may_search: usize::from(patience % 4),
        };
        for call in [
            Call::EngineOptionsInit(Size::Right),
            Call::SessionOptionsInit(Size::Right),
            Call::TimingsInit(Size::Right),
            Call::FramesInit(Size::Right),
            Call::KnownInit(Size::Right),
            Call::FacesInit(Size::Right),
        ] {
            assert_eq!(program.make(&call), dmue_status::Ok);
        }
        for index in 0..4 {
            program.make(&Call::SmallFrame { index, format: index, width: 40, height: 30 });
        }
        program
    }

    /// Why the last call failed.
    pub fn last_error(&self) -> String {
        // SAFETY: never null, and a text of the library.
        unsafe { CStr::from_ptr(dmue_last_error()) }.to_string_lossy().into_owned()
    }

    /// Makes one call; `Ok` for what has no status.
    pub fn make(&mut self, call: &Call) -> dmue_status {
        // SAFETY: every pointer is null, unaligned or valid for what it is said to hold.
        unsafe { self.engine_call(call).or_else(|| self.session_call(call)) }
            .or_else(|| self.describe(call))
            .unwrap_or(dmue_status::Ok)
    }

    unsafe fn engine_call(&mut self, call: &Call) -> Option<dmue_status> {
        Some(match call {
            Call::Open { options, result } if take(&mut self.may_open) => {
                let options = self.engine_options.pointer(*options);
                let mut engine = null_mut();
                let status = unsafe { dmue_engine_open(options, result.to(&mut engine)) };
                self.opened(status, engine)
            }
            Call::OpenMemory { options, model, result } if take(&mut self.may_open) => {
                let options = self.engine_options.pointer(*options);
                let bytes = model.bytes();
                let mut engine = null_mut();
                let result = result.to(&mut engine);
                let status = unsafe {
                    dmue_engine_open_memory(options, bytes.as_ptr(), bytes.len(), result)
                };
                self.opened(status, engine)
            }
            Call::FreeEngine { engine } => {
                // The shared one is not the program's.
                if let Some(index) = pick(*engine, self.engines.len()) {
                    unsafe { dmue_engine_free(self.engines.remove(index)) };
                } else {
                    unsafe { dmue_engine_free(null_mut()) };
                }
                dmue_status::Ok
            }
            Call::ClassName { engine, index } => {
                let engine = self.engine(*engine);
                unsafe {
                    let name = dmue_engine_class_name(engine, usize::from(*index));
                    let exists = usize::from(*index) < dmue_engine_class_count(engine);
                    assert_eq!(!name.is_null(), exists);
                    assert!(name.is_null() || CStr::from_ptr(name).to_str().is_ok());
                    assert_eq!(engine.is_null(), dmue_engine_feature_size(engine) == 0);
                }
                dmue_status::Ok
            }
            Call::Predict { engine, frame, faces, capacity, count }
                if take(&mut self.may_search) =>
            {
                let engine = self.engine(*engine);
                let (faces, capacity) = self.faces.array(*faces, usize::from(*capacity));
                let frame = self.frames.pointer(*frame);
                let mut found = 77;
                let count = count.to(&mut found);
                let status = unsafe { dmue_engine_predict(engine, frame, faces, capacity, count) };
                assert!(count.is_null() || !count.is_aligned() || found <= capacity);
                status
            }
            Call::PredictFaces { engine, frame, known, faces, count } => {
                let engine = self.engine(*engine);
                let (known, most) = self.known.array(*known, usize::from(*count));
                let (faces, count) = self.faces.array(*faces, most);
                let frame = self.frames.pointer(*frame);
                unsafe { dmue_engine_predict_faces(engine, frame, known, faces, count) }
            }
            Call::PredictCrops { engine, crops, faces, count } => {
                let engine = self.engine(*engine);
                let (crops, most) = self.frames.array(*crops, usize::from(*count));
                let (faces, count) = self.faces.array(*faces, most);
                unsafe { dmue_engine_predict_crops(engine, crops, faces, count) }
            }
            _ => return None,
        })
    }

    unsafe fn session_call(&mut self, call: &Call) -> Option<dmue_status> {
        Some(match call {
            Call::NewSession { engine, options, result } => {
                let mut session = null_mut();
                let options = self.session_options.pointer(*options);
                let result = result.to(&mut session);
                let status = unsafe { dmue_session_new(self.engine(*engine), options, result) };
                if !session.is_null() {
                    self.sessions.push(session);
                }
                status
            }
            Call::Process { session, frame, time, faces, capacity, count }
                if take(&mut self.may_search) =>
            {
                let time = match time {
                    Time::Later(by) => self.time.saturating_add(u64::from(*by)),
                    Time::Any(time) => *time,
                };
                self.time = time;
                let session = self.session(*session);
                let (faces, capacity) = self.faces.array(*faces, usize::from(*capacity));
                let frame = self.frames.pointer(*frame);
                let mut found = 77;
                let count = count.to(&mut found);
                let status =
                    unsafe { dmue_session_process(session, frame, time, faces, capacity, count) };
                assert!(count.is_null() || !count.is_aligned() || found <= capacity);
                status
            }
            Call::Timings { session, timings } => {
                let timings = self.timings.pointer(*timings).cast_mut();
                unsafe { dmue_session_timings(self.session(*session), timings) }
            }
            Call::Reset { session } => unsafe { dmue_session_reset(self.session(*session)) },
            Call::FreeSession { session } => {
                let freed = pick(*session, self.sessions.len());
                let session = freed.map_or(null_mut(), |index| self.sessions.remove(index));
                unsafe { dmue_session_free(session) };
                dmue_status::Ok
            }
            _ => return None,
        })
    }

    fn opened(&mut self, status: dmue_status, engine: *mut dmue_engine) -> dmue_status {
        assert!(engine.is_null() || status == dmue_status::Ok);
        if !engine.is_null() {
            self.engines.push(engine);
        }
        status
    }

    /// Null, the shared engine or one of the program's own.
    fn engine(&self, number: u8) -> *const dmue_engine {
        match pick(number, self.engines.len()) {
            Some(index) => self.engines[index],
            None if number == u8::MAX => null(),
            None => shared_engine(),
        }
    }

    fn session(&self, number: u8) -> *mut dmue_session {
        pick(number, self.sessions.len()).map_or(null_mut(), |index| self.sessions[index])
    }
}

/// What is written into structures before they are handed over.
impl Program {
    fn describe(&mut self, call: &Call) -> Option<dmue_status> {
        // SAFETY: the structures have as much memory as any accepted size.
        unsafe {
            Some(match call {
                Call::EngineOptionsInit(size) => self
                    .engine_options
                    .initialise(*size, |at, size| dmue_engine_options_init(at, size)),
                Call::SessionOptionsInit(size) => self
                    .session_options
                    .initialise(*size, |at, size| dmue_session_options_init(at, size)),
                Call::TimingsInit(size) => {
                    self.timings.initialise(*size, |at, size| dmue_timings_init(at, size))
                }
                Call::FramesInit(size) => {
                    self.frames.initialise(*size, |at, size| dmue_frame_init(at, size))
                }
                Call::KnownInit(size) => {
                    self.known.initialise(*size, |at, size| dmue_known_face_init(at, size))
                }
                Call::FacesInit(size) => {
                    self.faces.initialise(*size, |at, size| dmue_faces_init(at, 1, size))
                }
                Call::StatusText(status) => {
                    assert!(!CStr::from_ptr(dmue_status_text(*status)).is_empty());
                    dmue_status::Ok
                }
                _ => return self.fill(call),
            })
        }
    }

    fn fill(&mut self, call: &Call) -> Option<dmue_status> {
        match call {
            Call::EngineOptions { threads, levels, score, smallest, most, log } => {
                let options = self.engine_options.at(0)?;
                (options.threads, options.maximum_faces) = (*threads, *most);
                options.detector_levels = u32::from(levels % 4);
                (options.minimum_detection_score, options.minimum_face) = (*score, *smallest);
                options.log_callback = if *log { Some(listen) } else { None };
            }
            Call::ModelPath(path) => self.engine_options.at(0)?.model_path = path.text(),
            Call::SessionOptions { milliseconds, frames, most, floats, error } => {
                let options = self.session_options.at(0)?;
                (options.window_frames, options.maximum_faces) = (*frames, *most);
                [
                    options.window_age_ms,
                    options.keyframe_interval_ms,
                    options.search_interval_ms,
                    options.lost_after_ms,
                    options.smoothing_ms,
                ] = *milliseconds;
                [options.minimum_face, options.label_margin] = *floats;
                options.tolerated_error = *error;
            }
            Call::FaceBuffers { index, probabilities, steadied, feature } => {
                let [probabilities, capacity] = [probabilities % 8, *probabilities % 8];
                let steadied = steadied % 8;
                let buffers = [probabilities, steadied, feature % 8].map(|n| self.floats(n));
                let face = self.faces.at(usize::from(*index))?;
                [face.probabilities, face.steadied_probabilities, face.feature] = buffers;
                // Both are said to have the shorter one's capacity.
                face.probability_capacity = usize::from(match buffers {
                    [first, second, _] if first.is_null() || second.is_null() => {
                        if first.is_null() { steadied } else { capacity }
                    }
                    _ => capacity.min(steadied),
                });
                face.feature_capacity = usize::from(feature % 8);
            }
            Call::Known { index, kind, place } => self.know(*index, *kind, place)?,
            Call::SmallKnown { index, kind, place } => {
                self.know(*index, 1 + kind % 2, &place.map(|value| f32::from(value) / 4.0))?;
            }
            _ => return self.fill_frame(call),
        }
        Some(dmue_status::Ok)
    }

    fn know(&mut self, index: u8, kind: u8, place: &[f32; 8]) -> Option<()> {
        let known = self.known.at(usize::from(index))?;
        known.kind = u32::from(kind % 4);
        let [x, y, width, height, ..] = *place;
        known.bounding_box = dmue_box { x, y, width, height };
        let point = |i: usize| dmue_point { x: place[i], y: place[i + 1] };
        let landmarks = &mut known.landmarks;
        (landmarks.right_eye, landmarks.left_eye) = (point(0), point(2));
        (landmarks.nose, landmarks.mouth) = (point(4), point(6));
        Some(())
    }

    fn fill_frame(&mut self, call: &Call) -> Option<dmue_status> {
        match call {
            Call::Frame { index, format, width, height, size, stride } => {
                let (data, size) = self.pixels.part(*size);
                let frame = self.frames.at(usize::from(*index))?;
                let stride = usize::try_from(*stride).unwrap_or(usize::MAX);
                // SAFETY: an initialised structure, and as many bytes as are said.
                Some(unsafe {
                    dmue_frame_set_buffer(frame, *format, *width, *height, data, size, stride)
                })
            }
            Call::SmallFrame { index, format, width, height } => {
                let (data, size) = self.pixels.part(u32::MAX);
                let frame = self.frames.at(usize::from(*index))?;
                let (format, width) = (1 + u32::from(format % 8), u32::from(width % 64));
                // SAFETY: as above.
                Some(unsafe {
                    dmue_frame_set_buffer(
                        frame,
                        format,
                        width,
                        u32::from(height % 64),
                        data,
                        size,
                        0,
                    )
                })
            }
            Call::FrameByHand { index, plane, stride, size, yuv, null: no_pixels } => {
                let (data, size) = self.pixels.part(*size);
                let frame = self.frames.at(usize::from(*index))?;
                let plane = usize::from(plane % 3);
                frame.planes[plane] = if *no_pixels { null() } else { data };
                frame.strides[plane] = usize::try_from(*stride).unwrap_or(usize::MAX);
                (frame.sizes[plane], frame.yuv_colour) = (size, u32::from(yuv % 4));
                Some(dmue_status::Ok)
            }
            _ => None,
        }
    }

    /// Memory of exactly so many floats that lives as long as the program; null for none.
    fn floats(&mut self, count: u8) -> *mut f32 {
        if count == 0 {
            return null_mut();
        }
        self.floats.push(vec![0.0; usize::from(count)].into_boxed_slice());
        self.floats.last_mut().map_or(null_mut(), |floats| floats.as_mut_ptr())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Engines first: sessions keep what they need.
        for engine in self.engines.drain(..) {
            // SAFETY: opened and not freed yet.
            unsafe { dmue_engine_free(engine) };
        }
        for session in self.sessions.drain(..) {
            // SAFETY: as above.
            unsafe { dmue_session_free(session) };
        }
    }
}

unsafe extern "C" fn listen(_: *mut c_void, level: u32, message: *const c_char) {
    // SAFETY: the library's text.
    let message: CString = unsafe { CStr::from_ptr(message) }.into();
    assert!((1..=3).contains(&level) && !message.is_empty());
}

/// The tiny model's, opened once.
fn shared_engine() -> *const dmue_engine {
    static ENGINE: OnceLock<usize> = OnceLock::new();
    let address = ENGINE.get_or_init(|| {
        let mut engine = null_mut();
        let bytes = tiny_bytes();
        // SAFETY: as many bytes as are said, default options.
        let status = unsafe {
            dmue_engine_open_memory(null(), bytes.as_ptr(), bytes.len(), &raw mut engine)
        };
        assert_eq!(status, dmue_status::Ok);
        engine.expose_provenance()
    });
    std::ptr::with_exposed_provenance(*address)
}

/// Whether one of those that are left could be taken.
fn take(left: &mut usize) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

/// One in four picks none.
fn pick(number: u8, count: usize) -> Option<usize> {
    (number % 4 != 0 && count > 0).then(|| usize::from(number / 4) % count)
}
