//! What small faces and compressed frames of a camera lose.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// The smallest side after shrinking, as a share of the image's.
const SMALLEST: f64 = 1. / 3.;
/// Of JPEG, worst and best.
const QUALITY: [f64; 2] = [10., 90.];
/// Side of JPEG's blocks.
const BLOCK: i64 = 8;
/// ITU-T T.81, table K.1: steps of the luminance coefficients at quality 50, row by row.
const LUMINANCE: [i32; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
    92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];

/// Each image `[N,ch,S,S]` with probability `share` shrunk to a third of its side or more and enlarged.
pub fn shrink(images: &Tensor, share: f64, generator: &mut ChaCha8Rng) -> Tensor {
    let side = images.size()[2];
    let mut rows = vec![];
    for row in 0..images.size()[0] {
        let image = images.narrow(0, row, 1);
        let small = (side as f64 * generator.random_range(SMALLEST..1.)).round() as i64;
        let shrunk = generator.random::<f64>() < share;
        rows.push(match shrunk {
            true => shrunk_to(&image, small),
            false => image,
        });
    }
    Tensor::cat(&rows, 0)
}

/// Images `[N,ch,S,S]` averaged to a side of `small` pixels and enlarged again.
pub(super) fn shrunk_to(images: &Tensor, small: i64) -> Tensor {
    let side = images.size()[2];
    let shrunk = images.adaptive_avg_pool2d([small.max(1); 2]);
    shrunk.upsample_bilinear2d([side; 2], false, None, None)
}

/// Each image `[N,ch,S,S]` of 0..1 with probability `share` as JPEG at a quality of 10 to 90 leaves its
/// planes: coefficients of 8x8 blocks, rounded to multiples of their steps.
pub fn jpeg(images: &Tensor, share: f64, generator: &mut ChaCha8Rng) -> Tensor {
    let count = images.size()[0];
    let steps: Vec<f32> = (0..count).flat_map(|_| steps(generator)).collect();
    let chosen: Vec<bool> = (0..count).map(|_| generator.random::<f64>() < share).collect();
    if !chosen.contains(&true) {
        return images.shallow_clone();
    }
    let device = images.device();
    let steps = Tensor::from_slice(&steps).view([count, 1, 1, 1, BLOCK, BLOCK]).to_device(device);
    let chosen = Tensor::from_slice(&chosen).view([count, 1, 1, 1]).to_device(device);
    quantised(images, &steps).where_self(&chosen, images)
}

/// `[N,ch,S,S]` -> the same, through rounded coefficients; `steps` `[N,1,1,1,8,8]` on 0..255.
fn quantised(images: &Tensor, steps: &Tensor) -> Tensor {
    let side = images.size()[2];
    let more = (BLOCK - side % BLOCK) % BLOCK;
    let padded = images.replication_pad2d([0, more, 0, more]);
    let blocks = padded.unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK); // [N,ch,rows,columns,8,8]
    let basis = basis(images.device());
    let transposed = basis.transpose(0, 1);
    let coefficients = basis.matmul(&(blocks * 255. - 128.)).matmul(&transposed);
    let rounded = (coefficients / steps).round() * steps;
    let values = (transposed.matmul(&rounded).matmul(&basis) + 128.) / 255.;
    let whole = values.permute([0, 1, 2, 4, 3, 5]).contiguous().view(padded.size().as_slice());
    whole.narrow(2, 0, side).narrow(3, 0, side).clamp(0., 1.)
}

/// Steps of the coefficients of an image at a quality that is drawn, as libjpeg scales them.
fn steps(generator: &mut ChaCha8Rng) -> [f32; 64] {
    let quality = generator.random_range(QUALITY[0]..=QUALITY[1]);
    let scale = if quality < 50. { 50. / quality } else { 2. - quality / 50. };
    LUMINANCE.map(|step| (f64::from(step) * scale).round().clamp(1., 255.) as f32)
}

/// The orthonormal cosine transform of eight values, a row for each frequency.
fn basis(device: Device) -> Tensor {
    let frequency = Tensor::arange(BLOCK, (Kind::Float, device)).unsqueeze(1);
    let place = Tensor::arange(BLOCK, (Kind::Float, device)).unsqueeze(0) + 0.5;
    let waves = (frequency * place * (std::f64::consts::PI / BLOCK as f64)).cos() * 0.5;
    let _ = waves.get(0).fill_((1. / BLOCK as f64).sqrt());
    waves
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn images(side: i64) -> Tensor {
        Tensor::arange(2 * side * side, (Kind::Float, Device::Cpu)).view([2, 1, side, side]).sin()
            * 0.4
            + 0.5
    }

    #[test]
    fn the_basis_is_orthonormal_and_fine_steps_change_nothing() {
        let basis = basis(Device::Cpu);
        let identity = Tensor::eye(BLOCK, (Kind::Float, Device::Cpu));
        let apart = (basis.matmul(&basis.transpose(0, 1)) - identity).abs().max();
        assert!(apart.double_value(&[]) < 1e-6);
        for side in [16, 21] {
            let images = images(side);
            let fine = Tensor::full([2, 1, 1, 1, 8, 8], 1e-3, (Kind::Float, Device::Cpu));
            let same = (quantised(&images, &fine) - &images).abs().max().double_value(&[]);
            assert!(same < 1e-4, "{side}: {same}");
            let coarse = (quantised(&images, &(fine * 1e8)) - 128. / 255.).abs().max();
            assert!(coarse.double_value(&[]) < 1e-6, "only the middle grey is left");
        }
    }

    #[test]
    fn a_share_of_the_images_is_degraded_and_the_others_are_not() {
        for degrade in [shrink, jpeg] {
            let images = images(24).repeat([50, 1, 1, 1]);
            let mut generator = ChaCha8Rng::seed_from_u64(3);
            let changed = |share, generator: &mut ChaCha8Rng| {
                let found = degrade(&images, share, generator);
                let apart = (found - &images).abs().amax([1i64, 2, 3].as_slice(), false);
                Vec::<f32>::try_from(apart).unwrap().iter().filter(|apart| **apart > 1e-3).count()
            };
            assert_eq!(changed(0., &mut generator), 0);
            assert!((30..70).contains(&changed(0.5, &mut generator)));
            assert!(changed(1., &mut generator) > 90);
        }
    }
}
