//! tract: runs a checked model on one face at a time.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use tract_core::prelude::{
    IntoRunnable, IntoTValue, OutletId, Tensor, TractResult, TypedModel, TypedRunnableModel, tvec,
};

use super::file::{self, ModelFile};
use super::proto::pb;
use super::{
    ALPHA, FEATURE, LOGITS, Manifest, ModelError, OUTPUTS, SCORE, preprocess, quantised, volume,
};
use crate::face::align::FaceCrop;
use crate::kernels::{self, Kernels};
use crate::onnx;
use crate::uncertainty::{Confidence, PairwiseUncertainty};
use crate::{Error, Result};

/// How far graph and [`crate::uncertainty`] may differ: a hundred times what rounding does, a tenth
/// of what a reader of a score would notice.
const UNCERTAINTY_TOLERANCE: f32 = 1e-3;

/// How far logits and feature of our kernels may lie from tract's, as a share of their range.
const KERNEL_TOLERANCE: f32 = 1e-3;

/// The same where the network rounds to 8 bits: what lies between two steps may fall to either side, and the steps
/// behind it follow.
const QUANTISED_TOLERANCE: f32 = 0.05;

/// A model that is ready to run. Immutable, and shared between threads as it is.
///
/// tract runs the network up to `logits` and `feature`; score and alpha come from
/// [`crate::uncertainty`] and the file's own initialisers. The same formulas stand in the graph,
/// for other runtimes; as some fifty small operators they were seen to take tract 0.1 ms, beside
/// 0.75 ms for a whole edge network. Loading compares the two.
#[derive(Clone)]
pub struct Model {
    manifest: Manifest,
    uncertainty: PairwiseUncertainty,
    network: Network,
}

/// What the network says about one face. Every number is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// `[C]`, in the order of the manifest's classes.
    pub logits: Vec<f32>,
    /// softmax(logits / T) `[C]` with the manifest's temperature T, sums to 1.
    pub probabilities: Vec<f32>,
    /// `[D]`, before neck and head, not normalised.
    pub feature: Vec<f32>,
    /// 0..1, the estimated probability that the label is right; higher is more certain.
    pub score: f32,
    /// 0..1, the paper's confidence of the predicted class.
    pub alpha: f32,
}

impl Model {
    /// Reads, checks and prepares a model file.
    ///
    /// # Errors
    /// [`ModelError::Io`] when it cannot be read, else [`ModelError::File`] with what
    /// [`Model::from_bytes`] says; both name the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::open_with(path.as_ref(), Kernels::default())
    }

    /// [`Self::open`], with a say in who computes the network.
    pub(crate) fn open_with(path: &Path, kernels: Kernels) -> Result<Self, ModelError> {
        Self::from_bytes_with(&file::read(path)?, kernels)
            .map_err(|reason| ModelError::File { path: path.into(), reason: reason.into() })
    }

    /// Checks and prepares a model from the bytes of its file.
    ///
    /// # Errors
    /// One variant of [`ModelError`] per lie that a file can tell.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_file(ModelFile::parse(bytes)?)
    }

    /// [`Self::from_bytes`], with a say in who computes the network.
    pub(crate) fn from_bytes_with(bytes: &[u8], kernels: Kernels) -> Result<Self, ModelError> {
        Self::from_file_with(ModelFile::parse(bytes)?, kernels)
    }

    /// Prepares a file that was parsed before, and runs it once: outputs must be finite, and the
    /// graph's `score` and `alpha` must be what the file's own class means and heads give.
    ///
    /// # Errors
    /// [`ModelError::OutputShape`], [`ModelError::Activations`], [`ModelError::Node`],
    /// [`ModelError::Network`] or [`ModelError::UncertaintyDisagrees`].
    pub fn from_file(file: ModelFile) -> Result<Self, ModelError> {
        Self::from_file_with(file, Kernels::default())
    }

    fn from_file_with(file: ModelFile, kernels: Kernels) -> Result<Self, ModelError> {
        let typed = load(&file)?;
        // One run is not worth the time to optimise for.
        let graph = Network::new(typed.clone(), &file)?;
        let quantised = file.proto.graph.as_ref().is_some_and(quantised::present);
        let tolerance = if quantised { QUANTISED_TOLERANCE } else { KERNEL_TOLERANCE };
        let model = Self::prepare(typed, file, kernels)?;
        model.check_on_a_probe(&graph, tolerance)?;
        Ok(model)
    }

    /// The model that this crate carries. A test runs it once for all, so that starting need not.
    ///
    /// # Errors
    /// As [`Model::from_file`], where a build went wrong.
    pub(crate) fn embedded(bytes: &[u8], kernels: Kernels) -> Result<Self, ModelError> {
        let file = ModelFile::parse(bytes)?;
        Self::prepare(load(&file)?, file, kernels)
    }

    fn prepare(typed: TypedModel, file: ModelFile, kernels: Kernels) -> Result<Self, ModelError> {
        let network = Network::new(guarded(|| optimise(typed, 2, kernels))?, &file)?;
        let ModelFile { manifest, uncertainty, .. } = file;
        Ok(Self { manifest, uncertainty, network })
    }

    /// What the model says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Class means, prior weight and heads: what a window of frames needs.
    pub fn uncertainty(&self) -> &PairwiseUncertainty {
        &self.uncertainty
    }

    /// Runs the network on one crop.
    ///
    /// # Errors
    /// [`ModelError::Crop`] for a crop of another size or colour, [`Error::Run`] when tract fails
    /// or an output is not finite.
    pub fn infer(&self, crop: &FaceCrop) -> Result<Inference> {
        self.infer_tensor(&preprocess::normalise(crop, &self.manifest.input)?)
    }

    /// Runs the network on a tensor `face` `[channels, S, S]` that is normalised already.
    ///
    /// # Errors
    /// [`ModelError::InputLength`] or [`ModelError::InputValue`] for a tensor of another length or
    /// with NaN or infinity in it, else as [`Model::infer`].
    pub fn infer_tensor(&self, face: &[f32]) -> Result<Inference> {
        let [logits, feature] = self.network.run(face)?;
        let Confidence { score, alpha } = self.uncertainty.confidence(&feature, &logits, None);
        Inference::new(logits, feature, [score, alpha], self.manifest.temperature)
    }

    /// `tolerance` is a share of each output's range.
    fn check_on_a_probe(&self, graph: &Network, tolerance: f32) -> Result<(), ModelError> {
        // Any face-like spread of values in the range of real inputs does; this one has edges in
        // both directions.
        let values = 0..graph.shape.iter().product::<usize>();
        let probe: Vec<f32> = values.map(|i| ((i * 37) % 256) as f32 / 128.0 - 1.0).collect();
        let failed = |error: Error| ModelError::Network { reason: error.to_string() };
        let ours = self.infer_tensor(&probe).map_err(failed)?;
        let graphs = graph.run_whole(&probe).map_err(failed)?;
        for (output, ours, graphs) in
            [(LOGITS, &ours.logits, &graphs.logits), (FEATURE, &ours.feature, &graphs.feature)]
        {
            kernels_agree(output, ours, graphs, tolerance)?;
        }
        // From the graph's own values: what the kernels round otherwise is no lie about the uncertainty.
        let Confidence { score, alpha } =
            self.uncertainty.confidence(&graphs.feature, &graphs.logits, None);
        for (output, graph, expected) in
            [(SCORE, graphs.score, score), (ALPHA, graphs.alpha, alpha)]
        {
            if (graph - expected).abs() > UNCERTAINTY_TOLERANCE {
                return Err(ModelError::UncertaintyDisagrees { output, graph, expected });
            }
        }
        Ok(())
    }
}

/// What the *graph* of a file says about each of `faces` `[channels, S, S]`: score and alpha as any
/// other runtime gets them, slower than [`Model::infer_tensor`], for checks of a file that was just
/// written.
///
/// # Errors
/// As [`Model::from_file`] and [`Model::infer_tensor`].
pub fn run_graph<'a>(
    file: &ModelFile,
    faces: impl IntoIterator<Item = &'a [f32]>,
) -> Result<Vec<Inference>> {
    let typed = load(file)?;
    let optimised = guarded(|| optimise(typed, OUTPUTS.len(), Kernels::default()))?;
    let network = Network::new(optimised, file)?;
    faces.into_iter().map(|face| network.run_whole(face)).collect()
}

impl Inference {
    fn new(
        logits: Vec<f32>,
        feature: Vec<f32>,
        [score, alpha]: [f32; 2],
        temperature: f32,
    ) -> Result<Self> {
        for (name, values) in
            OUTPUTS.iter().zip([&logits[..], &feature[..], &[score][..], &[alpha][..]])
        {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(Error::Run(format!("output `{name}` holds {value}")));
            }
        }
        Ok(Self { probabilities: softmax(&logits, temperature), logits, feature, score, alpha })
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Model").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

/// Numbers of any scale to probabilities `[C]` that sum to 1.
fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let share = |logit: &f32| ((logit - largest) / temperature).exp();
    let exponentials: Vec<f32> = logits.iter().map(share).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.iter().map(|value| value / sum).collect()
}

/// tract alone ran the graph, our kernels the network.
fn kernels_agree(
    output: &str,
    ours: &[f32],
    tracts: &[f32],
    tolerance: f32,
) -> Result<(), ModelError> {
    let range = tracts.iter().fold(1.0_f32, |range, value| range.max(value.abs()));
    let farthest = ours.iter().zip(tracts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    if farthest > tolerance * range {
        let reason = format!(
            "our kernels' {output} lie {farthest} off tract's, whose range is {range}; DMUE_KERNELS=off runs it \
             by tract alone"
        );
        return Err(ModelError::Network { reason });
    }
    Ok(())
}

/// Turns tract's errors, and its panics on graphs that it did not expect, into ours.
fn guarded<T>(call: impl FnOnce() -> TractResult<T>) -> Result<T, ModelError> {
    let failed = |reason| ModelError::Network { reason };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failed(format!("{error:#}"))),
        Err(_) => Err(failed("tract panicked on it".into())),
    }
}

/// A runnable network with the first two or all four of [`OUTPUTS`].
#[derive(Clone)]
struct Network {
    plan: Arc<TypedRunnableModel>,
    /// `[channels, S, S]` of one face.
    shape: [usize; 3],
    temperature: f32,
}

impl Network {
    fn new(model: TypedModel, file: &ModelFile) -> Result<Self, ModelError> {
        let plan = guarded(|| model.into_runnable())?;
        let Manifest { input, temperature, .. } = &file.manifest;
        Ok(Self { plan, shape: input.shape(), temperature: *temperature })
    }

    /// The first `COUNT` outputs for one face.
    fn run<const COUNT: usize>(&self, face: &[f32]) -> Result<[Vec<f32>; COUNT]> {
        let expected = self.shape.iter().product();
        if face.len() != expected {
            return Err(ModelError::InputLength { found: face.len(), expected }.into());
        }
        if let Some((index, &value)) = face.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(ModelError::InputValue { index, value }.into());
        }
        guarded(|| self.run_plan(face)).map_err(|error| Error::Run(error.to_string()))
    }

    fn run_whole(&self, face: &[f32]) -> Result<Inference> {
        let [logits, feature, score, alpha] = self.run(face)?;
        let first = |values: &[f32]| values.first().copied().unwrap_or(f32::NAN);
        let confidences = [first(&score), first(&alpha)];
        Inference::new(logits, feature, confidences, self.temperature)
    }

    fn run_plan<const COUNT: usize>(&self, face: &[f32]) -> TractResult<[Vec<f32>; COUNT]> {
        let [channels, height, width] = self.shape;
        let input = Tensor::from_shape(&[1, channels, height, width], face)?;
        let outputs = self.plan.run(tvec!(input.into_tvalue()))?;
        let mut values = [const { Vec::new() }; COUNT];
        for (values, output) in values.iter_mut().zip(&outputs) {
            values.extend(output.to_plain_array_view::<f32>()?.iter());
        }
        Ok(values)
    }
}

/// The typed model for a batch of one, its outputs in the order of [`OUTPUTS`], of checked shapes
/// and size.
fn load(file: &ModelFile) -> Result<TypedModel, ModelError> {
    let typed = guarded(|| type_model(&file.proto, file.manifest.input.shape()))?;
    let prior = file.uncertainty.prior();
    check_shapes(&typed, prior.classes(), prior.feature_size())?;
    volume::check(&typed)?;
    Ok(typed)
}

fn type_model(
    proto: &pb::ModelProto,
    [channels, height, width]: [usize; 3],
) -> TractResult<TypedModel> {
    let mut model = onnx::read(proto, Some(&[1, channels, height, width]))?;
    // By position: a node may bear the name of another node's output.
    let declared = proto.graph.iter().flat_map(|graph| &graph.output);
    let by_name: HashMap<&str, OutletId> =
        declared.map(|value| value.name.as_str()).zip(model.outputs.iter().copied()).collect();
    let ours = OUTPUTS.iter().filter_map(|name| by_name.get(name).copied());
    model.select_output_outlets(&ours.collect::<Vec<_>>())?;
    Ok(model)
}

/// Leaves out what the first `outputs` outputs of [`OUTPUTS`] do not need, and optimises the rest.
fn optimise(mut model: TypedModel, outputs: usize, kernels: Kernels) -> TractResult<TypedModel> {
    let outlets = model.output_outlets()?.iter().take(outputs).copied().collect::<Vec<_>>();
    model.select_output_outlets(&outlets)?;
    kernels::accelerate(model, kernels)?.into_optimized()
}

fn check_shapes(model: &TypedModel, classes: usize, feature: usize) -> Result<(), ModelError> {
    let expected = [
        (LOGITS, vec![1, classes]),
        (FEATURE, vec![1, feature]),
        (SCORE, vec![1]),
        (ALPHA, vec![1]),
    ];
    for (index, (name, expected)) in expected.into_iter().enumerate() {
        let fact = model
            .output_fact(index)
            .map_err(|error| ModelError::Network { reason: error.to_string() })?;
        if fact.shape.as_concrete() != Some(&*expected) {
            let found = format!("{:?}", fact.shape);
            return Err(ModelError::OutputShape { name, found, expected });
        }
    }
    Ok(())
}
