//! From what was found in a model to a plan: borders, memory layouts, packed weights.

use super::dense::{Dense, Weights, Windows};
use super::depthwise::Depthwise;
use super::epilogue::Clip;
use super::image::{Image, LANES};
use super::instructions::InstructionSet;
use super::lower::{Constants, Kind, Operation, Region};
use super::plan::{Layer, Plan, Port, Step};
use super::pool::MaxPool;
use super::winograd::{self, Side, Winograd};

/// Most floats of all images: more is left to tract, which has no borders.
const MOST_FLOATS: usize = 1 << 27;

/// Pixels from which on tiles of two, and of four, outputs a side are used.
const TWO_FROM: usize = 36;
const FOUR_FROM: usize = 100;

impl Plan {
    /// Lays out every image and packs every weight; none where constants do not fit their operation or too
    /// much memory would be taken.
    pub fn of(region: &Region, set: InstructionSet) -> Option<Self> {
        let images = images(region);
        if images.iter().map(Image::len).fold(0, usize::saturating_add) > MOST_FLOATS {
            return None;
        }
        let steps: Option<Vec<Step>> =
            region.operations.iter().map(|operation| step(operation, &images, set)).collect();
        let input = Port { image: 0, axes: region.input_axes };
        let ports =
            region.outputs.iter().map(|(_, view)| Port { image: view.image, axes: view.axes });
        Some(Self::new(set, images, steps?, input, ports.collect()))
    }
}

/// The images with the borders that the windows on them need.
fn images(region: &Region) -> Vec<Image> {
    let shapes = region.images.iter();
    let mut images: Vec<Image> =
        shapes.map(|&[height, width, channels]| Image::in_lanes(height, width, channels)).collect();
    let mut in_lanes = false;
    for operation in &region.operations {
        let reader = operation.before.as_deref().unwrap_or(operation);
        let window = &reader.window;
        let side = tile_side(operation, &images[operation.input]);
        // Poolings clip their windows: zeros would not do.
        if !matches!(reader.kind, Kind::MaxPool) {
            let image = &mut images[operation.input];
            let needed = match side {
                Some(side) => winograd::reach(image.height, image.width, side),
                None => {
                    [window.padding, window.padding_after].concat().into_iter().max().unwrap_or(0)
                }
            };
            image.border = image.border.max(needed);
        }
        let by_lanes = !matches!(reader.kind, Kind::Dense(_)) || side.is_some();
        in_lanes |= operation.input == 0 && by_lanes;
        in_lanes |= operation.residual == Some(0);
    }
    if !in_lanes {
        images[0].pixel = images[0].channels;
    }
    images
}

/// Winograd's tiles, where they were seen to pay on 32 to 128 channels: not where little is computed with many
/// weights.
fn tile_side(operation: &Operation, input: &Image) -> Option<Side> {
    let window = &operation.window;
    let fits = matches!(operation.kind, Kind::Dense(_))
        && operation.before.is_none()
        && (window.size, window.stride) == ([3, 3], [1, 1])
        && [window.padding, window.padding_after] == [[1, 1]; 2]
        && input.channels >= LANES;
    match input.height * input.width {
        _ if !fits => None,
        FOUR_FROM.. => Some(Side::Four),
        TWO_FROM.. => Some(Side::Two),
        _ => None,
    }
}

fn step(operation: &Operation, images: &[Image], set: InstructionSet) -> Option<Step> {
    let (input, output) = (images[operation.input], images[operation.output]);
    let layer = match &operation.kind {
        Kind::Dense(constants) => match tile_side(operation, &input) {
            Some(side) => Layer::Winograd(winograd(operation, constants, images, side, set)?),
            None => Layer::Dense(dense(operation, constants, images, set)?),
        },
        Kind::Depthwise(constants) => {
            Layer::Depthwise(depthwise(operation, constants, input, output)?)
        }
        Kind::MaxPool => {
            let window = operation.window;
            let (size, stride, padding) = (window.size, window.stride, window.padding);
            Layer::MaxPool(MaxPool { input, output, size, stride, padding })
        }
    };
    let (input, residual, output) = (operation.input, operation.residual, operation.output);
    Some(Step { layer, input, residual, output })
}

fn dense(
    operation: &Operation,
    constants: &Constants,
    images: &[Image],
    set: InstructionSet,
) -> Option<Dense> {
    let output = images[operation.output];
    let before = match operation.before.as_deref() {
        Some(before @ Operation { kind: Kind::Depthwise(constants), .. }) => {
            // As large as the output, of the input's channels, without a border.
            let input = images[before.input];
            let between = Image::in_lanes(output.height, output.width, input.channels);
            Some(depthwise(before, constants, input, between)?)
        }
        Some(_) => return None,
        None => None,
    };
    let input = before.as_ref().map_or(images[operation.input], |depthwise| *depthwise.output());
    let weights = weights(operation, constants, output.channels * input.channels, output.channels)?;
    let dense =
        Dense::new(windows(operation, input), &weights, after(operation, images), output, set);
    Some(match before {
        Some(depthwise) => dense.behind(depthwise),
        None => dense,
    })
}

fn winograd(
    operation: &Operation,
    constants: &Constants,
    images: &[Image],
    side: Side,
    set: InstructionSet,
) -> Option<Winograd> {
    let (input, output) = (images[operation.input], images[operation.output]);
    let weights = weights(operation, constants, output.channels * input.channels, output.channels)?;
    Some(Winograd::new(input, &weights, output, after(operation, images), side, set))
}

fn after(operation: &Operation, images: &[Image]) -> (Clip, Option<Image>) {
    (operation.clip, operation.residual.map(|image| images[image]))
}

fn depthwise(
    operation: &Operation,
    constants: &Constants,
    input: Image,
    output: Image,
) -> Option<Depthwise> {
    let weights = weights(operation, constants, input.channels, input.channels)?;
    Some(Depthwise::new(windows(operation, input), &weights, operation.clip, output))
}

fn windows(operation: &Operation, input: Image) -> Windows {
    let window = operation.window;
    Windows { input, stride: window.stride, padding: window.padding }
}

/// The constants, if they are as many as they must be.
fn weights<'a>(
    operation: &Operation,
    constants: &'a Constants,
    filters: usize,
    outputs: usize,
) -> Option<Weights<'a>> {
    let kernel = constants.kernel.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?;
    let size = operation.window.size;
    let right = kernel.len() == filters * size[0] * size[1] && constants.bias.len() == outputs;
    right.then_some(Weights { kernel, bias: &constants.bias, size })
}
