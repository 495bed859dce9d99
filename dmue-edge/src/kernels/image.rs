//! Where the values of an image lie in memory.

/// Floats in a vector, and the unit that channels come in.
pub(super) const LANES: usize = 8;

/// Rows of pixels, the channels of a pixel side by side, a border of zeros all round: what a convolution
/// pads with is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// In pixels.
    pub border: usize,
    /// Floats from one pixel to the next: the channels, rounded up to [`LANES`] where vectors of them are
    /// read or written.
    pub pixel: usize,
    /// Each float stands for the bytes of four channels.
    pub bytes: bool,
}

impl Image {
    /// An image whose channels come in vectors.
    pub fn in_lanes(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
            border: 0,
            pixel: channels.next_multiple_of(LANES),
            bytes: false,
        }
    }

    /// An image whose channels are bytes, in vectors of floats.
    pub fn of_bytes(height: usize, width: usize, channels: usize) -> Self {
        Self { bytes: true, ..Self::in_lanes(height, width, channels.div_ceil(4)) }
    }

    /// Floats from one row to the next.
    pub fn row(&self) -> usize {
        (self.width + 2 * self.border) * self.pixel
    }

    /// Floats in all, the border among them.
    pub fn len(&self) -> usize {
        (self.height + 2 * self.border).saturating_mul(self.row())
    }

    /// Vectors of a pixel.
    pub fn blocks(&self) -> usize {
        self.pixel / LANES
    }

    /// The way from pixel to pixel.
    pub fn steps(&self) -> Steps {
        self.window_steps([1, 1], [0, 0])
    }

    /// The way from window to window of that stride, whose first one begins `padding` pixels above and left
    /// of the image. Both are rows, then columns.
    pub fn window_steps(&self, stride: [usize; 2], padding: [usize; 2]) -> Steps {
        let [above, left] = padding.map(|padding| self.border - padding);
        Steps {
            first: above * self.row() + left * self.pixel,
            row: stride[0] * self.row(),
            pixel: stride[1] * self.pixel,
        }
    }
}

/// Neighbouring channels of an image: what one of the operations that share it makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub image: Image,
    /// The first of them, in vectors.
    pub first: usize,
    /// Whole vectors of them, unless they are the image's last.
    pub channels: usize,
}

impl Slice {
    pub fn whole(image: Image) -> Self {
        Self { image, first: 0, channels: image.channels }
    }

    /// Vectors of a pixel.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// The way from pixel to pixel.
    pub fn steps(&self) -> Steps {
        let steps = self.image.steps();
        Steps { first: steps.first + self.first * LANES, ..steps }
    }
}

/// Where something begins for each pixel of an output, in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub first: usize,
    pub row: usize,
    pub pixel: usize,
}

impl Steps {
    #[inline(always)]
    pub fn at(&self, y: usize, x: usize) -> usize {
        self.first + y * self.row + x * self.pixel
    }

    /// One behind the other, in rows of `width`.
    pub fn dense(width: usize, pixel: usize) -> Self {
        Self { first: 0, row: width * pixel, pixel }
    }

    /// For `P` pixels from a place on.
    #[inline(always)]
    pub fn of<const P: usize>(&self, place: Place) -> [usize; P] {
        let mut places = [self.at(place.y, place.x); P];
        // Rows without a border go on in the next one.
        if place.has_in_row(P) || self.row == place.width * self.pixel {
            for (p, place) in places.iter_mut().enumerate() {
                *place += p * self.pixel;
            }
        } else {
            let mut next = place;
            for place in &mut places {
                *place = self.at(next.y, next.x);
                next.advance(1);
            }
        }
        places
    }
}

/// A pixel of an output in rows of `width`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub y: usize,
    pub x: usize,
    width: usize,
}

impl Place {
    /// Of pixel number `index`.
    pub fn new(index: usize, width: usize) -> Self {
        Self { y: index / width, x: index % width, width }
    }

    /// Whether so many pixels from here on are in one row.
    #[inline(always)]
    pub fn has_in_row(&self, pixels: usize) -> bool {
        self.x + pixels <= self.width
    }

    #[inline(always)]
    pub fn advance(&mut self, pixels: usize) {
        self.x += pixels;
        while self.x >= self.width {
            self.x -= self.width;
            self.y += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_lie_where_the_rows_say() {
        let image = Image { border: 2, ..Image::in_lanes(3, 5, 10) };
        assert_eq!((image.pixel, image.row(), image.len()), (16, 9 * 16, 7 * 9 * 16));
        let steps = image.steps();
        let expected = |i: usize| ((i / 5 + 2) * 9 + i % 5 + 2) * 16;
        assert_eq!(steps.of::<4>(Place::new(1, 5)), [1, 2, 3, 4].map(expected));
        assert_eq!(
            steps.of::<4>(Place::new(3, 5)),
            [3, 4, 5, 6].map(expected),
            "over the end of a row"
        );
        let windows = image.window_steps([2, 2], [1, 1]);
        assert_eq!(windows.at(1, 1), ((2 + 1) * 9 + 2 + 1) * 16);
    }
}
