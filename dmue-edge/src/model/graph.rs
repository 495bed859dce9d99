//! The uncertainty as ONNX nodes, and a whole model from its parts.
//!
//! The formulas are those of [`crate::uncertainty`], function for function, with a batch dimension
//! in front.

use super::proto::{
    IR_VERSION, OPERATOR_SET, Subgraph, attribute_int, attribute_ints, node, pb, tensor_f32,
    tensor_i64, value_info,
};
use super::{
    ALPHA, ALPHA_HEAD, CLASS_MEANS, FACE, FEATURE, LOGITS, Manifest, ModelError, PRIOR_WEIGHT,
    SCORE, SCORE_HEAD, calibration, manifest::MANIFEST_KEY,
};
use crate::uncertainty::{MIN_NORM, MIN_RANGE, PairwiseUncertainty, TwoLayerHead};

/// Nodes that make `score` `[N]` and `alpha` `[N]` from the values `feature` `[N, D]` and `logits`
/// `[N, C]`, for W = 0.
///
/// Every node but those hangs under the name `uncertainty.`; the named initialisers are the ones
/// that [`super::file::ModelFile::parse`] reads back.
pub fn uncertainty_tail(uncertainty: &PairwiseUncertainty) -> Subgraph {
    let mut tail = Tail::default();
    let similarities = tail.similarity(uncertainty);
    let classes = uncertainty.prior().classes();
    let one_hot = tail.one_hot(classes);
    let scaled = tail.scale(&similarities);
    let sorted = tail.sort("similarities", &similarities, classes);
    let of_predicted = tail.of_predicted(&similarities, &one_hot);
    let last = vec![attribute_int("axis", -1)];
    let log_probabilities = tail.add("log_probabilities", "LogSoftmax", &[LOGITS], last);
    let likely = tail.sort("log_probabilities", &log_probabilities, classes);

    let mut parts =
        [&sorted, &of_predicted, &scaled, &one_hot, &likely].map(String::as_str).to_vec();
    parts.extend(uncertainty.takes_feature().then_some(FEATURE));
    let score_input = tail.concat("score_input", &parts);
    tail.head(SCORE_HEAD, uncertainty.score_head(), &score_input, SCORE);
    let alpha_input = tail.concat("alpha_input", &[&scaled, &one_hot]);
    tail.head(ALPHA_HEAD, uncertainty.alpha_head(), &alpha_input, ALPHA);
    tail.0
}

/// The whole model: a network that makes `logits` `[N, C]` and `feature` `[N, D]` from `face` `[N,
/// channels, S, S]`, the uncertainty behind it, and the manifest.
///
/// # Errors
/// [`ModelError::Manifest`] for a manifest that cannot be true, also when its classes are not the
/// uncertainty's.
pub fn assemble(
    network: Subgraph,
    uncertainty: &PairwiseUncertainty,
    manifest: &Manifest,
) -> Result<pb::ModelProto, ModelError> {
    let (named, classes) = (manifest.classes.len(), uncertainty.prior().classes());
    if named != classes {
        let reason = format!("{named} named, the class means have {classes}");
        return Err(ModelError::Manifest { field: "classes", reason });
    }
    let tail = uncertainty_tail(uncertainty);
    let mut graph = pb::GraphProto {
        name: manifest.name.clone(),
        node: [network.nodes, tail.nodes].concat(),
        initializer: [network.initialisers, tail.initialisers].concat(),
        input: vec![value_info(FACE, &manifest.input.shape())],
        output: vec![
            value_info(LOGITS, &[classes]),
            value_info(FEATURE, &[uncertainty.prior().feature_size()]),
            value_info(SCORE, &[]),
            value_info(ALPHA, &[]),
        ],
        ..Default::default()
    };
    calibration::set_temperature(&mut graph, manifest.temperature, classes);
    let entry = pb::StringStringEntryProto { key: MANIFEST_KEY.into(), value: manifest.to_json()? };
    Ok(pb::ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![pb::OperatorSetIdProto { domain: String::new(), version: OPERATOR_SET }],
        producer_name: "dmue".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        metadata_props: vec![entry],
        ..Default::default()
    })
}

/// The tail while it grows. Each method adds nodes and gives the name of the value they make.
#[derive(Default)]
struct Tail(Subgraph);

impl Tail {
    /// `SV = n0 <f, mu> / n0` `[N, C]` with `f` the unit feature.
    fn similarity(&mut self, uncertainty: &PairwiseUncertainty) -> String {
        let prior = uncertainty.prior();
        let shape = [prior.classes(), prior.feature_size()];
        self.constant(tensor_f32(CLASS_MEANS, &shape, prior.class_means()));
        self.constant(tensor_f32(PRIOR_WEIGHT, &[1], &[prior.weight()]));
        let minimum = self.named_f32("min_norm", &[MIN_NORM]);

        let last = vec![attribute_ints("axes", &[-1]), attribute_int("keepdims", 1)];
        let norm = self.add("norm", "ReduceL2", &[FEATURE], last);
        let norm = self.add("safe_norm", "Max", &[&norm, &minimum], vec![]);
        let unit = self.add("unit", "Div", &[FEATURE, &norm], vec![]);
        let transposed = vec![attribute_int("transB", 1)];
        let cosines = self.add("cosines", "Gemm", &[&unit, CLASS_MEANS], transposed);
        let weighted = self.add("weighted", "Mul", &[&cosines, PRIOR_WEIGHT], vec![]);
        self.add("similarities", "Div", &[&weighted, PRIOR_WEIGHT], vec![])
    }

    /// onehot(predicted) `[N, C]`.
    fn one_hot(&mut self, classes: usize) -> String {
        let depth = self.named_i64("classes", classes);
        let values = self.named_f32("off_on", &[0.0, 1.0]);
        let over_classes = vec![attribute_int("axis", 1), attribute_int("keepdims", 0)];
        let predicted = self.add("predicted", "ArgMax", &[LOGITS], over_classes);
        let last = vec![attribute_int("axis", -1)];
        self.add("one_hot", "OneHot", &[&predicted, &depth, &values], last)
    }

    /// `SV` scaled to 0..1 by its own minimum and maximum `[N, C]`.
    fn scale(&mut self, similarities: &str) -> String {
        let minimum_range = self.named_f32("min_range", &[MIN_RANGE]);
        let last = || vec![attribute_ints("axes", &[-1]), attribute_int("keepdims", 1)];
        let minimum = self.add("minimum", "ReduceMin", &[similarities], last());
        let maximum = self.add("maximum", "ReduceMax", &[similarities], last());
        let range = self.add("range", "Sub", &[&maximum, &minimum], vec![]);
        let range = self.add("safe_range", "Max", &[&range, &minimum_range], vec![]);
        let above = self.add("above", "Sub", &[similarities, &minimum], vec![]);
        self.add("scaled", "Div", &[&above, &range], vec![])
    }

    /// `values` `[N, C]` sorted along the classes, largest first.
    fn sort(&mut self, name: &str, values: &str, classes: usize) -> String {
        let count = self.named_i64(&format!("{name}_count"), classes);
        let sorted = format!("uncertainty.{name}_sorted");
        let order = format!("uncertainty.{name}_order");
        let attributes = vec![attribute_int("axis", -1), attribute_int("largest", 1)];
        self.0.nodes.push(node("TopK", &[values, &count], &[&sorted, &order], attributes));
        sorted
    }

    /// `SV` of the predicted class `[N, 1]`.
    fn of_predicted(&mut self, similarities: &str, one_hot: &str) -> String {
        let axis = self.named_i64("class_axis", 1);
        let picked = self.add("picked", "Mul", &[similarities, one_hot], vec![]);
        let keep = vec![attribute_int("keepdims", 1)];
        self.add("of_predicted", "ReduceSum", &[&picked, &axis], keep)
    }

    fn concat(&mut self, name: &str, parts: &[&str]) -> String {
        self.add(name, "Concat", parts, vec![attribute_int("axis", 1)])
    }

    /// `sigmoid(W2 . PReLU(W1 x + b1) + b2)` as value `output` `[N]`.
    fn head(&mut self, name: &str, head: &TwoLayerHead, input: &str, output: &str) {
        let [w1, b1, prelu, w2, b2] =
            calibration::head_tensors(name, head).map(|tensor| self.constant(tensor));
        let axis = self.named_i64(&format!("{output}_axis"), 1);

        let transposed = || vec![attribute_int("transB", 1)];
        let value = self.add(&format!("{name}.1"), "Gemm", &[input, &w1, &b1], transposed());
        let value = self.add(&format!("{name}.2"), "PRelu", &[&value, &prelu], vec![]);
        let value = self.add(&format!("{name}.3"), "Gemm", &[&value, &w2, &b2], transposed());
        let value = self.add(&format!("{name}.4"), "Sigmoid", &[&value], vec![]);
        self.0.nodes.push(node("Squeeze", &[&value, &axis], &[output], vec![]));
    }

    fn add(
        &mut self,
        name: &str,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<pb::AttributeProto>,
    ) -> String {
        let output = format!("uncertainty.{name}");
        self.0.nodes.push(node(op_type, inputs, &[&output], attributes));
        output
    }

    fn constant(&mut self, tensor: pb::TensorProto) -> String {
        let name = tensor.name.clone();
        self.0.initialisers.push(tensor);
        name
    }

    fn named_f32(&mut self, name: &str, values: &[f32]) -> String {
        self.constant(tensor_f32(&format!("uncertainty.{name}"), &[values.len()], values))
    }

    fn named_i64(&mut self, name: &str, value: usize) -> String {
        self.constant(tensor_i64(&format!("uncertainty.{name}"), &[1], &[value as i64]))
    }
}
