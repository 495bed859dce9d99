//! The architecture as data, read by the tch builder (`network.rs`) and by the ONNX writer
//! (`export/network.rs`): a further backbone is a description in `backbones` and no code there.

use super::backbones;
use crate::config::Model;
use crate::error::Result;

/// What follows a normalisation or a block's join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing: the values go on as they are.
    None,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
}

/// What follows a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Batch normalisation of every channel.
    Batch,
    /// Instance normalisation (affine) of the first half of the channels, batch normalisation of the
    /// second: IBN-a, method.md section 1.
    HalfInstance,
}

/// A convolution without bias, "same" padding `kernel / 2`, then normalisation and activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Variable path, checkpoint key and ONNX node name.
    pub name: String,
    /// Input channels.
    pub input: i64,
    /// Output channels.
    pub output: i64,
    /// Side of the square kernel, odd.
    pub kernel: i64,
    /// Stride in both directions.
    pub stride: i64,
    /// Channel groups; 1 is a dense convolution.
    pub groups: i64,
    /// Applied to the convolution's output.
    pub norm: Norm,
    /// Applied after the normalisation.
    pub activation: Activation,
}

/// How a block's two paths meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Their sum.
    Add,
    /// The shortcut's channels, then the body's.
    Concat,
}

/// `activation(join(body(x), shortcut(x)))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Name of the join's node in ONNX.
    pub name: String,
    /// The layers of the main path.
    pub body: Vec<Layer>,
    /// The layers of the other path; none hands the input itself on.
    pub shortcut: Vec<Layer>,
    /// How the two meet.
    pub join: Join,
    /// Applied after the join.
    pub activation: Activation,
}

/// Which value of a window a pooling keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The largest; padding never wins.
    Max,
    /// The mean; padding counts as zeros.
    Average,
}

/// Pooling over square windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Name of its node in ONNX.
    pub name: String,
    /// What is kept of a window.
    pub reduction: Reduction,
    /// Side of the window.
    pub kernel: i64,
    /// Stride in both directions.
    pub stride: i64,
    /// Rows and columns added on each side, at most half a window.
    pub padding: i64,
}

/// Channel shuffle: channel `i * (K / groups) + j` of K goes to `j * groups + i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shuffle {
    /// Name of its last node in ONNX.
    pub name: String,
    /// Divides the channels.
    pub groups: i64,
}

/// One step of a backbone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Convolution, normalisation, activation.
    Convolution(Convolution),
    /// Two paths from one value, joined.
    Block(Block),
    /// Pooling.
    Pool(Pool),
    /// Channel shuffle.
    Shuffle(Shuffle),
}

/// Channels and side of a square value `[N, channels, size, size]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// K
    pub channels: i64,
    /// Height and width.
    pub size: i64,
}

/// A backbone, split where method.md section 1 says: the branch is what is copied C + 1 times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backbone {
    /// The name that `--model` and the config take.
    pub name: String,
    /// Channels (1 gray, 3 RGB) and side in pixels of the square input.
    pub input: Shape,
    /// Every stage but the last, shared.
    pub stem: Vec<Layer>,
    /// The last stage, of MobileNetV2 the last two.
    pub branch: Vec<Layer>,
    /// Whether a batch normalisation stands between feature and head.
    pub neck: bool,
}

impl Backbone {
    /// Looks a backbone up by its name, with its published channel counts: `resnet18`,
    /// `resnet50_ibn`, `mobilenet_v2`, `shufflenet_v1` (groups 3, 2.0x), the small `edge`, and
    /// `tiny` for tests. `channels` is 1 or 3, `size` the input's side, 8 to 1024 pixels.
    ///
    /// # Errors
    /// An unknown name; the message lists the known ones.
    pub fn named(name: &str, channels: i64, size: i64) -> Result<Self> {
        backbones::build(name, Shape { channels, size }, 1.)
    }

    /// The backbone of a config.
    ///
    /// # Errors
    /// As [`Self::named`].
    pub fn of(model: &Model) -> Result<Self> {
        let input = Shape { channels: model.channels, size: model.size };
        backbones::build(&model.backbone, input, model.width)
    }

    /// D, the number of values in a feature.
    pub fn feature(&self) -> i64 {
        let shared = output(&self.stem, self.input);
        output(&self.branch, shared).channels
    }

    /// Weights and biases of stem and one branch as exported, batch normalisation folded.
    pub fn parameters(&self) -> i64 {
        self.convolutions().map(Convolution::parameters).sum()
    }

    /// Multiply-adds of the convolutions of stem and one branch for one image.
    pub fn multiply_adds(&self) -> i64 {
        let shared = output(&self.stem, self.input);
        multiply_adds(&self.stem, self.input) + multiply_adds(&self.branch, shared)
    }

    /// Every convolution of stem and branch in order, a shortcut's after its block's.
    pub fn convolutions(&self) -> impl Iterator<Item = &Convolution> {
        self.stem.iter().chain(&self.branch).flat_map(Layer::convolutions)
    }
}

/// The shape after `layers`.
pub fn output(layers: &[Layer], input: Shape) -> Shape {
    layers.iter().fold(input, |shape, layer| layer.output(shape))
}

fn multiply_adds(layers: &[Layer], input: Shape) -> i64 {
    let mut shape = input;
    let of_each = layers.iter().map(|layer| {
        let before = shape;
        shape = layer.output(before);
        layer.multiply_adds(before)
    });
    of_each.sum()
}

impl Layer {
    /// The shape that it makes of `input`.
    pub fn output(&self, input: Shape) -> Shape {
        match self {
            Self::Convolution(convolution) => convolution.output(input.size),
            Self::Block(block) => block.output(input),
            Self::Pool(pool) => {
                let size = (input.size + 2 * pool.padding - pool.kernel) / pool.stride + 1;
                Shape { size, ..input }
            }
            Self::Shuffle(_) => input,
        }
    }

    /// Every convolution in it, the shortcut's last.
    pub fn convolutions(&self) -> Vec<&Convolution> {
        match self {
            Self::Convolution(convolution) => vec![convolution],
            Self::Block(block) => {
                block.body.iter().chain(&block.shortcut).flat_map(Self::convolutions).collect()
            }
            Self::Pool(_) | Self::Shuffle(_) => vec![],
        }
    }

    fn multiply_adds(&self, input: Shape) -> i64 {
        match self {
            Self::Convolution(convolution) => {
                convolution.weights() * convolution.output(input.size).size.pow(2)
            }
            Self::Block(block) => {
                multiply_adds(&block.body, input) + multiply_adds(&block.shortcut, input)
            }
            Self::Pool(_) | Self::Shuffle(_) => 0,
        }
    }
}

impl Block {
    fn output(&self, input: Shape) -> Shape {
        let body = output(&self.body, input);
        match self.join {
            Join::Add => body,
            Join::Concat => {
                let beside = output(&self.shortcut, input).channels;
                Shape { channels: body.channels + beside, ..body }
            }
        }
    }
}

impl Convolution {
    /// A dense one with batch normalisation and ReLU, from `input` to `output` channels.
    pub fn new(name: String, [input, output]: [i64; 2], kernel: i64, stride: i64) -> Self {
        let (norm, activation) = (Norm::Batch, Activation::Relu);
        Self { name, input, output, kernel, stride, groups: 1, norm, activation }
    }

    /// In `groups` groups, which divide its input and output channels.
    pub fn grouped(self, groups: i64) -> Self {
        Self { groups, ..self }
    }

    /// With another normalisation.
    pub fn normed(self, norm: Norm) -> Self {
        Self { norm, ..self }
    }

    /// With another activation.
    pub fn activated(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Shape of its kernel `[output, input / groups, kernel, kernel]`.
    pub fn kernel_shape(&self) -> [i64; 4] {
        [self.output, self.input / self.groups, self.kernel, self.kernel]
    }

    /// Channels whose running statistics are kept: the batch normalised ones, the last.
    pub fn batch_normalised(&self) -> i64 {
        match self.norm {
            Norm::Batch => self.output,
            Norm::HalfInstance => self.output - self.output / 2,
        }
    }

    /// Rows and columns added on each side.
    pub fn padding(&self) -> i64 {
        self.kernel / 2
    }

    /// Weights without normalisation.
    pub fn weights(&self) -> i64 {
        self.kernel_shape().iter().product()
    }

    fn output(&self, size: i64) -> Shape {
        let size = (size + 2 * self.padding() - self.kernel) / self.stride + 1;
        Shape { channels: self.output, size }
    }

    fn parameters(&self) -> i64 {
        let instance_normalised = self.output - self.batch_normalised();
        self.weights() + self.output + 2 * instance_normalised
    }
}
