//! MobileNetV2 (Sandler et al. 2018), split before its last two stages.

use super::{Description, Plan, depthwise};
use crate::model::spec::{Activation, Block, Convolution, Join, Layer};

/// Expansion, channels, blocks and first stride of each stage of inverted residuals (its table 2).
const STAGES: [(i64, i64, usize, i64); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];
/// Stages that are copied (seed, section 3), and with them the 1x1 convolution at the end.
const COPIED: usize = 2;
const FIRST: i64 = 32;
const LAST: i64 = 1280;

pub(super) fn mobilenet_v2(plan: Plan) -> Description {
    let mut input = plan.scaled(FIRST);
    let channels = [plan.input.channels, input];
    let stride = if plan.is_large() { 2 } else { plan.stem_stride() };
    let mut stem = vec![convolution("stem.features.0.conv", channels, 3, stride)];
    let mut branch = vec![];
    let mut index = 1;
    for (stage, (expansion, channels, blocks, first_stride)) in STAGES.into_iter().enumerate() {
        let copied = stage + COPIED >= STAGES.len();
        let (part, layers) = if copied { ("branch", &mut branch) } else { ("stem", &mut stem) };
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            let output = plan.scaled(channels);
            let name = format!("{part}.features.{index}");
            layers.extend(inverted_residual(&name, [input, output], expansion, stride));
            input = output;
            index += 1;
        }
    }
    let name = format!("branch.features.{index}.conv");
    branch.push(convolution(&name, [input, plan.scaled(LAST)], 1, 1));
    Description { stem, branch, neck: true }
}

/// 1x1 up, 3x3 depthwise, linear 1x1 down; the input is added where the shape allows it.
fn inverted_residual(name: &str, channels: [i64; 2], expansion: i64, stride: i64) -> Vec<Layer> {
    let [input, output] = channels;
    let inner = input * expansion;
    let named = |part: &str| format!("{name}.{part}");
    let mut body = vec![];
    if expansion != 1 {
        body.push(convolution(&named("expand"), [input, inner], 1, 1));
    }
    body.push(depthwise(named("depthwise"), inner, stride, Activation::Relu6));
    let project = Convolution::new(named("project"), [inner, output], 1, 1);
    body.push(Layer::Convolution(project.activated(Activation::None)));
    if stride != 1 || input != output {
        return body;
    }
    vec![Layer::Block(Block {
        name: named("sum"),
        body,
        shortcut: vec![],
        join: Join::Add,
        activation: Activation::None,
    })]
}

fn convolution(name: &str, channels: [i64; 2], kernel: i64, stride: i64) -> Layer {
    let spec = Convolution::new(name.into(), channels, kernel, stride);
    Layer::Convolution(spec.activated(Activation::Relu6))
}
