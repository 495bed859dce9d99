//! From what was found in a model to a plan: borders, memory layouts, packed weights.

use super::dense::{Dense, Weights, Windows};
use super::depthwise::Depthwise;
use super::epilogue::Clip;
use super::image::{Image, LANES, Slice};
use super::instance_norm::InstanceNorm;
use super::instructions::InstructionSet;
use super::int8::{self, After, Int8};
use super::plan::{Layer, Plan, Port, Step};
use super::pool::MaxPool;
use super::region::{Constants, Kind, Operation, Quantised, Region, View, floats};
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
        let mut all = vec![];
        for operation in &region.operations {
            let Operation { input, residual, output, .. } = *operation;
            let channels = [input, output].map(|image| region.images[image][2]);
            let layers = layers(operation, channels, &images, set)?.into_iter();
            all.extend(layers.map(|layer| Step { layer, input, residual, output }));
        }
        let input = Port { image: 0, axes: region.input_axes, order: None };
        let port =
            |view: &View| Port { image: view.image, axes: view.axes, order: view.order.clone() };
        let ports = region.outputs.iter().map(|(_, view)| port(view));
        Some(Self::new(set, images, all, input, ports.collect()))
    }
}

/// The images with the borders that the windows on them need.
fn images(region: &Region) -> Vec<Image> {
    let shapes = region.images.iter();
    let laid_out = |(number, &[height, width, channels]): (usize, &[usize; 3])| match region
        .bytes
        .contains(&number)
    {
        true => Image::of_bytes(height, width, channels),
        false => Image::in_lanes(height, width, channels),
    };
    let mut images: Vec<Image> = shapes.enumerate().map(laid_out).collect();
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
        let by_lanes = !matches!(reader.kind, Kind::Dense { .. }) || side.is_some();
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
    let fits = matches!(operation.kind, Kind::Dense { groups: 1, order: None, .. })
        && operation.before.is_none()
        && operation.part.is_none()
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

/// One, or one for each group of a convolution.
fn layers(
    operation: &Operation,
    channels: [usize; 2],
    images: &[Image],
    set: InstructionSet,
) -> Option<Vec<Layer>> {
    let (input, output) = (images[operation.input], images[operation.output]);
    Some(vec![match &operation.kind {
        Kind::Dense { constants, groups, order } => match tile_side(operation, &input) {
            Some(side) => Layer::Winograd(winograd(operation, constants, images, side, set)?),
            None => {
                let group = Group { constants, groups: *groups, order: order.as_deref() };
                let dense = |number| group.dense(number, operation, images, set);
                return (0..*groups).map(|number| Some(Layer::Dense(dense(number)?))).collect();
            }
        },
        Kind::Depthwise(constants) => {
            let output = slice(operation, images, constants)?;
            Layer::Depthwise(depthwise(operation, constants, input, output)?)
        }
        Kind::MaxPool => {
            let window = operation.window;
            let (size, stride, padding) = (window.size, window.stride, window.padding);
            Layer::MaxPool(MaxPool { input, output, size, stride, padding })
        }
        Kind::InstanceNorm(normalisation) => {
            let fits = normalisation.scale.len() <= input.channels;
            let normalisation = fits.then(|| normalisation.clone())?;
            Layer::InstanceNorm(InstanceNorm::new(input, output, normalisation, operation.clip))
        }
        Kind::Int8(quantised) => Layer::Int8(int8(operation, quantised, channels, images, set)?),
        Kind::Quantise(scale) => Layer::Quantise(channels[0], *scale),
        Kind::Dequantise(scale) => Layer::Dequantise(channels[1], *scale),
    }])
}

/// The channels of the output that an operation makes.
fn slice(operation: &Operation, images: &[Image], constants: &Constants) -> Option<Slice> {
    let (image, channels) = (images[operation.output], constants.bias.len());
    let first = operation.part.unwrap_or(0);
    let fits = first + channels <= image.channels;
    fits.then_some(Slice { image, first: first / LANES, channels })
}

/// A convolution in groups.
struct Group<'a> {
    constants: &'a Constants,
    groups: usize,
    order: Option<&'a [usize]>,
}

impl Group<'_> {
    /// What makes the outputs of one group.
    fn dense(
        &self,
        number: usize,
        operation: &Operation,
        images: &[Image],
        set: InstructionSet,
    ) -> Option<Dense> {
        let whole = slice(operation, images, self.constants)?;
        let before = match operation.before.as_deref() {
            Some(before @ Operation { kind: Kind::Depthwise(constants), .. }) => {
                // As large as the output, of the input's channels, without a border.
                let (input, to) = (images[before.input], whole.image);
                let between = Image::in_lanes(to.height, to.width, input.channels);
                Some(depthwise(before, constants, input, Slice::whole(between))?)
            }
            Some(_) => return None,
            None => None,
        };
        let input =
            before.as_ref().map_or(images[operation.input], |depthwise| *depthwise.output());
        let (inputs, outputs) = (input.channels / self.groups, whole.channels / self.groups);
        let all = weights(operation, self.constants, whole.channels * inputs, whole.channels)?;
        let taps = inputs * all.size[0] * all.size[1];
        let weights = Weights {
            kernel: &all.kernel[number * outputs * taps..][..outputs * taps],
            bias: &all.bias[number * outputs..][..outputs],
            size: all.size,
        };
        let place = |channel: usize| self.order.map_or(channel, |order| order[channel]);
        let channels: Vec<usize> = (number * inputs..(number + 1) * inputs).map(place).collect();
        let first = whole.first + number * outputs / LANES;
        let output = Slice { image: whole.image, first, channels: outputs };
        let windows = windows(operation, input);
        let dense = Dense::new(windows, &channels, &weights, after(operation, images), output, set);
        Some(match before {
            Some(depthwise) => dense.behind(depthwise),
            None => dense,
        })
    }
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

fn int8(
    operation: &Operation,
    quantised: &Quantised,
    [inputs, outputs]: [usize; 2],
    images: &[Image],
    set: InstructionSet,
) -> Option<Int8> {
    let (input, output) = (images[operation.input], images[operation.output]);
    let kernel = quantised.kernel.try_as_plain_ram().ok()?.as_slice::<i8>().ok()?;
    let size = operation.window.size;
    let Quantised { bias, factors, scale, made, .. } = quantised;
    let fits = kernel.len() == outputs * inputs * size[0] * size[1]
        && [bias.len(), factors.len()] == [outputs; 2];
    let residual = operation.residual.map(|image| images[image]).zip(quantised.residual);
    let after = After { scale: *scale, residual, clip: operation.clip, made: *made };
    let weights = int8::Weights { kernel, bias, factors, size, inputs };
    fits.then(|| Int8::new(windows(operation, input), &weights, after, output, outputs, set))
}

fn after(operation: &Operation, images: &[Image]) -> (Clip, Option<Image>) {
    (operation.clip, operation.residual.map(|image| images[image]))
}

fn depthwise(
    operation: &Operation,
    constants: &Constants,
    input: Image,
    output: Slice,
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
    let kernel = floats(&constants.kernel)?;
    let size = operation.window.size;
    let right = kernel.len() == filters * size[0] * size[1] && constants.bias.len() == outputs;
    right.then_some(Weights { kernel, bias: &constants.bias, size })
}
