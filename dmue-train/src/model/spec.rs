//! The architecture as data, read by the tch builder (`network.rs`) and by the ONNX writer
//! (`export/network.rs`): a further backbone is a description here and no code there.

use crate::config::Model;
use crate::error::{Error, Result};

/// What follows a convolution and its batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing: the values go on as they are.
    None,
    /// `max(x, 0)`
    Relu,
}

/// A convolution without bias, "same" padding `kernel / 2`, then batch normalisation and activation.
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
    /// Applied after the normalisation.
    pub activation: Activation,
}

/// `relu(body(x) + shortcut(x))`; without a shortcut convolution the input itself is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residual {
    /// Name of the sum's node in ONNX.
    pub name: String,
    /// The layers of the main path.
    pub body: Vec<Layer>,
    /// Matches channels and stride where the body changes them.
    pub shortcut: Option<Convolution>,
}

/// One step of a backbone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Convolution, normalisation, activation.
    Convolution(Convolution),
    /// A residual block.
    Residual(Residual),
}

/// A backbone, split where method.md section 1 says: the branch is what is copied C + 1 times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backbone {
    /// The name that `--model` and the config take.
    pub name: String,
    /// Input channels: 1 (gray) or 3 (RGB).
    pub channels: i64,
    /// Side of the square input in pixels.
    pub size: i64,
    /// Every stage but the last, shared.
    pub stem: Vec<Layer>,
    /// The last stage.
    pub branch: Vec<Layer>,
}

impl Backbone {
    /// Looks a backbone up by its name.
    ///
    /// # Errors
    /// An unknown name; the message lists the known ones.
    pub fn named(name: &str, channels: i64, size: i64) -> Result<Self> {
        match name {
            "edge" => Ok(residual(name, channels, size, &EDGE, 1)),
            "tiny" => Ok(residual(name, channels, size, &TINY, 1)),
            _ => Err(Error::Config(format!(
                "model.backbone = \"{name}\" is not known; known are: edge, tiny"
            ))),
        }
    }

    /// The backbone of a config.
    ///
    /// # Errors
    /// As [`Self::named`].
    pub fn of(model: &Model) -> Result<Self> {
        Self::named(&model.backbone, model.channels, model.size)
    }

    /// D, the number of values in a feature.
    pub fn feature(&self) -> i64 {
        self.branch.last().map_or(0, Layer::output)
    }

    /// Parameters of stem and one branch after folding the normalisation (weights and biases).
    pub fn parameters(&self) -> i64 {
        self.convolutions().map(|c| c.output * (c.input / c.groups * c.kernel * c.kernel + 1)).sum()
    }

    /// Multiply-adds of stem and one branch for one image.
    pub fn multiply_adds(&self) -> i64 {
        let mut size = self.size;
        self.stem.iter().chain(&self.branch).map(|layer| layer.multiply_adds(&mut size)).sum()
    }

    /// Every convolution of stem and branch in order.
    pub fn convolutions(&self) -> impl Iterator<Item = &Convolution> {
        self.stem.iter().chain(&self.branch).flat_map(Layer::convolutions)
    }
}

impl Layer {
    /// Output channels.
    pub fn output(&self) -> i64 {
        match self {
            Self::Convolution(convolution) => convolution.output,
            Self::Residual(block) => block.body.last().map_or(0, Self::output),
        }
    }

    /// Every convolution in it, the shortcut's last.
    pub fn convolutions(&self) -> Vec<&Convolution> {
        match self {
            Self::Convolution(convolution) => vec![convolution],
            Self::Residual(block) => {
                block.body.iter().flat_map(Self::convolutions).chain(&block.shortcut).collect()
            }
        }
    }

    fn multiply_adds(&self, size: &mut i64) -> i64 {
        match self {
            Self::Convolution(convolution) => {
                *size = convolution.output_size(*size);
                convolution.multiply_adds(*size)
            }
            Self::Residual(block) => {
                let body: i64 = block.body.iter().map(|layer| layer.multiply_adds(size)).sum();
                body + block.shortcut.as_ref().map_or(0, |c| c.multiply_adds(*size))
            }
        }
    }
}

impl Convolution {
    /// Rows and columns added on each side.
    pub fn padding(&self) -> i64 {
        self.kernel / 2
    }

    /// Side of the output for a square input of side `size`.
    pub fn output_size(&self, size: i64) -> i64 {
        (size + 2 * self.padding() - self.kernel) / self.stride + 1
    }

    fn multiply_adds(&self, output_size: i64) -> i64 {
        self.output * self.input / self.groups * self.kernel.pow(2) * output_size.pow(2)
    }
}

/// (channels, stride) of each basic residual block; the stem convolution has the first's channels.
const EDGE: [(i64, i64); 6] = [(32, 1), (64, 2), (64, 1), (96, 2), (96, 1), (128, 2)];
/// For tests: everything that `edge` has, small enough for a debug build.
const TINY: [(i64, i64); 3] = [(4, 1), (8, 2), (12, 2)];

/// A 3x3 stem of stride 2, then basic residual blocks, the last `branch` of which form the branch.
fn residual(
    name: &str,
    channels: i64,
    size: i64,
    blocks: &[(i64, i64)],
    branch: usize,
) -> Backbone {
    let first = blocks[0].0;
    let mut stem = vec![Layer::Convolution(convolution("stem.conv", channels, first, 3, 2, true))];
    let mut input = first;
    let split = blocks.len() - branch;
    for (index, &(output, stride)) in blocks[..split].iter().enumerate() {
        stem.push(basic_block(&format!("stem.block{index}"), input, output, stride));
        input = output;
    }
    let mut last = vec![];
    for (index, &(output, stride)) in blocks[split..].iter().enumerate() {
        last.push(basic_block(&format!("branch.block{index}"), input, output, stride));
        input = output;
    }
    Backbone { name: name.into(), channels, size, stem, branch: last }
}

fn basic_block(name: &str, input: i64, output: i64, stride: i64) -> Layer {
    let named = |part: &str| format!("{name}.{part}");
    let shortcut = (stride != 1 || input != output)
        .then(|| convolution(&named("shortcut"), input, output, 1, stride, false));
    Layer::Residual(Residual {
        name: named("sum"),
        body: vec![
            Layer::Convolution(convolution(&named("conv1"), input, output, 3, stride, true)),
            Layer::Convolution(convolution(&named("conv2"), output, output, 3, 1, false)),
        ],
        shortcut,
    })
}

fn convolution(
    name: &str,
    input: i64,
    output: i64,
    kernel: i64,
    stride: i64,
    relu: bool,
) -> Convolution {
    let activation = if relu { Activation::Relu } else { Activation::None };
    Convolution { name: name.into(), input, output, kernel, stride, groups: 1, activation }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_has_the_size_that_its_description_states() {
        let edge = Backbone::named("edge", 1, 48).unwrap();
        assert_eq!(edge.feature(), 128);
        assert!((700_000..760_000).contains(&edge.parameters()), "{}", edge.parameters());
        assert!(
            (42_000_000..45_000_000).contains(&edge.multiply_adds()),
            "{}",
            edge.multiply_adds()
        );
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Backbone::named("resnet", 1, 48).unwrap_err().to_string();
        assert!(error.contains("\"resnet\"") && error.contains("edge"), "{error}");
    }
}
