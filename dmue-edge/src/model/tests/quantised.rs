//! Convolutions in 8 bits: what they answer, and every lie about them.

use super::super::proto::{tensor_i8, tensor_i32, tensor_u8};
use super::*;

/// Channels that the tiny network's own convolution makes.
const INPUTS: usize = 4;
/// Steps of what goes into the second convolution and of what comes out of it.
const STEPS: [f32; 2] = [0.02, 0.03];

/// The tiny network with a second convolution, of `side` x `side` from 4 to `channels` channels, before its average.
struct Twins {
    channels: usize,
    side: usize,
    weight: Vec<i8>,
    scales: Vec<f32>,
    bias: Vec<i32>,
}

impl Twins {
    fn new(channels: usize, side: usize) -> Self {
        let mut g = generator(3);
        let mut integers = |count: usize, most: i32| -> Vec<i32> {
            (0..count).map(|_| g.random_range(-most..=most)).collect()
        };
        let weight =
            integers(channels * INPUTS * side * side, 127).iter().map(|&w| w as i8).collect();
        let bias = integers(channels, 3000);
        let scales = (0..channels).map(|channel| 0.001 + 1e-5 * channel as f32).collect();
        Self { channels, side, weight, scales, bias }
    }

    fn dims(&self) -> [usize; 4] {
        [self.channels, INPUTS, self.side, self.side]
    }

    /// Weights of one channel of the output.
    fn each(&self) -> usize {
        INPUTS * self.side * self.side
    }

    fn padding(&self) -> Vec<pb::AttributeProto> {
        vec![attribute_ints("pads", &[self.side as i64 / 2; 4])]
    }

    /// The convolution in 8 bits.
    fn quantised(&self) -> pb::ModelProto {
        let step = |name: &str, step: f32| tensor_f32(name, &[], &[step]);
        let channels = [self.channels];
        let constants = vec![
            step("x.scale", STEPS[0]),
            tensor_u8("x.zero", &[], &[0]),
            tensor_i8("w", &self.dims(), &self.weight),
            tensor_f32("w.scale", &channels, &self.scales),
            tensor_i8("w.zero", &channels, &vec![0; self.channels]),
            step("y.scale", STEPS[1]),
            tensor_u8("y.zero", &[], &[100]),
            tensor_i32("b", &channels, &self.bias),
        ];
        let inputs = ["x", "x.scale", "x.zero", "w", "w.scale", "w.zero", "y.scale", "y.zero", "b"];
        self.wired(
            constants,
            vec![
                node("QuantizeLinear", &["relu", "x.scale", "x.zero"], &["x"], vec![]),
                node("QLinearConv", &inputs, &["y"], self.padding()),
                node("DequantizeLinear", &["y", "y.scale", "y.zero"], &["inner"], vec![]),
            ],
        )
    }

    /// The same numbers as floats.
    fn float(&self) -> pb::ModelProto {
        let weight = self.weight.iter().enumerate();
        let weight: Vec<f32> =
            weight.map(|(index, &w)| f32::from(w) * self.scales[index / self.each()]).collect();
        let bias = self.bias.iter().zip(&self.scales);
        let bias: Vec<f32> = bias.map(|(&b, scale)| b as f32 * scale * STEPS[0]).collect();
        let constants =
            vec![tensor_f32("w", &self.dims(), &weight), tensor_f32("b", &[self.channels], &bias)];
        self.wired(constants, vec![node("Conv", &["relu", "w", "b"], &["inner"], self.padding())])
    }

    fn wired(&self, constants: Vec<pb::TensorProto>, nodes: Vec<pb::NodeProto>) -> pb::ModelProto {
        let mut proto = model(2, 3, Colour::Gray);
        let graph = proto.graph.as_mut().unwrap();
        graph.node.splice(2..2, nodes);
        let pool = graph.node.iter_mut().find(|node| node.op_type == "GlobalAveragePool");
        pool.unwrap().input[0] = "inner".into();
        graph.initializer.retain(|tensor| tensor.name != "body.weight");
        let body = values(&mut generator(5), 6 * self.channels);
        graph.initializer.push(tensor_f32("body.weight", &[6, self.channels], &body));
        graph.initializer.extend(constants);
        proto
    }

    /// How far half a step of each value can move a feature.
    fn tolerance(&self) -> f32 {
        let rows = self.weight.chunks(self.each()).zip(&self.scales);
        let sums =
            rows.map(|(row, scale)| row.iter().map(|&w| scale * f32::from(w).abs()).sum::<f32>());
        let of_channel = sums.fold(0.0, f32::max) * STEPS[0] / 2.0 + STEPS[1] / 2.0;
        let body = values(&mut generator(5), 6 * self.channels);
        let rows = body.chunks(self.channels).map(|row| row.iter().map(|w| w.abs()).sum::<f32>());
        rows.fold(0.0, f32::max) * of_channel
    }
}

#[test]
fn features_in_8_bits_are_those_of_floats_but_for_the_steps() {
    // More channels than a list of axes may be long.
    for (channels, side) in [(3, 3), (4, 1), (5, 1), (4, 3), (70, 3)] {
        let twins = Twins::new(channels, side);
        let [float, quantised] =
            [twins.float(), twins.quantised()].map(|proto| load(&proto).unwrap());
        let mut farthest = 0.0_f32;
        for seed in 0..20 {
            let face = crop(seed, 12, 1);
            let answers = [&float, &quantised].map(|model| model.infer(&face).unwrap().feature);
            for (a, b) in answers[0].iter().zip(&answers[1]) {
                farthest = farthest.max((a - b).abs());
            }
        }
        assert!(farthest < twins.tolerance(), "{farthest} of {}", twins.tolerance());
        assert!(farthest > 0.0, "it is not computed in 8 bits");
    }
}

fn set(proto: &mut pb::ModelProto, with: pb::TensorProto) {
    let name = with.name.clone();
    *lies::tensor(proto, &name) = with;
}

/// What is done to a good file, and a part of the words that must come back.
const LIES: [(&str, lies::Lie); 20] = [
    ("number of inputs, 2, of node `x`", |m| lies::node_of(m, "QuantizeLinear").input.truncate(2)),
    ("number of inputs, 4, of node `inner`", |m| {
        lies::node_of(m, "DequantizeLinear").input.push("y.zero".into());
    }),
    ("number of inputs, 7, of node `y`", |m| lies::node_of(m, "QLinearConv").input.truncate(7)),
    ("`x.scale`, input 1 of node `x`, is not", |m| set(m, tensor_f32("x.scale", &[2], &[1.0; 2]))),
    ("`x.scale`, input 1 of node `x`, is not", |m| set(m, tensor_f32("x.scale", &[], &[0.0]))),
    ("`y.scale`, input 6 of node `y`, is not", |m| set(m, tensor_f32("y.scale", &[], &[-1.0]))),
    ("`y.scale`, input 6 of node `y`, is not", |m| set(m, tensor_f32("y.scale", &[4], &[1.0; 4]))),
    ("tensor `y.scale` holds inf", |m| set(m, tensor_f32("y.scale", &[], &[f32::INFINITY]))),
    ("`w.scale`, input 4 of node `y`, is not", |m| set(m, tensor_f32("w.scale", &[3], &[1.0; 3]))),
    ("`w.scale`, input 4 of node `y`, is not", |m| set(m, tensor_i32("w.scale", &[4], &[1; 4]))),
    ("`w.zero`, input 5 of node `y`, is not", |m| set(m, tensor_i8("w.zero", &[5], &[0; 5]))),
    ("`w.zero`, input 5 of node `y`, is not", |m| set(m, tensor_i32("w.zero", &[], &[0]))),
    ("`y.zero`, input 7 of node `y`, is not", |m| set(m, tensor_u8("y.zero", &[1, 1], &[0]))),
    ("`w`, input 3 of node `y`, is not", |m| lies::tensor(m, "w").dims = vec![4, 36]),
    ("`w`, input 3 of node `y`, is not", |m| set(m, tensor_f32("w", &[4, 4, 1, 1], &[1.0; 16]))),
    ("`b`, input 8 of node `y`, is not", |m| set(m, tensor_i32("b", &[3], &[0; 3]))),
    ("`b`, input 8 of node `y`, is not", |m| set(m, tensor_f32("b", &[4], &[0.0; 4]))),
    ("`relu`, input 1 of node `x`, is not", |m| {
        lies::node_of(m, "QuantizeLinear").input[1] = "relu".into();
    }),
    ("`relu`, input 3 of node `y`, is not", |m| {
        lies::node_of(m, "QLinearConv").input[3] = "relu".into();
    }),
    // Nothing but a bias may be that long.
    ("65 integers of tensor `b` is not", |m| {
        set(m, tensor_i32("b", &[65], &[0; 65]));
        lies::extra(m, node("Add", &["conv", "b"], &["sum"], vec![]));
    }),
];

#[test]
fn every_lie_about_8_bits_is_told_before_tract_sees_it() {
    let good = Twins::new(4, 3).quantised();
    ModelFile::check(good.clone()).unwrap();
    for (number, (words, lie)) in LIES.into_iter().enumerate() {
        let mut proto = good.clone();
        lie(&mut proto);
        let error = ModelFile::parse(&proto.encode_to_vec()).unwrap_err().to_string();
        assert!(error.contains(words), "lie {number}: `{error}` instead of `{words}`");
    }
}

#[test]
fn integers_that_do_not_fit_each_other_are_refused() {
    let lies: [lies::Lie; 4] = [
        // Stored as u8, read as i8.
        |m| {
            set(m, tensor_i8("y.zero", &[], &[0]));
            lies::node_of(m, "DequantizeLinear").input[2] = "x.zero".into();
        },
        // A convolution of floats with integers.
        |m| lies::node_of(m, "QLinearConv").input[0] = "relu".into(),
        // A weight for another number of channels.
        |m| set(m, tensor_i8("w", &[4, 2, 3, 3], &[1; 72])),
        // Floats where integers are expected.
        |m| lies::node_of(m, "DequantizeLinear").input[0] = "relu".into(),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut proto = Twins::new(4, 3).quantised();
        lie(&mut proto);
        let error = load(&proto).unwrap_err();
        assert!(matches!(error, ModelError::Network { .. }), "lie {number}: {error}");
    }
}
