//! Structures that C programs allocate. They start with their own size in bytes, so that a library
//! and a program of different age agree about the part that both know.

use super::boundary::{check, check_length};
use super::status::{Failure, dmue_status};

/// No structure will ever be larger: a size above it is memory that was never initialised.
const LARGEST: usize = 4096;

/// A structure that a C program allocates and its `_init` function fills.
///
/// # Safety
/// The type is `#[repr(C)]`, starts with `struct_size: u32` and is valid for every pattern of bits
/// (numbers, raw pointers and optional function pointers only).
pub(super) unsafe trait Versioned: Copy {
    /// Its name in C.
    const NAME: &'static str;
    /// Its size in the first version of the interface that had it.
    const FIRST_SIZE: usize;

    /// What the `_init` function writes, with any `struct_size`.
    fn defaults() -> Self;
}

/// Fills the `size` bytes at `pointer` with defaults and says so in `struct_size`. What this version
/// of the library does not know becomes zero.
///
/// # Safety
/// `pointer` is null or points to `size` bytes that nobody else uses meanwhile.
pub(super) unsafe fn initialise<T: Versioned>(pointer: *mut T, size: usize) -> Result<(), Failure> {
    check(pointer, T::NAME)?;
    let struct_size = check_size::<T>(size)?;
    // SAFETY: the caller's `size` bytes; a `T` starts with its size, and all that is copied lies in
    // both structures.
    unsafe {
        pointer.cast::<u8>().write_bytes(0, size);
        let defaults = T::defaults();
        let known = size.min(size_of::<T>());
        pointer.cast::<u8>().copy_from_nonoverlapping((&raw const defaults).cast(), known);
        pointer.cast::<u32>().write(struct_size);
    }
    Ok(())
}

/// A copy of the structure at `pointer`: defaults where the caller's version ends.
///
/// # Safety
/// `pointer` is null or points to a structure that its `_init` function filled and that nobody
/// changes meanwhile.
pub(super) unsafe fn read<T: Versioned>(pointer: *const T) -> Result<T, Failure> {
    // SAFETY: this function's own condition.
    let size = unsafe { struct_size(pointer) }?;
    let known = size.min(size_of::<T>());
    let mut value = T::defaults();
    // SAFETY: the caller's structure has `size` bytes, and every pattern of bits is a `T`.
    let unknown = unsafe {
        (&raw mut value).cast::<u8>().copy_from_nonoverlapping(pointer.cast(), known);
        std::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known)
    };
    if unknown.iter().any(|byte| *byte != 0) {
        let text = format!(
            "{} sets something that this version of the library does not know: use a newer library",
            T::NAME
        );
        return Err(Failure::new(dmue_status::StructSize, text));
    }
    Ok(value)
}

/// Copies of `count` structures that lie one after the other, all of the first one's size.
///
/// # Safety
/// `count` is 0, or `first` is null or points to that many structures as [`read`] needs them.
pub(super) unsafe fn read_all<T: Versioned>(
    first: *const T,
    count: usize,
) -> Result<Vec<T>, Failure> {
    if count == 0 {
        return Ok(Vec::new());
    }
    check_length::<T>(count, T::NAME)?;
    // SAFETY: this function's own condition.
    let size = unsafe { struct_size(first) }?;
    // SAFETY: as above; none lies past the last.
    (0..count).map(|index| unsafe { read(first.wrapping_byte_add(index * size)) }).collect()
}

/// Writes back what the caller's version of the structure has room for; its `struct_size` stays.
///
/// # Safety
/// As for [`read`], and nobody else uses the structure meanwhile.
pub(super) unsafe fn write<T: Versioned>(pointer: *mut T, value: &T) -> Result<(), Failure> {
    // SAFETY: this function's own condition; what is copied lies in both structures.
    unsafe {
        let known = struct_size(pointer)?.min(size_of::<T>());
        let after_size = size_of::<u32>();
        pointer.cast::<u8>().add(after_size).copy_from_nonoverlapping(
            std::ptr::from_ref(value).cast::<u8>().add(after_size),
            known - after_size,
        );
    }
    Ok(())
}

/// The checked size in bytes that the structure at `pointer` gives itself.
///
/// # Safety
/// As for [`read`].
pub(super) unsafe fn struct_size<T: Versioned>(pointer: *const T) -> Result<usize, Failure> {
    check(pointer, T::NAME)?;
    // SAFETY: neither null nor unaligned, and every such structure starts with its size.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    check_size::<T>(size)?;
    Ok(size)
}

fn check_size<T: Versioned>(size: usize) -> Result<u32, Failure> {
    match u32::try_from(size) {
        Ok(struct_size) if (T::FIRST_SIZE..=LARGEST).contains(&size) => Ok(struct_size),
        _ => {
            let (name, first) = (T::NAME, T::FIRST_SIZE);
            let text = format!(
                "{name} has struct_size {size}, not {first} to {LARGEST}: \
                 hand sizeof({name}) to its _init function before using it"
            );
            Err(Failure::new(dmue_status::StructSize, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the library of today knows it.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Sample {
        struct_size: u32,
        first: u32,
        later: u64,
    }

    // SAFETY: numbers only, the size first.
    unsafe impl Versioned for Sample {
        const NAME: &'static str = "sample";
        const FIRST_SIZE: usize = 8;

        fn defaults() -> Self {
            Self { struct_size: 16, first: 3, later: 5 }
        }
    }

    /// Room for programs of any age: 16 bytes are today's, and what lies past the size is not touched.
    #[repr(align(8))]
    struct Memory([u8; 40]);

    fn initialised(size: usize) -> Memory {
        let mut memory = Memory([0xaa; 40]);
        // SAFETY: 40 bytes are there.
        unsafe { initialise(memory.0.as_mut_ptr().cast::<Sample>(), size) }.unwrap();
        assert!(memory.0[size..].iter().all(|byte| *byte == 0xaa), "written past {size}");
        memory
    }

    fn reading(memory: &Memory) -> Result<Sample, Failure> {
        // SAFETY: 40 bytes are there, more than any size below.
        unsafe { read(memory.0.as_ptr().cast()) }
    }

    #[test]
    fn programs_of_any_age_agree_about_what_both_know() {
        for size in [8, 16, 32] {
            let mut memory = initialised(size);
            let sample = reading(&memory).unwrap();
            assert_eq!(sample, Sample { struct_size: size as u32, first: 3, later: 5 });
            let answer = Sample { struct_size: 99, first: 7, later: 9 };
            // SAFETY: 40 bytes are there.
            unsafe { write(memory.0.as_mut_ptr().cast(), &answer) }.unwrap();
            assert!(memory.0[size..].iter().all(|byte| *byte == 0xaa), "written past {size}");
            let later = if size < 16 { 5 } else { 9 };
            assert_eq!(
                reading(&memory).unwrap(),
                Sample { struct_size: size as u32, first: 7, later }
            );
        }
    }

    #[test]
    fn what_a_newer_program_asks_for_is_not_ignored() {
        let mut memory = initialised(24);
        memory.0[20] = 1;
        assert!(reading(&memory).is_err());
    }

    #[test]
    fn memory_that_was_never_initialised_is_refused() {
        for bytes in [[0; 4], [0xaa; 4], 7_u32.to_ne_bytes(), 4097_u32.to_ne_bytes()] {
            let mut memory = Memory([0; 40]);
            memory.0[..4].copy_from_slice(&bytes);
            assert!(reading(&memory).is_err(), "{bytes:?}");
        }
        let mut memory = Memory([0; 40]);
        let sample = memory.0.as_mut_ptr().cast::<Sample>();
        for size in [0, 7, 4097, usize::MAX] {
            // SAFETY: refused by its size.
            assert!(unsafe { initialise(sample, size) }.is_err(), "{size}");
        }
    }
}
