//! The small residual backbone for devices, and a tiny one for tests.

use super::{Description, Plan};
use crate::model::spec::{Activation, Block, Convolution, Join, Layer};

/// (channels, stride) of each basic residual block; the stem convolution has the first's channels.
const EDGE: [(i64, i64); 6] = [(32, 1), (64, 2), (64, 1), (96, 2), (96, 1), (128, 2)];
/// Everything that `edge` has, small enough for a debug build.
const TINY: [(i64, i64); 3] = [(4, 1), (8, 2), (12, 2)];

pub(super) fn edge(plan: Plan) -> Description {
    residual(plan, &EDGE)
}

pub(super) fn tiny(plan: Plan) -> Description {
    residual(plan, &TINY)
}

/// A 3x3 stem of stride 2, then basic residual blocks, the last of which is the branch.
fn residual(plan: Plan, blocks: &[(i64, i64)]) -> Description {
    let mut input = plan.scaled(blocks.first().map_or(0, |block| block.0));
    let from = [plan.input.channels, input];
    let mut stem = vec![Layer::Convolution(Convolution::new("stem.conv".into(), from, 3, 2))];
    let mut branch = vec![];
    for (index, &(channels, stride)) in blocks.iter().enumerate() {
        let output = plan.scaled(channels);
        if index + 1 < blocks.len() {
            stem.push(basic_block(&format!("stem.block{index}"), [input, output], stride));
        } else {
            branch.push(basic_block("branch.block0", [input, output], stride));
        }
        input = output;
    }
    Description { stem, branch, neck: true }
}

/// Two 3x3 convolutions beside a shortcut, 1x1 where channels or stride change.
pub(super) fn basic_block(name: &str, channels: [i64; 2], stride: i64) -> Layer {
    let [input, output] = channels;
    let named = |part: &str| format!("{name}.{part}");
    let first = Convolution::new(named("conv1"), channels, 3, stride);
    let second = Convolution::new(named("conv2"), [output; 2], 3, 1).activated(Activation::None);
    Layer::Block(Block {
        name: named("sum"),
        body: vec![Layer::Convolution(first), Layer::Convolution(second)],
        shortcut: shortcut(named("shortcut"), [input, output], stride),
        join: Join::Add,
        activation: Activation::Relu,
    })
}

/// A 1x1 convolution where channels or stride change, else nothing.
pub(super) fn shortcut(name: String, channels: [i64; 2], stride: i64) -> Vec<Layer> {
    let [input, output] = channels;
    let needed = stride != 1 || input != output;
    let spec = Convolution::new(name, channels, 1, stride).activated(Activation::None);
    if needed { vec![Layer::Convolution(spec)] } else { vec![] }
}
