//! Convolutions of bytes against tract, and against a loop, to the byte.

use proptest::prelude::*;
use tract_core::internal::{DatumType, Tensor, tvec};
use tract_core::ops::cnn::{Conv, KernelFormat};
use tract_core::ops::math;
use tract_core::ops::quant::{DequantizeLinearF32, quantize_linear_u8};
use tract_core::prelude::{IntoRunnable, IntoTValue};

use super::any_window;
use super::network::{Network, Window};
use crate::kernels::instructions::InstructionSet;
use crate::kernels::replace;

/// Steps of the input, of the convolution and of what follows, whose reciprocals are exact.
const STEPS: [f32; 3] = [1.0 / 128.0, 1.0 / 64.0, 1.0 / 32.0];
const ZERO: u8 = 97;

impl Network {
    fn quantise(&mut self, step: f32, zero_point: u8) {
        self.wire(quantize_linear_u8(step.recip(), zero_point), &[self.end]);
    }

    fn dequantise(&mut self, scale: f32, zero_point: u8) {
        self.wire(DequantizeLinearF32 { scale, zero_point: zero_point.into() }, &[self.end]);
    }

    /// Kernel `[outputs, inputs, height, width]`, bias, kernel steps.
    fn bytes(&mut self, outputs: usize, inputs: usize, [height, width]: [usize; 2]) -> [Tensor; 3] {
        let shape = [outputs, inputs, height, width];
        let whole = |tensor: &Tensor, most: f32| -> Vec<f32> {
            let values = tensor.to_plain_array_view::<f32>().unwrap();
            values.iter().map(|value| (value * most).round()).collect()
        };
        let kernel: Vec<i8> =
            whole(&self.numbers(&shape), 127.0).iter().map(|value| *value as i8).collect();
        let bias: Vec<i32> =
            whole(&self.numbers(&[outputs]), 9e3).iter().map(|value| *value as i32).collect();
        let size = ((inputs * height * width) as f32).sqrt();
        let steps: Vec<f32> =
            (0..outputs).map(|i| (1.0 + (i % 5) as f32) / (300.0 * size)).collect();
        [
            Tensor::from_shape(&shape, &kernel).unwrap(),
            Tensor::from_shape(&[outputs], &bias).unwrap(),
            Tensor::from_shape(&[outputs], &steps).unwrap(),
        ]
    }

    fn convolution_of_bytes(&mut self, outputs: usize, window: Window) -> [Tensor; 3] {
        let inputs = self.channels();
        let all = self.bytes(outputs, inputs, window.size);
        let [kernel, bias, steps] = all.clone().map(|tensor| self.constant(tensor));
        let mut whole = |value: i32| self.constant(Tensor::from(value));
        let [of_input, of_kernel, of_output] = [whole(0), whole(0), whole(ZERO.into())];
        let mut real = |value: f32| self.constant(Tensor::from(value));
        let [input_step, output_step] = [real(STEPS[0]), real(STEPS[1])];
        let operator = Conv {
            pool_spec: window.spec(inputs, outputs),
            kernel_fmt: KernelFormat::OIHW,
            group: 1,
            q_params: Some(DatumType::U8),
        };
        let inputs = [
            self.end,
            kernel,
            bias,
            of_input,
            input_step,
            of_kernel,
            steps,
            of_output,
            output_step,
        ];
        self.wire(operator, &inputs);
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_bytes(
        (channels, height, width) in (1..=20_usize, 5..=12_usize, 5..=12_usize),
        outputs in 1..=50_usize,
        window in any_window(),
        (residual, rounded) in (any::<bool>(), any::<bool>()),
    ) {
        let mut network = Network::new([1, channels, height, width]);
        network.quantise(STEPS[0], 0);
        let window = if residual { Window::square(3, 1, 1) } else { window };
        let outputs = if residual { channels } else { outputs };
        let begin = network.end;
        network.convolution_of_bytes(outputs, window);
        network.dequantise(STEPS[1], ZERO);
        if residual {
            let convolved = network.end;
            network.end = begin;
            network.dequantise(STEPS[0], 0);
            network.add(convolved);
            network.at_least(0.0);
            if rounded {
                network.quantise(STEPS[2], 0);
                network.dequantise(STEPS[2], 0);
            }
        }
        // tract rounds sums in whole numbers.
        network.check_within(1.01 * (STEPS[1] + STEPS[2]), |left| assert_eq!(left, 0));
    }

    #[test]
    fn of_bytes_to_the_byte(
        (channels, outputs) in (1..=40_usize, 1..=50_usize),
        (height, width) in (3..=9_usize, 3..=9_usize),
    ) {
        let mut network = Network::new([1, channels, height, width]);
        network.quantise(STEPS[0], 0);
        let numbers = network.convolution_of_bytes(outputs, Window::square(3, 1, 1));
        network.dequantise(STEPS[1], ZERO);
        network.model.select_output_outlets(&[network.end]).unwrap();
        let input = network.numbers(&[1, channels, height, width]);
        let expected = loops(&input, &numbers, [channels, height, width], outputs);
        for set in InstructionSet::all() {
            let mut model = network.model.clone();
            prop_assert!(replace(&mut model, set).unwrap());
            let plan = model.into_runnable().unwrap();
            let made = plan.run(tvec![input.clone().into_tvalue()]).unwrap();
            let made = made[0].to_plain_array_view::<f32>().unwrap();
            let bytes: Vec<i64> =
                made.iter().map(|value| (value / STEPS[1]).round() as i64 + i64::from(ZERO)).collect();
            prop_assert_eq!(&bytes, &expected, "{:?}", set);
        }
    }
}

/// Windows of 3x3, stride 1, padded by 1: sums in whole numbers, factors in single precision as the kernels have.
fn loops(
    input: &Tensor,
    [kernel, bias, steps]: &[Tensor; 3],
    [channels, height, width]: [usize; 3],
    outputs: usize,
) -> Vec<i64> {
    let input = input.to_plain_array_view::<f32>().unwrap();
    let kernel = kernel.to_plain_array_view::<i8>().unwrap();
    let (bias, steps) =
        (bias.to_plain_array_view::<i32>().unwrap(), steps.to_plain_array_view::<f32>().unwrap());
    let byte = |c: usize, y: usize, x: usize| {
        let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
        let value = if inside { input[[0, c, y - 1, x - 1]] } else { 0.0 };
        (value / STEPS[0]).round_ties_even().clamp(0.0, 255.0) as i64
    };
    let mut all = vec![];
    for output in 0..outputs {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let mut sum = i64::from(bias[output]);
            for (c, dy, dx) in (0..channels).flat_map(|c| (0..9).map(move |i| (c, i / 3, i % 3))) {
                sum += byte(c, y + dy, x + dx) * i64::from(kernel[[output, c, dy, dx]]);
            }
            let factor = STEPS[0] * steps[output] / STEPS[1];
            let rounded = (sum as f32 * factor).round_ties_even() as i64;
            all.push((rounded + i64::from(ZERO)).clamp(0, 255));
        }
    }
    all
}

#[test]
fn a_border_that_is_not_zero_is_left_to_tract() {
    let mut network = Network::new([1, 8, 6, 6]);
    network.quantise(STEPS[0], 3);
    network.convolution_of_bytes(8, Window::square(3, 1, 1));
    network.dequantise(STEPS[1], ZERO);
    network.model.select_output_outlets(&[network.end]).unwrap();
    for set in InstructionSet::all() {
        assert!(!replace(&mut network.model.clone(), set).unwrap());
    }
}

#[test]
fn bytes_that_others_read_are_not_changed() {
    let mut network = Network::new([1, 8, 6, 6]);
    network.quantise(STEPS[0], 0);
    let begin = network.end;
    network.convolution_of_bytes(8, Window::square(3, 1, 1));
    network.dequantise(STEPS[1], ZERO);
    let convolved = network.end;
    network.end = begin;
    network.dequantise(STEPS[0], 0);
    network.add(convolved);
    // The convolution's floats once more.
    network.wire(math::mul(), &[network.end, convolved]);
    network.model.select_output_outlets(&[network.end]).unwrap();
    for set in InstructionSet::all() {
        let mut ours = network.model.clone();
        if replace(&mut ours, set).unwrap() {
            assert!(
                ours.nodes().iter().any(|node| node.op.name() == "Add"),
                "{set:?}: it was fused"
            );
        }
    }
}
