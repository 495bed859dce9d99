//! Calls through the C interface in any order and with any arguments that a C program may hand over:
//! nulls, wrong sizes, descriptions that do not fit, objects freed in any order. Only what cannot be
//! checked is kept right: a pointer is null or valid for as many bytes as the call is told.
#![no_main]

use dmue_edge::ffi::dmue_status;
use dmue_fuzz::c_program::Program;
use dmue_fuzz::calls::Call;
use dmue_fuzz::only_escaping_panics_count;
use libfuzzer_sys::fuzz_target;

/// Calls of one program; the rest is left out, so that a run stays short.
const MOST_CALLS: usize = 48;

fuzz_target!(init: only_escaping_panics_count(), |input: (u8, Vec<Call>)| {
    let (patience, calls) = input;
    let mut program = Program::new(patience);
    for call in calls.iter().take(MOST_CALLS) {
        let status = program.make(call);
        assert_ne!(status, dmue_status::Panic, "{call:?}: {}", program.last_error());
        assert!(status == dmue_status::Ok || !program.last_error().is_empty(), "{call:?}");
    }
});
