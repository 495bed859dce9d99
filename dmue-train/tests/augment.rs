//! How training images are varied.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Draws, difference};
use dmue_edge::Photo;
use dmue_edge::face::align::{FaceCrop, FaceTemplate, align};
use dmue_edge::face::detector::{Detector, DetectorOptions};
use dmue_edge::model::Colour;
use dmue_train::config::Augment;
use dmue_train::data::alignment::maps as device_maps;
use dmue_train::data::augment::augment;
use tch::{Device, Kind, Tensor};

const OFF: Augment = Augment::OFF;

/// Everything but noise, which draws from tch's generator that the tests of this file share.
const ON: Augment = Augment {
    rotation: 20.,
    scale: 0.2,
    shift: 0.08,
    flip: 0.5,
    contrast: 0.3,
    brightness: 0.15,
    erase: 0.5,
    ..OFF
};

/// `[count, channels, 24, 24]` in 0..1
fn images(count: usize, channels: usize) -> Tensor {
    let drawn = Draws::new(1).row(count * channels * 24 * 24, 0.5);
    let drawn = Tensor::from_slice(&drawn).to_kind(Kind::Float) + 0.5;
    drawn.view([count as i64, channels as i64, 24, 24])
}

/// 1 pixel of value 1 in the middle of black, `[count, 1, 25, 25]`.
fn dots(count: i64) -> Tensor {
    let dots = Tensor::zeros([count, 1, 25, 25], (Kind::Float, Device::Cpu));
    let _ = dots.narrow(2, 12, 1).narrow(3, 12, 1).fill_(1.);
    dots
}

/// Where the light of an image lies, (x, y) in pixels from the middle.
fn centre(image: &Tensor) -> (f64, f64) {
    let side = image.size()[1];
    let ramp = Tensor::arange(side, (Kind::Float, Device::Cpu)) - (side - 1) as f64 / 2.;
    let light = image.sum(Kind::Float);
    let mean = |axis: i64| {
        let profile = image.sum_dim_intlist([1 - axis].as_slice(), false, Kind::Float);
        ((profile * &ramp).sum(Kind::Float) / &light).double_value(&[])
    };
    (mean(1), mean(0))
}

#[test]
fn nothing_switched_on_leaves_images_as_they_are() {
    for channels in [1, 3] {
        let images = images(4, channels);
        assert!(difference(&augment(&images, &[], &OFF, 5), &images) < 1e-4);
    }
}

#[test]
fn a_flip_is_the_mirror_image() {
    let images = images(4, 1);
    let flipped = augment(&images, &[], &Augment { flip: 1., ..OFF }, 5);
    assert!(difference(&flipped, &images.flip([3])) < 1e-4);
    // At one half some are and some are not, and each is one of the two.
    let images = images.repeat([16, 1, 1, 1]);
    let mixed = augment(&images, &[], &Augment { flip: 0.5, ..OFF }, 5);
    let mirrored = (0..64).filter(|&image| {
        let (now, was) = (mixed.get(image), images.get(image));
        let same = difference(&now, &was) < 1e-4;
        assert!(same || difference(&now, &was.flip([2])) < 1e-4);
        !same
    });
    assert!((16..48).contains(&mirrored.count())); // four standard deviations of 64 tosses
}

#[test]
fn the_seed_decides_and_images_differ() {
    let images = images(1, 1).repeat([6, 1, 1, 1]);
    let first = augment(&images, &[], &ON, 5);
    assert_eq!(difference(&first, &augment(&images, &[], &ON, 5)), 0.);
    assert!(difference(&first, &augment(&images, &[], &ON, 6)) > 0.1);
    for other in 1..6 {
        assert!(difference(&first.get(0), &first.get(other)) > 0.1);
    }
}

#[test]
fn values_stay_in_range_without_noise() {
    let light = Augment { contrast: 1., brightness: 1., ..ON };
    for seed in 0..10 {
        let varied = augment(&images(16, 3), &[], &light, seed);
        assert_eq!(varied.size(), [16, 3, 24, 24]);
        let (low, high) = (varied.min().double_value(&[]), varied.max().double_value(&[]));
        assert!(low >= 0. && high <= 1., "{low}..{high}");
    }
}

#[test]
fn light_keeps_the_order_of_pixels_and_moves_the_mean_within_its_bounds() {
    let images = images(32, 1) * 0.2 + 0.4; // far enough from 0 and 1 that nothing is cut off
    let bright = augment(&images, &[], &Augment { brightness: 0.15, ..OFF }, 3) - &images;
    let (low, high) = (bright.min().double_value(&[]), bright.max().double_value(&[]));
    assert!(low > -0.1501 && high < 0.1501 && low < -0.05 && high > 0.05, "{low}..{high}");
    let sharp = augment(&images, &[], &Augment { contrast: 0.3, ..OFF }, 3);
    for image in 0..32 {
        let (now, was) = (sharp.get(image), images.get(image));
        let ratio = (now.std(true) / was.std(true)).double_value(&[]);
        assert!((0.699..1.301).contains(&ratio), "{ratio}");
        assert!((now - was).mean(Kind::Float).double_value(&[]).abs() < 1e-5);
    }
}

#[test]
fn shifts_turns_and_scales_keep_within_their_bounds() {
    let moved = augment(&dots(64), &[], &Augment { shift: 0.08, ..OFF }, 3);
    let mut farthest: f64 = 0.;
    for image in 0..64 {
        let (x, y) = centre(&moved.get(image).get(0));
        farthest = farthest.max(x.abs()).max(y.abs());
    }
    assert!(farthest > 1.5 && farthest <= 0.08 * 25. + 1e-3, "{farthest}");
    // A light 8 pixels right of the middle turns on its circle and moves along its radius.
    let right = dots(64).roll([8], [3]);
    for image in 0..64 {
        let turned = augment(&right, &[], &Augment { rotation: 20., ..OFF }, 3).get(image).get(0);
        let (x, y) = centre(&turned);
        assert!((x.hypot(y) - 8.).abs() < 0.1, "radius {}", x.hypot(y));
        assert!(y.atan2(x).to_degrees().abs() < 21., "angle {}", y.atan2(x).to_degrees());
    }
}

#[test]
fn the_erased_rectangle_has_the_area_that_was_asked_for() {
    let side = 48i64;
    let count = 300i64;
    let white = Tensor::ones([count, 1, side, side], (Kind::Float, Device::Cpu));
    let erased = augment(&white, &[], &Augment { erase: 1., erase_area: 0.25, ..OFF }, 3);
    let total = (side * side) as f64;
    for image in 0..count {
        let black: Tensor = 1. - erased.get(image).get(0);
        let area = black.sum(Kind::Float).double_value(&[]) / total;
        // Sides are rounded to pixels: at most half a pixel on each of two sides of 48 and less.
        assert!((0.016..=0.265).contains(&area), "{area}");
        let side_of =
            |axis: i64| black.amax([axis].as_slice(), false).sum(Kind::Float).double_value(&[]);
        let (height, width) = (side_of(1), side_of(0));
        assert!((height * width / total - area).abs() < 1e-4, "no rectangle");
        assert!((0.2..5.).contains(&(height / width)), "{height} x {width}");
    }
    let some = augment(&white, &[], &Augment { erase: 0.5, ..OFF }, 3);
    let touched = (0..count).filter(|&image| some.get(image).min().double_value(&[]) == 0.);
    assert!((115..185).contains(&touched.count())); // four standard deviations of 300 tosses
}

#[test]
fn noise_has_variance_30_of_255_and_repeats_with_both_seeds() {
    let gray = Tensor::full([64, 1, 48, 48], 0.5, (Kind::Float, Device::Cpu));
    let noisy = || {
        tch::manual_seed(9);
        augment(&gray, &[], &Augment { noise: 1., ..OFF }, 3) * 255.
    };
    let first = noisy();
    let deviation = first.std(true).double_value(&[]);
    assert!((deviation - 30f64.sqrt()).abs() < 0.05, "{deviation}"); // 147,456 values: 0.01
    assert_eq!(difference(&first, &noisy()), 0.);
}

#[test]
fn a_crop_is_cut_again_as_the_device_would() {
    let photo =
        Photo::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png"));
    let photo = photo.unwrap();
    let view = photo.view().unwrap();
    let detector = Detector::new(DetectorOptions::default()).unwrap();
    let landmarks = detector.detect(&view).unwrap()[0].landmarks;
    let cut = |template: &FaceTemplate| align(&view, &landmarks, template, 96, Colour::Gray);
    let tensor = |crop: &FaceCrop| Tensor::from_slice(&crop.pixels).view([1, 1, 96, 96]);

    let (sine, cosine) = 15f32.to_radians().sin_cos();
    let turned = [0.8 * cosine, -0.8 * sine, 0.1, 0.8 * sine, 0.8 * cosine, -0.05];
    let place = |point: [f32; 2]| {
        let [x, y] = point.map(|value| 2. * value - 1.);
        let row = |row: usize| turned[row] * x + turned[row + 1] * y + turned[row + 2];
        [row(0), row(3)].map(|value| (value + 1.) / 2.)
    };
    let FaceTemplate { right_eye, left_eye, nose, mouth } = FaceTemplate::FERPLUS;
    let [right_eye, left_eye, nose, mouth] = [right_eye, left_eye, nose, mouth].map(place);
    let crop = tensor(&cut(&FaceTemplate { right_eye, left_eye, nose, mouth }));

    let maps = device_maps(&crop, 1).unwrap();
    let map = maps[0].unwrap();
    assert_eq!(device_maps(&crop.repeat([1, 3, 1, 1]), 1).unwrap(), maps, "gray as RGB");
    let most = map.iter().zip(turned).map(|(found, placed)| (found - placed).abs());
    assert!(most.fold(0., f32::max) < 0.08, "{map:?}, not {turned:?}"); // of half the side
    let bytes = |images: &Tensor| images.to_kind(Kind::Float) / 255.;
    let (crop, device) = (bytes(&crop), bytes(&tensor(&cut(&FaceTemplate::FERPLUS))));
    let share = |aligned| Augment { aligned, ..OFF };
    let seen = augment(&crop, &maps, &share(1.), 5);
    let distance = |images: &Tensor| (images - &device).abs().mean(Kind::Float).double_value(&[]);
    assert!(distance(&seen) < 0.4 * distance(&crop), "{}, {}", distance(&seen), distance(&crop));
    assert!(difference(&augment(&crop, &maps, &share(0.), 5), &crop) < 1e-4);
}

#[test]
fn crops_without_a_face_are_left_as_they_are() {
    let gray = Tensor::full([2, 1, 48, 48], 90, (Kind::Uint8, Device::Cpu));
    assert_eq!(device_maps(&gray, 2).unwrap(), [None, None]);
}
