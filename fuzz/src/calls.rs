//! What a C program may say: its calls and their arguments.

use std::ffi::c_char;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use prost::Message;

/// One call, or one change to a structure that later calls hand over.
#[derive(Arbitrary, Debug)]
#[allow(missing_docs)]
pub enum Call {
    EngineOptionsInit(Size),
    EngineOptions {
        threads: u32,
        levels: u8,
        score: f32,
        smallest: f32,
        most: u32,
        log: bool,
    },
    ModelPath(Path),
    Open {
        options: Pointer,
        result: Pointer,
    },
    OpenMemory {
        options: Pointer,
        model: ModelBytes,
        result: Pointer,
    },
    FreeEngine {
        engine: u8,
    },
    ClassName {
        engine: u8,
        index: u16,
    },
    FramesInit(Size),
    Frame {
        index: u8,
        format: u32,
        width: u32,
        height: u32,
        size: u32,
        stride: u64,
    },
    SmallFrame {
        index: u8,
        format: u8,
        width: u8,
        height: u8,
    },
    FrameByHand {
        index: u8,
        plane: u8,
        stride: u64,
        size: u32,
        yuv: u8,
        null: bool,
    },
    FacesInit(Size),
    FaceBuffers {
        index: u8,
        probabilities: u8,
        steadied: u8,
        feature: u8,
    },
    KnownInit(Size),
    Known {
        index: u8,
        kind: u8,
        place: [f32; 8],
    },
    SmallKnown {
        index: u8,
        kind: u8,
        place: [u8; 8],
    },
    Predict {
        engine: u8,
        frame: Pointer,
        faces: Pointer,
        capacity: u8,
        count: Pointer,
    },
    PredictFaces {
        engine: u8,
        frame: Pointer,
        known: Pointer,
        faces: Pointer,
        count: u8,
    },
    PredictCrops {
        engine: u8,
        crops: Pointer,
        faces: Pointer,
        count: u8,
    },
    SessionOptionsInit(Size),
    SessionOptions {
        milliseconds: [u32; 5],
        frames: u32,
        most: u32,
        floats: [f32; 2],
        error: f64,
    },
    NewSession {
        engine: u8,
        options: Pointer,
        result: Pointer,
    },
    Process {
        session: u8,
        frame: Pointer,
        time: Time,
        faces: Pointer,
        capacity: u8,
        count: Pointer,
    },
    TimingsInit(Size),
    Timings {
        session: u8,
        timings: Pointer,
    },
    Reset {
        session: u8,
    },
    FreeSession {
        session: u8,
    },
    StatusText(u32),
}

/// What is handed over where a pointer is asked for.
#[derive(Arbitrary, Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Pointer {
    Good,
    Good2,
    Good3,
    Null,
    Unaligned,
    /// The structure, whose `struct_size` says this.
    WrongSize(u32),
}

/// The size that an `_init` function is told.
#[derive(Arbitrary, Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Size {
    Right,
    Right2,
    /// Of a program that is newer than the library.
    Larger(u8),
    Any(u64),
}

/// Microseconds.
#[derive(Arbitrary, Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Time {
    Later(u32),
    Any(u64),
}

/// A file name.
#[derive(Arbitrary, Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Path {
    None,
    Nowhere,
    Folder,
    NoText,
}

/// The bytes of a model file.
#[derive(Arbitrary, Debug)]
#[allow(missing_docs)]
pub enum ModelBytes {
    Tiny,
    Cut(u16),
    Flipped(u16, u8),
    Any(Vec<u8>),
}

impl Pointer {
    /// Where a result goes: a size that is wrong makes no sense there.
    pub fn to<T>(self, value: &mut T) -> *mut T {
        let pointer: *mut T = value;
        match self {
            Self::Null => null_mut(),
            Self::Unaligned => pointer.wrapping_byte_add(1),
            _ => pointer,
        }
    }
}

impl Path {
    pub fn text(self) -> *const c_char {
        match self {
            Self::None => null(),
            Self::Nowhere => c"/nowhere/to/be.found".as_ptr(),
            Self::Folder => c"/".as_ptr(),
            Self::NoText => c"\xff".as_ptr(),
        }
    }
}

impl ModelBytes {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = tiny_bytes().to_vec();
        match self {
            Self::Tiny => {}
            Self::Cut(length) => bytes.truncate(usize::from(*length)),
            Self::Flipped(at, with) => {
                let at = usize::from(*at) % bytes.len();
                bytes[at] ^= with;
            }
            Self::Any(any) => bytes.clone_from(any),
        }
        bytes
    }
}

/// The tiny model's file.
pub fn tiny_bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| crate::tiny_model().encode_to_vec())
}
