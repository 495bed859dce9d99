//! A model file from anywhere: it is refused with a reason, or it answers with finite numbers.
#![no_main]

use arbitrary::Unstructured;
use dmue_edge::Model;
use dmue_edge::model::proto::pb::ModelProto;
use dmue_fuzz::{changes, only_escaping_panics_count};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use prost::Message;

fuzz_target!(init: only_escaping_panics_count(), |bytes: &[u8]| {
    if let Ok(model) = Model::from_bytes(bytes) {
        run(&model);
    }
});

fn run(model: &Model) {
    let count = model.manifest().input.shape().iter().product();
    for value in [0.0, -1.0, 1e30] {
        let Ok(answer) = model.infer_tensor(&vec![value; count]) else { continue };
        assert_eq!(answer.logits.len(), model.manifest().classes.len());
        assert!(answer.logits.iter().chain(&answer.feature).all(|value| value.is_finite()));
        assert!([answer.score, answer.alpha].iter().all(|value| (0.0..=1.0).contains(value)));
    }
}

// Bytes one time in three; else the model is decoded, changed and encoded.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let decoded = ModelProto::decode(&data[..size]);
    match decoded {
        Ok(mut model) if seed % 3 != 0 => {
            change(&mut model, seed);
            let bytes = model.encode_to_vec();
            if bytes.len() > max_size {
                return size;
            }
            data[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});

/// One to four changes, drawn by `seed`.
fn change(model: &mut ModelProto, seed: u32) {
    let mut state = u64::from(seed) | 1 << 40;
    let entropy: Vec<u8> = std::iter::repeat_with(|| {
        // Marsaglia's xorshift64: any generator does.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(512)
    .collect();
    let mut source = Unstructured::new(&entropy);
    for _ in 0..source.int_in_range(1..=4).unwrap_or(1) {
        if changes::apply(model, &mut source).is_err() {
            return;
        }
    }
}
