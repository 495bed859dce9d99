//! One convolution with its normalisation, out of a file's tensors.

use tch::{Kind, Tensor};

use super::names;
use super::source::Source;
use crate::model::network::EPSILON;
use crate::model::spec::{Convolution, Norm};

/// A variable of a convolution or its normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `[output, input / groups, k, k]`
    Weight,
    /// One value a batch normalised channel, as the next three.
    Scale,
    /// See [`Self::Scale`].
    Shift,
    /// See [`Self::Scale`].
    Mean,
    /// See [`Self::Scale`].
    Variance,
    /// One value an instance normalised channel, as the next.
    InstanceScale,
    /// See [`Self::InstanceScale`].
    InstanceShift,
}

/// What a file holds for one convolution; the branch's is one copy's.
pub(super) struct Layer {
    parts: Vec<(Part, Tensor)>,
    /// The tensors that it is made of.
    pub(super) keys: Vec<String>,
    /// What had to be adapted.
    pub(super) note: Option<&'static str>,
}

impl Part {
    /// The last part of the variable's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Scale => "norm_weight",
            Self::Shift => "norm_bias",
            Self::Mean => "running_mean",
            Self::Variance => "running_var",
            Self::InstanceScale => "instance_norm_weight",
            Self::InstanceShift => "instance_norm_bias",
        }
    }

    /// The shape of one copy.
    fn shape(self, spec: &Convolution) -> Vec<i64> {
        match self {
            Self::Weight => spec.kernel_shape().to_vec(),
            Self::InstanceScale | Self::InstanceShift => {
                vec![spec.output - spec.batch_normalised()]
            }
            _ => vec![spec.batch_normalised()],
        }
    }

    fn all(norm: Norm) -> &'static [Self] {
        const ALL: [Part; 7] = [
            Part::Weight,
            Part::Scale,
            Part::Shift,
            Part::Mean,
            Part::Variance,
            Part::InstanceScale,
            Part::InstanceShift,
        ];
        match norm {
            Norm::Batch => &ALL[..5],
            Norm::HalfInstance => &ALL,
        }
    }
}

/// Looks for the convolution under our name, then under torchvision's.
///
/// # Errors
/// The name that was looked for, or the tensor that is missing beside it.
pub(super) fn find(source: &Source, spec: &Convolution) -> Result<Layer, String> {
    let own = format!("{}.weight", spec.name);
    if source.tensors.contains_key(&own) {
        return if source.folded { folded(source, spec) } else { ours(source, spec) };
    }
    match names::torchvision(&spec.name) {
        Some([convolution, norm]) if !source.folded => foreign(source, spec, &convolution, &norm),
        _ => Err(format!("no `{own}` in the file")),
    }
}

/// Our own names; of a checkpoint's copies the last, the target branch.
fn ours(source: &Source, spec: &Convolution) -> Result<Layer, String> {
    let mut layer = Layer { parts: vec![], keys: vec![], note: None };
    for &part in Part::all(spec.norm) {
        let key = format!("{}.{}", spec.name, part.name());
        let tensor = source.get(&key)?;
        let (rows, wanted) = (tensor.size().first().copied().unwrap_or(0), part.shape(spec)[0]);
        let is_stacked = spec.name.starts_with("branch.") && rows == wanted * source.copies;
        let one = if is_stacked { tensor.narrow(0, rows - wanted, wanted) } else { tensor };
        layer.parts.push((part, one));
        layer.keys.push(key);
    }
    Ok(layer)
}

/// A convolution with bias: the normalisation does nothing but add that.
fn folded(source: &Source, spec: &Convolution) -> Result<Layer, String> {
    let keys = ["weight", "bias"].map(|part| format!("{}.{part}", spec.name));
    let [weight, bias] = [source.get(&keys[0])?, source.get(&keys[1])?];
    let rows = spec.batch_normalised();
    if bias.size() != [spec.output] {
        return Err(format!("`{}` is {:?}, needed is [{}]", keys[1], bias.size(), spec.output));
    }
    let shift = bias.narrow(0, spec.output - rows, rows);
    let mut parts = vec![
        (Part::Weight, weight),
        (Part::Scale, shift.ones_like()),
        (Part::Mean, shift.zeros_like()),
        (Part::Variance, shift.ones_like() - EPSILON), // the root of this and epsilon is 1
        (Part::Shift, shift),
    ];
    let mut keys = keys.to_vec();
    if spec.norm == Norm::HalfInstance {
        for part in [Part::InstanceScale, Part::InstanceShift] {
            let key = format!("{}.{}", spec.name, part.name());
            parts.push((part, source.get(&key)?));
            keys.push(key);
        }
    }
    Ok(Layer { parts, keys, note: None })
}

/// PyTorch's names: `convolution.weight`, `norm.weight`, `.bias`, `.running_mean`, `.running_var`;
/// of IBN-a `norm.IN.*` and `norm.BN.*`.
fn foreign(
    source: &Source,
    spec: &Convolution,
    convolution: &str,
    norm: &str,
) -> Result<Layer, String> {
    let halves = spec.norm == Norm::HalfInstance;
    let is_whole = source.tensors.contains_key(&format!("{norm}.weight"));
    let batch = if halves && !is_whole { format!("{norm}.BN") } else { norm.into() };
    let instance = if is_whole { norm.into() } else { format!("{norm}.IN") };
    let named = [
        (Part::Weight, format!("{convolution}.weight")),
        (Part::Scale, format!("{batch}.weight")),
        (Part::Shift, format!("{batch}.bias")),
        (Part::Mean, format!("{batch}.running_mean")),
        (Part::Variance, format!("{batch}.running_var")),
        (Part::InstanceScale, format!("{instance}.weight")),
        (Part::InstanceShift, format!("{instance}.bias")),
    ];
    let mut layer = Layer { parts: vec![], keys: vec![], note: None };
    for (part, key) in named.into_iter().take(Part::all(spec.norm).len()) {
        let tensor = source.get(&key)?;
        let is_of_a_half = halves && is_whole && part != Part::Weight;
        let tensor = if is_of_a_half { half(&tensor, part, spec) } else { tensor };
        layer.parts.push((part, tensor));
        layer.keys.push(key);
    }
    if halves && is_whole {
        layer.note = Some("batch normalised in the file, half of it by instance here");
    }
    Ok(layer)
}

/// A normalisation's vector over all channels, cut to those that the part is about.
fn half(vector: &Tensor, part: Part, spec: &Convolution) -> Tensor {
    if vector.size() != [spec.output] {
        return vector.shallow_clone(); // the shape check names it
    }
    let first = spec.output - spec.batch_normalised();
    match part {
        Part::InstanceScale | Part::InstanceShift => vector.narrow(0, 0, first),
        _ => vector.narrow(0, first, spec.batch_normalised()),
    }
}

impl Layer {
    /// Part and tensor, one copy each.
    pub(super) fn parts(&self) -> impl Iterator<Item = (Part, &Tensor)> {
        self.parts.iter().map(|(part, tensor)| (*part, tensor))
    }

    /// With all shapes checked, and a first kernel made for as many colours as `spec` has.
    ///
    /// # Errors
    /// The first tensor of a wrong shape.
    pub(super) fn fitted(mut self, spec: &Convolution) -> Result<Self, String> {
        if let Some((_, weight)) = self.parts.iter_mut().find(|(part, _)| *part == Part::Weight)
            && let Some((adapted, note)) = recoloured(weight, spec)
        {
            *weight = adapted;
            self.note = Some(note);
        }
        for (part, tensor) in &self.parts {
            let (found, wanted) = (tensor.size(), part.shape(spec));
            if found != wanted {
                let part = part.name();
                return Err(format!("its {part} is {found:?} in the file, needed is {wanted:?}"));
            }
        }
        Ok(self)
    }
}

/// A kernel on RGB answers to gray, R = G = B, with the sum of its three; the other way round, a
/// third of the kernel on each colour answers to gray alike.
fn recoloured(weight: &Tensor, spec: &Convolution) -> Option<(Tensor, &'static str)> {
    let [_, wanted, ..] = spec.kernel_shape();
    let found = weight.size().get(1).copied()?;
    match (found, wanted, spec.groups) {
        (3, 1, 1) => {
            let sum = weight.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
            Some((sum, "colours summed up"))
        }
        (1, 3, 1) => Some((weight.repeat([1, 3, 1, 1]) / 3., "spread over the colours")),
        _ => None,
    }
}
