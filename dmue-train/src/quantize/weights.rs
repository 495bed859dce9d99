//! Weights and biases of a convolution as integers.

/// Largest size of a stored weight: symmetric, so that the zero point is 0.
const LARGEST: f32 = 127.;

/// Half of what 32 bits hold, for a bias; the sum of products has the other half.
const LARGEST_BIAS: f64 = (1 << 30) as f64;

/// Products of 8 bits that a sum of 32 bits can hold beside the bias.
pub const MOST_PRODUCTS: usize = 1 << 15;

/// A convolution's constants: `weight = scales[channel] * values`, `bias = input scale * scales[channel] * biases`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// As many as the weight, -127..=127.
    pub values: Vec<i8>,
    /// One for each channel of the output, above 0.
    pub scales: Vec<f32>,
    /// One for each channel of the output.
    pub biases: Vec<i32>,
}

/// Rounds `weight` `[O, ...]` with a scale of its own for each channel of the output, and `bias` `[O]` to the
/// steps of products with inputs of `input_scale`.
pub fn quantise(weight: &[f32], bias: &[f32], input_scale: f32) -> Weights {
    let mut all = Weights { values: vec![], scales: vec![], biases: vec![] };
    for (row, &bias) in weight.chunks(weight.len() / bias.len().max(1)).zip(bias) {
        let scale = scale(row, bias, input_scale);
        let step = |weight: &f32| (weight / scale).round_ties_even().clamp(-LARGEST, LARGEST) as i8;
        all.values.extend(row.iter().map(step));
        all.scales.push(scale);
        let unit = f64::from(input_scale) * f64::from(scale);
        all.biases.push((f64::from(bias) / unit).round_ties_even() as i32);
    }
    all
}

/// Of one channel: wide enough for its largest weight, and for a bias beside which its weights are next to nothing.
fn scale(row: &[f32], bias: f32, input_scale: f32) -> f32 {
    let largest = row.iter().fold(0_f32, |largest, weight| largest.max(weight.abs()));
    let for_bias = f64::from(bias.abs()) / (f64::from(input_scale) * LARGEST_BIAS);
    let scale = (largest / LARGEST).max(for_bias as f32);
    if scale > 0. { scale.max(f32::MIN_POSITIVE) } else { 1. }
}
