//! ResNet-18 and ResNet50-IBN (He et al. 2016; Pan et al. 2018, IBN-a), split before `layer4`.

use super::edge::{basic_block, shortcut};
use super::{Description, Plan};
use crate::model::spec::{Activation, Block, Convolution, Join, Layer, Norm, Pool, Reduction};

/// Channels of the 3x3 convolutions in each stage.
const WIDTHS: [i64; 4] = [64, 128, 256, 512];
/// A bottleneck's output has this many times its inner channels.
const EXPANSION: i64 = 4;
/// The stage that is copied.
const LAST: usize = 3;

/// The stem convolution is followed by no activation and a 2x2 pooling (impl, method.md section 1).
pub(super) fn resnet18(plan: Plan) -> Description {
    let pool = ("stem.pool", 2, 0);
    let (mut stem, mut input) = stem(plan, Activation::None, pool);
    let branch = stages(&[2, 2, 2, 2], &mut stem, |name, stage, stride| {
        let output = plan.scaled(WIDTHS[stage]);
        let block = basic_block(&name, [input, output], stride);
        input = output;
        block
    });
    Description { stem, branch, neck: true }
}

/// Bottlenecks; half instance normalisation in stages 1 to 3, no neck (method.md section 1).
pub(super) fn resnet50_ibn(plan: Plan) -> Description {
    let pool = ("stem.pool", 3, 1);
    let (mut stem, mut input) = stem(plan, Activation::Relu, pool);
    let branch = stages(&[3, 4, 6, 3], &mut stem, |name, stage, stride| {
        let inner = plan.scaled(WIDTHS[stage]);
        let norm = if stage < LAST { Norm::HalfInstance } else { Norm::Batch };
        let block = bottleneck(&name, [input, inner], stride, norm);
        input = EXPANSION * inner;
        block
    });
    Description { stem, branch, neck: false }
}

/// The layers before stage 1, and the channels that they give. `pool` is name, kernel and padding.
fn stem(plan: Plan, activation: Activation, pool: (&str, i64, i64)) -> (Vec<Layer>, i64) {
    let output = plan.scaled(WIDTHS[0]);
    let channels = [plan.input.channels, output];
    let convolution = |kernel, stride| {
        let spec = Convolution::new("stem.conv".into(), channels, kernel, stride);
        Layer::Convolution(spec.activated(activation))
    };
    if !plan.is_large() {
        return (vec![convolution(3, plan.stem_stride())], output);
    }
    let (name, kernel, padding) = pool;
    let reduction = Reduction::Max;
    let pool = Layer::Pool(Pool { name: name.into(), reduction, kernel, stride: 2, padding });
    (vec![convolution(7, 2), pool], output)
}

/// Pushes the blocks of the first three stages to `stem` and gives those of the last; `block` makes
/// one from its name, stage and stride.
fn stages(
    counts: &[usize; 4],
    stem: &mut Vec<Layer>,
    mut block: impl FnMut(String, usize, i64) -> Layer,
) -> Vec<Layer> {
    let mut branch = vec![];
    for (stage, &count) in counts.iter().enumerate() {
        for index in 0..count {
            let part = if stage == LAST { "branch" } else { "stem" };
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let layer = block(format!("{part}.layer{}.{index}", stage + 1), stage, stride);
            if stage == LAST { branch.push(layer) } else { stem.push(layer) }
        }
    }
    branch
}

/// 1x1 down to `inner` channels, 3x3, 1x1 up to four times as many; the 3x3 one strides.
fn bottleneck(name: &str, [input, inner]: [i64; 2], stride: i64, norm: Norm) -> Layer {
    let output = EXPANSION * inner;
    let named = |part: &str| format!("{name}.{part}");
    let body = [
        Convolution::new(named("conv1"), [input, inner], 1, 1).normed(norm),
        Convolution::new(named("conv2"), [inner; 2], 3, stride),
        Convolution::new(named("conv3"), [inner, output], 1, 1).activated(Activation::None),
    ];
    Layer::Block(Block {
        name: named("sum"),
        body: body.into_iter().map(Layer::Convolution).collect(),
        shortcut: shortcut(named("shortcut"), [input, output], stride),
        join: Join::Add,
        activation: Activation::Relu,
    })
}
