//! Which interface and which release this is.

use std::ffi::c_char;

use super::boundary;

/// The version of this interface: it grows when a program has to be compiled anew, whatever the
/// release is called. Also the last part of the shared library's name, `libdmue_edge.so.1`.
pub const DMUE_ABI_VERSION: u32 = 1;

/// The `DMUE_ABI_VERSION` of the library that is loaded; compare it with the header's.
#[unsafe(no_mangle)]
pub extern "C" fn dmue_abi_version() -> u32 {
    boundary::value(0, || DMUE_ABI_VERSION)
}

/// The release of the library that is loaded, such as `0.1.0`. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn dmue_version() -> *const c_char {
    boundary::value(std::ptr::null(), || {
        const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
        VERSION.as_ptr().cast()
    })
}
