//! A list of layers as tch variables, for one network or for several copies side by side.

use tch::{Tensor, nn};

use super::spec::{Activation, Convolution, Layer};

const MOMENTUM: f64 = 0.1;
/// Added to the variance by every normalisation, here and where the exporter folds it.
pub const EPSILON: f64 = 1e-5;

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
    Residual { body: Vec<Node>, shortcut: Option<Unit> },
}

/// Convolution and batch normalisation of all copies.
#[derive(Debug)]
struct Unit {
    spec: Convolution,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
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
        let mut flow = Flow { value: input.shallow_clone(), shared: true };
        for node in &self.layers {
            flow = node.forward(flow, self.copies, train);
        }
        flow.value
    }
}

impl Node {
    fn new(path: &nn::Path, layer: &Layer, copies: i64) -> Self {
        match layer {
            Layer::Convolution(spec) => Self::Unit(Unit::new(path, spec, copies)),
            Layer::Residual(block) => Self::Residual {
                body: block.body.iter().map(|layer| Self::new(path, layer, copies)).collect(),
                shortcut: block.shortcut.as_ref().map(|spec| Unit::new(path, spec, copies)),
            },
        }
    }

    fn forward(&self, input: Flow, copies: i64, train: bool) -> Flow {
        match self {
            Self::Unit(unit) => unit.forward(&input, copies, train),
            Self::Residual { body, shortcut } => {
                let mut flow = Flow { value: input.value.shallow_clone(), shared: input.shared };
                for node in body {
                    flow = node.forward(flow, copies, train);
                }
                let added = match shortcut {
                    Some(unit) => unit.forward(&input, copies, train).value,
                    None => input.unshared(copies),
                };
                Flow { value: (flow.value + added).relu_(), shared: false }
            }
        }
    }
}

impl Flow {
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
        let rows = spec.output * copies;
        let fan_out = (spec.output / spec.groups * spec.kernel * spec.kernel) as f64;
        let normal = nn::Init::Randn { mean: 0., stdev: (2. / fan_out).sqrt() };
        let kernel = [rows, spec.input / spec.groups, spec.kernel, spec.kernel];
        Self {
            spec: spec.clone(),
            weight: path.var("weight", &kernel, normal),
            scale: path.var("norm_weight", &[rows], nn::Init::Const(1.)),
            shift: path.var("norm_bias", &[rows], nn::Init::Const(0.)),
            running_mean: path.zeros_no_train("running_mean", &[rows]),
            running_var: path.ones_no_train("running_var", &[rows]),
        }
    }

    fn forward(&self, input: &Flow, copies: i64, train: bool) -> Flow {
        // A shared input and a dense kernel need no groups: the copies are further output channels.
        let dense = input.shared && self.spec.groups == 1;
        let value = if dense { input.value.shallow_clone() } else { input.unshared(copies) };
        let groups = if dense { 1 } else { self.spec.groups * copies };
        let padding = self.spec.padding();
        let value = value.conv2d(
            &self.weight,
            None::<&Tensor>,
            [self.spec.stride; 2],
            [padding; 2],
            [1, 1],
            groups,
        );
        let mut value = self.normalise(&value, train);
        let value = match self.spec.activation {
            Activation::None => value,
            Activation::Relu => value.relu_(),
        };
        Flow { value, shared: false }
    }

    fn normalise(&self, value: &Tensor, train: bool) -> Tensor {
        value.batch_norm(
            Some(&self.scale),
            Some(&self.shift),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            MOMENTUM,
            EPSILON,
            true,
        )
    }
}
