//! A list of layers as tch variables, for one network or for several copies side by side.

use tch::{Tensor, nn};

use super::norm::{Mode, Normalisation};
use super::spec::{Activation, Block, Convolution, Join, Layer, Pool, Reduction};

/// Added to the variance by every normalisation, here and where the exporter folds it.
pub const EPSILON: f64 = 1e-5;
/// Channels of a vector register.
const VECTOR: i64 = 8;
/// Above so many output channels a 3x3 kernel is wide (measured with `dmue-train bench`).
const WIDE: i64 = 128;

/// Layers whose variables hold `copies` networks of the same form, stacked along output channels:
/// copy k owns rows k*output..(k+1)*output. All copies are computed by one grouped convolution.
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

/// What holds for one pass through all layers.
#[derive(Clone, Copy)]
struct Pass {
    copies: i64,
    mode: Mode,
}

/// A value on its way: `shared` while all copies still see one and the same `[N,K,h,w]`.
struct Flow {
    value: Tensor,
    shared: bool,
}

impl Stack {
    /// Makes the variables under `path`; their names are the layers' names.
    pub fn new(path: &nn::Path, layers: &[Layer], copies: i64) -> Self {
        Self { copies, layers: layers.iter().map(|layer| Node::new(path, layer, copies)).collect() }
    }

    /// `[N,K,h,w]` -> `[N,copies*output,h',w']`.
    pub fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        self.pass(input, if train { Mode::Train } else { Mode::Infer })
    }

    /// Infers as [`Self::forward`] does, and on the way makes the running statistics those of this
    /// batch while scale and shift take up the difference: inference stays what it is, and training
    /// then begins with nearly the same function.
    pub fn calibrate(&self, input: &Tensor) -> Tensor {
        self.pass(input, Mode::Calibrate)
    }

    fn pass(&self, input: &Tensor, mode: Mode) -> Tensor {
        let flow = Flow { value: input.shallow_clone(), shared: true };
        forward(&self.layers, flow, Pass { copies: self.copies, mode }).value
    }
}

fn forward(nodes: &[Node], input: Flow, pass: Pass) -> Flow {
    nodes.iter().fold(input, |flow, node| node.forward(flow, pass))
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

    fn forward(&self, input: Flow, pass: Pass) -> Flow {
        match self {
            Self::Unit(unit) => unit.forward(&input, pass),
            Self::Block { body, shortcut, join, activation } => {
                let main = forward(body, input.handle(), pass).unshared(pass.copies);
                let beside = forward(shortcut, input, pass).unshared(pass.copies);
                let value = match join {
                    Join::Add => main + beside,
                    Join::Concat => concat(&beside, &main, pass.copies),
                };
                Flow { value: activate(value, *activation), shared: false }
            }
            Self::Pool(spec) => Flow { value: pool(spec, &input.value), ..input },
            Self::Shuffle(groups) => {
                let copies = if input.shared { 1 } else { pass.copies };
                Flow { value: shuffle(&input.value, *groups, copies), ..input }
            }
        }
    }
}

impl Flow {
    fn handle(&self) -> Self {
        Self { value: self.value.shallow_clone(), shared: self.shared }
    }

    fn unshared(&self, copies: i64) -> Tensor {
        if self.shared && copies > 1 {
            self.value.repeat([1, copies, 1, 1])
        } else {
            self.value.shallow_clone()
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

    fn forward(&self, input: &Flow, pass: Pass) -> Flow {
        // A shared input and a dense kernel need no groups: the copies are further output channels.
        let dense = input.shared && self.spec.groups == 1;
        let value = if dense { input.value.shallow_clone() } else { input.unshared(pass.copies) };
        let copies = if dense { 1 } else { pass.copies };
        let value = self.convolve(&value, copies);
        let value = self.norm.forward(&value, pass.copies, pass.mode);
        Flow { value: activate(value, self.spec.activation), shared: false }
    }

    /// `[N, copies*input, h, w]` -> `[N, copies*output, h', w']`, in the form that libtorch is fastest
    /// in on a CPU: wide dense kernels copy by copy, the others as groups, with channels last where
    /// that is safe.
    fn convolve(&self, value: &Tensor, copies: i64) -> Tensor {
        let Convolution { stride, kernel, groups, output, .. } = self.spec;
        let one = |value: &Tensor, weight: &Tensor, groups: i64| {
            let padding = [self.spec.padding(); 2];
            value.conv2d(weight, None::<&Tensor>, [stride; 2], padding, [1, 1], groups)
        };
        if copies == 1 || kernel == 1 || groups > 1 || output <= WIDE {
            let value =
                if self.fills_vectors() { channels_last(value) } else { value.contiguous() };
            return one(&value, &self.weight, groups * copies);
        }
        let pairs =
            value.contiguous().chunk(copies, 1).into_iter().zip(self.weight.chunk(copies, 0));
        let outputs: Vec<Tensor> = pairs.map(|(value, weight)| one(&value, &weight, 1)).collect();
        Tensor::cat(&outputs, 1)
    }

    /// Whether channels come in whole vectors: with others channels last, the AVX2 kernels of libtorch
    /// 2.11 write past the end of a 1x1 kernel's gradient.
    fn fills_vectors(&self) -> bool {
        let Convolution { kernel, groups, input, output, .. } = self.spec;
        let groups = if kernel == 1 { groups } else { 1 };
        [input, output].iter().all(|channels| channels / groups % VECTOR == 0)
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

/// Channels of each copy: the first value's, then the second's.
fn concat(first: &Tensor, second: &Tensor, copies: i64) -> Tensor {
    let per_copy = |value: &Tensor| value.unflatten(1, [copies, -1]);
    Tensor::cat(&[per_copy(first), per_copy(second)], 2).flatten(1, 2)
}

fn pool(spec: &Pool, value: &Tensor) -> Tensor {
    let (kernel, stride, padding) = ([spec.kernel; 2], [spec.stride; 2], [spec.padding; 2]);
    match spec.reduction {
        Reduction::Max => value.max_pool2d(kernel, stride, padding, [1, 1], false),
        Reduction::Average => value.avg_pool2d(kernel, stride, padding, false, true, None::<i64>),
    }
}

/// Within each copy.
fn shuffle(value: &Tensor, groups: i64, copies: i64) -> Tensor {
    value.unflatten(1, [copies, groups, -1]).transpose(2, 3).flatten(1, 3)
}
