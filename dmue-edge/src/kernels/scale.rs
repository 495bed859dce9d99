//! Bytes that stand for numbers.

/// `(byte - zero_point) * scale`, as ONNX' DequantizeLinear has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub scale: f32,
    /// 0..=255
    pub zero_point: i32,
}

impl Scale {
    /// None unless it can be divided by and the zero point is a byte.
    pub fn new(scale: f32, zero_point: i32) -> Option<Self> {
        let fits = scale.is_normal() && scale > 0.0 && (0..=255).contains(&zero_point);
        fits.then_some(Self { scale, zero_point })
    }

    /// Whether they say the same, but for the rounding of a reciprocal.
    pub fn is(&self, other: &Self) -> bool {
        let apart = (self.scale / other.scale - 1.0).abs();
        self.zero_point == other.zero_point && apart <= 2.0 * f32::EPSILON
    }

    #[inline(always)]
    pub fn value(&self, byte: u8) -> f32 {
        (i32::from(byte) - self.zero_point) as f32 * self.scale
    }

    /// The nearest byte, of two equally near ones the even step.
    #[inline(always)]
    pub fn byte(&self, value: f32) -> u8 {
        ((value / self.scale).round_ties_even() as i32)
            .saturating_add(self.zero_point)
            .clamp(0, 255) as u8
    }
}
