//! The backbones, as descriptions.

use super::spec::{Activation, Backbone, Convolution, Layer, Shape};
use crate::error::{Error, Result};

mod edge;
mod mobilenet;
mod resnet;
mod shufflenet;

/// Inputs below this side get a 3x3 stem without pooling (method.md section 1).
const LARGE: i64 = 100;
/// And below this one it does not stride either, so that the last maps keep 3x3 values and more.
const MEDIUM: i64 = 64;
/// Channel counts are multiples of this, whatever the width.
const MULTIPLE: i64 = 4;

/// What a description is made for.
#[derive(Clone, Copy, Debug)]
struct Plan {
    input: Shape,
    /// Factor on every channel count.
    width: f64,
}

/// What a description says.
struct Description {
    stem: Vec<Layer>,
    branch: Vec<Layer>,
    neck: bool,
}

type Describe = fn(Plan) -> Description;

/// Names that configs and `--model` take.
const KNOWN: [(&str, Describe); 6] = [
    ("edge", edge::edge),
    ("tiny", edge::tiny),
    ("resnet18", resnet::resnet18),
    ("resnet50_ibn", resnet::resnet50_ibn),
    ("mobilenet_v2", mobilenet::mobilenet_v2),
    ("shufflenet_v1", shufflenet::shufflenet_v1),
];

/// The backbone `name` for `input`, every channel count but the input's times `width` (1 is the
/// published one), rounded.
///
/// # Errors
/// An unknown name; the message lists the known ones.
pub fn build(name: &str, input: Shape, width: f64) -> Result<Backbone> {
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    let (_, describe) = known.ok_or_else(|| {
        let names = KNOWN.map(|(name, _)| name).join(", ");
        Error::Config(format!("model.backbone = \"{name}\" is not known; known are: {names}"))
    })?;
    let Description { stem, branch, neck } = describe(Plan { input, width });
    Ok(Backbone { name: name.into(), input, stem, branch, neck })
}

impl Plan {
    /// `channels` times the width, rounded to a multiple of 4.
    fn scaled(self, channels: i64) -> i64 {
        self.scaled_to(channels, MULTIPLE)
    }

    /// `channels` times the width, rounded to a multiple of `multiple`.
    fn scaled_to(self, channels: i64, multiple: i64) -> i64 {
        let count = (channels as f64 * self.width / multiple as f64).round() as i64;
        count.max(1) * multiple
    }

    /// Whether the input is large enough for the published stem.
    fn is_large(self) -> bool {
        self.input.size >= LARGE
    }

    /// Stride of a 3x3 stem.
    fn stem_stride(self) -> i64 {
        if self.input.size < MEDIUM { 1 } else { 2 }
    }
}

/// A depthwise 3x3 convolution of `channels` channels.
fn depthwise(name: String, channels: i64, stride: i64, activation: Activation) -> Layer {
    let spec = Convolution::new(name, [channels, channels], 3, stride);
    Layer::Convolution(spec.grouped(channels).activated(activation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_has_the_size_that_its_description_states() {
        let edge = Backbone::named("edge", 1, 48).unwrap();
        assert_eq!(edge.feature(), 128);
        assert!((700_000..760_000).contains(&edge.parameters()), "{}", edge.parameters());
        assert!(
            (42_000_000..45_000_000).contains(&edge.multiply_adds()),
            "{}",
            edge.multiply_adds()
        );
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Backbone::named("resnet", 1, 48).unwrap_err().to_string();
        assert!(error.contains("\"resnet\""), "{error}");
        assert!(KNOWN.iter().all(|(name, _)| error.contains(name)), "{error}");
    }

    #[test]
    fn channels_fit_groups_at_every_width_and_size() {
        for (name, _) in KNOWN {
            for width in [0.05, 0.1, 0.25, 0.5, 0.77, 1., 1.5] {
                for size in [8, 24, 48, 63, 64, 99, 100, 224] {
                    let input = Shape { channels: 1, size };
                    let backbone = build(name, input, width).unwrap();
                    for spec in backbone.convolutions() {
                        let whole = spec.input % spec.groups == 0 && spec.output % spec.groups == 0;
                        assert!(whole && spec.output > 0, "{name} x{width}: {spec:?}");
                    }
                    let map = super::super::spec::output(&backbone.stem, input);
                    assert!(map.size >= 1, "{name} at {size}");
                }
            }
        }
    }
}
