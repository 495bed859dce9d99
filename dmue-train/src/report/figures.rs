//! The layouts of the figures: curves, faces beside bars, faces in a row by a value.

use super::canvas::{Anchor, Canvas, Curve, FaceImage, Frame};
use crate::error::Result;

const MARGIN: i32 = 28;
const FACE: i32 = 132;
const CELL: (i32, i32) = (330, 200);
const HEADING: i32 = 30;
const STRIP_FACE: i32 = 112;

/// What a figure shows.
#[derive(Clone, Debug)]
pub enum Content {
    /// Panels of curves side by side.
    Curves(Vec<Panel>),
    /// Faces with bars beside them, in `columns`.
    Bars {
        /// Short class names under the bars.
        names: Vec<String>,
        /// Name of each series of bars, for the legend.
        legend: Vec<String>,
        /// The faces.
        items: Vec<Item>,
        /// Faces side by side.
        columns: usize,
    },
    /// Faces in rows with a line under each.
    Strips(Vec<Strip>),
}

/// Curves over a common axis.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Over them.
    pub title: String,
    /// What x is, with its unit; it begins at 0.
    pub x: &'static str,
    /// What y is, or its unit.
    pub y: &'static str,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// A face and the bar charts beside it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Over the face.
    pub heading: String,
    /// The face.
    pub face: FaceImage,
    /// The charts.
    pub cells: Vec<Cell>,
}

/// One bar chart.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Over it.
    pub title: String,
    /// Shares of the classes, one row a series.
    pub series: Vec<Vec<f64>>,
    /// The class whose bar stands out.
    pub marked: Option<usize>,
}

/// A row of faces.
#[derive(Clone, Debug)]
pub struct Strip {
    /// Over it.
    pub heading: String,
    /// The faces and what stands under each.
    pub faces: Vec<(FaceImage, String)>,
    /// The face that stands out by a frame.
    pub framed: Option<usize>,
}

impl Content {
    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        let (width, height) = match self {
            Self::Curves(panels) => (780 * panels.len().max(1) as i32, 560),
            Self::Bars { items, columns, .. } => {
                let rows = items.len().div_ceil((*columns).max(1)) as i32;
                (
                    2 * MARGIN + *columns as i32 * item_width(items),
                    2 * MARGIN + HEADING + rows * item_height(),
                )
            }
            Self::Strips(strips) => {
                let longest = strips.iter().map(|strip| strip.faces.len()).max().unwrap_or(1);
                let width = 2 * MARGIN + longest as i32 * (STRIP_FACE + 14);
                (width, 2 * MARGIN + strips.len() as i32 * strip_height())
            }
        };
        (width.max(400) as u32, height.max(200) as u32)
    }

    /// Draws it.
    ///
    /// # Errors
    /// A font that cannot be drawn.
    pub fn draw(&self, canvas: &Canvas<'_>) -> Result<()> {
        match self {
            Self::Curves(panels) => {
                for (index, panel) in panels.iter().enumerate() {
                    let frame = Frame { x: 780 * index as i32, y: 0, width: 780, height: 560 };
                    canvas.curves(frame, panel)?;
                }
                Ok(())
            }
            Self::Bars { names, legend, items, columns } => {
                draw_legend(canvas, legend)?;
                for (index, item) in items.iter().enumerate() {
                    let (row, column) = (index / columns, index % columns);
                    let x = MARGIN + column as i32 * item_width(items);
                    let y = MARGIN + HEADING + row as i32 * item_height();
                    draw_item(canvas, item, names, (x, y))?;
                }
                Ok(())
            }
            Self::Strips(strips) => {
                for (index, strip) in strips.iter().enumerate() {
                    draw_strip(canvas, strip, MARGIN + index as i32 * strip_height())?;
                }
                Ok(())
            }
        }
    }
}

fn item_width(items: &[Item]) -> i32 {
    let cells = items.iter().map(|item| item.cells.len()).max().unwrap_or(1);
    FACE + 24 + cells as i32 * (CELL.0 + 24) + 24
}

fn item_height() -> i32 {
    CELL.1 + 2 * HEADING + 16
}

fn strip_height() -> i32 {
    HEADING + STRIP_FACE + 44
}

fn draw_legend(canvas: &Canvas<'_>, legend: &[String]) -> Result<()> {
    let mut x = MARGIN;
    for (index, name) in legend.iter().enumerate() {
        let colour = canvas.theme.series[index % canvas.theme.series.len()];
        canvas.fill(Frame { x, y: MARGIN - 14, width: 18, height: 18 }, colour)?;
        canvas.text(name, (x + 26, MARGIN - 15), 20, canvas.theme.ink, Anchor::Left)?;
        x += 60 + 12 * name.chars().count() as i32;
    }
    Ok(())
}

fn draw_item(canvas: &Canvas<'_>, item: &Item, names: &[String], at: (i32, i32)) -> Result<()> {
    let (x, y) = at;
    canvas.text(&item.heading, (x, y), 20, canvas.theme.ink, Anchor::Left)?;
    canvas.face(&item.face, (x, y + HEADING), FACE as u32)?;
    for (index, cell) in item.cells.iter().enumerate() {
        let left = x + FACE + 56 + index as i32 * (CELL.0 + 24);
        let title = (left + CELL.0 / 2 - 20, y + HEADING - 4);
        canvas.text(&cell.title, title, 18, canvas.theme.muted, Anchor::Centre)?;
        let frame = Frame {
            x: left,
            y: y + 2 * HEADING - 8,
            width: CELL.0 - 40,
            height: CELL.1 - HEADING - 26,
        };
        let series: Vec<_> = cell
            .series
            .iter()
            .enumerate()
            .map(|(index, shares)| {
                (colours(canvas, index, shares.len(), cell.marked), shares.as_slice())
            })
            .collect();
        canvas.bars(frame, names, &series)?;
    }
    Ok(())
}

/// The series' colour, another one for the class that stands out.
fn colours(
    canvas: &Canvas<'_>,
    series: usize,
    classes: usize,
    marked: Option<usize>,
) -> Vec<plotters::style::RGBColor> {
    let palette = canvas.theme.series;
    let colour = |class| {
        if marked == Some(class) { palette[3] } else { palette[series % palette.len()] }
    };
    (0..classes).map(colour).collect()
}

fn draw_strip(canvas: &Canvas<'_>, strip: &Strip, y: i32) -> Result<()> {
    canvas.text(&strip.heading, (MARGIN, y), 20, canvas.theme.ink, Anchor::Left)?;
    for (index, (face, line)) in strip.faces.iter().enumerate() {
        let (x, top) = (MARGIN + index as i32 * (STRIP_FACE + 14), y + HEADING);
        if strip.framed == Some(index) {
            let (x, y, side) = (x - 5, top - 5, STRIP_FACE + 10);
            canvas.fill(Frame { x, y, width: side, height: side }, canvas.theme.series[1])?;
        }
        canvas.face(face, (x, top), STRIP_FACE as u32)?;
        let below = (x + STRIP_FACE / 2, top + STRIP_FACE + 9);
        canvas.text(line, below, 17, canvas.theme.ink, Anchor::Centre)?;
    }
    Ok(())
}
