//! ShuffleNetV1 (Zhang et al. 2018) with 3 groups at width 2.0x, split before its last stage.

use super::{Description, Plan, depthwise};
use crate::model::spec::{Activation, Block, Convolution, Join, Layer, Pool, Reduction, Shuffle};

const GROUPS: i64 = 3;
/// Channels and units of stages 2 to 4 (its table 1, g = 3, times 2).
const STAGES: [(i64, usize); 3] = [(480, 4), (960, 8), (1920, 4)];
const FIRST: i64 = 48;
/// A unit's inner channels are its output's by this.
const BOTTLENECK: i64 = 4;
/// Whatever the width, a quarter of the channels is cut into groups.
const MULTIPLE: i64 = BOTTLENECK * GROUPS;

pub(super) fn shufflenet_v1(plan: Plan) -> Description {
    let mut input = plan.scaled_to(FIRST, MULTIPLE);
    let mut stem = stem(plan, input);
    let mut branch = vec![];
    for (stage, (channels, units)) in STAGES.into_iter().enumerate() {
        let copied = stage + 1 == STAGES.len();
        let (part, layers) = if copied { ("branch", &mut branch) } else { ("stem", &mut stem) };
        for index in 0..units {
            let name = format!("{part}.stage{}.{index}", stage + 2);
            // Few channels go into the first unit: its first convolution is dense (its section 3.3).
            let groups = if stage == 0 && index == 0 { 1 } else { GROUPS };
            let output = plan.scaled_to(channels, MULTIPLE);
            layers.push(unit(&name, [input, output], groups, index == 0));
            input = output;
        }
    }
    Description { stem, branch, neck: true }
}

fn stem(plan: Plan, output: i64) -> Vec<Layer> {
    let channels = [plan.input.channels, output];
    let stride = if plan.is_large() { 2 } else { plan.stem_stride() };
    let convolution = Convolution::new("stem.conv".into(), channels, 3, stride);
    let mut layers = vec![Layer::Convolution(convolution)];
    if plan.is_large() {
        layers.push(pool("stem.pool".into(), Reduction::Max));
    }
    layers
}

/// Grouped 1x1, shuffle, 3x3 depthwise, grouped 1x1; the input is added, or where the unit strides
/// its average pooling stands before the body's channels (its figure 2).
fn unit(name: &str, [input, output]: [i64; 2], groups: i64, strides: bool) -> Layer {
    let named = |part: &str| format!("{name}.{part}");
    let inner = output / BOTTLENECK;
    let (stride, beside) = if strides { (2, input) } else { (1, 0) };
    let compress = Convolution::new(named("compress"), [input, inner], 1, 1).grouped(groups);
    let expand = Convolution::new(named("expand"), [inner, output - beside], 1, 1);
    let body = vec![
        Layer::Convolution(compress),
        Layer::Shuffle(Shuffle { name: named("shuffle"), groups: GROUPS }),
        depthwise(named("depthwise"), inner, stride, Activation::None),
        Layer::Convolution(expand.grouped(GROUPS).activated(Activation::None)),
    ];
    let (shortcut, join) = match strides {
        true => (vec![pool(named("pool"), Reduction::Average)], Join::Concat),
        false => (vec![], Join::Add),
    };
    Layer::Block(Block { name: named("join"), body, shortcut, join, activation: Activation::Relu })
}

/// 3x3, stride 2.
fn pool(name: String, reduction: Reduction) -> Layer {
    Layer::Pool(Pool { name, reduction, kernel: 3, stride: 2, padding: 1 })
}
