//! Networks of random shape, wired node by node as tract types them.

use tract_core::internal::{Tensor, ToDim, TypedModel, TypedOp, tvec};
use tract_core::ops::array::{Pad, PadMode, Slice, TypedConcat};
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_core::ops::math;
use tract_core::ops::nn::{DataFormat, Reduce, Reducer};
use tract_core::prelude::{DatumExt, IntoRunnable, IntoTValue, OutletId, SpecialOps};

use crate::kernels::instructions::InstructionSet;
use crate::kernels::replace;

/// A network while it is wired, and the numbers that go into it.
pub struct Network {
    pub model: TypedModel,
    pub end: OutletId,
    pub shape: [usize; 4],
    pub seed: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub size: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub padding_after: [usize; 2],
}

impl Network {
    pub fn new(shape: [usize; 4]) -> Self {
        let mut model = TypedModel::default();
        let end = model.add_source("input", f32::fact(shape)).unwrap();
        Self { model, end, shape, seed: 1 }
    }

    /// Numbers between -1 and 1.
    pub fn numbers(&mut self, shape: &[usize]) -> Tensor {
        let mut next = || {
            self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
        Tensor::from_shape(shape, &values).unwrap()
    }

    pub fn wire(&mut self, operator: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) {
        let name = format!("node{}", self.model.nodes().len());
        self.end = self.model.wire_node(name, operator, inputs).unwrap()[0];
    }

    pub fn constant(&mut self, value: Tensor) -> OutletId {
        let name = format!("constant{}", self.model.nodes().len());
        self.model.add_const(name, value).unwrap()
    }

    pub fn channels(&self) -> usize {
        self.model.outlet_fact(self.end).unwrap().shape.as_concrete().unwrap()[1]
    }

    pub fn convolution(&mut self, outputs: usize, group: usize, window: Window) {
        let inputs = self.channels();
        let [height, width] = window.size;
        let kernel = self.numbers(&[outputs, inputs / group, height, width]);
        let bias = self.numbers(&[outputs]);
        let (kernel, bias) = (self.constant(kernel), self.constant(bias));
        let operator = Conv {
            pool_spec: window.spec(inputs, outputs),
            kernel_fmt: KernelFormat::OIHW,
            group,
            q_params: None,
        };
        self.wire(operator, &[self.end, kernel, bias]);
    }

    pub fn depthwise(&mut self, window: Window) {
        let channels = self.channels();
        self.convolution(channels, channels, window);
    }

    pub fn max_pool(&mut self, window: Window) {
        let channels = self.channels();
        let operator =
            MaxPool { pool_spec: window.spec(channels, channels), with_index_outputs: None };
        self.wire(operator, &[self.end]);
    }

    pub fn at_least(&mut self, bound: f32) {
        let bound = self.constant(Tensor::from_shape(&[1, 1, 1, 1], &[bound]).unwrap());
        self.wire(math::max(), &[self.end, bound]);
    }

    pub fn at_most(&mut self, bound: f32) {
        let bound = self.constant(Tensor::from_shape(&[1, 1, 1, 1], &[bound]).unwrap());
        self.wire(math::min(), &[bound, self.end]);
    }

    pub fn more_channels(&mut self, outlet: OutletId, more: usize) {
        let pads = vec![(0, 0), (0, more), (0, 0), (0, 0)];
        let mode = PadMode::Constant(std::sync::Arc::new(Tensor::from(0.0_f32)));
        self.wire(Pad { pads, mode }, &[outlet]);
    }

    pub fn mean_pool(&mut self, window: Window) {
        let channels = self.channels();
        let pool_spec = window.spec(channels, channels);
        let operator = SumPool { pool_spec, count_include_pad: true, normalize: true };
        self.wire(operator, &[self.end]);
    }

    /// Channels in groups, transposed.
    pub fn shuffle(&mut self, groups: usize) {
        let channels = self.channels();
        let of = |lengths: &[usize]| lengths.iter().map(|&length| length.to_dim()).collect();
        let (whole, each) = ([channels], channels / groups);
        self.wire(AxisOp::Reshape(1, of(&whole), of(&[groups, each])), &[self.end]);
        self.wire(AxisOp::Move(1, 2), &[self.end]);
        self.wire(AxisOp::Reshape(1, of(&[each, groups]), of(&whole)), &[self.end]);
    }

    pub fn side_by_side(&mut self, others: &[OutletId]) {
        let parts: Vec<_> = others.iter().copied().chain([self.end]).collect();
        self.wire(TypedConcat { axis: 1 }, &parts);
    }

    pub fn slice(&mut self, outlet: OutletId, range: std::ops::Range<usize>) -> OutletId {
        self.wire(
            Slice { axis: 1, start: range.start.to_dim(), end: range.end.to_dim() },
            &[outlet],
        );
        self.end
    }

    pub fn mean(&mut self) {
        let shape = self.model.outlet_fact(self.end).unwrap().shape.as_concrete().unwrap();
        let area = (shape[2] * shape[3]) as f32;
        let area = self.constant(Tensor::from_shape(&[1, 1, 1, 1], &[area]).unwrap());
        self.wire(Reduce { axes: tvec![2, 3], reducer: Reducer::Sum }, &[self.end]);
        self.wire(math::div(), &[self.end, area]);
    }

    /// Of the first `count` channels, as tract writes it out; the others pass.
    pub fn half_instance_norm(&mut self, count: usize) {
        let (all, channels) = (self.end, self.channels());
        let first = self.slice(all, 0..count);
        self.mean();
        self.wire(math::sub(), &[first, self.end]);
        let difference = self.end;
        self.wire(math::square(), &[difference]);
        self.mean();
        let small = self.constant(Tensor::from_shape(&[1, 1, 1, 1], &[1e-5_f32]).unwrap());
        self.wire(math::add(), &[self.end, small]);
        self.wire(math::rsqrt(), &[self.end]);
        self.wire(math::mul(), &[difference, self.end]);
        for operator in [math::mul(), math::add()] {
            let numbers = self.numbers(&[1, count, 1, 1]);
            let numbers = self.constant(numbers);
            self.wire(operator, &[self.end, numbers]);
        }
        let normalised = self.end;
        self.slice(all, count..channels);
        self.side_by_side(&[normalised]);
    }

    pub fn add(&mut self, other: OutletId) {
        self.wire(math::add(), &[self.end, other]);
    }

    /// Each instruction set says what tract says, and leaves it nothing to do.
    pub fn check(self) {
        self.check_what_is_left(|left| assert_eq!(left, 0, "something is left"));
    }

    /// Each instruction set says what tract says; looks at how many nodes are left to that, beside ours.
    pub fn check_what_is_left(self, look: impl Fn(usize)) {
        self.check_within(0.0, look);
    }

    /// The same, answers so far apart at most.
    pub fn check_within(mut self, apart: f32, look: impl Fn(usize)) {
        self.model.select_output_outlets(&[self.end]).unwrap();
        let input = {
            let shape = self.shape;
            self.numbers(&shape)
        };
        let run = |model: TypedModel| {
            let plan = model.into_runnable().unwrap();
            let outputs = plan.run(tvec![input.clone().into_tvalue()]).unwrap();
            outputs[0].to_plain_array_view::<f32>().unwrap().to_owned()
        };
        let expected = run(self.model.clone());
        let range = expected.iter().fold(1.0_f32, |range, value| range.max(value.abs()));
        for set in InstructionSet::all() {
            let mut ours = self.model.clone();
            assert!(replace(&mut ours, set).unwrap(), "nothing was replaced");
            look(ours.nodes().len().saturating_sub(2));
            let ours = run(ours);
            assert_eq!(ours.shape(), expected.shape());
            for (ours, expected) in ours.iter().zip(&expected) {
                let difference = (ours - expected).abs();
                assert!(
                    difference <= apart.max(1e-5 * range),
                    "{set:?}: {ours}, not {expected}, range {range}"
                );
            }
        }
    }
}

impl Window {
    pub const POINT: Self = Self::square(1, 1, 0);

    pub const fn square(size: usize, stride: usize, padding: usize) -> Self {
        Self {
            size: [size; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            padding_after: [padding; 2],
        }
    }

    pub fn spec(&self, input_channels: usize, output_channels: usize) -> PoolSpec {
        PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: self.size.into_iter().collect(),
            padding: PaddingSpec::Explicit(
                self.padding.into_iter().collect(),
                self.padding_after.into_iter().collect(),
            ),
            dilations: None,
            strides: Some(self.stride.into_iter().collect()),
            input_channels,
            output_channels,
        }
    }
}
