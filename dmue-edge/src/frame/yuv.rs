//! Luma and colour difference to red, green and blue.

/// What a camera or decoder means by its Y, U and V.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum YuvColour {
    /// ITU-R BT.601, luma 16..=235 and colour 16..=240: most webcams and phones. The default.
    #[default]
    Bt601Limited,
    /// ITU-R BT.601, all values 0..=255: JPEG and Motion JPEG.
    Bt601Full,
    /// ITU-R BT.709, luma 16..=235 and colour 16..=240: high-definition video.
    Bt709Limited,
}

impl YuvColour {
    /// Red, green and blue of one `[Y, U, V]`, rounded and clamped to 0..=255.
    #[inline]
    pub(super) fn rgb(self, [y, u, v]: [u8; 3]) -> [u8; 3] {
        let weights = self.weights();
        let y = (i32::from(y) - weights.black) * weights.luma + HALF;
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [
            y + weights.red_v * v,
            y - weights.green_u * u - weights.green_v * v,
            y + weights.blue_u * u,
        ]
        .map(|value| (value >> SHIFT).clamp(0, 255) as u8)
    }

    #[inline]
    const fn weights(self) -> &'static Weights {
        const BT601_LIMITED: Weights = Weights::new(0.299, 0.114, true);
        const BT601_FULL: Weights = Weights::new(0.299, 0.114, false);
        const BT709_LIMITED: Weights = Weights::new(0.2126, 0.0722, true);
        match self {
            Self::Bt601Limited => &BT601_LIMITED,
            Self::Bt601Full => &BT601_FULL,
            Self::Bt709Limited => &BT709_LIMITED,
        }
    }
}

/// Fractional bits of [`Weights`].
const SHIFT: u32 = 16;
/// One half, so that the shift rounds.
const HALF: i32 = 1 << (SHIFT - 1);

/// The inverse of the encoding equations, in units of 2^-16.
struct Weights {
    /// Luma of black.
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Weights {
    /// From the share of red and of blue in luma; `limited` is the range of studio video.
    const fn new(red: f64, blue: f64, limited: bool) -> Self {
        let green = 1.0 - red - blue;
        let (luma, colour) = if limited { (255.0 / 219.0, 255.0 / 224.0) } else { (1.0, 1.0) };
        let (red_v, blue_u) = (2.0 * (1.0 - red) * colour, 2.0 * (1.0 - blue) * colour);
        Self {
            black: if limited { 16 } else { 0 },
            luma: fixed(luma),
            red_v: fixed(red_v),
            green_u: fixed(blue_u * blue / green),
            green_v: fixed(red_v * red / green),
            blue_u: fixed(blue_u),
        }
    }
}

const fn fixed(value: f64) -> i32 {
    (value * (1 << SHIFT) as f64 + 0.5) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The encoding equations of both recommendations, in floats.
    fn encode(colour: YuvColour, rgb: [u8; 3]) -> [u8; 3] {
        let (kr, kb, limited) = match colour {
            YuvColour::Bt601Limited => (0.299, 0.114, true),
            YuvColour::Bt601Full => (0.299, 0.114, false),
            YuvColour::Bt709Limited => (0.2126, 0.0722, true),
        };
        let [r, g, b] = rgb.map(|value| f64::from(value) / 255.0);
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (u, v) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
        let bytes = match limited {
            true => [16.0 + 219.0 * y, 128.0 + 224.0 * u, 128.0 + 224.0 * v],
            false => [255.0 * y, 128.0 + 255.0 * u, 128.0 + 255.0 * v],
        };
        bytes.map(|value| value.round() as u8)
    }

    #[test]
    fn known_colours() {
        // The colour bars of the recommendations' own tables, limited range.
        for (yuv, rgb) in [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]),
            ([81, 90, 240], [255, 0, 0]),
            ([145, 54, 34], [0, 255, 0]),
            ([41, 240, 110], [0, 0, 255]),
        ] {
            let found = YuvColour::Bt601Limited.rgb(yuv);
            let off = found.iter().zip(rgb).map(|(a, b): (&u8, u8)| a.abs_diff(b)).max();
            assert!(off <= Some(2), "{yuv:?} gives {found:?}, not {rgb:?}");
        }
        assert_eq!(YuvColour::Bt601Full.rgb([0, 128, 128]), [0; 3]);
        assert_eq!(YuvColour::Bt601Full.rgb([255, 128, 128]), [255; 3]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(rgb in any::<[u8; 3]>(), kind in 0usize..3) {
            use YuvColour::{Bt601Full, Bt601Limited, Bt709Limited};
            let colour = [Bt601Limited, Bt601Full, Bt709Limited][kind];
            let found = colour.rgb(encode(colour, rgb));
            // Half a step of each of the three bytes, times their weights, is at most 2.2.
            prop_assert!(
                found.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 3),
                "{colour:?}: {rgb:?} came back as {found:?}"
            );
        }
    }
}
