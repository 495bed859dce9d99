//! Every lie that a file can tell.

use super::*;

fn graph(proto: &mut pb::ModelProto) -> &mut pb::GraphProto {
    proto.graph.as_mut().unwrap()
}

pub(super) fn tensor<'a>(proto: &'a mut pb::ModelProto, name: &str) -> &'a mut pb::TensorProto {
    graph(proto).initializer.iter_mut().find(|tensor| tensor.name == name).unwrap()
}

pub(super) fn node_of<'a>(proto: &'a mut pb::ModelProto, op_type: &str) -> &'a mut pb::NodeProto {
    graph(proto).node.iter_mut().find(|node| node.op_type == op_type).unwrap()
}

fn edit_json(proto: &mut pb::ModelProto, from: &str, to: &str) {
    let json = &mut proto.metadata_props[0].value;
    assert!(json.contains(from), "{json}");
    *json = json.replacen(from, to, 1);
}

/// Makes a node whose value nothing needs, so that only the checks see it.
pub(super) fn extra(proto: &mut pb::ModelProto, extra: pb::NodeProto) {
    graph(proto).node.push(extra);
}

pub(super) type Lie = fn(&mut pb::ModelProto);

/// What is done to a good file of 3 classes, and a part of the words that must come back.
const LIES: [(&str, Lie); 64] = [
    ("it holds no graph", |m| m.graph = None),
    ("no `dmue.manifest` in metadata_props", |m| m.metadata_props[0].key = "manifest".into()),
    ("`dmue.manifest` stands 2 times", |m| m.metadata_props.push(m.metadata_props[0].clone())),
    ("the manifest is not valid: expected", |m| m.metadata_props[0].value = "x{".into()),
    ("unknown field `stride`", |m| edit_json(m, "\"size\"", "\"stride\":2,\"size\"")),
    ("format version is 3, this dmue reads up to 2", |m| {
        edit_json(m, "version\":2", "version\":3")
    }),
    ("the manifest's input.size is wrong: 4", |m| edit_json(m, "\"size\":12", "\"size\":4")),
    ("operator set 13", |m| m.opset_import[0].version = 13),
    ("operator set 0", |m| m.opset_import.clear()),
    ("functions is not accepted", |m| m.functions.push(Default::default())),
    ("training_info is not accepted", |m| m.training_info.push(Default::default())),
    ("sparse_initializer is not", |m| graph(m).sparse_initializer.push(Default::default())),
    ("inputs are none", |m| graph(m).input.clear()),
    ("inputs are `image` float [N, 1, 12, 12]", |m| graph(m).input[0].name = "image".into()),
    ("it must have the one input `face`", |m| {
        let second = value_info("second", &[1]);
        graph(m).input.push(second);
    }),
    ("`face` float [N, 1, 13, 12]; it must", |m| {
        graph(m).input[0] = value_info("face", &[1, 13, 12])
    }),
    ("`face` float [N, 144]; it must", |m| graph(m).input[0] = value_info("face", &[144])),
    ("`face` of another type", |m| graph(m).input[0].r#type = None),
    ("float [N, 3, 12, 12]", |m| edit_json_colour(m)),
    ("output `logits` is missing", |m| drop(graph(m).output.remove(0))),
    ("output `feature` is missing", |m| drop(graph(m).output.remove(1))),
    ("output `score` is missing", |m| graph(m).output[2].name = "certainty".into()),
    ("output `alpha` is missing", |m| drop(graph(m).output.remove(3))),
    ("node `output` reads `certainty`", |m| {
        graph(m).output.push(value_info("certainty", &[3]));
    }),
    ("manifest's temperature is wrong: 1.25, the graph divides by 2", |m| {
        *tensor(m, TEMPERATURE) = tensor_f32(TEMPERATURE, &[1], &[2.0])
    }),
    ("initialiser `class_means` is missing", |m| {
        graph(m).initializer.retain(|t| t.name != CLASS_MEANS)
    }),
    ("initialiser `class_means` has shape [3, 6] where [classes, D] is needed (2 classes)", |m| {
        edit_json(m, ",\"class 2\"", "");
    }),
    ("`class_means` has shape [3, 6] where [classes, D] is needed (4 classes)", |m| {
        edit_json(m, ",\"class 2\"", ",\"class 2\",\"class 3\"");
    }),
    ("`class_means` has shape [18]", |m| tensor(m, CLASS_MEANS).dims = vec![18]),
    ("initialiser `prior_weight` has shape [1, 1]", |m| tensor(m, PRIOR_WEIGHT).dims = vec![1, 1]),
    ("initialiser `prior_weight` is 0", |m| {
        *tensor(m, PRIOR_WEIGHT) = tensor_f32(PRIOR_WEIGHT, &[1], &[0.0])
    }),
    ("initialiser `prior_weight` is -2", |m| {
        *tensor(m, PRIOR_WEIGHT) = tensor_f32(PRIOR_WEIGHT, &[1], &[-2.0])
    }),
    ("tensor `prior_weight` has ONNX data type 7", |m| {
        *tensor(m, PRIOR_WEIGHT) = tensor_i64(PRIOR_WEIGHT, &[1], &[2])
    }),
    ("initialiser `score_head.w1` has shape [19, 5] where [5, 13] or [5, 19]", |m| {
        tensor(m, "score_head.w1").dims = vec![19, 5]
    }),
    ("initialiser `alpha_head.w1` has shape [9, 2] where [3, 6]", |m| {
        tensor(m, "alpha_head.w1").dims = vec![9, 2]
    }),
    ("initialiser `score_head.b1` has shape [1, 5] where [H]", |m| {
        tensor(m, "score_head.b1").dims = vec![1, 5]
    }),
    ("initialiser `alpha_head.w2` has shape [3, 1]", |m| {
        tensor(m, "alpha_head.w2").dims = vec![3, 1]
    }),
    ("tensor `conv.weight` holds NaN at position 7", |m| {
        tensor(m, "conv.weight").raw_data[28..32].copy_from_slice(&f32::NAN.to_le_bytes());
    }),
    ("tensor `class_means` holds -inf at position 0", |m| {
        tensor(m, CLASS_MEANS).raw_data[..4].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    }),
    ("tensor `conv.bias` holds inf at position 3", |m| {
        let bias = tensor(m, "conv.bias");
        (bias.raw_data, bias.float_data) = (vec![], vec![0.0, 0.0, 0.0, f32::INFINITY]);
    }),
    ("tensor `conv.bias` refers to a file outside", |m| {
        tensor(m, "conv.bias").data_location = Some(1)
    }),
    ("tensor `conv.bias` refers to a file outside", |m| {
        tensor(m, "conv.bias").external_data.push(Default::default());
    }),
    ("tensor `body.weight` says shape [6, 5] but holds 24", |m| {
        tensor(m, "body.weight").dims = vec![6, 5]
    }),
    ("says shape [1099511627776, 1099511627776] but", |m| {
        tensor(m, "body.weight").dims = vec![1 << 40; 2]
    }),
    ("says shape [-6, -4] but", |m| tensor(m, "body.weight").dims = vec![-6, -4]),
    ("says shape [0, 4] but holds 0", |m| {
        let weight = tensor(m, "body.weight");
        (weight.dims, weight.raw_data) = (vec![0, 4], vec![]);
    }),
    ("tensor `body.weight` has ONNX data type 11", |m| tensor(m, "body.weight").data_type = 11),
    ("the name `conv` is given twice", |m| extra(m, node("Relu", &["conv"], &["conv"], vec![]))),
    ("the name `conv.bias` is given twice", |m| {
        let twice = tensor(m, "conv.bias").clone();
        graph(m).initializer.push(twice);
    }),
    ("node `relu` reads `konv`", |m| node_of(m, "Relu").input[0] = "konv".into()),
    ("node `conv` reads `relu`", |m| node_of(m, "Conv").input[0] = "relu".into()),
    ("operator `Loop` of node `loop` is not", |m| {
        extra(m, node("Loop", &["conv"], &["loop"], vec![]))
    }),
    ("node `double` is not accepted: it depends on constants", |m| {
        extra(m, node("Add", &["conv.bias", "conv.bias"], &["double"], vec![]));
    }),
    ("attribute `value` of node `x` is not", |m| {
        let value = pb::AttributeProto {
            name: "value".into(),
            t: Some(tensor_f32("inner", &[1], &[f32::NAN]).encode_to_vec()),
            ..Default::default()
        };
        extra(m, node("Relu", &["conv"], &["x"], vec![value]));
    }),
    ("attribute `axis` of node `x` is not accepted: it is absurdly large", |m| {
        extra(m, node("Flatten", &["conv"], &["x"], vec![attribute_int("axis", i64::MIN)]));
    }),
    ("a graph of 4097 nodes is not accepted", |m| {
        graph(m).node = vec![node("Relu", &["face"], &["x"], vec![]); 4097]
    }),
    ("the name \"\\u{1b}[2J\" is not accepted", |m| graph(m).node[0].name = "\u{1b}[2J".into()),
    ("inputs or outputs of node `x` is not", |m| {
        extra(m, node("Concat", &["conv"; 257], &["x"], vec![]))
    }),
    ("attribute `axes` of node `x` is not accepted: 256 values", |m| {
        extra(m, node("ReduceSum", &["conv"], &["x"], vec![attribute_ints("axes", &[1; 257])]));
    }),
    ("9 dimensions of tensor `prior_weight` is not", |m| tensor(m, PRIOR_WEIGHT).dims = vec![1; 9]),
    ("65 integers of tensor `axes` is not accepted", |m| {
        graph(m).initializer.push(tensor_i64("axes", &[65], &[0; 65]))
    }),
    ("attribute `axis` of node `uncertainty.one_hot` is not accepted: no tensor", |m| {
        node_of(m, "OneHot").attribute = vec![attribute_int("axis", -3)]
    }),
    ("attribute `perm` of node `x` is not accepted: no tensor", |m| {
        extra(m, node("Transpose", &["conv"], &["x"], vec![attribute_ints("perm", &[0, 9])]))
    }),
    ("operator `Relu` of node `relu` is not", |m| node_of(m, "Relu").domain = "elsewhere".into()),
];

fn edit_json_colour(proto: &mut pb::ModelProto) {
    edit_json(proto, "gray", "rgb");
    edit_json(proto, "\"mean\":[0.5]", "\"mean\":[0.5,0.5,0.5]");
    edit_json(proto, "\"std\":[0.25]", "\"std\":[0.25,0.25,0.25]");
}

#[test]
fn every_lie_that_needs_no_runtime_to_see_is_its_own_error() {
    let good = model(2, 3, Colour::Gray);
    ModelFile::check(good.clone()).unwrap();
    for (number, (words, lie)) in LIES.into_iter().enumerate() {
        let mut proto = good.clone();
        lie(&mut proto);
        let error = ModelFile::parse(&proto.encode_to_vec()).unwrap_err().to_string();
        assert!(error.contains(words), "lie {number}: `{error}` instead of `{words}`");
    }
}

/// Replaces the node that makes `output`.
fn replace(proto: &mut pb::ModelProto, output: &str, with: pb::NodeProto) {
    let nodes = &mut graph(proto).node;
    *nodes.iter_mut().find(|node| node.output[0] == output).unwrap() = with;
}

#[test]
fn logits_for_other_classes_than_named_are_refused() {
    let (named, made) = (3, 4);
    let network = fixture::network(1, 1, made, 6);
    let proto = assemble(network, &uncertainty(1, named, 6, 5), &manifest(named, 12, Colour::Gray));
    let error = load(&proto.unwrap()).unwrap_err();
    // The one-hot of a fourth class does not fit the heads, which tract may find before the shapes
    // are compared.
    let refused = matches!(error, ModelError::OutputShape { name: LOGITS, .. });
    assert!(refused || matches!(error, ModelError::Network { .. }), "{error}");
    assert!(refused, "{error}");
}

#[test]
fn a_feature_of_another_size_than_the_class_means_is_refused() {
    let network = fixture::network(1, 1, 3, 7);
    let proto = assemble(network, &uncertainty(1, 3, 6, 5), &manifest(3, 12, Colour::Gray));
    let error = load(&proto.unwrap()).unwrap_err();
    assert!(matches!(error, ModelError::Network { .. }), "{error}");
}

#[test]
fn outputs_of_another_shape_are_refused() {
    for (output, input) in
        [(SCORE, "uncertainty.score_head.4"), (ALPHA, "uncertainty.alpha_head.4")]
    {
        let mut proto = model(2, 3, Colour::Gray);
        replace(&mut proto, output, node("Identity", &[input], &[output], vec![]));
        match load(&proto).unwrap_err() {
            ModelError::OutputShape { name, expected, .. } => {
                assert_eq!((name, expected), (output, vec![1]));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_graph_that_computes_another_uncertainty_is_refused() {
    for (output, head) in [(SCORE, "score_head.w2"), (ALPHA, "alpha_head.w1")] {
        let mut proto = model(2, 3, Colour::Gray);
        // The graph goes on with the old weights under another name, the named ones say something
        // else.
        let old = tensor(&mut proto, head);
        let (dims, size) = (old.dims.clone(), old.raw_data.len());
        old.name = "hidden".into();
        let raw_data = [0.5f32.to_le_bytes()].concat().repeat(size / 4);
        let named = pb::TensorProto {
            name: head.into(),
            dims,
            data_type: 1,
            raw_data,
            ..Default::default()
        };
        graph(&mut proto).initializer.push(named);
        for node in &mut graph(&mut proto).node {
            node.input
                .iter_mut()
                .filter(|name| *name == head)
                .for_each(|name| *name = "hidden".into());
        }
        match load(&proto).unwrap_err() {
            ModelError::UncertaintyDisagrees { output: found, .. } => assert_eq!(found, output),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_network_that_tract_cannot_run_is_refused() {
    let mut proto = model(2, 3, Colour::Gray);
    replace(&mut proto, "flat", node("Transpose", &["pool"], &["flat"], vec![]));
    let error = load(&proto).unwrap_err();
    assert!(matches!(error, ModelError::Network { .. }), "{error}");

    // Finite weights whose products are not.
    let mut proto = model(2, 3, Colour::Gray);
    *tensor(&mut proto, "conv.weight") = tensor_f32("conv.weight", &[4, 1, 3, 3], &[3e38; 36]);
    let error = load(&proto).unwrap_err();
    assert!(matches!(error, ModelError::Network { .. }), "{error}");
}

/// The tiny model's convolution with these paddings.
fn padded(pads: i64) -> pb::ModelProto {
    let mut proto = model(2, 3, Colour::Gray);
    let convolution = node_of(&mut proto, "Conv");
    convolution.attribute.retain(|attribute| attribute.name != "pads");
    convolution.attribute.push(attribute_ints("pads", &[pads; 4]));
    proto
}

#[test]
fn activations_beyond_all_memory_are_refused_before_they_are_allocated() {
    // 12 + 2 * 60_000 pixels a side, every second one: 4 channels of 3.6 thousand million.
    let error = load(&padded(60_000)).unwrap_err();
    assert!(matches!(error, ModelError::Node { .. }), "{error}");

    // No node too large alone, but many together.
    let mut proto = padded(1_900);
    for number in 0..10 {
        let (from, to) = (format!("relu{number}"), format!("relu{}", number + 1));
        let from = if number == 0 { "relu" } else { &from };
        graph(&mut proto).node.insert(2 + number, node("Sigmoid", &[from], &[&to], vec![]));
    }
    node_of(&mut proto, "GlobalAveragePool").input[0] = "relu10".into();
    let error = load(&proto).unwrap_err();
    assert!(matches!(error, ModelError::Activations { .. }), "{error}");

    // A small number in a small tensor that asks for a large one: depth of OneHot, count of TopK.
    for name in ["uncertainty.classes", "uncertainty.similarities_count"] {
        let mut proto = model(2, 3, Colour::Gray);
        *tensor(&mut proto, name) = tensor_i64(name, &[1], &[1 << 40]);
        let error = load(&proto).unwrap_err();
        assert!(matches!(error, ModelError::Network { .. }), "{name}: {error}");
    }
}

#[test]
fn windows_that_look_at_too_much_are_refused() {
    for operator in ["MaxPool", "AveragePool"] {
        let mut proto = model(2, 3, Colour::Gray);
        let (side, around) = (8_000, 4_000);
        let windows =
            vec![attribute_ints("kernel_shape", &[side; 2]), attribute_ints("pads", &[around; 4])];
        graph(&mut proto).node.insert(2, node(operator, &["relu"], &["window"], windows));
        node_of(&mut proto, "GlobalAveragePool").input[0] = "window".into();
        match load(&proto).unwrap_err() {
            ModelError::Node { name, .. } => assert_eq!(name, "window"),
            other => panic!("{operator}: {other}"),
        }
    }
}

#[test]
fn many_windows_that_look_at_much_are_refused_together() {
    let mut proto = model(2, 3, Colour::Gray);
    // 4 channels, 2 x 2 windows of 1000 x 1000 in each: 16 million values a node.
    let windows = || {
        ["kernel_shape", "strides"]
            .map(|name| attribute_ints(name, &[1_000; 2]))
            .into_iter()
            .chain([attribute_ints("pads", &[1_000; 4])])
            .collect::<Vec<_>>()
    };
    for number in 0..20 {
        let (from, to) = (format!("window{number}"), format!("window{}", number + 1));
        let from = if number == 0 { "relu" } else { &from };
        graph(&mut proto).node.insert(2 + number, node("MaxPool", &[from], &[&to], windows()));
    }
    node_of(&mut proto, "GlobalAveragePool").input[0] = "window20".into();
    let error = load(&proto).unwrap_err();
    assert!(matches!(error, ModelError::Activations { limit: 0x1000_0000, .. }), "{error}");
}
