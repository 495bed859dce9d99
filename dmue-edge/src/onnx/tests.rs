//! Every operator as tract-onnx reads it, and what is refused.

use prost::Message;
use tract_core::prelude::{IntoRunnable, IntoTValue, IntoTensor, Tensor, TypedModel, tvec};
use tract_onnx::prelude::{DatumExt, Framework, InferenceModelExt};

use crate::model::OPERATORS;
use crate::model::proto::pb::attribute_proto::AttributeType;
use crate::model::proto::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
};
use crate::model::proto::{
    attribute, attribute_int, attribute_ints, node, tensor_f32, tensor_i8, tensor_i32, tensor_i64,
    tensor_u8, value_info,
};

/// A graph from `x` to `y`.
struct Case {
    shape: Vec<usize>,
    constants: Vec<TensorProto>,
    nodes: Vec<NodeProto>,
}

impl Case {
    /// One node that reads `x`, then the constants; outputs are `y`, then `y1`, `y2`.
    fn new(operator: &str, shape: &[usize], attributes: Vec<AttributeProto>) -> Self {
        let nodes = vec![node(operator, &["x"], &["y"], attributes)];
        Self { shape: shape.to_vec(), constants: Vec::new(), nodes }
    }

    /// A further input of the last node.
    fn with(mut self, constant: TensorProto) -> Self {
        self.nodes.last_mut().unwrap().input.push(constant.name.clone());
        self.constants.push(constant);
        self
    }

    fn with_input(mut self, name: &str) -> Self {
        self.nodes.last_mut().unwrap().input.push(name.into());
        self
    }

    fn with_output(mut self, name: &str) -> Self {
        self.nodes.last_mut().unwrap().output.push(name.into());
        self
    }

    /// A node behind the last one, which then makes `inner`.
    fn then(mut self, operator: &str, attributes: Vec<AttributeProto>) -> Self {
        let last = self.nodes.last_mut().unwrap();
        last.output[0] = format!("inner{}", self.constants.len());
        last.name = last.output[0].clone();
        let inner = last.name.clone();
        self.nodes.push(node(operator, &[&inner], &["y"], attributes));
        self
    }

    fn proto(&self, operator_set: i64) -> ModelProto {
        let outputs = self.nodes.last().unwrap().output.iter();
        let graph = GraphProto {
            node: self.nodes.clone(),
            name: "case".into(),
            initializer: self.constants.clone(),
            input: vec![value_info("x", &self.shape[1..])],
            output: outputs.map(|name| value_info(name, &[])).collect(),
            ..Default::default()
        };
        let set = OperatorSetIdProto { domain: String::new(), version: operator_set };
        ModelProto { opset_import: vec![set], graph: Some(graph), ..Default::default() }
    }

    /// The outputs by our reading and by tract-onnx's.
    fn check(&self) {
        let proto = self.proto(17);
        let ours = super::read(&proto, Some(&self.shape))
            .unwrap_or_else(|error| panic!("{:?}: {error:#}", self.nodes));
        // What the outputs are declared as matters to no one here.
        let mut theirs = tract_onnx::onnx()
            .with_ignore_output_types(true)
            .model_for_read(&mut &*proto.encode_to_vec())
            .unwrap();
        theirs.set_input_fact(0, f32::fact(&self.shape).into()).unwrap();
        let theirs = theirs.into_typed().unwrap();
        for (ours, theirs) in self.run(ours).iter().zip(self.run(theirs)) {
            assert_eq!(ours.datum_type(), theirs.datum_type(), "{:?}", self.nodes);
            ours.close_enough(&theirs, true).unwrap_or_else(|e| panic!("{:?}: {e}", self.nodes));
        }
    }

    fn run(&self, model: TypedModel) -> Vec<Tensor> {
        let plan = model.into_optimized().unwrap().into_runnable().unwrap();
        let count = self.shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| ((i * 37) % 64) as f32 / 16.0 - 2.0).collect();
        let input = Tensor::from_shape(&self.shape, &values).unwrap();
        let outputs = plan.run(tvec![input.into_tvalue()]).unwrap();
        outputs.into_iter().map(|output| output.into_tensor()).collect()
    }
}

const IMAGE: [usize; 4] = [1, 4, 6, 5];

fn floats(name: &str, dims: &[usize]) -> TensorProto {
    let count = dims.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| ((i * 29) % 32) as f32 / 16.0 - 0.9).collect();
    tensor_f32(name, dims, &values)
}

fn int(name: &str, value: i64) -> Vec<AttributeProto> {
    vec![attribute_int(name, value)]
}

fn ints(name: &str, values: &[i64]) -> Vec<AttributeProto> {
    vec![attribute_ints(name, values)]
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { f, ..attribute(name, AttributeType::Float) }
}

fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { s: s.into(), ..attribute(name, AttributeType::String) }
}

fn values() -> Vec<Case> {
    let case = |operator: &str| Case::new(operator, &IMAGE, vec![]);
    let plain = ["HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Relu", "Sigmoid"];
    let two = ["Add", "Div", "Max", "Min", "Mul", "Sub"];
    let mut cases: Vec<Case> = plain.map(case).into();
    for operator in two {
        cases.push(case(operator).with(floats("b", &IMAGE)));
        cases.push(case(operator).with(floats("b", &[4, 1, 1])));
        cases.push(case(operator).with_input("x"));
    }
    cases.extend([
        case("Max").with(floats("b", &[5])).with(floats("c", &[1])),
        case("Clip").with(tensor_f32("low", &[], &[-0.5])).with(tensor_f32("high", &[], &[1.0])),
        case("Clip").with_input("").with(tensor_f32("high", &[], &[1.0])),
        case("PRelu").with(floats("slope", &[4, 1, 1])),
        case("PRelu").with(floats("slope", &[1])),
        Case::new("LeakyRelu", &IMAGE, vec![float("alpha", 0.3)]),
        Case::new("HardSigmoid", &IMAGE, vec![float("alpha", 0.3), float("beta", 0.1)]),
        case("Softmax"),
        Case::new("Softmax", &IMAGE, int("axis", 1)),
        Case::new("LogSoftmax", &IMAGE, int("axis", -3)),
    ]);
    cases
}

fn windows() -> Vec<Case> {
    let mut cases = Vec::new();
    for attributes in [
        vec![],
        ints("pads", &[1, 0, 2, 1]),
        ints("strides", &[2, 1]),
        ints("dilations", &[2, 1]),
        vec![text("auto_pad", "SAME_UPPER"), attribute_ints("strides", &[2, 2])],
        vec![text("auto_pad", "SAME_LOWER")],
        vec![text("auto_pad", "VALID")],
    ] {
        let kernel = floats("k", &[6, 4, 3, 2]);
        let convolution = Case::new("Conv", &IMAGE, attributes.clone()).with(kernel);
        cases.push(convolution);
        let mut pooled = attributes;
        pooled.push(attribute_ints("kernel_shape", &[3, 2]));
        cases.push(Case::new("MaxPool", &IMAGE, pooled.clone()));
        pooled.retain(|attribute| attribute.name != "dilations");
        cases.push(Case::new("AveragePool", &IMAGE, pooled.clone()));
        pooled.push(attribute_int("ceil_mode", 1));
        cases.push(Case::new("MaxPool", &IMAGE, pooled.clone()));
        pooled.retain(|attribute| attribute.name != "ceil_mode");
        pooled.push(attribute_int("count_include_pad", 1));
        cases.push(Case::new("AveragePool", &IMAGE, pooled));
    }
    let grouped = |groups: i64, kernel: &[usize]| {
        let case = Case::new("Conv", &IMAGE, int("group", groups)).with(floats("k", kernel));
        case.with(floats("bias", &kernel[..1]))
    };
    cases.extend([
        grouped(1, &[1, 4, 1, 1]),
        grouped(2, &[6, 2, 3, 3]),
        grouped(4, &[4, 1, 3, 3]),
        Case::new("Conv", &[1, 4, 9], vec![]).with(floats("k", &[2, 4, 3])),
        Case::new("Pad", &IMAGE, vec![]).with(tensor_i64("pads", &[8], &[0, 1, 2, 0, 0, 3, 0, 1])),
        Case::new("Pad", &IMAGE, vec![text("mode", "constant")])
            .with(tensor_i64("pads", &[8], &[0, 0, 0, 0, 0, 3, 0, 1]))
            .with(tensor_f32("value", &[], &[1.5])),
    ]);
    cases
}

fn products() -> Vec<Case> {
    let gemm = |shape: &[usize], attributes| Case::new("Gemm", shape, attributes);
    let scaled = vec![float("alpha", 0.5), float("beta", 2.0)];
    let channels = |name: &str| tensor_f32(name, &[4], &[0.5, 1.5, 0.25, 2.0]);
    let norm = |operator: &str, attributes| {
        Case::new(operator, &IMAGE, attributes).with(channels("scale")).with(channels("shift"))
    };
    let batch = |attributes| {
        norm("BatchNormalization", attributes).with(channels("mean")).with(channels("variance"))
    };
    vec![
        gemm(&[3, 4], vec![]).with(floats("b", &[4, 5])),
        gemm(&[3, 4], int("transB", 1)).with(floats("b", &[5, 4])).with(floats("c", &[5])),
        gemm(&[4, 3], int("transA", 1)).with(floats("b", &[4, 5])).with(floats("c", &[3, 1])),
        gemm(&[3, 4], scaled).with(floats("b", &[4, 5])).with(floats("c", &[5])),
        Case::new("MatMul", &[3, 4], vec![]).with(floats("b", &[4, 5])),
        Case::new("MatMul", &[2, 3, 4], vec![]).with(floats("b", &[2, 4, 5])),
        batch(vec![]),
        batch(vec![float("epsilon", 0.1)]),
        norm("InstanceNormalization", vec![]),
        norm("InstanceNormalization", vec![float("epsilon", 0.1)]),
        Case::new("GlobalAveragePool", &IMAGE, vec![]),
    ]
}

fn reductions() -> Vec<Case> {
    let mut cases = Vec::new();
    for operator in ["ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin"] {
        cases.push(Case::new(operator, &IMAGE, vec![]));
        cases.push(Case::new(operator, &IMAGE, ints("axes", &[-1, 1])));
        let two = vec![attribute_ints("axes", &[2]), attribute_int("keepdims", 0)];
        cases.push(Case::new(operator, &IMAGE, two));
    }
    let sum = |attributes| Case::new("ReduceSum", &IMAGE, attributes);
    let top = |attributes| {
        let case = Case::new("TopK", &IMAGE, attributes).with(tensor_i64("k", &[1], &[2]));
        case.with_output("y1")
    };
    let one_hot = |attributes| {
        let case = Case::new(
            "ArgMax",
            &IMAGE,
            vec![attribute_int("axis", 1), attribute_int("keepdims", 0)],
        );
        let case = case.then("OneHot", attributes).with(tensor_i64("depth", &[1], &[4]));
        case.with(tensor_f32("values", &[2], &[0.25, 1.0]))
    };
    cases.extend([
        sum(vec![]),
        sum(vec![]).with(tensor_i64("axes", &[2], &[0, -2])),
        sum(int("keepdims", 0)).with(tensor_i64("axes", &[1], &[3])),
        Case::new("ArgMax", &IMAGE, vec![]),
        Case::new("ArgMax", &IMAGE, vec![attribute_int("axis", -1), attribute_int("keepdims", 0)]),
        Case::new(
            "ArgMax",
            &IMAGE,
            vec![attribute_int("axis", 1), attribute_int("select_last_index", 1)],
        ),
        top(vec![]),
        top(vec![attribute_int("axis", 2), attribute_int("largest", 0)]),
        one_hot(vec![]),
        one_hot(int("axis", 1)),
    ]);
    cases
}

fn shapes() -> Vec<Case> {
    let reshape = |target: &[i64]| {
        let target = tensor_i64("shape", &[target.len()], target);
        Case::new("Reshape", &IMAGE, vec![]).with(target)
    };
    let axes = |axes: &[i64]| tensor_i64("axes", &[axes.len()], axes);
    vec![
        reshape(&[1, 2, 2, 6, 5]),
        reshape(&[0, -1]),
        reshape(&[2, 2, -1, 5]),
        reshape(&[1, 2, 2, 6, 5]).then("Transpose", ints("perm", &[0, 2, 1, 3, 4])),
        Case::new("Transpose", &IMAGE, vec![]),
        Case::new("Transpose", &IMAGE, ints("perm", &[0, 2, 3, 1])),
        Case::new("Flatten", &IMAGE, vec![]),
        Case::new("Flatten", &IMAGE, int("axis", 2)),
        Case::new("Flatten", &IMAGE, int("axis", 0)),
        Case::new("Flatten", &IMAGE, int("axis", -1)),
        Case::new("Squeeze", &[1, 4, 1, 5], vec![]),
        Case::new("Squeeze", &[1, 4, 1, 5], vec![]).with(axes(&[-2])),
        Case::new("Unsqueeze", &[3, 4], vec![]).with(axes(&[0, -1])),
        Case::new("Concat", &IMAGE, int("axis", 1)).with(floats("b", &[1, 2, 6, 5])),
        Case::new("Concat", &IMAGE, int("axis", -1)).with_input("x"),
        Case::new("Split", &IMAGE, int("axis", 1)).with_output("y1"),
        Case::new("Split", &IMAGE, int("axis", 2))
            .with(tensor_i64("lengths", &[3], &[1, 2, 3]))
            .with_output("y1")
            .with_output("y2"),
    ]
}

fn bytes() -> Vec<Case> {
    let scale = |name: &str, value: f32| tensor_f32(name, &[], &[value]);
    let quantised = || {
        let case = Case::new("QuantizeLinear", &IMAGE, vec![]).with(scale("sx", 1.0 / 32.0));
        case.with(tensor_u8("zx", &[], &[64]))
    };
    let signed = || {
        let case = Case::new("QuantizeLinear", &IMAGE, vec![]).with(scale("sx", 1.0 / 32.0));
        case.with(tensor_i8("zx", &[], &[3]))
    };
    let dequantised = |case: Case, zero_point: TensorProto| {
        let case = case.then("DequantizeLinear", vec![]);
        case.with(scale("sy", 1.0 / 16.0)).with(zero_point)
    };
    let convolution = |attributes| {
        let weights: Vec<i8> = (0..3 * 4 * 3 * 3).map(|i| ((i * 31) % 101 - 50) as i8).collect();
        quantised()
            .then("QLinearConv", attributes)
            .with(scale("sx2", 1.0 / 32.0))
            .with(tensor_u8("zx2", &[], &[64]))
            .with(tensor_i8("k", &[3, 4, 3, 3], &weights))
            .with(tensor_f32("sk", &[3], &[0.01, 0.02, 0.03]))
            .with(tensor_i8("zk", &[3], &[0, 0, 0]))
            .with(scale("so", 0.25))
            .with(tensor_u8("zo", &[], &[100]))
    };
    vec![
        quantised(),
        signed(),
        dequantised(quantised(), tensor_u8("zy", &[], &[64])),
        dequantised(signed(), tensor_i8("zy", &[], &[3])),
        convolution(ints("pads", &[1, 1, 1, 1])),
        convolution(vec![]).with(tensor_i32("bias", &[3], &[100, -200, 300])),
    ]
}

#[test]
fn every_operator_is_what_tract_onnx_makes_of_it() {
    let all = [values(), windows(), products(), reductions(), shapes(), bytes()];
    let cases: Vec<Case> = all.into_iter().flatten().collect();
    for case in &cases {
        case.check();
    }
    for operator in OPERATORS {
        let tried = |case: &Case| case.nodes.iter().any(|node| node.op_type == operator);
        assert!(cases.iter().any(tried), "{operator} has no case");
    }
}

fn refusal(case: Case) -> String {
    format!("{:#}", super::read(&case.proto(17), Some(&case.shape)).unwrap_err())
}

#[test]
fn what_is_not_understood_is_named() {
    let refused = [
        (Case::new("Celu", &IMAGE, vec![]), "node `y` (Celu): the operator `Celu` is not known"),
        (Case::new("Conv", &IMAGE, vec![]), "input 1 is missing"),
        (Case::new("Add", &IMAGE, vec![]).with_input("z"), "nothing makes `z`"),
        (
            Case::new("Add", &IMAGE, vec![]).with(tensor_i64("b", &[1], &[1])),
            "its inputs are of types [F32, I64]",
        ),
        (Case::new("Conv", &IMAGE, vec![]).with(floats("k", &[2, 3, 1, 1])), "on 4 channels"),
        (
            Case::new("Conv", &IMAGE, ints("strides", &[0, 1])).with(floats("k", &[2, 4, 1, 1])),
            "`strides` is",
        ),
        (
            Case::new("Conv", &IMAGE, int("group", 0)).with(floats("k", &[2, 4, 1, 1])),
            "`group` must be 1 or more",
        ),
        (Case::new("MaxPool", &IMAGE, vec![]), "no `kernel_shape`"),
        (Case::new("Transpose", &IMAGE, ints("perm", &[0, 1, 2, 2])), "`perm` is [0, 1, 2, 2]"),
        (Case::new("Softmax", &IMAGE, int("axis", 4)), "axis 4 of 4"),
        (Case::new("Squeeze", &IMAGE, ints("axes", &[1])), "axis 1 is 4 long"),
        (Case::new("TopK", &IMAGE, vec![]).with(tensor_i64("k", &[1], &[6])), "6 values of 5"),
        (Case::new("Reshape", &IMAGE, vec![]).with_input("x"), "input 1 is no constant"),
        (
            Case::new("Split", &IMAGE, int("axis", 1)).with(tensor_i64("lengths", &[1], &[3])),
            "[3] are no 1 parts of 4",
        ),
        (
            Case::new("Split", &IMAGE, int("axis", 1))
                .with(tensor_i64("lengths", &[3], &[i64::MAX, i64::MAX, 6]))
                .with_output("y1")
                .with_output("y2"),
            "are no 3 parts of 4",
        ),
        (
            Case::new("MaxPool", &IMAGE, ints("kernel_shape", &[2, 2])).with_output("y1"),
            "2 outputs",
        ),
        (
            Case::new("Pad", &IMAGE, vec![text("mode", "edge"), attribute_ints("pads", &[0; 8])]),
            "something else than a number",
        ),
    ];
    for (case, expected) in refused {
        let said = refusal(case);
        assert!(said.contains(expected), "{said}, not {expected}");
    }
}

#[test]
fn softmax_before_operator_set_13_is_refused() {
    let case = Case::new("Softmax", &IMAGE, vec![]);
    let error = super::read(&case.proto(12), Some(&case.shape)).unwrap_err();
    assert!(format!("{error:#}").contains("in operator set 12"), "{error:#}");
}

#[test]
fn a_shape_that_the_file_leaves_open_must_be_given() {
    let case = Case::new("Relu", &IMAGE, vec![]);
    let error = format!("{:#}", super::read(&case.proto(17), None).unwrap_err());
    assert!(error.contains("input `x` is no float tensor of known shape"), "{error}");
}
