//! A C program's memory.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null;

use dmue_edge::ffi::dmue_status;

use crate::calls::{Pointer, Size};

/// No structure may be larger.
const LARGEST: usize = 4096;

/// An array of structures of one size, with memory for the largest that the library takes.
pub struct Structures<T> {
    memory: Vec<u64>,
    count: usize,
    /// What each was initialised with; 0 before.
    struct_size: usize,
    of: PhantomData<T>,
}

impl<T> Structures<T> {
    /// Memory for `count`, all zeros.
    pub fn new(count: usize) -> Self {
        // One more than fits, for pointers that are not aligned.
        let words = (count * LARGEST) / 8 + 1;
        Self { memory: vec![0; words], count, struct_size: 0, of: PhantomData }
    }

    /// Calls the `_init` function for each; after a failure they are as before.
    pub fn initialise(
        &mut self,
        size: Size,
        init: impl Fn(*mut T, usize) -> dmue_status,
    ) -> dmue_status {
        // As C lays arrays out: multiples of the alignment.
        let size = match size {
            Size::Right | Size::Right2 => size_of::<T>(),
            Size::Larger(words) => size_of::<T>() + usize::from(words) * 8,
            Size::Any(size) if size <= LARGEST as u64 => size as usize & !7,
            Size::Any(size) => usize::try_from(size).unwrap_or(usize::MAX),
        };
        let mut status = dmue_status::Ok;
        for index in 0..self.count {
            let status_of_one =
                init(self.first().wrapping_byte_add(index.wrapping_mul(size)), size);
            if status_of_one != dmue_status::Ok {
                // The first call fails as all do: sizes are refused before anything is written.
                return status_of_one;
            }
            status = status_of_one;
        }
        self.struct_size = size;
        status
    }

    /// One of them, to be filled; none before they are initialised.
    pub fn at(&mut self, index: usize) -> Option<&mut T> {
        self.restore();
        let offset = (index % self.count) * self.struct_size;
        // SAFETY: initialised, and valid for every pattern of bits.
        (self.struct_size > 0).then(|| unsafe { &mut *self.first().wrapping_byte_add(offset) })
    }

    /// What is handed over for one structure.
    pub fn pointer(&mut self, pointer: Pointer) -> *const T {
        self.restore();
        let first = self.first().cast_const();
        match pointer {
            Pointer::Null => null(),
            Pointer::Unaligned => first.wrapping_byte_add(1),
            Pointer::WrongSize(size) => {
                // SAFETY: a structure starts with its size.
                unsafe { first.cast_mut().cast::<u32>().write(size) };
                first
            }
            _ => first,
        }
    }

    /// What is handed over for an array, and its length: no more than there are, and one where the
    /// size is wrong.
    pub fn array(&mut self, pointer: Pointer, count: usize) -> (*mut T, usize) {
        let count = match pointer {
            Pointer::WrongSize(_) => count.min(1),
            // Absurd lengths are refused before anything is read.
            _ if count >= 255 => usize::MAX,
            _ => count.min(self.count),
        };
        (self.pointer(pointer).cast_mut(), count)
    }

    fn restore(&mut self) {
        if let Ok(size @ 1..) = u32::try_from(self.struct_size) {
            // SAFETY: a structure starts with its size.
            unsafe { self.first().cast::<u32>().write(size) };
        }
    }

    fn first(&mut self) -> *mut T {
        self.memory.as_mut_ptr().cast::<c_void>().cast()
    }
}

/// Pixels.
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// So many that differ.
    pub fn varied(count: usize) -> Self {
        Self((0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect())
    }

    /// So many of the last ones, no more than there are: a read past the end is one past the memory.
    pub fn part(&self, size: u32) -> (*const u8, usize) {
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(self.0.len());
        (self.0[self.0.len() - size..].as_ptr(), size)
    }
}
