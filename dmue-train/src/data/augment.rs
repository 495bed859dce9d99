//! How training images are varied (method.md section 5, in the ratios of the config).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::alignment::{Map, composed};
use super::degrade;
use crate::config::Augment;

/// Variance 30 on 0..255, as a deviation on 0..1.
const NOISE: f64 = 5.477_225_575 / 255.;

/// Rotation, scale, shift and flip in one resampling, then contrast, brightness, erasing, noise, low
/// resolution, JPEG.
/// images `[N,ch,S,S]` in 0..1; `maps` has how the device would cut each, or is empty; the draws depend on `seed` and,
/// for noise, on tch's generator.
pub fn augment(images: &Tensor, maps: &[Option<Map>], settings: &Augment, seed: u64) -> Tensor {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let count = images.size()[0];
    let moved = resample(images, maps, settings, &mut generator);
    let lit = relight(&moved, settings, &mut generator);
    let erased = lit
        * keep_mask(count, images.size()[2], settings, &mut generator).to_device(images.device());
    let mut seen = add_noise(&erased, settings, &mut generator);
    if settings.shrink > 0. {
        seen = degrade::shrink(&seen, settings.shrink, &mut generator);
    }
    if settings.jpeg > 0. {
        seen = degrade::jpeg(&seen, settings.jpeg, &mut generator);
    }
    seen
}

fn resample(
    images: &Tensor,
    maps: &[Option<Map>],
    settings: &Augment,
    generator: &mut ChaCha8Rng,
) -> Tensor {
    let matrix = |image: i64| {
        let varied = affine(settings, generator);
        match maps.get(image as usize) {
            Some(Some(map)) if generator.random::<f64>() < settings.aligned => {
                composed(map, &varied)
            }
            _ => varied,
        }
    };
    let matrices: Vec<f32> = (0..images.size()[0]).flat_map(matrix).collect();
    warped(images, &matrices)
}

/// Images `[N,ch,S,S]` through maps from output to input coordinates, both -1..1: two rows of three a map.
pub(super) fn warped(images: &Tensor, maps: &[f32]) -> Tensor {
    let maps = Tensor::from_slice(maps).view([-1, 2, 3]).to_device(images.device());
    let grid = Tensor::affine_grid_generator(&maps, images.size(), false);
    images.grid_sampler(&grid, 0, 1, false) // bilinear, border pixels repeated
}

/// Rows of the map from output to input coordinates, both -1..1.
fn affine(settings: &Augment, generator: &mut ChaCha8Rng) -> Map {
    let angle = spread(generator, settings.rotation).to_radians();
    let scale = spread(generator, (1. + settings.scale).ln()).exp();
    let mirror = if generator.random::<f64>() < settings.flip { -1. } else { 1. };
    let (x, y) = (spread(generator, 2. * settings.shift), spread(generator, 2. * settings.shift));
    let (sine, cosine) = (angle.sin() / scale, angle.cos() / scale);
    [cosine * mirror, -sine, x, sine * mirror, cosine, y].map(|value| value as f32)
}

fn relight(images: &Tensor, settings: &Augment, generator: &mut ChaCha8Rng) -> Tensor {
    let count = images.size()[0];
    let mut column = |centre: f64, width: f64| {
        let values: Vec<f32> =
            (0..count).map(|_| (centre + spread(generator, width)) as f32).collect();
        Tensor::from_slice(&values).view([count, 1, 1, 1]).to_device(images.device())
    };
    let (contrast, brightness) = (column(1., settings.contrast), column(0., settings.brightness));
    let mean = images.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float);
    ((images - &mean) * contrast + mean + brightness).clamp(0., 1.)
}

/// 1 where the image is kept, 0 in the erased rectangle: `[N,1,S,S]`.
fn keep_mask(count: i64, size: i64, settings: &Augment, generator: &mut ChaCha8Rng) -> Tensor {
    let side = size as usize;
    let mut mask = vec![1f32; count as usize * side * side];
    for image in mask.chunks_exact_mut(side * side) {
        if generator.random::<f64>() < settings.erase {
            erase(image, side, settings.erase_area, generator);
        }
    }
    Tensor::from_slice(&mask).view([count, 1, size, size])
}

/// A rectangle of 0.02 to `largest` of the image, aspect 0.3 to 3.3.
fn erase(image: &mut [f32], side: usize, largest: f64, generator: &mut ChaCha8Rng) {
    let area = generator.random_range(0.02..=largest) * (side * side) as f64;
    let aspect = spread(generator, 3.3f64.ln()).exp();
    let clipped = |length: f64| (length.round() as usize).clamp(1, side);
    let (height, width) = (clipped((area * aspect).sqrt()), clipped((area / aspect).sqrt()));
    let top = generator.random_range(0..=side - height);
    let left = generator.random_range(0..=side - width);
    for row in image.chunks_exact_mut(side).skip(top).take(height) {
        row[left..left + width].fill(0.);
    }
}

fn add_noise(images: &Tensor, settings: &Augment, generator: &mut ChaCha8Rng) -> Tensor {
    if settings.noise == 0. {
        return images.shallow_clone();
    }
    let count = images.size()[0];
    let levels: Vec<f32> = (0..count)
        .map(|_| if generator.random::<f64>() < settings.noise { NOISE as f32 } else { 0. })
        .collect();
    let levels = Tensor::from_slice(&levels).view([count, 1, 1, 1]).to_device(images.device());
    images + images.randn_like() * levels
}

/// Uniform in -width..width.
fn spread(generator: &mut ChaCha8Rng, width: f64) -> f64 {
    (generator.random::<f64>() * 2. - 1.) * width
}
