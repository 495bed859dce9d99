//! How often a frame asks for memory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use dmue_edge::bare::Network;
use dmue_edge::{Engine, Photo};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread asks for.
struct Counting;

#[allow(unsafe_code, reason = "an allocator is unsafe")]
// SAFETY: everything is the system's allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that ends may allocate after its counter is gone.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Of a network: three tensors and their lists, however many operators it has (plain tract makes 233).
const MOST_OF_A_NETWORK: usize = 60;

#[test]
fn a_network_asks_for_its_outputs_only() {
    let file = include_bytes!("../models/blazeface_back.onnx");
    let network = Network::from_bytes(file).unwrap();
    let input = vec![0.5; network.input_length()];
    let run = || allocations(|| drop(network.run(&input).unwrap()));
    let first = run();
    let counts = [run(), run(), run()];
    println!("a run of BlazeFace: {counts:?} allocations, the first {first}");
    assert!(counts.iter().all(|&count| count == counts[0] && count <= MOST_OF_A_NETWORK));
}

#[test]
fn frames_ask_for_the_same_again_and_again() {
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");
    if Engine::default_model().is_none() || !std::path::Path::new(picture).is_file() {
        println!("skipped: no embedded model or no {picture}");
        return;
    }
    let engine = Engine::builder().build().unwrap();
    let photo = Photo::open(picture).unwrap();
    let run = || allocations(|| drop(engine.predict(&photo.view().unwrap()).unwrap()));
    let first = run();
    let counts = [run(), run(), run()];
    println!("a frame: {counts:?} allocations, the first {first}");
    assert!(counts.iter().all(|&count| count == counts[0]));
}
