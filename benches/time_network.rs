//! Runs one ONNX network, for `bench_peers.py`: prints the first output for made numbers, then answers each
//! line with a count on standard input by the nanoseconds of the shortest of so many runs.
#![allow(clippy::print_stdout, reason = "another program reads it")]

use std::io::{BufRead, Write};
use std::time::Instant;

use dmue_edge::bare::Network;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let path = std::env::args_os().nth(1).ok_or("usage: time_network FILE.onnx")?;
    let network = Network::from_bytes(&std::fs::read(path)?)?;
    let values = (0..network.input_length()).map(|i| ((i * 37) % 256) as f32 / 128.0 - 1.0);
    let input: Vec<f32> = values.collect();
    let first = network.run(&input)?;
    let words: Vec<String> = first.iter().map(f32::to_string).collect();
    println!("{}", words.join(" "));
    for line in std::io::stdin().lock().lines() {
        let runs: u32 = line?.trim().parse()?;
        let mut shortest = u128::MAX;
        for _ in 0..runs {
            let start = Instant::now();
            std::hint::black_box(network.run(&input)?);
            shortest = shortest.min(start.elapsed().as_nanos());
        }
        println!("{shortest}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
