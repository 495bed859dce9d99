//! The one normalisation: pixels of a crop to the network's input. The trainer calls it too.

use super::{InputSpec, ModelError};
use crate::face::align::FaceCrop;

/// `crop` as a tensor `[channels, size, size]`, row major: `(pixel / 255 - mean) / std` per
/// channel. Interleaved pixels become planes in the order of the crop (red, green, blue).
///
/// # Errors
/// [`ModelError::Crop`] when size or channels are not the model's, [`ModelError::InputLength`] when
/// the crop's pixels are not as many as it says.
pub fn normalise(crop: &FaceCrop, input: &InputSpec) -> Result<Vec<f32>, ModelError> {
    check(crop, input)?;
    let channels = input.colour.channels() as usize;
    let mut tensor = Vec::with_capacity(crop.pixels.len());
    for (channel, (mean, std)) in input.mean.iter().zip(&input.std).enumerate() {
        let plane = crop.pixels.iter().skip(channel).step_by(channels);
        tensor.extend(plane.map(|&pixel| (f32::from(pixel) / 255.0 - mean) / std));
    }
    Ok(tensor)
}

fn check(crop: &FaceCrop, input: &InputSpec) -> Result<(), ModelError> {
    let (size, channels) = (input.size, input.colour.channels());
    if (crop.size, crop.channels) != (size, channels) {
        let (found_size, found_channels) = (crop.size, crop.channels);
        return Err(ModelError::Crop { found_size, found_channels, size, channels });
    }
    let expected = input.shape().iter().product();
    if crop.pixels.len() != expected {
        return Err(ModelError::InputLength { found: crop.pixels.len(), expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Colour, fixture::manifest};
    use super::*;

    #[test]
    fn gray_by_hand() {
        let mut input = manifest(2, 8, Colour::Gray).input;
        (input.mean, input.std) = (vec![0.5], vec![0.25]);
        let mut pixels = vec![255; 64];
        pixels[9] = 51; // row 1, column 1; 51 / 255 = 0.2
        let tensor = normalise(&FaceCrop { size: 8, channels: 1, pixels }, &input).unwrap();
        assert_eq!((tensor.len(), tensor[0]), (64, 2.0));
        assert!((tensor[9] - -1.2).abs() < 1e-6, "{}", tensor[9]);
    }

    #[test]
    fn rgb_becomes_planes_with_their_own_mean_and_std() {
        let mut input = manifest(2, 8, Colour::Rgb).input;
        (input.mean, input.std) = (vec![0.0, 0.5, 1.0], vec![1.0, 0.5, 0.1]);
        let mut pixels = vec![0; 8 * 8 * 3];
        pixels[3 * 10..3 * 11].copy_from_slice(&[255, 255, 255]);
        pixels[3 * 11] = 255; // red only
        let tensor = normalise(&FaceCrop { size: 8, channels: 3, pixels }, &input).unwrap();
        let at = |plane: usize, pixel: usize| tensor[plane * 64 + pixel];
        assert_eq!([at(0, 0), at(1, 0), at(2, 0)], [0.0, -1.0, -10.0]);
        assert_eq!([at(0, 10), at(1, 10), at(2, 10)], [1.0, 1.0, 0.0]);
        assert_eq!([at(0, 11), at(1, 11), at(2, 11)], [1.0, -1.0, -10.0]);
    }

    #[test]
    fn a_crop_of_another_kind_or_with_missing_pixels_is_refused() {
        let input = manifest(2, 8, Colour::Gray).input;
        for (size, channels, length) in [(9, 1, 81), (8, 3, 192), (0, 1, 0)] {
            let crop = FaceCrop { size, channels, pixels: vec![0; length] };
            let error = normalise(&crop, &input).unwrap_err();
            assert!(matches!(error, ModelError::Crop { .. }), "{error}");
        }
        for length in [0, 63, 65] {
            let crop = FaceCrop { size: 8, channels: 1, pixels: vec![0; length] };
            let error = normalise(&crop, &input).unwrap_err();
            assert!(matches!(error, ModelError::InputLength { expected: 64, .. }), "{error}");
        }
    }
}
