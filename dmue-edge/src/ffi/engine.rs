//! The engine: a model and a face detector, loaded once and shared between threads.

use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use super::boundary::{self, invalid, reference, slice};
use super::face::{dmue_face, dmue_known_face};
use super::frame::{dmue_frame, frame_view};
use super::log::{Sink, dmue_log_callback};
use super::results::FaceArray;
use super::status::{Failure, dmue_status};
use super::structs::{self, Versioned};
use crate::engine::{Engine, EngineBuilder};
use crate::face::detector::DetectorOptions;

/// Answers frames. Any number of threads may use one at the same time; free it when none does.
pub struct dmue_engine {
    pub(super) engine: Arc<Engine>,
    class_names: Vec<CString>,
}

/// How an engine is opened. `dmue_engine_options_init` writes the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dmue_engine_options {
    /// Written by `dmue_engine_options_init`.
    pub struct_size: u32,
    /// Threads that one call may use, 1 (the default) to 1024. They share the looks at a frame and
    /// its faces.
    pub threads: u32,
    /// A model file, `NAME.dmue.onnx`, in UTF-8; `NULL` (the default) for the model in the library.
    /// Read while the engine is opened, not kept.
    pub model_path: *const c_char,
    /// Least detection score of a face, 0 to 1.
    pub minimum_detection_score: f32,
    /// Faces narrower than this many frame pixels are left out.
    pub minimum_face: f32,
    /// Most faces of a frame, at least 1: the most confidently detected ones.
    pub maximum_faces: u32,
    /// How thoroughly to look, at least 1: 1 looks at the whole frame once and finds faces from about
    /// 1/12 of its longer side on, each further level finds faces half as large (a 4:3 frame is
    /// looked at 1, 7 or 42 times).
    pub detector_levels: u32,
    /// Takes the engine's messages, on the thread that called it; `NULL` (the default) drops them.
    pub log_callback: dmue_log_callback,
    /// Handed to `log_callback`; used from every thread that uses the engine, until it is freed.
    pub log_user_data: *mut c_void,
}

// SAFETY: numbers, raw pointers and an optional function pointer only, the size first.
unsafe impl Versioned for dmue_engine_options {
    const NAME: &'static str = "dmue_engine_options";
    const FIRST_SIZE: usize = size_of::<Self>();

    fn defaults() -> Self {
        let detector = DetectorOptions::default();
        Self {
            struct_size: size_of::<Self>() as u32,
            threads: 1,
            model_path: null(),
            minimum_detection_score: detector.minimum_score,
            minimum_face: detector.minimum_face,
            maximum_faces: detector.maximum_faces as u32,
            detector_levels: detector.levels,
            log_callback: None,
            log_user_data: null_mut(),
        }
    }
}

/// Writes the default options; `struct_size` is `sizeof(dmue_engine_options)`.
///
/// # Safety
/// `options` points to `struct_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_options_init(
    options: *mut dmue_engine_options,
    struct_size: usize,
) -> dmue_status {
    // SAFETY: the caller's `struct_size` bytes.
    boundary::status(|| unsafe { structs::initialise(options, struct_size) })
}

/// Loads the model and the detector: tens of milliseconds.
///
/// `options` may be `NULL` for the defaults. The engine goes to `*engine`, which is `NULL` after a
/// failure; free it with `dmue_engine_free`.
///
/// # Safety
/// `options` is `NULL` or was initialised; `engine` points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_open(
    options: *const dmue_engine_options,
    engine: *mut *mut dmue_engine,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's pointers.
        unsafe {
            boundary::write(engine, null_mut(), "engine")?;
            let opened = open(builder(options)?)?;
            boundary::write(engine, opened, "engine")
        }
    })
}

/// Loads the model from the `size` bytes of a model file at `model`, and the detector. The bytes are
/// not needed afterwards. Else as `dmue_engine_open`; a `model_path` beside them is an error.
///
/// # Safety
/// As for `dmue_engine_open`; `model` points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_open_memory(
    options: *const dmue_engine_options,
    model: *const u8,
    size: usize,
    engine: *mut *mut dmue_engine,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's pointers.
        unsafe {
            boundary::write(engine, null_mut(), "engine")?;
            boundary::check(model, "model")?;
            let bytes = slice(model, size, "model")?;
            if !options.is_null() && !structs::read(options)?.model_path.is_null() {
                return Err(invalid("model_path is set beside the model's bytes: give one".into()));
            }
            let opened = open(builder(options)?.model_bytes(bytes))?;
            boundary::write(engine, opened, "engine")
        }
    })
}

/// Frees an engine; `NULL` is allowed. Sessions that were made from it go on working.
///
/// # Safety
/// `engine` is `NULL` or was opened and not freed yet, and no thread is inside a call with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_free(engine: *mut dmue_engine) {
    boundary::value((), || {
        if !engine.is_null() {
            // SAFETY: made by `open`, and nobody else's any more.
            drop(unsafe { Box::from_raw(engine) });
        }
    });
}

/// How many classes the model has; 0 if `engine` is `NULL`.
///
/// # Safety
/// `engine` is `NULL` or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_class_count(engine: *const dmue_engine) -> usize {
    boundary::value(0, || {
        // SAFETY: the caller's engine.
        unsafe { engine.as_ref() }.map_or(0, |engine| engine.class_names.len())
    })
}

/// The name of a class, in UTF-8, as long as the engine lives; `NULL` if there is no such class.
///
/// # Safety
/// `engine` is `NULL` or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_class_name(
    engine: *const dmue_engine,
    class_index: usize,
) -> *const c_char {
    boundary::value(null(), || {
        // SAFETY: the caller's engine.
        let engine = unsafe { engine.as_ref() };
        let name = engine.and_then(|engine| engine.class_names.get(class_index));
        name.map_or(null(), |name| name.as_ptr())
    })
}

/// How many numbers a face's feature vector has; 0 if `engine` is `NULL`.
///
/// # Safety
/// `engine` is `NULL` or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_feature_size(engine: *const dmue_engine) -> usize {
    boundary::value(0, || {
        // SAFETY: the caller's engine.
        let engine = unsafe { engine.as_ref() };
        engine.map_or(0, |engine| engine.engine.model().uncertainty().prior().feature_size())
    })
}

/// Finds the faces of a frame and names their expressions.
///
/// The most confidently detected faces come first; those that do not fit into `capacity` are left
/// out. `*count` is how many were written, 0 after a failure.
///
/// # Safety
/// `engine` is open, `frame` was initialised and its planes hold what it says, `faces` points to
/// `capacity` faces prepared by `dmue_faces_init` (`NULL` if 0), `count` points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_predict(
    engine: *const dmue_engine,
    frame: *const dmue_frame,
    faces: *mut dmue_face,
    capacity: usize,
    count: *mut usize,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's pointers.
        unsafe {
            boundary::write(count, 0, "count")?;
            let engine = reference(engine, "engine")?;
            let faces = FaceArray::new(faces, capacity)?;
            let result = engine.engine.predict(&frame_view(frame)?)?;
            let written = faces.write(&result.predictions, dmue_face::set_prediction)?;
            boundary::write(count, written, "count")
        }
    })
}

/// Names the expressions of `count` faces that a detector of the caller's found in the frame; none
/// is looked for. `faces[i]` is about `known[i]`.
///
/// # Safety
/// As for `dmue_engine_predict`; `known` points to `count` structures prepared by
/// `dmue_known_face_init`, `faces` to as many faces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_predict_faces(
    engine: *const dmue_engine,
    frame: *const dmue_frame,
    known: *const dmue_known_face,
    faces: *mut dmue_face,
    count: usize,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's pointers.
        unsafe {
            let engine = reference(engine, "engine")?;
            let array = FaceArray::new(faces, count)?;
            let given = structs::read_all(known, count)?;
            let known: Vec<_> =
                given.iter().map(dmue_known_face::known).collect::<Result<_, _>>()?;
            let result = engine.engine.predict_faces(&frame_view(frame)?, &known)?;
            let answered: Vec<_> = given.iter().zip(&result.predictions).collect();
            array.write(&answered, |face, (given, prediction)| {
                face.set_place(given);
                face.set_prediction(prediction)
            })?;
            Ok(())
        }
    })
}

/// Names the expressions of `count` frames that are one face each, framed as the model's training
/// images are: upright, from the middle of the forehead to the chin. The largest centred square of
/// each is taken; none is looked for. `faces[i]` is about `crops[i]`.
///
/// # Safety
/// As for `dmue_engine_predict`; `crops` points to `count` initialised frames, `faces` to as many
/// faces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_engine_predict_crops(
    engine: *const dmue_engine,
    crops: *const dmue_frame,
    faces: *mut dmue_face,
    count: usize,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's pointers.
        unsafe {
            let engine = reference(engine, "engine")?;
            let array = FaceArray::new(faces, count)?;
            let crops = structs::read_all(crops, count)?;
            let views: Vec<_> = crops.iter().map(|crop| crop.view()).collect::<Result<_, _>>()?;
            let result = engine.engine.predict_crops(&views)?;
            array.write(&result.predictions, dmue_face::set_prediction)?;
            Ok(())
        }
    })
}

/// What the options ask for.
///
/// # Safety
/// `options` is null or was initialised.
unsafe fn builder(options: *const dmue_engine_options) -> Result<EngineBuilder, Failure> {
    let options = match options.is_null() {
        true => dmue_engine_options::defaults(),
        // SAFETY: this function's own condition.
        false => unsafe { structs::read(options) }?,
    };
    let detector = DetectorOptions {
        minimum_score: options.minimum_detection_score,
        minimum_face: options.minimum_face,
        maximum_faces: options.maximum_faces as usize,
        levels: options.detector_levels,
        ..DetectorOptions::default()
    };
    let mut builder = Engine::builder().detector(detector).threads(options.threads as usize);
    // SAFETY: the caller's string.
    if let Some(path) = unsafe { boundary::text(options.model_path, "model_path") }? {
        builder = builder.model_file(path);
    }
    if let Some(sink) = Sink::new(options.log_callback, options.log_user_data) {
        builder = builder.log(move |level, message| sink.write(level, message));
    }
    Ok(builder)
}

fn open(builder: EngineBuilder) -> Result<*mut dmue_engine, Failure> {
    let engine = builder.build()?;
    let names = engine.model().manifest().classes.iter().map(|name| CString::new(name.as_str()));
    let class_names = names.collect::<Result<Vec<_>, _>>().map_err(|error| {
        Failure::new(dmue_status::Model, format!("a class name of the model holds a zero: {error}"))
    })?;
    Ok(Box::into_raw(Box::new(dmue_engine { engine: Arc::new(engine), class_names })))
}
