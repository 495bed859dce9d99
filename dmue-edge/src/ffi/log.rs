//! Messages of an engine, handed to a function of the C program.

use std::ffi::{CString, c_char, c_void};

use crate::log::LogLevel;

/// How much a message matters.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dmue_log_level {
    /// An answer is worse than it could be.
    Warning = 1,
    /// Once per engine: what was loaded.
    Info = 2,
    /// Once per frame: what was found and how long it took.
    Debug = 3,
}

/// Takes a message of one line. `level` is a `dmue_log_level`; `message` is valid during the call.
/// Called on the thread that called the engine, so on several at once if several threads use it. It
/// must return: no exception and no longjmp out of it.
pub type dmue_log_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: u32, message: *const c_char)>;

/// A C program's function and what it wants to be called with.
pub(super) struct Sink {
    callback: unsafe extern "C" fn(*mut c_void, u32, *const c_char),
    user_data: *mut c_void,
}

// SAFETY: dmue_engine_options says that callback and user_data are used from every thread that uses
// the engine.
unsafe impl Send for Sink {}
// SAFETY: as above.
unsafe impl Sync for Sink {}

impl Sink {
    pub fn new(callback: dmue_log_callback, user_data: *mut c_void) -> Option<Self> {
        callback.map(|callback| Self { callback, user_data })
    }

    pub fn write(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Warning => dmue_log_level::Warning,
            LogLevel::Info => dmue_log_level::Info,
            LogLevel::Debug => dmue_log_level::Debug,
        };
        let message = CString::new(message.replace('\0', "\u{fffd}")).unwrap_or_default();
        // SAFETY: the C program's function, its own data and a string that ends with a zero byte.
        unsafe { (self.callback)(self.user_data, level as u32, message.as_ptr()) }
    }
}
