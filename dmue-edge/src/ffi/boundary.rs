//! The border between C and Rust: no panic crosses it, and no pointer is followed unchecked.

use std::any::Any;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::status::{Failure, dmue_status};

/// The whole body of a function that answers with a status. A failure, and a panic, become the
/// thread's last error.
pub(super) fn status(body: impl FnOnce() -> Result<(), Failure>) -> dmue_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => dmue_status::Ok,
        Ok(Err(failure)) => failure.record(),
        Err(panic) => panicked(&*panic).record(),
    }
}

/// The whole body of a function that answers with a value. After a panic it is `on_panic`, and the
/// panic becomes the thread's last error.
pub(super) fn value<T>(on_panic: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        panicked(&*panic).record();
        on_panic
    })
}

/// `pointer` as a reference, unless it is null or not aligned.
///
/// # Safety
/// `pointer` is null or points to a `T` that lives for `'a` and that nobody changes meanwhile.
pub(super) unsafe fn reference<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    check(pointer, name)?;
    // SAFETY: neither null nor unaligned; the rest is this function's own condition.
    Ok(unsafe { &*pointer })
}

/// Writes one value, unless `pointer` is null or not aligned.
///
/// # Safety
/// `pointer` is null or points to memory for a `T` that nobody else uses meanwhile.
pub(super) unsafe fn write<T: Copy>(pointer: *mut T, value: T, name: &str) -> Result<(), Failure> {
    check(pointer, name)?;
    // SAFETY: neither null nor unaligned; the rest is this function's own condition.
    unsafe { pointer.write(value) };
    Ok(())
}

/// `count` values from `pointer` on; no value may be at null.
///
/// # Safety
/// `pointer` is null or points to `count` values that live for `'a` and that nobody changes
/// meanwhile.
pub(super) unsafe fn slice<'a, T>(
    pointer: *const T,
    count: usize,
    name: &str,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    check(pointer, name)?;
    check_length::<T>(count, name)?;
    // SAFETY: neither null, unaligned nor too long; the rest is this function's own condition.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// A C string as text; none for null.
///
/// # Safety
/// `pointer` is null or points to a string that ends with a zero byte and lives for `'a`.
pub(super) unsafe fn text<'a>(
    pointer: *const c_char,
    name: &str,
) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not null; the rest is this function's own condition.
    match unsafe { CStr::from_ptr(pointer) }.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(invalid(format!("{name} is no UTF-8: {error}"))),
    }
}

/// Refuses a null pointer and one that no `T` can be at.
pub(super) fn check<T>(pointer: *const T, name: &str) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::new(dmue_status::NullArgument, format!("{name} is NULL")));
    }
    if !pointer.is_aligned() {
        let alignment = align_of::<T>();
        return Err(invalid(format!("{name} is not aligned to {alignment} bytes")));
    }
    Ok(())
}

/// Refuses more values than an address space can hold.
pub(super) fn check_length<T>(count: usize, name: &str) -> Result<(), Failure> {
    match count.checked_mul(size_of::<T>()).is_some_and(|bytes| bytes <= isize::MAX as usize) {
        true => Ok(()),
        false => Err(invalid(format!("{name} cannot have {count} entries"))),
    }
}

pub(super) fn invalid(text: String) -> Failure {
    Failure::new(dmue_status::InvalidArgument, text)
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no text");
    Failure::new(dmue_status::Panic, format!("the library panicked, please report it: {text}"))
}

#[cfg(test)]
mod tests {
    use super::super::status::dmue_last_error;
    use super::*;

    fn last_error() -> String {
        // SAFETY: the library's own text, valid until the next failure on this thread.
        unsafe { CStr::from_ptr(dmue_last_error()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn panics_become_a_status_and_a_text() {
        assert_eq!(status(|| panic!("number {}", 7)), dmue_status::Panic);
        assert!(last_error().contains("number 7"), "{}", last_error());
        assert_eq!(value(5, || panic!("plain")), 5);
        assert!(last_error().contains("plain"), "{}", last_error());
        assert_eq!(status(|| Ok(())), dmue_status::Ok);
        assert!(last_error().contains("plain"), "success leaves it");
    }

    #[test]
    fn texts_are_of_their_thread() {
        let fail = |name: &str| {
            let failure = check(std::ptr::null::<u8>(), name);
            assert_eq!(status(|| failure), dmue_status::NullArgument);
        };
        fail("here");
        std::thread::spawn(move || {
            assert_eq!(last_error(), "");
            fail("there");
            assert_eq!(last_error(), "there is NULL");
        })
        .join()
        .unwrap();
        assert_eq!(last_error(), "here is NULL");
    }

    #[test]
    fn pointers_that_cannot_be_followed_are_refused() {
        let values = [1_u32, 2];
        let unaligned = values.as_ptr().wrapping_byte_add(1);
        // SAFETY: each pointer is null, unaligned or valid, as the functions allow.
        unsafe {
            assert!(reference(unaligned, "x").is_err());
            assert_eq!(*reference(&values[1], "x").unwrap(), 2);
            assert_eq!(slice(values.as_ptr(), 2, "x").unwrap(), values);
            assert_eq!(slice(std::ptr::null::<u32>(), 0, "x").unwrap(), [0; 0]);
            assert!(slice(std::ptr::null::<u32>(), 1, "x").is_err());
            assert!(slice(values.as_ptr(), usize::MAX / 2, "x").is_err());
            assert_eq!(text(std::ptr::null(), "x").unwrap(), None);
            assert_eq!(text(c"a".as_ptr(), "x").unwrap(), Some("a"));
            assert!(text(c"\xff".as_ptr(), "x").is_err());
        }
    }
}
