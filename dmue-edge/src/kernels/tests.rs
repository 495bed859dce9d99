//! Every kernel against tract and against a loop in f64, on random shapes.

use proptest::prelude::*;
use prost::Message;
use tract_core::internal::{Tensor, TypedModel, tvec};
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::cnn::{Conv, KernelFormat};
use tract_core::prelude::{IntoRunnable, IntoTValue};

use network::{Network, Window};

use super::instructions::InstructionSet;
use super::replace;
use crate::Model;
use crate::model::proto::pb::ModelProto;
use crate::onnx;

mod int8;
mod network;

fn any_window() -> impl Strategy<Value = Window> {
    let side = || (1..=5_usize).prop_flat_map(|size| (Just(size), 1..=3_usize, 0..size, 0..size));
    (side(), side()).prop_map(|(rows, columns)| Window {
        size: [rows.0, columns.0],
        stride: [rows.1, columns.1],
        padding: [rows.2, columns.2],
        padding_after: [rows.3, columns.3],
    })
}

fn any_picture() -> impl Strategy<Value = [usize; 4]> {
    (1..=20_usize, 5..=15_usize, 5..=15_usize).prop_map(|(c, h, w)| [1, c, h, w])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn dense(shape in any_picture(), outputs in 1..=40_usize, window in any_window()) {
        let mut network = Network::new(shape);
        network.convolution(outputs, 1, window);
        network.check();
    }

    #[test]
    fn depthwise(shape in any_picture(), window in any_window()) {
        let mut network = Network::new(shape);
        network.depthwise(window);
        network.at_least(0.0);
        network.check();
    }

    #[test]
    fn depthwise_and_point(
        shape in any_picture(),
        outputs in 1..=40_usize,
        window in any_window(),
        limits in (-1.0..0.5_f32, 0.5..1.0_f32),
    ) {
        let mut network = Network::new(shape);
        network.depthwise(window);
        network.at_most(limits.1);
        network.convolution(outputs, 1, Window::POINT);
        network.at_least(limits.0);
        network.at_most(limits.1);
        network.check();
    }

    #[test]
    fn residual_with_fewer_channels(
        shape in any_picture(),
        more in 0..=20_usize,
        (first, last) in (any::<bool>(), any::<bool>()),
    ) {
        let mut network = Network::new(shape);
        if first {
            network.convolution(shape[1], 1, Window::square(3, 1, 1));
            network.at_least(0.0);
        }
        let begin = network.end;
        network.depthwise(Window::square(3, 1, 1));
        network.convolution(shape[1] + more, 1, Window::POINT);
        let end = network.end;
        network.more_channels(begin, more);
        if last {
            network.add(end);
        } else {
            let padded = network.end;
            network.end = end;
            network.add(padded);
        }
        network.at_least(0.0);
        network.convolution(3, 1, Window::square(3, 2, 1));
        network.check();
    }

    #[test]
    fn winograd(
        (channels, outputs) in (8..=20_usize, 1..=30_usize),
        (height, width) in (4..=18_usize, 6..=18_usize),
        (residual, between) in (any::<bool>(), any::<bool>()),
    ) {
        let mut network = Network::new([1, channels, height, width]);
        network.convolution(outputs, 1, Window::square(3, 1, 1));
        network.at_least(0.0);
        let begin = network.end;
        network.convolution(outputs, 1, Window::square(3, 1, 1));
        if between {
            network.convolution(outputs, 1, Window::square(3, 1, 1));
        }
        if residual {
            network.add(begin);
        }
        network.at_most(0.7);
        network.check();
    }

    #[test]
    fn in_groups(
        (groups, each, more) in (1..=4_usize, 1..=9_usize, 1..=3_usize),
        (height, width) in (5..=12_usize, 5..=12_usize),
        window in any_window(),
        residual in any::<bool>(),
    ) {
        let mut network = Network::new([1, groups * each, height, width]);
        network.convolution(8 * groups * more, 1, Window::POINT);
        let begin = network.end;
        let window = if residual { Window::square(3, 1, 1) } else { window };
        network.convolution(8 * groups, groups, window);
        network.at_least(0.0);
        network.convolution(8 * groups * more, groups, Window::square(3, 1, 1));
        if residual {
            network.add(begin);
        }
        network.at_most(0.6);
        network.check();
    }

    #[test]
    fn shuffled(
        (groups, each) in (1..=4_usize, 1..=12_usize),
        (height, width) in (5..=12_usize, 5..=12_usize),
        (window, twice, depthwise, grouped) in (any_window(), any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let mut network = Network::new([1, 5, height, width]);
        network.convolution(groups * each, 1, Window::square(3, 1, 1));
        network.shuffle(groups);
        if twice {
            network.shuffle(each);
            network.shuffle(each);
        }
        if depthwise {
            network.depthwise(window);
            network.at_least(-0.2);
        } else {
            network.mean_pool(window);
        }
        if grouped {
            network.convolution(8 * groups, groups, Window::square(3, 1, 1));
        }
        network.check();
    }

    #[test]
    fn parts_side_by_side(
        shape in any_picture(),
        (window, outputs) in (any_window(), 1..=20_usize),
        kinds in prop::collection::vec(0..4_u8, 1..=3),
    ) {
        let mut network = Network::new(shape);
        network.convolution(8, 1, Window::square(3, 1, 1));
        let begin = network.end;
        let mut parts = vec![];
        for kind in kinds {
            network.end = begin;
            match kind {
                0 => network.mean_pool(window),
                1 => network.depthwise(window),
                2 => network.convolution(16, 1, window),
                _ => {
                    network.depthwise(window);
                    network.convolution(24, 1, Window::POINT);
                }
            }
            parts.push(network.end);
        }
        network.end = begin;
        network.convolution(outputs, 1, window);
        network.side_by_side(&parts);
        network.at_least(0.1);
        network.convolution(3, 1, Window::square(3, 1, 1));
        network.check();
    }

    #[test]
    fn instance_norm_of_some_channels(
        shape in any_picture(),
        (channels, share) in (2..=30_usize, 0.0..1.0_f64),
        limit in -0.5..0.5_f32,
    ) {
        let mut network = Network::new(shape);
        network.convolution(channels, 1, Window::square(3, 1, 1));
        network.half_instance_norm(1 + ((channels - 1) as f64 * share) as usize);
        network.at_least(limit);
        network.convolution(4, 1, Window::square(3, 2, 1));
        network.check();
    }

    #[test]
    fn pooling(shape in any_picture(), window in any_window()) {
        let mut network = Network::new(shape);
        network.convolution(shape[1], 1, Window::square(3, 1, 1));
        network.max_pool(window);
        network.convolution(5, 1, Window::square(1, 1, 0));
        network.check();
    }
}

#[test]
fn channels_may_come_last_outside() {
    let mut network = Network::new([1, 7, 9, 3]);
    network.wire(AxisOp::Move(3, 1), &[network.end]);
    network.convolution(5, 1, Window::square(5, 2, 2));
    network.at_least(0.0);
    network.wire(AxisOp::Move(1, 3), &[network.end]);
    network.check();
}

#[test]
fn a_long_chain_shares_memory_and_stays_right() {
    let mut network = Network::new([1, 4, 12, 12]);
    for _ in 0..6 {
        let begin = network.end;
        network.depthwise(Window::square(3, 1, 1));
        network.convolution(4, 1, Window::POINT);
        if network.model.nodes().len() > 8 {
            network.add(begin);
        }
        network.at_least(-0.1);
    }
    network.check();
}

#[test]
fn nan_is_not_mended() {
    let mut network = Network::new([1, 1, 1, 1]);
    let kernel = network.constant(Tensor::from_shape(&[1, 1, 1, 1], &[f32::NAN]).unwrap());
    let bias = network.constant(Tensor::from_shape(&[1], &[0.0_f32]).unwrap());
    let operator = Conv {
        pool_spec: Window::POINT.spec(1, 1),
        kernel_fmt: KernelFormat::OIHW,
        group: 1,
        q_params: None,
    };
    network.wire(operator, &[network.end, kernel, bias]);
    network.at_least(0.0);
    network.model.select_output_outlets(&[network.end]).unwrap();
    for set in InstructionSet::all() {
        let mut model = network.model.clone();
        assert!(replace(&mut model, set).unwrap());
        let input = Tensor::from_shape(&[1, 1, 1, 1], &[1.0_f32]).unwrap();
        let outputs = model.into_runnable().unwrap().run(tvec![input.into_tvalue()]).unwrap();
        assert!(outputs[0].to_plain_array_view::<f32>().unwrap()[[0, 0, 0, 0]].is_nan(), "{set:?}");
    }
}

/// What a shipped network says, by tract alone and with our kernels.
fn check_shipped(file: &[u8], face: bool, tolerance: f32) {
    let side = face.then(|| Model::from_bytes(file).unwrap().manifest().input.size as usize);
    let shape = side.map(|side| [1, 1, side, side]);
    let proto = ModelProto::decode(file).unwrap();
    let mut plain = onnx::read(&proto, shape.as_ref().map(<[usize; 4]>::as_slice)).unwrap();
    let two: Vec<_> = plain.output_outlets().unwrap()[..2].to_vec();
    plain.select_output_outlets(&two).unwrap();
    plain.compact().unwrap();
    let shape = plain.input_fact(0).unwrap().shape.as_concrete().unwrap().to_vec();
    let input = Network::new([1; 4]).numbers(&shape);
    let run = |model: TypedModel| {
        let plan = model.into_optimized().unwrap().into_runnable().unwrap();
        let outputs = plan.run(tvec![input.clone().into_tvalue()]).unwrap();
        let values = |i: usize| outputs[i].to_plain_array_view::<f32>().unwrap().to_owned();
        [values(0), values(1)]
    };
    let expected = run(plain.clone());
    for set in InstructionSet::all() {
        let mut ours = plain.clone();
        assert!(replace(&mut ours, set).unwrap());
        let left = ours.nodes().iter().filter(|node| node.op_is::<Conv>()).count();
        assert_eq!(left, 0, "convolutions are left to tract");
        for (ours, expected) in run(ours).iter().zip(&expected) {
            let range = expected.iter().fold(0.0_f32, |range, value| range.max(value.abs()));
            for (ours, expected) in ours.iter().zip(expected) {
                assert!(
                    (ours - expected).abs() <= tolerance * range,
                    "{set:?}: {ours}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn shipped_networks_say_the_same() {
    check_shipped(include_bytes!("../../models/blazeface_back.onnx"), false, 1e-4);
    check_shipped(include_bytes!("../../models/blazeface_short_range.onnx"), false, 1e-4);
    check_shipped(include_bytes!("../../models/edge.dmue.onnx"), true, 1e-4);
}

#[test]
fn limits_before_an_addition_stay_before_it() {
    let mut network = Network::new([1, 3, 5, 5]);
    network.convolution(3, 1, Window::square(3, 1, 1));
    let begin = network.end;
    network.convolution(3, 1, Window::square(3, 1, 1));
    network.at_least(0.0);
    network.add(begin);
    network.model.select_output_outlets(&[network.end]).unwrap();
    let mut ours = network.model.clone();
    assert!(replace(&mut ours, InstructionSet::PORTABLE).unwrap());
    assert!(ours.nodes().iter().any(|node| node.op.name() == "Add"), "it was fused");
}

#[test]
fn limits_away_from_zero_do_not_reach_channels_that_are_appended() {
    let mut network = Network::new([1, 3, 7, 7]);
    network.convolution(5, 1, Window::square(3, 1, 1));
    network.at_least(0.25);
    let begin = network.end;
    network.convolution(9, 1, Window::square(3, 1, 1));
    let end = network.end;
    network.more_channels(begin, 4);
    network.add(end);
    network.check();
}

#[test]
fn an_upper_limit_below_the_lower_one_stays_in_its_order() {
    let mut network = Network::new([1, 3, 5, 5]);
    network.convolution(3, 1, Window::square(3, 1, 1));
    network.at_most(-0.5);
    network.at_least(0.5);
    network.check_what_is_left(|left| assert!(left > 0, "it was fused"));
}

#[test]
fn a_point_that_pads_does_not_join_the_depthwise_convolution_before_it() {
    let mut network = Network::new([1, 3, 6, 6]);
    network.depthwise(Window::square(3, 1, 1));
    network.convolution(5, 1, Window { padding_after: [1, 2], ..Window::POINT });
    network.check();
}

#[test]
fn what_is_read_through_a_view_is_not_fused_away() {
    let mut network = Network::new([1, 3, 6, 6]);
    network.convolution(8, 1, Window::square(3, 1, 1));
    let begin = network.end;
    network.wire(AxisOp::Move(1, 3), &[begin]);
    network.wire(AxisOp::Move(3, 1), &[network.end]);
    network.at_least(0.0);
    let limited = network.end;
    network.end = begin;
    network.convolution(8, 1, Window::square(3, 1, 1));
    network.add(limited);
    network.check_what_is_left(|_| ());
}
