//! Drawing in pixels: text, bars, curves and faces in a light or a dark theme.

use std::sync::Once;

use image::RgbImage;
use plotters::coord::Shift;
use plotters::element::BitMapElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::figures::Panel;
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};

const FONT: &str = "report";

/// The colours of a figure.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Behind everything.
    pub background: RGBColor,
    /// Text and axes.
    pub ink: RGBColor,
    /// Text and marks that matter less.
    pub muted: RGBColor,
    /// Lines behind bars and curves.
    pub grid: RGBColor,
    /// Told apart on the background, also by most of the colour-blind.
    pub series: [RGBColor; 6],
}

/// Dark on white.
pub const LIGHT: Theme = Theme {
    background: RGBColor(255, 255, 255),
    ink: RGBColor(28, 30, 36),
    muted: RGBColor(105, 110, 120),
    grid: RGBColor(224, 226, 231),
    series: [
        RGBColor(0, 104, 181),
        RGBColor(208, 84, 0),
        RGBColor(0, 137, 96),
        RGBColor(170, 60, 140),
        RGBColor(130, 110, 0),
        RGBColor(90, 90, 100),
    ],
};

/// Light on near black.
pub const DARK: Theme = Theme {
    background: RGBColor(20, 22, 27),
    ink: RGBColor(232, 234, 238),
    muted: RGBColor(158, 163, 174),
    grid: RGBColor(56, 60, 70),
    series: [
        RGBColor(86, 180, 245),
        RGBColor(245, 150, 70),
        RGBColor(60, 200, 150),
        RGBColor(230, 140, 205),
        RGBColor(225, 205, 90),
        RGBColor(175, 178, 188),
    ],
};

/// Where text stands relative to its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// The point is the top left corner.
    Left,
    /// The point is the middle of the top edge.
    Centre,
    /// The point is the top right corner.
    Right,
}

/// A face as RGB pixels.
#[derive(Clone, Debug)]
pub struct FaceImage {
    side: u32,
    pixels: Vec<u8>,
}

/// A rectangle in pixels, y downwards.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

/// A named curve of (x, y) points.
#[derive(Clone, Debug)]
pub struct Curve {
    /// For the legend.
    pub name: String,
    /// In the axes' units.
    pub points: Vec<(f64, f64)>,
}

/// A figure being drawn.
pub struct Canvas<'a> {
    area: DrawingArea<BitMapBackend<'a>, Shift>,
    /// Its colours.
    pub theme: Theme,
}

/// Draws a figure of `size` (width, height) in pixels.
///
/// # Errors
/// What `draw` could not draw.
pub fn paint(
    size: (u32, u32),
    theme: Theme,
    draw: &dyn Fn(&Canvas<'_>) -> Result<()>,
) -> Result<RgbImage> {
    register_fonts();
    let mut pixels = vec![0; (size.0 * size.1 * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&theme.background).map_err(failed)?;
        draw(&Canvas { area, theme })?;
    }
    RgbImage::from_raw(size.0, size.1, pixels).ok_or_else(|| failed("the buffer is too small"))
}

impl Canvas<'_> {
    /// One line of text of `height` pixels.
    ///
    /// # Errors
    /// A font that cannot be drawn.
    pub fn text(
        &self,
        text: &str,
        at: (i32, i32),
        height: i32,
        colour: RGBColor,
        anchor: Anchor,
    ) -> Result<()> {
        let horizontal = match anchor {
            Anchor::Left => HPos::Left,
            Anchor::Centre => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let style = TextStyle::from((FONT, height).into_font())
            .color(&colour)
            .pos(Pos::new(horizontal, VPos::Top));
        self.area.draw_text(text, &style, at).map_err(failed)
    }

    /// A filled rectangle.
    ///
    /// # Errors
    /// None on a canvas in memory.
    pub fn fill(&self, frame: Frame, colour: RGBColor) -> Result<()> {
        let Frame { x, y, width, height } = frame;
        let corners = [(x, y), (x + width, y + height)];
        self.area.draw(&Rectangle::new(corners, colour.filled())).map_err(failed)
    }

    /// A face scaled to a square of `side` pixels, each of its pixels a block.
    ///
    /// # Errors
    /// None on a canvas in memory.
    pub fn face(&self, face: &FaceImage, at: (i32, i32), side: u32) -> Result<()> {
        let element = BitMapElement::with_owned_buffer(at, (side, side), face.scaled(side));
        let element: BitMapElement<'_, _> =
            element.ok_or_else(|| failed("a face has no pixels"))?;
        self.area.draw(&element).map_err(failed)
    }

    /// Shares 0..1 as bars in groups, one group a name; `series` holds (colour, shares).
    ///
    /// # Errors
    /// A font that cannot be drawn.
    pub fn bars(
        &self,
        frame: Frame,
        names: &[String],
        series: &[(Vec<RGBColor>, &[f64])],
    ) -> Result<()> {
        let Frame { x, y, width, height } = frame;
        for (share, label) in [(0., "0"), (0.5, "0.5"), (1., "1")] {
            let level = y + height - (share * f64::from(height)) as i32;
            self.fill(Frame { x, y: level, width, height: 1 }, self.theme.grid)?;
            self.text(label, (x - 6, level - 9), 16, self.theme.muted, Anchor::Right)?;
        }
        let group = width / names.len().max(1) as i32;
        let bar = (group - 6).max(1) / series.len().max(1) as i32;
        for (class, name) in names.iter().enumerate() {
            let left = x + class as i32 * group + 3;
            for (index, (colours, shares)) in series.iter().enumerate() {
                let share = shares.get(class).copied().unwrap_or(0.);
                let tall = (share.clamp(0., 1.) * f64::from(height)).round() as i32;
                let colour = colours.get(class).copied().unwrap_or(self.theme.ink);
                let left = left + index as i32 * bar;
                self.fill(
                    Frame { x: left, y: y + height - tall, width: bar - 1, height: tall },
                    colour,
                )?;
            }
            let middle = left + group / 2 - 3;
            self.text(name, (middle, y + height + 5), 17, self.theme.ink, Anchor::Centre)?;
        }
        Ok(())
    }

    /// Curves with axes, labels and a legend.
    ///
    /// # Errors
    /// A font that cannot be drawn.
    pub fn curves(&self, frame: Frame, panel: &Panel) -> Result<()> {
        let Panel { title, x, y, curves } = panel;
        let area = self.area.clone().shrink((frame.x, frame.y), (frame.width, frame.height));
        let all = || curves.iter().flat_map(|curve| &curve.points);
        let (low, high) = range(all().map(|point| point.1));
        let last = all().map(|point| point.0).fold(1., f64::max);
        let legend = free_corner(curves);
        let font = |height: i32| TextStyle::from((FONT, height).into_font()).color(&self.theme.ink);
        let mut chart = ChartBuilder::on(&area)
            .caption(title, font(24))
            .margin(12)
            .x_label_area_size(52)
            .y_label_area_size(78)
            .build_cartesian_2d(0f64..last, low..high)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(self.theme.background)
            .bold_line_style(self.theme.grid)
            .axis_style(self.theme.muted)
            .label_style(font(18))
            .axis_desc_style(font(20))
            .x_labels(last.min(10.) as usize)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .x_desc(*x)
            .y_desc(*y)
            .draw()
            .map_err(failed)?;
        for (index, curve) in curves.iter().enumerate() {
            let colour = self.theme.series[index % self.theme.series.len()];
            let drawn = chart
                .draw_series(LineSeries::new(curve.points.clone(), colour.stroke_width(3)))
                .map_err(failed)?;
            drawn.label(&curve.name).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 26, y)], colour.stroke_width(3))
            });
        }
        chart
            .configure_series_labels()
            .position(legend)
            .background_style(self.theme.background)
            .border_style(self.theme.grid)
            .label_font(font(18))
            .legend_area_size(34)
            .draw()
            .map_err(failed)
    }
}

impl FaceImage {
    /// A face of a data set as it stands there.
    pub fn of(data: &Dataset, index: usize) -> Self {
        let image = data.images.get(index as i64); // [ch,S,S]
        let side = image.size().last().copied().unwrap_or(0);
        let pixels = image.expand([3, side, side], false).permute([1, 2, 0]).contiguous();
        let pixels = Vec::try_from(pixels.view([-1])).unwrap_or_default();
        Self { side: side as u32, pixels }
    }

    fn scaled(&self, side: u32) -> Vec<u8> {
        let source = |target: u32| (target * self.side / side) as usize;
        let mut scaled = vec![];
        for y in 0..side {
            for x in 0..side {
                let start = 3 * (source(y) * self.side as usize + source(x));
                scaled.extend(self.pixels.get(start..start + 3).unwrap_or(&[0; 3]));
            }
        }
        scaled
    }
}

/// Where curves like the first leave room: under one that rises to a level, over one that rises to the end.
fn free_corner(curves: &[Curve]) -> SeriesLabelPosition {
    let shape = |curve: &Curve| {
        let height = |place: usize| curve.points.get(place).map(|point| point.1);
        let last = curve.points.len().checked_sub(1)?;
        Some((height(0)?, height(last / 2)?, height(last)?))
    };
    match curves.iter().find_map(shape) {
        Some((first, middle, last)) if last > first && middle < (first + last) / 2. => {
            SeriesLabelPosition::UpperLeft
        }
        Some((first, _, last)) if last > first => SeriesLabelPosition::LowerRight,
        _ => SeriesLabelPosition::UpperRight,
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    match high - low {
        width if width > 0. && width.is_finite() => (low - 0.05 * width, high + 0.05 * width),
        _ if low.is_finite() => (low - 0.5, high + 0.5),
        _ => (0., 1.),
    }
}

fn register_fonts() {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        // A font that cannot be read is reported by the first text that is drawn in it.
        let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
    });
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Config(format!("a figure cannot be drawn: {error}"))
}
