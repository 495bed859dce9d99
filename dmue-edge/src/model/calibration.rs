//! What calibrating changes in a graph: the temperature of `probabilities` and the score head.

use super::proto::{attribute_int, node, pb, tensor_f32, value_info};
use super::{LOGITS, PROBABILITIES, SCORE_HEAD, TEMPERATURE};
use crate::uncertainty::TwoLayerHead;

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

/// Puts `head` in place of the score head, which has its sizes.
pub(super) fn set_score_head(graph: &mut pb::GraphProto, head: &TwoLayerHead) {
    head_tensors(SCORE_HEAD, head).into_iter().for_each(|tensor| set(graph, tensor));
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
