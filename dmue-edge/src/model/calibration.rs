//! What calibrating changes in a graph: the temperature of `probabilities` and the score head.

use super::proto::{attribute_int, node, pb, tensor_f32, value_info};
use super::{FEATURE, LOGITS, PROBABILITIES, SCORE_HEAD, TEMPERATURE};
use crate::uncertainty::{PairwiseUncertainty, TwoLayerHead};

/// What the score's head takes, as [`super::graph`] names it.
const SCORE_INPUT: &str = "uncertainty.score_input";

/// Makes `probabilities` softmax(logits / `temperature`) of `classes`, in a graph that had none, too.
pub(super) fn set_temperature(graph: &mut pb::GraphProto, temperature: f32, classes: usize) {
    set(graph, tensor_f32(TEMPERATURE, &[1], &[temperature]));
    if graph.output.iter().any(|output| output.name == PROBABILITIES) {
        return;
    }
    let tempered = "uncertainty.tempered";
    graph.node.extend([
        node("Div", &[LOGITS, TEMPERATURE], &[tempered], vec![]),
        node("Softmax", &[tempered], &[PROBABILITIES], vec![attribute_int("axis", -1)]),
    ]);
    graph.output.push(value_info(PROBABILITIES, &[classes]));
}

/// Puts the score head of `uncertainty` in the graph's place of it, whether that takes the feature or not.
pub(super) fn set_score_head(graph: &mut pb::GraphProto, uncertainty: &PairwiseUncertainty) {
    let tensors = head_tensors(SCORE_HEAD, uncertainty.score_head());
    tensors.into_iter().for_each(|tensor| set(graph, tensor));
    let mut nodes = graph.node.iter_mut();
    if let Some(input) = nodes.find(|node| node.output.iter().any(|name| name == SCORE_INPUT)) {
        input.input.retain(|name| name != FEATURE);
        input.input.extend(uncertainty.takes_feature().then(|| FEATURE.to_owned()));
    }
}

/// Weights and biases of a head as initialisers whose names begin with `name`: w1, b1, prelu, w2, b2.
pub(super) fn head_tensors(name: &str, head: &TwoLayerHead) -> [pb::TensorProto; 5] {
    let (w1, b1, prelu, w2, b2) = head.weights();
    let hidden = head.hidden();
    [
        tensor_f32(&format!("{name}.w1"), &[hidden, head.inputs()], w1),
        tensor_f32(&format!("{name}.b1"), &[hidden], b1),
        tensor_f32(&format!("{name}.prelu"), &[1], &[prelu]),
        tensor_f32(&format!("{name}.w2"), &[1, hidden], w2),
        tensor_f32(&format!("{name}.b2"), &[1], &[b2]),
    ]
}

fn set(graph: &mut pb::GraphProto, tensor: pb::TensorProto) {
    match graph.initializer.iter_mut().find(|present| present.name == tensor.name) {
        Some(present) => *present = tensor,
        None => graph.initializer.push(tensor),
    }
}
