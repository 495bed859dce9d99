//! Faces mixed with other faces of the batch, and so what is to be answered (mixup, Zhang et al. 2018; cutmix,
//! Yun et al. 2019).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::config::Augment;

/// Images `[N,ch,S,S]` and shares `[N,C]`, each with those of another face: a weighted mean, or a rectangle.
/// One weight a batch.
pub fn mix(images: &Tensor, shares: &Tensor, settings: &Augment, seed: u64) -> (Tensor, Tensor) {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let cut = generator.random::<f64>() < settings.cutmix;
    if !cut && settings.mixup == 0. {
        return (images.shallow_clone(), shares.shallow_clone());
    }
    let count = images.size()[0];
    // A turn by a drawn number is as good as any order: batches are shuffled.
    let turn = generator.random_range(1..count.max(2));
    let (other_images, other_shares) = (images.roll([turn], [0]), shares.roll([turn], [0]));
    let (kept, weight) = match cut {
        true => rectangle(images, generator.random::<f64>(), &mut generator),
        false => {
            let kept = beta(settings.mixup, &mut generator);
            (Tensor::from(kept as f32).to_device(images.device()), kept)
        }
    };
    let mixed = images * &kept + other_images * (1. - &kept);
    (mixed, shares * weight + other_shares * (1. - weight))
}

/// 0 in a square of about `area` of the image, 1 elsewhere, `[1,1,S,S]`, and the mean of that.
fn rectangle(images: &Tensor, area: f64, generator: &mut ChaCha8Rng) -> (Tensor, f64) {
    let side = images.size()[2];
    let length = ((area.sqrt() * side as f64).round() as i64).clamp(1, side);
    let mut place = || generator.random_range(0..=side - length);
    let (top, left) = (place(), place());
    let mask = Tensor::ones([1, 1, side, side], (Kind::Float, images.device()));
    let _ = mask.narrow(2, top, length).narrow(3, left, length).zero_();
    (mask, 1. - (length * length) as f64 / (side * side) as f64)
}

/// A draw from Beta(a, a): Johnk's method, exact for every a, quick for the a up to 1 that mixup uses.
fn beta(a: f64, generator: &mut ChaCha8Rng) -> f64 {
    loop {
        let mut power = || generator.random::<f64>().max(f64::MIN_POSITIVE).powf(1. / a);
        let (x, y) = (power(), power());
        if x + y <= 1. && x + y > 0. {
            return x / (x + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Face i is all i and of class i: what a mixed face shows is what it is to be answered with.
    #[test]
    fn answers_are_mixed_as_the_pixels_are() {
        let options = (Kind::Float, Device::Cpu);
        let values = Tensor::arange(6, options);
        let images = values.view([6, 1, 1, 1]).repeat([1, 2, 12, 12]);
        let shares = Tensor::eye(6, options);
        for (mixup, cutmix) in [(0.4, 0.), (0., 1.), (1., 0.5)] {
            let settings = Augment { mixup, cutmix, ..Augment::OFF };
            for seed in 0..20 {
                let (mixed, answer) = mix(&images, &shares, &settings, seed);
                let shown = mixed.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
                let apart = (answer.matmul(&values) - shown).abs().max().double_value(&[]);
                assert!(apart < 1e-5, "mixup {mixup}, cutmix {cutmix}: {apart}");
                assert!((answer.sum(Kind::Float).double_value(&[]) - 6.).abs() < 1e-5);
            }
        }
        let (same, _) = mix(&images, &shares, &Augment::OFF, 1);
        assert!(same.equal(&images));
    }

    #[test]
    fn beta_has_the_mean_and_variance_of_its_formula() {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        for a in [0.2, 1., 3.] {
            let draws: Vec<f64> = (0..20_000).map(|_| beta(a, &mut generator)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance =
                draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            assert!((mean - 0.5).abs() < 0.01, "{a}: mean {mean}");
            let expected = 1. / (4. * (2. * a + 1.));
            assert!((variance / expected - 1.).abs() < 0.05, "{a}: {variance}, not {expected}");
        }
    }
}
