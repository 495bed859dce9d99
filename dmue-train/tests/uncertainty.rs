//! Pairwise uncertainty: training's tensors against the edge's functions, and the identity that
//! the method rests on (method.md section 4).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::formulas::{cosine, dot, pairwise};
use common::{Draws, assert_close, labels, tensor2, values};
use dmue_edge::uncertainty as edge;
use dmue_train::model::uncertainty::{Uncertainty, scale, similarity, unit};
use tch::{Device, Kind, Tensor, nn};

/// Rounding of a sum of a few products in f32.
const ROUNDING: f64 = 2e-6;

fn narrow(row: &[f64]) -> Vec<f32> {
    row.iter().map(|&value| value as f32).collect()
}

fn widen(row: &[f32]) -> Vec<f64> {
    row.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn similarity_leaves_the_image_itself_out() {
    let mut draws = Draws::new(1);
    for classes in 2..=9 {
        let (images, size) = (draws.whole(1, 30), draws.whole(1, 16));
        let features = draws.matrix(images, size, 3.);
        let classes_of: Vec<usize> = (0..images).map(|_| draws.whole(0, classes - 1)).collect();
        let found = similarity(&tensor2(&features), &labels(&classes_of), classes as i64);
        let expected = pairwise(&features, &classes_of, classes);
        assert_close(&values(&found), &expected.concat(), 1e-12, "SV");
    }
    // Two images of class 0 at a right angle, one of class 1 between them.
    let features = tensor2(&[vec![2., 0.], vec![0., 3.], vec![1., 1.]]);
    let found = similarity(&features, &labels(&[0, 0, 1]), 2);
    let root = 0.5f64.sqrt();
    assert_close(&values(&found), &[0., root, 0., root, root, 0.], 1e-12, "SV by hand");
}

/// On the edge the other images are a window without a prior, so both must say the same.
#[test]
fn similarity_and_alpha_equal_the_edge_on_a_window_of_the_other_images() {
    let mut draws = Draws::new(2);
    let (images, classes, size) = (14, 4, 6);
    let features: Vec<Vec<f64>> = draws.matrix(images, size, 1.);
    let classes_of: Vec<usize> = (0..images).map(|image| image % classes).collect();
    let store = nn::VarStore::new(Device::Cpu);
    tch::manual_seed(3);
    let head = Uncertainty::new(&store.root(), classes as i64);
    let tensor = tensor2(&features).to_kind(Kind::Float);
    let rows = similarity(&tensor, &labels(&classes_of), classes as i64);
    let alphas = values(&head.forward(&tensor, &labels(&classes_of)));
    let edge_head = edge_head(&head, classes);
    for (image, &class) in classes_of.iter().enumerate() {
        let own = edge::unit(&narrow(&features[image]));
        let others = window(&features, &classes_of, classes, image);
        // The prior's weight must be above 0: one that rounds away.
        let prior = edge::Prior::new(vec![0.; classes * size], 1e-20, classes, size).unwrap();
        let row = edge::similarity(&own, &prior, Some(&others));
        assert_close(&values(&rows.get(image as i64)), &widen(&row), ROUNDING, "SV");
        let alpha = edge_head.forward(&edge::alpha_input(&row, class));
        // Scaling divides rounding by the range of SV, about 1 here.
        assert_close(&[alphas[image]], &[f64::from(alpha)], 1e-5, "alpha");
    }
}

/// Sums and counts of every image but one.
fn window(
    features: &[Vec<f64>],
    classes_of: &[usize],
    classes: usize,
    without: usize,
) -> edge::ClassSums {
    let size = features[0].len();
    let mut sums = vec![0.; classes * size];
    let mut counts = vec![0.; classes];
    for (image, &class) in classes_of.iter().enumerate().filter(|(image, _)| *image != without) {
        let unit = edge::unit(&narrow(&features[image]));
        sums[class * size..][..size].iter_mut().zip(unit).for_each(|(sum, value)| *sum += value);
        counts[class] += 1.;
    }
    edge::ClassSums { sums, counts }
}

fn edge_head(head: &Uncertainty, classes: usize) -> edge::TwoLayerHead {
    let narrow = |tensor: &Tensor| narrow(&values(tensor));
    edge::TwoLayerHead::new(
        2 * classes,
        narrow(&head.weight1),
        narrow(&head.bias1),
        narrow(&head.slope)[0],
        narrow(&head.weight2),
        narrow(&head.bias2)[0],
    )
    .unwrap()
}

#[test]
fn unit_and_scale_equal_the_edge_also_at_their_guards() {
    let rows: [&[f64]; 6] = [
        &[0., 0., 0.],
        &[3., 0., -4.],
        &[0.5, 0.5, 0.5],
        &[0.5, 0.50001, 0.5],  // within MIN_RANGE
        &[0.5, 0.50015, 0.51], // beyond it
        &[1e-13, 0., 0.],      // below MIN_NORM
    ];
    for row in rows {
        let tensor = tensor2(&[row.to_vec()]).to_kind(Kind::Float);
        let (short, edge_unit) = (values(&unit(&tensor)), widen(&edge::unit(&narrow(row))));
        assert_close(&short, &edge_unit, ROUNDING, "unit");
        let (found, edge_scale) = (values(&scale(&tensor)), widen(&edge::scale(&narrow(row))));
        assert_close(&found, &edge_scale, ROUNDING, "scale");
    }
}

/// x = cos(theta) c + sin(theta) u with u at a right angle to c, in pairs of u and -u, so that the
/// mean of x_perp = sin(theta) u is exactly 0; theta ~ N(0, deviation^2) on `[-pi, pi]`.
fn samples(
    draws: &mut Draws,
    centre: &[f64],
    pairs: usize,
    deviation: f64,
) -> (Vec<Vec<f64>>, f64) {
    let (mut samples, mut cosines) = (vec![], 0.);
    while samples.len() < 2 * pairs {
        let theta = deviation * draws.normal();
        if theta.abs() > std::f64::consts::PI {
            continue;
        }
        let side = perpendicular(draws, centre);
        for sign in [1., -1.] {
            let towards = centre.iter().zip(&side);
            samples.push(towards.map(|(c, u)| theta.cos() * c + sign * theta.sin() * u).collect());
        }
        cosines += theta.cos();
    }
    (samples, cosines / pairs as f64)
}

/// A unit vector at a right angle to a unit vector.
fn perpendicular(draws: &mut Draws, centre: &[f64]) -> Vec<f64> {
    let drawn: Vec<f64> = centre.iter().map(|_| draws.normal()).collect();
    let along = dot(&drawn, centre);
    let side: Vec<f64> = drawn.iter().zip(centre).map(|(value, c)| value - along * c).collect();
    let norm = dot(&side, &side).sqrt();
    side.iter().map(|value| value / norm).collect()
}

/// E[cos(theta)] of the normal distribution cut off at +-pi, by Simpson's rule.
fn expected_cosine(deviation: f64) -> f64 {
    let (steps, pi) = (2000, std::f64::consts::PI);
    let (mut above, mut below) = (0., 0.);
    for step in 0..=steps {
        let theta = -pi + 2. * pi * f64::from(step) / f64::from(steps);
        let weight = if step == 0 || step == steps { 1. } else { f64::from(2 + 2 * (step % 2)) };
        let density = weight * (-0.5 * (theta / deviation).powi(2)).exp();
        above += density * theta.cos();
        below += density;
    }
    above / below
}

#[test]
fn mean_similarity_to_a_class_is_the_cosine_to_its_centre_times_its_mean_cosine() {
    let (size, pairs) = (16, 1000);
    for (seed, (deviation, alpha)) in
        [(0.2f64, 0.3f64), (0.6, 1.0), (1.2, 2.0), (2.5, 0.)].into_iter().enumerate()
    {
        let mut draws = Draws::new(seed as u64);
        let centre = perpendicular(&mut draws, &vec![0.; size]);
        let side = perpendicular(&mut draws, &centre);
        let image: Vec<f64> =
            centre.iter().zip(&side).map(|(c, u)| alpha.cos() * c + alpha.sin() * u).collect();
        assert_close(&[cosine(&image, &centre)], &[alpha.cos()], 1e-12, "angle");
        let (mut features, mean_cosine) = samples(&mut draws, &centre, pairs, deviation);
        features.push(image);
        let mut classes = vec![0; 2 * pairs];
        classes.push(1);
        let found = values(&similarity(&tensor2(&features), &labels(&classes), 2).get(-1));
        assert_close(&found, &[alpha.cos() * mean_cosine, 0.], 1e-10, "SV of the sample");
        // In expectation: five standard errors of a mean of `pairs` cosines, whose deviation is
        // at most 1.
        let limit = 5. * spread_of_cosine(deviation) / (pairs as f64).sqrt();
        assert_close(&found[..1], &[alpha.cos() * expected_cosine(deviation)], limit, "SV");
    }
}

/// Bound of the standard deviation of cos(theta): |cos a - cos b| <= |a^2 - b^2| / 2, and never
/// above 1.
fn spread_of_cosine(deviation: f64) -> f64 {
    (deviation.powi(2) / 2f64.sqrt()).min(1.)
}
