//! Faces as bad conditions show them, and crops without a face: what a score must fall for.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::augment::warped;
use super::degrade::shrunk_to;

/// One way of losing a face. Severity 0 changes nothing, 1 leaves next to nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// Gaussian blur, deviation up to a tenth of the side.
    Blur,
    /// Gaussian noise, deviation up to 0.5 of 0..1.
    Noise,
    /// Light down to 3 %, with the noise that a sensor has, as whole steps of 255.
    Darkness,
    /// A uniform rectangle over up to 80 % of the image.
    Occlusion,
    /// Turned by up to 180 degrees, either way.
    Rotation,
    /// Down to a side of 4 pixels and enlarged again.
    Downscale,
}

/// Deviation of a sensor's noise on 0..1.
const SENSOR: f64 = 0.01;
/// Degrees by which a face is turned that does not count as one any more: the aligner never cuts such a crop.
const UPSIDE_DOWN: std::ops::RangeInclusive<f64> = 100.0..=260.0;
/// Shapes of a crop.
const LEAVES: std::ops::RangeInclusive<usize> = 4..=60;

impl Corruption {
    /// All, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Blur, Self::Noise, Self::Darkness, Self::Occlusion, Self::Rotation, Self::Downscale];

    /// As reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blur => "blur",
            Self::Noise => "noise",
            Self::Darkness => "darkness",
            Self::Occlusion => "occlusion",
            Self::Rotation => "rotation",
            Self::Downscale => "downscaling",
        }
    }

    /// Whether there is still a face to see: true where next to nothing changed, false where next to nothing is left, `None`
    /// between. A face in the dark keeps its features; one that lies on its side has lost them long before it is upside down.
    pub fn leaves_a_face(self, severity: f64) -> Option<bool> {
        let lost = match self {
            Self::Darkness => 1.,
            Self::Rotation => 0.5,
            _ => 0.8,
        };
        match severity {
            _ if severity < 0.15 => Some(true),
            _ if severity > lost => Some(false),
            _ => None,
        }
    }

    /// Images `[N,ch,S,S]` in 0..1, each with a severity of its own, 0..=1 -> the same shape and range.
    pub fn apply(self, images: &Tensor, severities: &[f64], generator: &mut ChaCha8Rng) -> Tensor {
        let each = severities.iter().enumerate().map(|(row, &severity)| {
            self.one(&images.narrow(0, row as i64, 1), severity, generator)
        });
        Tensor::cat(&each.collect::<Vec<_>>(), 0).clamp(0., 1.)
    }

    fn one(self, image: &Tensor, severity: f64, generator: &mut ChaCha8Rng) -> Tensor {
        let side = image.size()[2];
        match self {
            _ if severity <= 0. => image.shallow_clone(),
            Self::Blur => blur(image, 0.1 * severity * side as f64),
            Self::Noise => image + noise(image, generator) * (0.5 * severity),
            Self::Darkness => {
                let light = 1. - 0.97 * severity;
                ((image * light + noise(image, generator) * SENSOR) * 255.).round() / 255.
            }
            Self::Occlusion => covered(image, 0.8 * severity, generator),
            Self::Rotation => turned(image, 180. * severity * sign(generator)),
            Self::Downscale => {
                let small = (side as f64 * (4. / side as f64).powf(severity)).round() as i64;
                shrunk_to(image, small)
            }
        }
    }
}

/// Crops without an upright face, made of faces `[N,ch,S,S]`: a fifth of the side enlarged, tiles in another order,
/// smooth noise or overlapping shapes with the face's own mean and contrast, or the face upside down.
pub fn without_face(images: &Tensor, generator: &mut ChaCha8Rng) -> Tensor {
    let each = (0..images.size()[0]).map(|row| {
        let image = images.narrow(0, row, 1);
        match generator.random_range(0..5) {
            0 => patch(&image, generator),
            1 => shuffled(&image, generator),
            2 => clouds(&image, generator),
            3 => leaves(&image, generator),
            _ => turned(&image, generator.random_range(UPSIDE_DOWN)),
        }
    });
    Tensor::cat(&each.collect::<Vec<_>>(), 0).clamp(0., 1.)
}

fn patch(image: &Tensor, generator: &mut ChaCha8Rng) -> Tensor {
    let side = image.size()[2];
    let part = (side / 5).max(2);
    let mut start = || generator.random_range(0..=side - part);
    let (top, left) = (start(), start());
    let part = image.narrow(2, top, part).narrow(3, left, part);
    part.contiguous().upsample_bilinear2d([side; 2], false, None, None)
}

/// 4x4 tiles, drawn in any order.
fn shuffled(image: &Tensor, generator: &mut ChaCha8Rng) -> Tensor {
    const TILES: i64 = 4;
    let side = image.size()[2];
    let tile = side / TILES;
    let cut = image.narrow(2, 0, tile * TILES).narrow(3, 0, tile * TILES);
    let mut order: Vec<i64> = (0..TILES * TILES).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, generator.random_range(0..=last));
    }
    let row = |row: i64| {
        let tiles = (0..TILES).map(|column| {
            let from = order[(row * TILES + column) as usize];
            cut.narrow(2, from / TILES * tile, tile).narrow(3, from % TILES * tile, tile)
        });
        Tensor::cat(&tiles.collect::<Vec<_>>(), 3)
    };
    let whole = Tensor::cat(&(0..TILES).map(row).collect::<Vec<_>>(), 2);
    whole.upsample_bilinear2d([side; 2], false, None, None)
}

fn clouds(image: &Tensor, generator: &mut ChaCha8Rng) -> Tensor {
    let (side, channels) = (image.size()[2], image.size()[1]);
    let coarse = generator.random_range(2..=side / 3);
    let small = Tensor::zeros([1, channels, coarse, coarse], (Kind::Float, Device::Cpu));
    let smooth = noise(&small, generator).upsample_bilinear2d([side; 2], false, None, None);
    smooth * image.std(true) + image.mean(Kind::Float)
}

/// Rectangles and ellipses of any grey over each other, more small ones than large ones, softened a little: edges and
/// flat parts as scenes have them (the "dead leaves" model).
fn leaves(image: &Tensor, generator: &mut ChaCha8Rng) -> Tensor {
    let (side, channels) = (image.size()[2] as usize, image.size()[1]);
    let mut pixels = vec![0f32; side * side];
    for _ in 0..generator.random_range(LEAVES) {
        let grey: f32 = generator.random();
        let (round, turn) =
            (generator.random::<bool>(), generator.random::<f64>() * std::f64::consts::PI);
        let (sine, cosine) = turn.sin_cos();
        let mut place = || generator.random::<f64>() * side as f64;
        let (left, top) = (place(), place());
        // Half lengths from a twentieth of the side to the whole of it.
        let mut half = || side as f64 * 0.05f64.powf(generator.random());
        let (width, height) = (half(), half());
        for (place, pixel) in pixels.iter_mut().enumerate() {
            let (x, y) = ((place % side) as f64 - left, (place / side) as f64 - top);
            let (u, v) = ((cosine * x + sine * y) / width, (cosine * y - sine * x) / height);
            let inside = if round { u * u + v * v < 1. } else { u.abs().max(v.abs()) < 1. };
            *pixel = if inside { grey } else { *pixel };
        }
    }
    let shapes = Tensor::from_slice(&pixels).view([1, 1, side as i64, side as i64]);
    let soft = blur(&shapes, generator.random_range(0.3..2.));
    let contrast = image.std(true) / soft.std(true).clamp_min(1e-3);
    let mean = soft.mean(Kind::Float);
    ((soft - mean) * contrast + image.mean(Kind::Float)).repeat([1, channels, 1, 1])
}

/// Standard normal, of the shape of `image`; every channel the same, as a gray sensor's.
fn noise(image: &Tensor, generator: &mut ChaCha8Rng) -> Tensor {
    let size = image.size();
    let normal = |_| {
        let (u, v): (f64, f64) = (generator.random(), generator.random());
        ((-2. * (1. - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    };
    let values: Vec<f32> = (0..size[2] * size[3]).map(normal).collect();
    Tensor::from_slice(&values).view([1, 1, size[2], size[3]]).expand(size.as_slice(), false)
}

fn sign(generator: &mut ChaCha8Rng) -> f64 {
    if generator.random() { 1. } else { -1. }
}

/// Gaussian blur of deviation `deviation` pixels, border pixels repeated.
fn blur(image: &Tensor, deviation: f64) -> Tensor {
    let reach = (3. * deviation).ceil().min((image.size()[2] - 1) as f64) as i64;
    let places = Tensor::arange_start(-reach, reach + 1, (Kind::Float, Device::Cpu));
    let weights = (places.square() / (-2. * deviation * deviation)).exp();
    let weights = &weights / weights.sum(Kind::Float);
    let channels = image.size()[1];
    let along = |shape: [i64; 4]| weights.view(shape).repeat([channels, 1, 1, 1]);
    let padded = image.replication_pad2d([reach; 4]);
    let conv = |x: &Tensor, w: Tensor| x.conv2d(&w, None::<Tensor>, 1, 0, 1, channels);
    conv(&conv(&padded, along([1, 1, 1, -1])), along([1, 1, -1, 1]))
}

fn covered(image: &Tensor, share: f64, generator: &mut ChaCha8Rng) -> Tensor {
    let side = image.size()[2];
    let length = ((side as f64 * share.sqrt()).round() as i64).clamp(1, side);
    let mut start = || generator.random_range(0..=side - length);
    let (top, left) = (start(), start());
    let grey = generator.random::<f64>();
    let covered = image.copy();
    let _ = covered.narrow(2, top, length).narrow(3, left, length).fill_(grey);
    covered
}

fn turned(image: &Tensor, degrees: f64) -> Tensor {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let rows = [cosine, -sine, 0., sine, cosine, 0.].map(|value| value as f32);
    warped(image, &rows)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn face() -> Tensor {
        let waves = Tensor::arange(32 * 32, (Kind::Float, Device::Cpu)).view([1, 1, 32, 32]);
        (waves * 0.37).sin() * 0.3 + 0.5
    }

    #[test]
    fn nothing_changes_at_severity_0_and_more_at_more() {
        let face = face();
        for corruption in Corruption::ALL {
            let mut generator = ChaCha8Rng::seed_from_u64(3);
            let images = face.repeat([200, 1, 1, 1]);
            let mut change = |severity: f64| {
                let changed = corruption.apply(&images, &[severity; 200], &mut generator);
                assert_eq!(changed.size(), images.size());
                assert!(
                    changed.min().double_value(&[]) >= 0. && changed.max().double_value(&[]) <= 1.
                );
                (changed - &images).abs().mean(Kind::Float).double_value(&[])
            };
            assert_eq!(change(0.), 0., "{corruption:?}");
            let (little, much) = (change(0.2), change(0.9));
            assert!(little > 1e-3 && much > 1.05 * little || corruption == Corruption::Rotation);
            assert!(much > 0.02, "{corruption:?}: {little} {much}");
        }
    }

    #[test]
    fn blur_and_half_a_turn_do_what_they_say() {
        let dot = Tensor::zeros([1, 1, 31, 31], (Kind::Float, Device::Cpu));
        let _ = dot.narrow(2, 15, 1).narrow(3, 15, 1).fill_(1.);
        let spread = blur(&dot, 2.);
        assert!((spread.sum(Kind::Float).double_value(&[]) - 1.).abs() < 1e-5);
        let rows = Tensor::arange(31, (Kind::Float, Device::Cpu)).view([1, 1, 31, 1]) - 15.;
        let variance = (rows.square() * spread).sum(Kind::Float).double_value(&[]);
        assert!((variance - 4.).abs() < 0.1, "{variance}");
        let back = turned(&face(), 180.).flip([2, 3]);
        assert!((back - face()).abs().max().double_value(&[]) < 1e-4);
    }

    #[test]
    fn crops_without_a_face_keep_shape_and_range() {
        let faces = face().repeat([60, 3, 1, 1]);
        let crops = without_face(&faces, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(crops.size(), faces.size());
        assert!(crops.min().double_value(&[]) >= 0. && crops.max().double_value(&[]) <= 1.);
        let apart = (crops - faces).abs().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
        assert!(apart.min().double_value(&[]) > 1e-2);
    }
}
