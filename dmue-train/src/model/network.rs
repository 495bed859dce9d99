//! A list of layers as tch variables, for one network or for several copies side by side.

use tch::{Tensor, nn};

use super::norm::{Mode, Normalisation};
use super::spec::{Activation, Block, Convolution, Join, Layer, Pool, Reduction};

/// Added to the variance by every normalisation, here and where the exporter folds it.
pub const EPSILON: f64 = 1e-5;
/// Above so many output channels a 3x3 kernel is wide (measured with `dmue-train bench`).
const WIDE: i64 = 128;
/// Channels of a vector register.
const VECTOR: i64 = 8;

/// Layers whose variables hold `copies` networks of the same form, stacked along output channels:
/// copy k owns rows k*output..(k+1)*output. Each copy is computed on its own: libtorch was seen to take as
/// long for one grouped convolution of narrow copies, and longer for one of wide copies.
#[derive(Debug)]
pub struct Stack {
    copies: i64,
    layers: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Unit(Unit),
    Block {
        body: Vec<Node>,
        shortcut: Vec<Node>,
        join: Join,
        activation: Activation,
    },
    Pool(Pool),
    /// Holds the number of groups.
    Shuffle(i64),
}

/// Convolution and normalisation of all copies.
#[derive(Debug)]
struct Unit {
    spec: Convolution,
    weight: Tensor,
    norm: Normalisation,
}

/// One `[N,K,h,w]` for each copy.
type Flow = Vec<Tensor>;

impl Stack {
    /// Makes the variables under `path`; their names are the layers' names.
    pub fn new(path: &nn::Path, layers: &[Layer], copies: i64) -> Self {
        Self { copies, layers: layers.iter().map(|layer| Node::new(path, layer, copies)).collect() }
    }

    /// `[N,K,h,w]` -> `[N,copies*output,h',w']`.
    pub fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        self.pass(input, if train { Mode::Train } else { Mode::Infer })
    }

    /// Infers with the last copy alone: `[N,K,h,w]` -> `[N,output,h',w']`.
    pub fn infer_last(&self, input: &Tensor) -> Tensor {
        forward(&self.layers, vec![input.shallow_clone()], Mode::Infer).remove(0)
    }

    /// Infers as [`Self::forward`] does, and on the way makes the running statistics those of this
    /// batch while scale and shift take up the difference: inference stays what it is, and training
    /// then begins with nearly the same function.
    pub fn calibrate(&self, input: &Tensor) -> Tensor {
        tch::no_grad(|| self.pass(input, Mode::Calibrate))
    }

    fn pass(&self, input: &Tensor, mode: Mode) -> Tensor {
        let flow: Flow = (0..self.copies).map(|_| input.shallow_clone()).collect();
        let mut flow = forward(&self.layers, flow, mode);
        if flow.len() == 1 { flow.remove(0) } else { Tensor::cat(&flow, 1) }
    }
}

fn forward(nodes: &[Node], input: Flow, mode: Mode) -> Flow {
    nodes.iter().fold(input, |flow, node| node.forward(flow, mode))
}

impl Node {
    fn new(path: &nn::Path, layer: &Layer, copies: i64) -> Self {
        match layer {
            Layer::Convolution(spec) => Self::Unit(Unit::new(path, spec, copies)),
            Layer::Block(Block { body, shortcut, join, activation, .. }) => Self::Block {
                body: body.iter().map(|layer| Self::new(path, layer, copies)).collect(),
                shortcut: shortcut.iter().map(|layer| Self::new(path, layer, copies)).collect(),
                join: *join,
                activation: *activation,
            },
            Layer::Pool(pool) => Self::Pool(pool.clone()),
            Layer::Shuffle(shuffle) => Self::Shuffle(shuffle.groups),
        }
    }

    fn forward(&self, input: Flow, mode: Mode) -> Flow {
        match self {
            Self::Unit(unit) => unit.forward(&input, mode),
            Self::Block { body, shortcut, join, activation } => {
                let handles = input.iter().map(Tensor::shallow_clone).collect();
                let (main, beside) = (forward(body, handles, mode), forward(shortcut, input, mode));
                let joined = main.into_iter().zip(beside).map(|(main, beside)| match join {
                    Join::Add => main + beside,
                    Join::Concat => Tensor::cat(&[beside, main], 1),
                });
                joined.map(|value| activate(value, *activation)).collect()
            }
            Self::Pool(spec) => input.iter().map(|value| pool(spec, value)).collect(),
            Self::Shuffle(groups) => input.iter().map(|value| shuffle(value, *groups)).collect(),
        }
    }
}

impl Unit {
    fn new(path: &nn::Path, spec: &Convolution, copies: i64) -> Self {
        let path = spec.name.split('.').fold(path.clone(), |path, part| path / part);
        let fan_out = (spec.output / spec.groups * spec.kernel * spec.kernel) as f64;
        let normal = nn::Init::Randn { mean: 0., stdev: (2. / fan_out).sqrt() };
        let [output, input, height, width] = spec.kernel_shape();
        Self {
            spec: spec.clone(),
            weight: path.var("weight", &[output * copies, input, height, width], normal),
            norm: Normalisation::new(&path, spec, copies),
        }
    }

    fn forward(&self, input: &[Tensor], mode: Mode) -> Flow {
        let mut weights = self.weight.chunk(self.weight.size()[0] / self.spec.output, 0);
        let weights = weights.split_off(weights.len() - input.len());
        let maps = input.iter().zip(&weights).map(|(value, weight)| self.convolve(value, weight));
        let normalised = self.norm.forward(&maps.collect::<Flow>(), mode);
        normalised.into_iter().map(|value| activate(value, self.spec.activation)).collect()
    }

    /// `[N,input,h,w]` -> `[N,output,h',w']`
    fn convolve(&self, value: &Tensor, weight: &Tensor) -> Tensor {
        let Convolution { stride, groups, .. } = self.spec;
        let value =
            if self.likes_channels_last() { channels_last(value) } else { value.contiguous() };
        let (stride, padding) = ([stride; 2], [self.spec.padding(); 2]);
        let weight = weight.to_kind(value.kind());
        value.conv2d(&weight, None::<&Tensor>, stride, padding, [1, 1], groups)
    }

    /// Wide 3x3 kernels are slower with channels last. Where channels do not come in whole vectors, the
    /// AVX2 kernels of libtorch 2.11 then write past the end of a 1x1 kernel's gradient.
    fn likes_channels_last(&self) -> bool {
        let Convolution { kernel, groups, input, output, .. } = self.spec;
        let wide = kernel > 1 && groups == 1 && output > WIDE;
        let groups = if kernel == 1 { groups } else { 1 };
        !wide && [input, output].iter().all(|channels| channels / groups % VECTOR == 0)
    }
}

/// The same values laid out as `[N,h,w,K]` in memory.
fn channels_last(value: &Tensor) -> Tensor {
    value.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

fn activate(mut value: Tensor, activation: Activation) -> Tensor {
    match activation {
        Activation::None => value,
        Activation::Relu => value.relu_(),
        Activation::Relu6 => value.clamp(0., 6.),
    }
}

fn pool(spec: &Pool, value: &Tensor) -> Tensor {
    let (kernel, stride, padding) = ([spec.kernel; 2], [spec.stride; 2], [spec.padding; 2]);
    match spec.reduction {
        Reduction::Max => value.max_pool2d(kernel, stride, padding, [1, 1], false),
        Reduction::Average => value.avg_pool2d(kernel, stride, padding, false, true, None::<i64>),
    }
}

/// Deals the channels of `groups` groups out in turn.
fn shuffle(value: &Tensor, groups: i64) -> Tensor {
    value.unflatten(1, [groups, -1]).transpose(1, 2).flatten(1, 2)
}
