//! A chain of layers and the memory that they work in.

use std::sync::{Mutex, MutexGuard};

use super::dense::Dense;
use super::depthwise::Depthwise;
use super::epilogue::Residual;
use super::floats::Floats;
use super::image::Image;
use super::instance_norm::InstanceNorm;
use super::instructions::InstructionSet;
use super::int8::{self, Int8};
use super::pool::MaxPool;
use super::region::Order;
use super::scale::Scale;
use super::winograd::Winograd;

/// Order of the axes of a tensor outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Axes {
    /// `[1, channels, height, width]`
    ChannelsFirst,
    /// `[1, height, width, channels]`
    ChannelsLast,
}

#[allow(clippy::large_enum_variant, reason = "a few dozen of them, in one vector")]
pub(super) enum Layer {
    Dense(Dense),
    Winograd(Winograd),
    Depthwise(Depthwise),
    MaxPool(MaxPool),
    InstanceNorm(InstanceNorm),
    Int8(Int8),
    /// Of so many channels.
    Quantise(usize, Scale),
    Dequantise(usize, Scale),
}

/// A layer and the images that it reads and writes, by their number.
pub(super) struct Step {
    pub layer: Layer,
    pub input: usize,
    pub residual: Option<usize>,
    pub output: usize,
}

/// An image as a tensor outside.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub image: usize,
    pub axes: Axes,
    /// Of an output.
    pub order: Order,
}

/// What runs: immutable, shared between threads; each run takes a memory of its own.
pub(super) struct Plan {
    set: InstructionSet,
    images: Vec<Image>,
    /// For each image the part of memory that it lies in; images of one kind that are never wanted at the
    /// same time share one. Those that were fused away have none.
    parts: Vec<usize>,
    /// Of each part, in floats.
    lengths: Vec<usize>,
    steps: Vec<Step>,
    input: Port,
    outputs: Vec<Port>,
    free: Mutex<Vec<Memory>>,
}

/// Borders and what fills up the last vector of channels are zero from the beginning and stay so.
struct Memory {
    parts: Vec<Floats>,
    scratch: Floats,
}

impl Plan {
    /// Steps in their order, over images by their number.
    pub fn new(
        set: InstructionSet,
        images: Vec<Image>,
        steps: Vec<Step>,
        input: Port,
        outputs: Vec<Port>,
    ) -> Self {
        let (parts, lengths) = share(&images, &steps, &input, &outputs);
        Self { set, images, parts, lengths, steps, input, outputs, free: Mutex::new(Vec::new()) }
    }

    /// Computes every output, each as large as its tensor.
    pub fn run<'a>(&self, input: &[f32], outputs: impl IntoIterator<Item = &'a mut [f32]>) {
        let waiting = self.free().pop();
        let mut memory = waiting.unwrap_or_else(|| self.memory());
        let image = &self.images[self.input.image];
        read(image, self.input.axes, input, &mut memory.parts[self.parts[self.input.image]]);
        for step in &self.steps {
            self.run_step(step, &mut memory);
        }
        for (port, output) in self.outputs.iter().zip(outputs) {
            let image = &self.images[port.image];
            write(image, port, &memory.parts[self.parts[port.image]], output);
        }
        self.free().push(memory);
    }

    fn free(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.free.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    fn run_step(&self, step: &Step, memory: &mut Memory) {
        let Memory { parts, scratch } = memory;
        let to = self.parts[step.output];
        // Taken out and put back: it is never what the step's windows read.
        let mut output = std::mem::take(&mut parts[to]);
        let input = &parts[self.parts[step.input]][..];
        let residual = match step.residual.map(|image| self.parts[image]) {
            Some(part) if part == to => Residual::InPlace,
            Some(part) => Residual::Of(&parts[part]),
            None => Residual::Of(&[]),
        };
        match &step.layer {
            Layer::Dense(dense) => dense.run(self.set, input, residual, scratch, &mut output),
            Layer::Winograd(winograd) => {
                winograd.run(self.set, input, residual, scratch, &mut output);
            }
            Layer::Depthwise(depthwise) => depthwise.run(self.set, input, &mut output),
            Layer::MaxPool(pool) => pool.run(self.set, input, &mut output),
            Layer::InstanceNorm(norm) => norm.run(self.set, input, &mut output),
            Layer::Int8(int8) => int8.run(input, residual, &mut output),
            &Layer::Quantise(channels, scale) => {
                let [from, to] = [step.input, step.output].map(|image| &self.images[image]);
                int8::quantise((from, input), (to, &mut output), channels, scale);
            }
            &Layer::Dequantise(channels, scale) => {
                let [from, to] = [step.input, step.output].map(|image| &self.images[image]);
                int8::dequantise((from, input), (to, &mut output), channels, scale);
            }
        }
        parts[to] = output;
    }

    fn memory(&self) -> Memory {
        let parts = self.lengths.iter().map(|&length| Floats::zeros(length)).collect();
        let wanted = self.steps.iter().map(|step| match &step.layer {
            Layer::Dense(dense) => dense.scratch(),
            Layer::Winograd(winograd) => winograd.scratch(),
            _ => 0,
        });
        Memory { parts, scratch: Floats::zeros(wanted.max().unwrap_or(0)) }
    }
}

/// Gives each image a part of memory, used again by a later one of the same kind once nothing reads it, or nothing
/// but the step that adds it to what it makes; and the length of each part.
fn share(
    images: &[Image],
    steps: &[Step],
    input: &Port,
    outputs: &[Port],
) -> (Vec<usize>, Vec<usize>) {
    let end = steps.len();
    let mut last_use = vec![0; images.len()];
    for (at, step) in steps.iter().enumerate() {
        last_use[step.input] = at;
        if let Some(residual) = step.residual {
            last_use[residual] = at;
        }
    }
    for output in outputs {
        last_use[output.image] = end;
    }
    let mut parts = vec![usize::MAX; images.len()];
    // The kind of image that each part holds and the last step that reads what is there.
    let mut kinds: Vec<(Image, usize)> = vec![(images[input.image], last_use[input.image])];
    parts[input.image] = 0;
    for (at, step) in steps.iter().enumerate() {
        if parts[step.output] != usize::MAX {
            continue; // another step makes the rest of it
        }
        let (image, until) = (images[step.output], last_use[step.output]);
        let added = step.residual.filter(|&residual| {
            let last = last_use[residual];
            let fits = last < end && residual != step.input && images[residual] == image;
            fits && steps[at..=last].iter().all(|later| later.output == step.output)
        });
        let free = added
            .map(|residual| parts[residual])
            .or_else(|| kinds.iter().position(|(kind, busy)| *kind == image && *busy < at));
        let part = free.unwrap_or_else(|| {
            kinds.push((image, until));
            kinds.len() - 1
        });
        kinds[part].1 = until;
        parts[step.output] = part;
    }
    (parts, kinds.iter().map(|(image, _)| image.len()).collect())
}

/// A tensor into an image.
fn read(image: &Image, axes: Axes, tensor: &[f32], values: &mut [f32]) {
    let steps = image.steps();
    let area = image.height * image.width;
    for y in 0..image.height {
        let row = &mut values[steps.at(y, 0)..][..image.width * image.pixel];
        match axes {
            Axes::ChannelsLast => {
                let from = &tensor[y * image.width * image.channels..];
                if image.pixel == image.channels {
                    row.copy_from_slice(&from[..row.len()]);
                    continue;
                }
                let pixels =
                    row.chunks_exact_mut(image.pixel).zip(from.chunks_exact(image.channels));
                pixels.for_each(|(to, from)| to[..image.channels].copy_from_slice(from));
            }
            Axes::ChannelsFirst => {
                for channel in 0..image.channels {
                    let from = &tensor[channel * area + y * image.width..][..image.width];
                    let to = row[channel..].iter_mut().step_by(image.pixel);
                    to.zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// An image into a tensor.
fn write(image: &Image, port: &Port, values: &[f32], tensor: &mut [f32]) {
    let steps = image.steps();
    let area = image.height * image.width;
    // From channel to channel of the tensor, from pixel to pixel.
    let (channel_step, pixel_step) = match port.axes {
        Axes::ChannelsFirst => (area, 1),
        Axes::ChannelsLast => (1, image.channels),
    };
    for (y, x) in (0..image.height).flat_map(|y| (0..image.width).map(move |x| (y, x))) {
        let pixel = &values[steps.at(y, x)..][..image.channels];
        let to = tensor[(y * image.width + x) * pixel_step..].iter_mut().step_by(channel_step);
        match &port.order {
            None => to.zip(pixel).for_each(|(to, from)| *to = *from),
            Some(order) => to.zip(order.iter()).for_each(|(to, &place)| *to = pixel[place]),
        }
    }
}
