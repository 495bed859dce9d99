//! What the targets share: a valid model of a few kilobytes, and changes to it.

pub mod c_program;
pub mod calls;
pub mod changes;
mod memory;
mod model;

pub use model::tiny_model;

/// Drops the messages of panics that the library stops itself, as tract's on graphs that it did not
/// expect. Without this libFuzzer's hook ends the process at the first of them; a panic that gets
/// out of the library still does.
pub fn only_escaping_panics_count() {
    std::panic::set_hook(Box::new(|_| {}));
}
