//! Rounding to 8 bits: ranges of activations, weights and biases.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Draws;
use dmue_train::quantize::ranges::{Histogram, Quantisation, candidates};
use dmue_train::quantize::weights::{Weights, quantise};
use proptest::prelude::*;

fn best(values: &[f32]) -> Quantisation {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut histogram = Histogram::new(&(low..=high));
    histogram.add(values);
    histogram.best()
}

/// Mean squared error of storing each value, by a loop.
fn error(quantisation: Quantisation, values: &[f32]) -> f64 {
    let (scale, zero) = (f64::from(quantisation.scale), f64::from(quantisation.zero_point));
    let mut sum = 0.;
    for &value in values {
        let stored = ((f64::from(value) / scale).round() + zero).clamp(0., 255.);
        sum += (scale * (stored - zero) - f64::from(value)).powi(2);
    }
    sum / values.len() as f64
}

#[test]
fn no_other_range_is_much_better_than_the_one_that_is_found() {
    let mut draws = Draws::new(7);
    let normal: Vec<f32> = (0..20_000).map(|_| draws.normal() as f32).collect();
    let cubed: Vec<f32> = normal.iter().map(|value| value.powi(3)).collect();
    let rectified: Vec<f32> = cubed.iter().map(|value| value.max(0.)).collect();
    let shifted: Vec<f32> = normal.iter().map(|value| 0.1 * value - 0.05).collect();
    for values in [normal, cubed, rectified, shifted] {
        let found = best(&values);
        let low = values.iter().copied().fold(0., f32::min);
        let high = values.iter().copied().fold(0., f32::max);
        let errors = candidates(low.into(), high.into()).map(|other| error(other, &values));
        let least = errors.fold(f64::INFINITY, f64::min);
        assert!(
            error(found, &values) < 1.02 * least,
            "{found:?}: {} {least}",
            error(found, &values)
        );
        let whole = Quantisation::of_range(low.into(), high.into());
        assert!(error(found, &values) <= 1.02 * error(whole, &values), "{found:?} {whole:?}");
    }
}

#[test]
fn rare_large_values_are_cut_off_and_a_few_values_are_not() {
    let mut values: Vec<f32> = (0..1_000_000).map(|index| (index % 1000) as f32 / 1000.).collect();
    values.push(4.);
    assert!(best(&values).scale < 2.5 / 255., "{:?}", best(&values));
    // Every range can store these exactly, and of equal ones the widest counts.
    let found = best(&[0., 0., 2.55]);
    assert!((found.scale - 0.01).abs() < 1e-6 && found.zero_point == 0, "{found:?}");
}

#[test]
fn tensors_that_hold_one_value_have_a_range() {
    for (values, zero_point) in [
        (vec![0.; 10], 0),
        (vec![3.; 10], 0),
        (vec![-3.; 10], 255),
        (vec![1e-38; 10], 0),
        (vec![], 0),
    ] {
        let found = best(&values);
        assert_eq!(found.zero_point, zero_point, "{values:?} {found:?}");
        assert!(found.scale > 0. && found.scale.recip().is_finite(), "{values:?} {found:?}");
        for &value in values.iter().filter(|value| value.abs() > 1e-30) {
            let stored = found.nearest(value.into());
            assert!((stored / f64::from(value) - 1.).abs() < 1e-2, "{value} {stored}");
        }
    }
}

proptest! {
    #[test]
    fn what_lies_in_the_range_is_half_a_step_off_at_most(
        low in -1e3_f64..0., high in 0_f64..1e3, share in 0_f64..1.,
    ) {
        let quantisation = Quantisation::of_range(low, high);
        prop_assert_eq!(quantisation.nearest(0.), 0.);
        let value = low + share * (high - low);
        let step = f64::from(quantisation.scale);
        // The range was moved by up to half a step to have 0 on one.
        let allowed = if share > 0.01 && share < 0.99 { 0.501 * step } else { 1.001 * step };
        prop_assert!((quantisation.nearest(value) - value).abs() <= allowed + 1e-12);
    }

    #[test]
    fn weights_are_half_a_step_off_at_most(
        rows in prop::collection::vec(prop::collection::vec(-2_f32..2., 18), 1..5),
        sizes in prop::collection::vec(-6_i32..3, 4),
        bias in prop::collection::vec(-5_f32..5., 4),
        input_scale in 1e-4_f32..1.,
    ) {
        let channels = rows.len();
        let scaled = rows.iter().zip(&sizes).flat_map(|(row, &size)| {
            row.iter().map(move |weight| weight * 10_f32.powi(size))
        });
        let weight: Vec<f32> = scaled.collect();
        let bias = &bias[..channels];
        let Weights { values, scales, biases } = quantise(&weight, bias, input_scale);
        prop_assert_eq!((values.len(), scales.len(), biases.len()), (weight.len(), channels, channels));
        for (index, (&value, &weight)) in values.iter().zip(&weight).enumerate() {
            let scale = scales[index / 18];
            prop_assert!(scale > 0. && value >= -127);
            prop_assert!((scale * f32::from(value) - weight).abs() <= 0.5001 * scale);
        }
        for ((&stored, &scale), &bias) in biases.iter().zip(&scales).zip(bias) {
            let unit = f64::from(input_scale) * f64::from(scale);
            prop_assert!((unit * f64::from(stored) - f64::from(bias)).abs() <= 0.5001 * unit);
        }
    }
}

#[test]
fn a_channel_without_weights_keeps_its_bias() {
    let Weights { values, scales, biases } = quantise(&[0.; 6], &[0., 0.25, -1e9], 0.01);
    assert_eq!(values, [0; 6]);
    for (channel, bias) in [0., 0.25, -1e9].into_iter().enumerate() {
        let stored = f64::from(biases[channel]) * f64::from(scales[channel]) * f64::from(0.01_f32);
        assert!((stored - bias).abs() <= 1e-6 * f64::abs(bias), "{stored} for {bias}");
    }
}
