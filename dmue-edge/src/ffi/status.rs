//! What a call came to: a number for programs, a text for people.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

use super::boundary;
use crate::session::SessionError;

/// What a call came to. A number keeps its meaning for ever; later versions may add some, so treat
/// one that you do not know as a failure.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dmue_status {
    /// Done.
    Ok = 0,
    /// A pointer that must not be `NULL` is.
    NullArgument = 1,
    /// A number, a text or an alignment that cannot be right.
    InvalidArgument = 2,
    /// A structure's `struct_size` is not one that its `_init` function wrote.
    StructSize = 3,
    /// The pixels handed over do not form the frame that was described.
    Frame = 4,
    /// An option is out of range.
    Option = 5,
    /// No model was named and this library carries none.
    NoModel = 6,
    /// A model file cannot be read or is not what it says it is.
    Model = 7,
    /// A face that the caller described cannot be one.
    Face = 8,
    /// A network failed to run: worth reporting.
    Run = 9,
    /// Memory that the caller set aside for results is too small.
    BufferTooSmall = 10,
    /// Another thread is inside a call with the same session.
    Busy = 11,
    /// A frame is older than the one before it.
    Timestamp = 12,
    /// A defect of this library was stopped at its border: worth reporting. The objects that were
    /// handed to the call may only be freed.
    Panic = 13,
    /// A failure that fits none of the others; `dmue_last_error` says more.
    Other = 14,
}

/// What a status means, in English. Never freed, never `NULL`; a number that is no status has a text
/// too.
#[unsafe(no_mangle)]
pub extern "C" fn dmue_status_text(status: u32) -> *const c_char {
    boundary::value(c"".as_ptr(), || text(status).as_ptr())
}

/// Why the last call that failed on this thread did, in English: the value, what was wrong with it
/// and what to do. Empty if none failed yet; calls that succeed leave it as it is. Valid until the
/// next call that fails on this thread; never freed, never `NULL`.
#[unsafe(no_mangle)]
pub extern "C" fn dmue_last_error() -> *const c_char {
    boundary::value(c"".as_ptr(), || {
        let last = LAST_ERROR.try_with(|last| last.borrow().as_ptr());
        last.unwrap_or(c"".as_ptr())
    })
}

/// Why a call fails: becomes its status and the thread's last error.
#[derive(Debug)]
pub(super) struct Failure {
    status: dmue_status,
    text: String,
}

impl Failure {
    pub fn new(status: dmue_status, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// Keeps the text for `dmue_last_error` and gives the status.
    pub fn record(self) -> dmue_status {
        let text = self.text.replace('\0', "\u{fffd}");
        let text = CString::new(text).unwrap_or_default();
        // A thread that is ending has no last error any more.
        let _ = LAST_ERROR.try_with(|last| last.replace(text));
        self.status
    }
}

impl<E: Into<crate::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        Self::new(status_of(&error), error.to_string())
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

fn status_of(error: &crate::Error) -> dmue_status {
    use crate::Error;
    match error {
        Error::Frame(_) => dmue_status::Frame,
        Error::Detector(_) | Error::Option { .. } => dmue_status::Option,
        Error::KnownFace(_) => dmue_status::Face,
        Error::NoDefaultModel => dmue_status::NoModel,
        Error::Model(_) => dmue_status::Model,
        Error::Run(_) => dmue_status::Run,
        Error::Session(SessionError::Timestamp { .. }) => dmue_status::Timestamp,
        Error::Session(SessionError::Option { .. } | SessionError::ErrorRate { .. }) => {
            dmue_status::Option
        }
        Error::Session(_) | Error::Photo(_) => dmue_status::Other,
    }
}

fn text(status: u32) -> &'static CStr {
    let texts = [
        (dmue_status::Ok, c"done"),
        (dmue_status::NullArgument, c"a pointer that must not be NULL is"),
        (dmue_status::InvalidArgument, c"an argument cannot be right"),
        (dmue_status::StructSize, c"a structure was not initialised by its _init function"),
        (dmue_status::Frame, c"the pixels do not form the frame that was described"),
        (dmue_status::Option, c"an option is out of range"),
        (dmue_status::NoModel, c"no model was named and this library carries none"),
        (dmue_status::Model, c"the model file cannot be used"),
        (dmue_status::Face, c"a face that was described cannot be one"),
        (dmue_status::Run, c"a network failed to run"),
        (dmue_status::BufferTooSmall, c"the memory set aside for results is too small"),
        (dmue_status::Busy, c"another thread is inside a call with the same session"),
        (dmue_status::Timestamp, c"the frame is older than the one before it"),
        (dmue_status::Panic, c"a defect of the library was stopped at its border"),
        (dmue_status::Other, c"failed; dmue_last_error() says more"),
    ];
    let known = texts.into_iter().find(|(known, _)| *known as u32 == status);
    known.map_or(c"no status of this version of the library", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that programs were compiled with: only ever append.
    #[test]
    fn numbers_never_change_and_each_has_its_own_text() {
        use dmue_status::*;
        let all = [
            Ok,
            NullArgument,
            InvalidArgument,
            StructSize,
            Frame,
            Option,
            NoModel,
            Model,
            Face,
            Run,
            BufferTooSmall,
            Busy,
            Timestamp,
            Panic,
            Other,
        ];
        let mut texts = std::collections::HashSet::new();
        for (number, status) in all.into_iter().enumerate() {
            assert_eq!(status as usize, number, "{status:?}");
            assert!(texts.insert(text(number as u32)), "{status:?} shares its text");
        }
        assert!(texts.insert(text(all.len() as u32)), "the next number has none yet");
    }
}
