//! `dmue-train quantize`: the graph that it writes, what that answers, what is refused.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::runs::{finish, program, refuse, save, succeed};
use common::start::Network;
use common::{Draws, faces};
use dmue_edge::face::align::FaceTemplate;
use dmue_edge::model::file::{self, ModelFile};
use dmue_edge::model::preprocess::normalise;
use dmue_edge::model::proto::attribute_int;
use dmue_edge::model::proto::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};
use dmue_edge::model::{Colour, InputSpec, Manifest, Model, TrainingInfo, graph::assemble};
use dmue_edge::uncertainty::{
    PairwiseUncertainty, Prior, TwoLayerHead, alpha_inputs, score_inputs,
};
use dmue_train::data::dataset::Source;
use dmue_train::export::network::subgraph;
use dmue_train::quantize::select::convolutions;
use dmue_train::quantize::{Quantised, quantise};
use tch::Tensor;
use tempfile::TempDir;

const CLASSES: [&str; 3] = ["class0", "class1", "class2"];
const SIZE: usize = 24;

/// An exported residual network of drawn weights: blocks of 8, 16 and 24 channels times `width` / 2, the first with
/// nothing beside it, the others with strided shortcuts.
fn drawn(width: f64) -> ModelProto {
    let network = Network::new("tiny", 1, SIZE as i64, width, &CLASSES);
    let variables: BTreeMap<_, _> = network.store.variables().into_iter().collect();
    let mut draws = Draws::new(3);
    tch::no_grad(|| {
        for (name, value) in &variables {
            let shift = if name.ends_with("running_var") { 1. } else { 0. };
            let drawn: Vec<f64> = (0..value.numel()).map(|_| draws.spread(0.5) + shift).collect();
            let drawn = Tensor::from_slice(&drawn).view(value.size().as_slice());
            value.shallow_clone().copy_(&drawn);
        }
    });
    let nodes = subgraph(&network.backbone, &variables, &network.model);
    let feature = nodes.initialisers.iter().find(|t| t.name == "classifier.weight").unwrap();
    assemble(nodes.clone(), &uncertainty(feature.dims[1] as usize), &manifest()).unwrap()
}

fn manifest() -> Manifest {
    let text = || "none".to_owned();
    Manifest {
        format_version: 1,
        name: "drawn".into(),
        classes: CLASSES.map(Into::into).to_vec(),
        input: InputSpec {
            size: SIZE as u32,
            colour: Colour::Gray,
            mean: vec![0.5],
            std: vec![0.5],
            template: FaceTemplate::FERPLUS,
        },
        training: TrainingInfo {
            data: text(),
            licence: text(),
            command: "dmue-train fit".into(),
            commit: text(),
            seed: 1,
            metrics: [("accuracy".to_owned(), 50.)].into(),
        },
        temperature: 1.5,
        abstention: vec![],
    }
}

fn uncertainty(feature: usize) -> PairwiseUncertainty {
    let mut draws = Draws::new(9);
    let classes = CLASSES.len();
    let mut floats =
        |count: usize| -> Vec<f32> { (0..count).map(|_| draws.spread(0.1) as f32).collect() };
    let prior = Prior::new(floats(classes * feature), 10., classes, feature).unwrap();
    let mut head = |inputs: usize| {
        TwoLayerHead::new(inputs, floats(3 * inputs), floats(3), 0.25, floats(3), 0.1).unwrap()
    };
    let (score, alpha) = (head(score_inputs(classes)), head(alpha_inputs(classes)));
    PairwiseUncertainty::new(prior, score, alpha).unwrap()
}

fn source() -> Source {
    faces::source(CLASSES.len(), 20, SIZE, 4)
}

fn quantised(proto: &ModelProto) -> dmue_train::Result<Quantised> {
    quantise(ModelFile::check(proto.clone()).unwrap(), source(), 40, 1)
}

fn of<'a>(graph: &'a GraphProto, operator: &'a str) -> impl Iterator<Item = &'a NodeProto> {
    graph.node.iter().filter(move |node| node.op_type == operator)
}

/// The operator that makes each value.
fn makers(graph: &GraphProto) -> HashMap<&str, &str> {
    graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(|name| (name.as_str(), node.op_type.as_str())))
        .collect()
}

/// Logits of both files for other faces than the ranges come from.
fn largest_difference(before: &ModelProto, after: &ModelProto) -> f32 {
    let models = [before, after]
        .map(|proto| Model::from_file(ModelFile::check(proto.clone()).unwrap()).unwrap());
    let (mut farthest, mut range) = (0_f32, [f32::INFINITY, f32::NEG_INFINITY]);
    for sample in &faces::source(CLASSES.len(), 20, SIZE, 5).samples {
        let face = normalise(&sample.crop, &models[0].manifest().input).unwrap();
        let [a, b] = [0, 1].map(|index| models[index].infer_tensor(&face).unwrap().logits);
        for (&a, &b) in a.iter().zip(&b) {
            farthest = farthest.max((a - b).abs());
            range = [range[0].min(a), range[1].max(a)];
        }
    }
    farthest / (range[1] - range[0])
}

#[test]
fn only_the_first_convolution_is_left_and_the_answers_stay() {
    let before = drawn(2.);
    let Quantised { proto, faces, convolutions, left } = quantised(&before).unwrap();
    assert_eq!((faces, convolutions), (40, 8));
    let left: Vec<(&str, &str)> =
        left.iter().map(|left| (left.name.as_str(), left.reason.as_str())).collect();
    assert_eq!(left, [("stem.conv", "its input has 1 channels, below 8")]);
    let graph = proto.graph.as_ref().unwrap();
    assert_eq!(of(graph, "Conv").count(), 1);
    assert_eq!(of(graph, "QLinearConv").count(), 8);
    let share = largest_difference(&before, &proto);
    assert!(share > 0. && share < 0.05, "{share}");
}

#[test]
fn integers_go_from_one_convolution_to_the_next() {
    let Quantised { proto, .. } = quantised(&drawn(2.)).unwrap();
    let graph = proto.graph.as_ref().unwrap();
    let makers = makers(graph);
    // conv2 of each block reads what conv1 made.
    let direct = of(graph, "QLinearConv").filter(|node| makers[&*node.input[0]] == "QLinearConv");
    assert_eq!(direct.count(), 3);
    // What several read is quantised once: the stem's and two sums.
    let sources: Vec<&str> =
        of(graph, "QuantizeLinear").map(|node| node.input[0].as_str()).collect();
    assert_eq!(sources, ["stem.conv.relu", "stem.block0.sum.relu", "stem.block1.sum.relu"]);
    for node in of(graph, "Add") {
        let sides = node.input.iter().map(|input| makers[input.as_str()]);
        assert!(sides.into_iter().all(|maker| maker == "DequantizeLinear"), "{node:?}");
    }
    // A ReLU behind a convolution is the least stored value; those behind additions stay.
    assert_eq!(of(graph, "Relu").count(), 4);
    let zero = |name: &str| {
        graph.initializer.iter().find(|tensor| tensor.name == name).unwrap().raw_data[0]
    };
    assert_eq!(zero("stem.block0.conv1.relu.quantised_zero_point"), 0);
    assert!(zero("stem.block0.conv2.quantised_zero_point") > 0);
    // No float weight of theirs is left behind.
    let read: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    assert!(graph.initializer.iter().all(|tensor| read.contains(&tensor.name)));
}

#[test]
fn everything_else_in_the_file_is_kept() {
    let before = drawn(2.);
    let Quantised { proto, .. } = quantised(&before).unwrap();
    let [before, after] = [before, proto].map(|proto| ModelFile::check(proto).unwrap());
    assert_eq!(before.manifest, after.manifest);
    assert_eq!(before.uncertainty, after.uncertainty);
    let [before, after] = [before, after].map(|file| file.into_proto().unwrap().graph.unwrap());
    assert_eq!((before.input, before.output), (after.input, after.output));
}

fn bias<'a>(proto: &'a mut ModelProto, name: &str) -> &'a mut Vec<u8> {
    let tensors = &mut proto.graph.as_mut().unwrap().initializer;
    &mut tensors.iter_mut().find(|tensor| tensor.name == name).unwrap().raw_data
}

#[test]
fn a_convolution_that_never_fires_is_no_obstacle() {
    let mut before = drawn(2.);
    for value in bias(&mut before, "stem.block1.conv1.bias").as_chunks_mut::<4>().0 {
        *value = (-1e5_f32).to_le_bytes();
    }
    let Quantised { proto, .. } = quantised(&before).unwrap();
    let share = largest_difference(&before, &proto);
    assert!(share < 0.05, "{share}");
}

#[test]
fn a_value_with_several_readers_is_understood() {
    // What block0's second convolution makes goes into two additions, what its first makes before its ReLU into
    // another.
    let mut before = drawn(2.);
    let graph = before.graph.as_mut().unwrap();
    let first = graph.node.iter().position(|node| node.name == "stem.block0.sum").unwrap();
    let sum = graph.node[first].clone();
    let name = |name: &str| name.to_owned();
    let extra = NodeProto { output: vec![name("early")], name: name("early"), ..sum.clone() };
    graph.node[first].input[1] = name("late");
    let late = NodeProto {
        input: vec![name("early"), name("stem.block0.conv1")],
        output: vec![name("late")],
        name: name("late"),
        ..sum
    };
    graph.node.splice(first..first, [extra, late]);
    let Quantised { proto, .. } = quantised(&before).unwrap();
    let share = largest_difference(&before, &proto);
    assert!(share > 0. && share < 0.05, "{share}");
}

#[test]
fn what_is_left_says_why() {
    type Change = fn(&mut NodeProto);
    let changes: [(&str, Change); 5] = [
        ("it works in groups", |node| node.attribute.push(attribute_int("group", 2))),
        ("its weight is not constant", |node| node.input[1] = "stem.conv.relu".into()),
        ("its bias is no constant", |node| node.input[2] = "classifier.bias".into()),
        ("it is not about height and width", |node| node.input[1] = "classifier.weight".into()),
        ("auto_pad says its padding", |node| {
            let rule = attribute_int("auto_pad", 0);
            node.attribute.push(AttributeProto { s: b"SAME_UPPER".to_vec(), ..rule });
        }),
    ];
    let graph = drawn(2.).graph.unwrap();
    for (words, change) in changes {
        let mut changed = graph.clone();
        let is_meant = |node: &&mut NodeProto| node.name == "stem.block1.conv1";
        let node = changed.node.iter_mut().find(is_meant).unwrap();
        node.attribute.retain(|attribute| attribute.name != "group");
        change(node);
        let (taken, left) = convolutions(&changed);
        let last = left.last().unwrap();
        assert_eq!((taken.len(), left.len(), &*last.name), (7, 2, "stem.block1.conv1"));
        assert!(last.reason.contains(words), "{words}: {}", last.reason);
    }
}

#[test]
fn what_cannot_be_quantised_says_why() {
    let once = quantised(&drawn(2.)).unwrap().proto;
    let error = quantised(&once).unwrap_err().to_string();
    assert!(error.contains("quantised already"), "{error}");
    let error = quantised(&drawn(0.25)).unwrap_err().to_string();
    assert!(error.contains("stem.block0.conv1: its input has 4 channels, below 8"), "{error}");
    let nobody = Source { samples: vec![], ..source() };
    let error = quantise(ModelFile::check(drawn(2.)).unwrap(), nobody, 40, 1).unwrap_err();
    assert!(error.to_string().contains("no face"), "{error}");
}

/// A folder with the network as a file and class folders of made faces.
fn folder() -> (TempDir, PathBuf, PathBuf) {
    let folder = TempDir::new().unwrap();
    let (model, faces) = (folder.path().join("drawn.dmue.onnx"), folder.path().join("faces"));
    file::write(&model, &drawn(2.)).unwrap();
    for (number, sample) in source().samples.iter().enumerate() {
        let class = faces.join(CLASSES[sample.label]);
        fs::create_dir_all(&class).unwrap();
        save(&class.join(format!("{number}.png")), &sample.crop.pixels, SIZE);
    }
    (folder, model, faces)
}

fn command(model: &Path, faces: &Path, out: &Path) -> std::process::Command {
    let mut command = program(&["quantize", "--faces", "30"]);
    command.arg("--model").arg(model).arg("--data").arg(faces).arg("--out").arg(out);
    command
}

#[test]
fn the_command_writes_a_smaller_file_and_measures_both() {
    let (folder, model, faces) = folder();
    let out = folder.path().join("small.dmue.onnx");
    let text = succeed(command(&model, &faces, &out).arg("--check").arg(&faces));
    for words in [
        "8 convolutions in 8 bits, ranges from 30 faces",
        "left in floats: stem.conv: its input has 1 channels, below 8",
        "on 60 distinct faces",
        "before",
        "after",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(fs::metadata(&out).unwrap().len() < fs::metadata(&model).unwrap().len() / 2);
    let manifest = Model::open(&out).unwrap().manifest().clone();
    let said = &manifest.training.command;
    assert!(said.starts_with("dmue-train fit; dmue-train quantize --faces 30 --model"), "{said}");
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    let (folder, model, faces) = folder();
    let at = |name: &str| folder.path().join(name);
    let error = refuse(&mut command(&model, &faces, &at("small.onnx")));
    assert!(error.contains("must end in .dmue.onnx"), "{error}");
    let error = refuse(&mut command(&at("none.dmue.onnx"), &faces, &at("x.dmue.onnx")));
    assert!(error.contains("none.dmue.onnx"), "{error}");
    let error = refuse(&mut command(&model, &at("nobody"), &at("x.dmue.onnx")));
    assert!(error.contains("nobody"), "{error}");
    let (output, text) = finish(&mut program(&["quantize", "--faces", "0"]));
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("0 is not in"), "{text}");
    assert!(!at("x.dmue.onnx").exists());
}
