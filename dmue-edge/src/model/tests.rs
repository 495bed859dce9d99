//! The whole way from parts to answers; `lies` has what a file can be wrong about.

use prost::Message;
use rand::RngExt;

use super::file::{self, ModelFile};
use super::fixture::{self, generator, manifest, model, uncertainty, values};
use super::graph::assemble;
use super::manifest::MANIFEST_KEY;
use super::proto::{attribute_int, attribute_ints, node, pb, tensor_f32, tensor_i64, value_info};
use super::*;
use crate::Error;
use crate::engine::Engine;
use crate::face::align::FaceCrop;
use crate::kernels::Kernels;

mod lies;
mod quantised;

fn load(proto: &pb::ModelProto) -> Result<Model, ModelError> {
    Model::from_bytes(&proto.encode_to_vec())
}

fn crop(seed: u64, size: u32, channels: u32) -> FaceCrop {
    let mut g = generator(seed);
    let pixels = (0..size * size * channels).map(|_| g.random()).collect();
    FaceCrop { size, channels, pixels }
}

#[test]
fn a_model_answers_and_its_graph_agrees_with_the_plain_formulas() {
    for (seed, (classes, colour)) in
        (0..).zip([(2, Colour::Gray), (3, Colour::Rgb), (8, Colour::Gray), (26, Colour::Gray)])
    {
        let proto = model(seed, classes, colour);
        let model = load(&proto).unwrap();
        assert_eq!(*model.manifest(), manifest(classes, 12, colour));
        assert_eq!(*model.uncertainty(), uncertainty(seed, classes, 6, 5));
        let file = ModelFile::check(proto).unwrap();
        let spec = &model.manifest().input;
        let crops = (0..40).map(|seed| crop(seed, 12, colour.channels()));
        let faces: Vec<_> = crops.map(|crop| preprocess::normalise(&crop, spec).unwrap()).collect();
        let graphs = runtime::run_graph(&file, faces.iter().map(Vec::as_slice)).unwrap();
        assert!(graphs.iter().any(|answer| (answer.score - graphs[0].score).abs() > 1e-3));
        for (face, graph) in faces.iter().zip(graphs) {
            let ours = model.infer_tensor(face).unwrap();
            assert_eq!((ours.logits.len(), ours.feature.len()), (classes, 6));
            for (name, a, b) in [(SCORE, ours.score, graph.score), (ALPHA, ours.alpha, graph.alpha)]
            {
                assert!((a - b).abs() < 1e-5, "{name}: {a} by formula, {b} by graph");
            }
        }
    }
}

/// The tiny network by hand: the same numbers as loops in f64.
#[test]
fn logits_and_feature_are_those_of_the_network() {
    let (seed, classes) = (5, 4);
    let model = load(&model(seed, classes, Colour::Rgb)).unwrap();
    let crop = crop(9, 12, 3);
    let input = preprocess::normalise(&crop, &model.manifest().input).unwrap();
    let weights = fixture::network(seed, 3, classes, 6).initialisers;
    let weight = |name: &str| {
        let tensor = weights.iter().find(|tensor| tensor.name == name).unwrap();
        let (words, _) = tensor.raw_data.as_chunks::<4>();
        words.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect::<Vec<_>>()
    };
    let (kernel, bias) = (weight("conv.weight"), weight("conv.bias"));
    let mut pooled = [0.0; 4];
    for (channel, pooled) in pooled.iter_mut().enumerate() {
        for (y, x) in (0..6i32).flat_map(|y| (0..6i32).map(move |x| (y, x))) {
            let mut value = bias[channel];
            for (c, ky, kx) in (0..27).map(|i| (i / 9, i / 3 % 3, i % 3)) {
                let (row, column) = (2 * y + ky as i32 - 1, 2 * x + kx as i32 - 1);
                if (0..12).contains(&row) && (0..12).contains(&column) {
                    let pixel = input[c * 144 + row as usize * 12 + column as usize];
                    value += kernel[((channel * 3 + c) * 3 + ky) * 3 + kx] * f64::from(pixel);
                }
            }
            *pooled += value.max(0.0) / 36.0;
        }
    }
    let linear = |weights: &[f64], x: &[f64]| -> Vec<f64> {
        let rows = weights.chunks(x.len());
        rows.map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    };
    let feature = linear(&weight("body.weight"), &pooled);
    let logits = linear(&weight("head.weight"), &feature);
    let answer = model.infer(&crop).unwrap();
    for (found, expected) in [(&answer.feature, &feature), (&answer.logits, &logits)] {
        for (a, b) in found.iter().zip(expected) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{found:?} {expected:?}");
        }
    }
    let tempered = |logit: &f64| (logit / f64::from(model.manifest().temperature)).exp();
    let sum: f64 = logits.iter().map(tempered).sum();
    for (probability, logit) in answer.probabilities.iter().zip(&logits) {
        assert!((f64::from(*probability) - tempered(logit) / sum).abs() < 1e-6);
    }
}

#[test]
fn a_tensor_is_answered_as_the_crop_it_was_made_of() {
    let model = load(&model(1, 3, Colour::Gray)).unwrap();
    let crop = crop(2, 12, 1);
    let tensor = preprocess::normalise(&crop, &model.manifest().input).unwrap();
    assert_eq!(model.infer_tensor(&tensor).unwrap(), model.infer(&crop).unwrap());
}

/// The written graph leaves the batch free: tract loads it with a symbol and gives each row what it
/// gives it alone.
#[test]
fn the_graph_takes_any_batch() {
    use tract_onnx::prelude::*;
    let proto = model(4, 5, Colour::Gray);
    let alone = load(&proto).unwrap();
    let parsed = onnx().model_for_read(&mut &*proto.encode_to_vec()).unwrap();
    let batched = parsed.into_optimized().unwrap().into_runnable().unwrap();
    let faces = values(&mut generator(8), 3 * 144);
    let input = Tensor::from_shape(&[3, 1, 12, 12], &faces).unwrap();
    let outputs = batched.run(tvec!(input.into_tvalue())).unwrap();
    for (row, face) in faces.chunks(144).enumerate() {
        let answer = alone.infer_tensor(face).unwrap();
        let (score, alpha) = (vec![answer.score], vec![answer.alpha]);
        let expected = [answer.logits, answer.feature, score, alpha, answer.probabilities];
        assert_eq!(outputs.len(), expected.len());
        for (output, expected) in outputs.iter().zip(expected) {
            assert_eq!(output.shape()[0], 3);
            let output = output.to_plain_array_view::<f32>().unwrap();
            let found = output.index_axis(tract_ndarray::Axis(0), row);
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}

/// An engine loads it without the run on a probe that a file has to pass.
#[test]
fn the_embedded_model_passes_the_check_that_starting_leaves_out() {
    let Some(bytes) = Engine::default_model() else { return };
    for kernels in [Kernels::Own, Kernels::Tract] {
        let checked = Model::from_bytes_with(bytes, kernels).unwrap();
        let embedded = Model::embedded(bytes, kernels).unwrap();
        let InputSpec { size, .. } = checked.manifest().input;
        let face = values(&mut generator(5), (size * size) as usize);
        assert_eq!(embedded.infer_tensor(&face).unwrap(), checked.infer_tensor(&face).unwrap());
    }
}

#[test]
fn a_model_is_shared_between_threads() {
    let model = load(&model(6, 3, Colour::Gray)).unwrap();
    let expected = model.infer(&crop(1, 12, 1)).unwrap();
    std::thread::scope(|scope| {
        let ask = || scope.spawn(|| model.infer(&crop(1, 12, 1)).unwrap());
        for thread in [ask(), ask(), ask()] {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = load(&model(1, 3, Colour::Gray)).unwrap();
    let error = model.infer(&crop(0, 13, 1)).unwrap_err();
    assert!(matches!(error, Error::Model(ModelError::Crop { found_size: 13, size: 12, .. })));
    let error = model.infer_tensor(&[0.0; 143]).unwrap_err();
    let expected = "the input has 143 values where 144 are needed (channels x size x size)";
    assert_eq!(error.to_string(), expected);
    let error = model.infer_tensor(&[f32::NAN; 144]).unwrap_err();
    assert_eq!(error.to_string(), "the input holds NaN at position 0; give finite values");
    let error = model.infer_tensor(&[1e38; 144]).unwrap_err();
    assert!(matches!(error, Error::Run(_)), "{error}");
}

#[test]
fn a_file_is_written_whole_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.dmue.onnx");
    let proto = model(2, 3, Colour::Gray);
    file::write(&path, &proto).unwrap();
    file::write(&path, &proto).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), proto.encode_to_vec());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let model = Model::open(&path).unwrap();
    assert_eq!(model.manifest().name, "tiny");

    let mut lie = proto;
    lie.metadata_props.clear();
    let error = file::write(&path, &lie).unwrap_err();
    assert!(matches!(error, ModelError::MissingManifest { .. }), "{error}");
    assert!(Model::open(&path).is_ok(), "the file from before must be untouched");
}

#[test]
fn files_that_cannot_be_opened_or_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none").join("x.dmue.onnx");
    let proto = model(2, 3, Colour::Gray);
    for error in [Model::open(&path).unwrap_err(), file::write(&path, &proto).unwrap_err()] {
        assert!(matches!(error, ModelError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("x.dmue.onnx"), "{error}");
    }
    assert!(matches!(Model::open(folder.path()).unwrap_err(), ModelError::Io { .. }));
}

#[test]
fn what_is_not_onnx_is_told_from_what_is_cut_off() {
    let others: [&[u8]; 9] = [
        b"",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        b"PK\x03\x04",
        b"\x7fELF",
        b"{\"format_version\": 1}",
        b"hello, this is no model at all",
        b"\x1c\0\0\0TFL3",
        b"\x08\x08\x08",
    ];
    for bytes in &others[..8] {
        let error = Model::from_bytes(bytes).unwrap_err();
        assert!(matches!(error, ModelError::NotOnnx { .. }), "{bytes:?}: {error}");
    }
    assert!(matches!(Model::from_bytes(others[8]), Err(ModelError::Truncated { .. })));

    let bytes = model(2, 3, Colour::Gray).encode_to_vec();
    for present in (1..bytes.len()).step_by(7) {
        match Model::from_bytes(&bytes[..present]).unwrap_err() {
            ModelError::Truncated { needed, present: said } => {
                assert!(needed as usize > present && said as usize == present, "{needed}");
            }
            // A cut between two fields leaves a shorter file that is well formed.
            ModelError::MissingManifest { .. } => {
                assert!(pb::ModelProto::decode(&bytes[..present]).is_ok());
            }
            other => panic!("cut at {present}: {other}"),
        }
    }
}

#[test]
fn a_file_too_large_to_be_a_model_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.dmue.onnx");
    // A hole: it takes no room on the disk.
    std::fs::File::create(&path).unwrap().set_len((512 << 20) + 1).unwrap();
    match Model::open(&path).unwrap_err() {
        ModelError::File { reason, .. } => {
            assert!(matches!(*reason, ModelError::FileSize { .. }), "{reason}");
        }
        other => assert!(matches!(other, ModelError::FileSize { .. }), "{other}"),
    }
}

/// `content` as a field of a message, with its number and length in front.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let wire = prost::encoding::WireType::LengthDelimited;
    prost::encoding::encode_key(number, wire, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    [&bytes, content].concat()
}

#[test]
fn messages_nested_without_end_are_refused() {
    // A graph in an attribute of a node of a graph, and so on.
    let nested = (0..2_000).fold(Vec::new(), |inner, _| field(1, &field(5, &field(6, &inner))));
    let error = Model::from_bytes(&field(7, &nested)).unwrap_err();
    // They are not even decoded: no model's attribute holds a graph.
    assert!(matches!(error, ModelError::MissingManifest { .. }), "{error}");
}

#[test]
fn a_file_that_would_grow_a_hundredfold_is_refused_before_it_is_decoded() {
    // Empty nodes, then empty tensors: two bytes each.
    for empty in [field(1, &[]), field(5, &[])] {
        let error = Model::from_bytes(&field(7, &empty.repeat(600_000))).unwrap_err();
        assert!(error.to_string().contains("bytes beside the weights"), "{error}");
    }
    // As many bytes of weights are fine.
    let mut proto = model(2, 3, Colour::Gray);
    let weights = tensor_f32("unused", &[1, 600_000], &vec![0.5; 600_000]);
    proto.graph.as_mut().unwrap().initializer.push(weights);
    load(&proto).unwrap();
}

#[test]
fn damage_inside_is_an_error_and_never_a_panic() {
    let good = model(2, 3, Colour::Gray).encode_to_vec();
    let mut g = generator(11);
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..g.random_range(1..4) {
            let at = g.random_range(0..bytes.len());
            bytes[at] = g.random();
        }
        // A changed weight is a valid file: only that it comes to an answer counts.
        let _ = Model::from_bytes(&bytes);
    }
    let mut bytes = good;
    let name = bytes.windows(4).position(|window| window == b"Conv").unwrap();
    bytes[name] = 0xff; // no UTF-8
    let error = Model::from_bytes(&bytes).unwrap_err();
    assert!(matches!(error, ModelError::Corrupt { .. }), "{error}");
}

#[test]
fn a_model_is_assembled_only_from_parts_that_fit() {
    let network = || fixture::network(1, 1, 3, 6);
    let error = assemble(network(), &uncertainty(1, 4, 6, 5), &manifest(3, 12, Colour::Gray));
    assert!(matches!(error.unwrap_err(), ModelError::Manifest { field: "classes", .. }));
    let mut manifest = manifest(3, 12, Colour::Gray);
    manifest.input.std = vec![0.0];
    let error = assemble(network(), &uncertainty(1, 3, 6, 5), &manifest).unwrap_err();
    assert!(matches!(error, ModelError::Manifest { field: "input.std", .. }));
}

#[test]
fn the_manifest_stands_under_its_key() {
    let proto = model(1, 3, Colour::Gray);
    assert_eq!(proto.metadata_props[0].key, MANIFEST_KEY);
    assert_eq!((proto.ir_version, proto.opset_import[0].version), (8, 17));
}

/// Temperature and score head are changed in the graph and by the formulas alike, also in a file from before
/// there were probabilities.
#[test]
fn a_recalibrated_file_answers_by_formula_and_graph_alike() {
    for outputs in [4, 5] {
        let mut proto = model(3, 4, Colour::Gray);
        let before = load(&proto).unwrap().infer(&crop(7, 12, 1)).unwrap();
        if outputs == 4 {
            let graph = proto.graph.as_mut().unwrap();
            graph.output.retain(|output| output.name != PROBABILITIES);
            graph
                .node
                .retain(|node| !["uncertainty.tempered", PROBABILITIES].contains(&&*node.name));
            graph.initializer.retain(|tensor| tensor.name != TEMPERATURE);
        }
        let mut file = ModelFile::check(proto).unwrap();
        file.manifest.temperature = 2.0;
        file.uncertainty = file.uncertainty.recalibrated(0.5, 0.25);
        let proto = file.into_proto().unwrap();
        let changed = load(&proto).unwrap(); // compares formula and graph
        let after = changed.infer(&crop(7, 12, 1)).unwrap();
        let logit = |score: f32| (score / (1.0 - score)).ln();
        assert!((logit(after.score) - (0.5 * logit(before.score) + 0.25)).abs() < 1e-4);
        let (found, expected) = (after.probabilities[1] / after.probabilities[0], {
            ((before.logits[1] - before.logits[0]) / 2.0).exp()
        });
        assert!((found / expected - 1.0).abs() < 1e-4, "{found} {expected}");
        let tempered = proto.graph.unwrap();
        assert!(tempered.output.iter().any(|output| output.name == PROBABILITIES));
    }
}

/// A head that takes the feature in the place of one that does not, and the other way round; loading compares
/// formula and graph.
#[test]
fn a_score_head_of_the_other_size_answers_by_formula_and_graph_alike() {
    for (from, to) in [(3, 4), (4, 3)] {
        let mut file = ModelFile::check(model(from, 4, Colour::Gray)).unwrap();
        let wide = file.uncertainty.takes_feature();
        let head = uncertainty(to, 4, 6, 7).score_head().clone();
        file.uncertainty = file.uncertainty.with_score_head(head).unwrap();
        assert_ne!(file.uncertainty.takes_feature(), wide);
        load(&file.into_proto().unwrap()).unwrap();
    }
}

#[test]
fn a_file_of_format_1_keeps_it_until_its_head_takes_the_feature() {
    let mut proto = model(3, 4, Colour::Gray);
    let json = &mut proto.metadata_props[0].value;
    *json = json.replace("version\":2", "version\":1");
    let mut file = ModelFile::check(proto).unwrap();
    let kept = ModelFile::check(file.clone().into_proto().unwrap()).unwrap();
    assert_eq!(kept.manifest.format_version, 1);
    let head = uncertainty(4, 4, 6, 7).score_head().clone();
    file.uncertainty = file.uncertainty.with_score_head(head).unwrap();
    let raised = ModelFile::check(file.into_proto().unwrap()).unwrap();
    assert_eq!(raised.manifest.format_version, 2);
}
