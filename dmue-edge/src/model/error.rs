//! Every way in which a model file, or an input to a model, can be wrong.

use std::path::PathBuf;

use crate::uncertainty::ShapeError;

/// Why a model file was refused, or why a model refused an input. One variant per lie.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file was read and refused.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Box<ModelError>,
    },
    /// More bytes than any model of this kind has.
    #[error("the model file has {bytes} bytes, more than the {limit} that are accepted")]
    FileSize {
        /// How many there are.
        bytes: u64,
        /// How many are accepted.
        limit: u64,
    },
    /// The bytes are something else.
    #[error("not an ONNX file: {reason}; give a NAME.dmue.onnx written by `dmue-train export`")]
    NotOnnx {
        /// What gave it away.
        reason: String,
    },
    /// The bytes end in the middle.
    #[error(
        "truncated: {present} bytes are here, at least {needed} are needed; copy the file again"
    )]
    Truncated {
        /// Bytes that the part which is cut off would reach to.
        needed: u64,
        /// Bytes that are here.
        present: u64,
    },
    /// It starts as ONNX but does not decode.
    #[error("corrupt ONNX file ({reason}); copy or export it again")]
    Corrupt {
        /// The decoder's words.
        reason: String,
    },
    /// Plain ONNX, without what makes it a DMUE model.
    #[error(
        "no `{key}` in metadata_props: plain ONNX, not a model by \
         `dmue-train export`, or cut off at its end"
    )]
    MissingManifest {
        /// The key that was looked for.
        key: &'static str,
    },
    /// Two manifests.
    #[error("`{key}` stands {count} times in metadata_props; it must stand there once")]
    DuplicateManifest {
        /// The key.
        key: &'static str,
        /// How often it is there.
        count: usize,
    },
    /// The manifest is not the JSON that it should be.
    #[error("the manifest is not valid: {reason}")]
    ManifestJson {
        /// The JSON reader's words, with line and column.
        reason: String,
    },
    /// The file was written by a newer dmue.
    #[error(
        "the model's format version is {found}, this dmue reads up to {supported}; update dmue"
    )]
    FutureFormat {
        /// Version in the file.
        found: u64,
        /// Latest version that is understood.
        supported: u32,
    },
    /// A field of the manifest cannot be true.
    #[error("the manifest's {field} is wrong: {reason}")]
    Manifest {
        /// Path of the field.
        field: &'static str,
        /// The value and what is wrong with it.
        reason: String,
    },
    /// The operator set is not one that was tested.
    #[error("ONNX operator set {found} is not supported, only 17 and 18; export the model again")]
    OperatorSet {
        /// Version of the default domain; 0 where none is given.
        found: i64,
    },
    /// The network asks for something else than one face.
    #[error("the network's inputs are {found}; it must have the one input {expected}")]
    Input {
        /// What the file has.
        found: String,
        /// What the manifest asks for.
        expected: String,
    },
    /// One of the four outputs is not there.
    #[error("output `{name}` is missing; the file has {found:?}")]
    MissingOutput {
        /// The output that is needed.
        name: &'static str,
        /// The outputs that are there.
        found: Vec<String>,
    },
    /// An output has another shape than classes and class means say.
    #[error("output `{name}` has shape {found} for one face where {expected:?} is needed")]
    OutputShape {
        /// The output.
        name: &'static str,
        /// Its shape.
        found: String,
        /// The shape that was expected.
        expected: Vec<usize>,
    },
    /// One of the named initialisers is not there.
    #[error("initialiser `{name}` is missing; export the model again")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A named initialiser has another shape than the classes say.
    #[error(
        "initialiser `{name}` has shape {found:?} where {expected} is needed ({classes} classes)"
    )]
    TensorShape {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<i64>,
        /// The shape that was expected, in words.
        expected: String,
        /// How many classes the manifest names.
        classes: usize,
    },
    /// Shape and data of a tensor do not belong together.
    #[error("tensor `{name}` says shape {dims:?} but holds {found} values; the file is damaged")]
    TensorSize {
        /// Its name.
        name: String,
        /// Its shape.
        dims: Vec<i64>,
        /// How many values (or, where no whole number, bytes) are really there.
        found: String,
    },
    /// A tensor of a type that models do not use.
    #[error(
        "tensor `{name}` has ONNX data type {data_type}; use float, int64, int32, int8 or uint8"
    )]
    TensorType {
        /// Its name.
        name: String,
        /// ONNX' number of the type.
        data_type: i32,
    },
    /// A weight that no training may leave behind.
    #[error("tensor `{name}` holds {value} at position {index}; the training run diverged")]
    NonFinite {
        /// Its name.
        name: String,
        /// Flat position.
        index: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// `n0` is not a positive number.
    #[error("initialiser `prior_weight` is {value}; it must be above 0")]
    PriorWeight {
        /// Its value.
        value: f32,
    },
    /// Weights that lie in another file.
    #[error(
        "tensor `{name}` refers to a file outside; a DMUE model is one file with its weights inside"
    )]
    ExternalData {
        /// Its name.
        name: String,
    },
    /// A part of ONNX that a DMUE model has no use for.
    #[error("{part} is not accepted: {reason}")]
    Unsupported {
        /// Which part of the file.
        part: String,
        /// Why not.
        reason: &'static str,
    },
    /// The graph uses a name that nothing before it makes.
    #[error("node `{node}` reads `{value}`, which nothing before it makes; export the model again")]
    Undefined {
        /// Who reads it.
        node: String,
        /// What is not there.
        value: String,
    },
    /// The graph makes a name twice.
    #[error("the name `{name}` is given twice in the graph; export the model again")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// All nodes together would take more memory or time than any device gives.
    #[error(
        "the network makes or looks at {values} values for one face, more than the {limit} that \
         are accepted"
    )]
    Activations {
        /// How many for one face.
        values: u64,
        /// How many are accepted.
        limit: u64,
    },
    /// One node alone would take too much memory or time.
    #[error(
        "node `{name}` makes or looks at {values} values, more than the {limit} that are accepted: \
         make its input, its kernel or its padding smaller"
    )]
    Node {
        /// Its name.
        name: String,
        /// How many for one face.
        values: u64,
        /// How many are accepted.
        limit: u64,
    },
    /// tract does not take the network.
    #[error("the network cannot run: {reason}; export the model again")]
    Network {
        /// tract's words.
        reason: String,
    },
    /// The graph computes something else than its own initialisers say.
    #[error(
        "the graph gives `{output}` {graph} where its class means and heads give \
         {expected}; export the model again"
    )]
    UncertaintyDisagrees {
        /// `score` or `alpha`.
        output: &'static str,
        /// What the graph says.
        graph: f32,
        /// What the initialisers give.
        expected: f32,
    },
    /// Parts of the uncertainty that do not belong together, found while writing a model.
    #[error("the uncertainty's parts do not fit: {0}")]
    Uncertainty(#[from] ShapeError),
    /// The crop is not what the network was trained on.
    #[error(
        "the crop is {found_size}x{found_size} with {found_channels} channel(s), the model \
         takes {size}x{size} with {channels}; align it with the model's own size and colour"
    )]
    Crop {
        /// Side of the crop.
        found_size: u32,
        /// Channels of the crop.
        found_channels: u32,
        /// Side that the model takes.
        size: u32,
        /// Channels that the model takes.
        channels: u32,
    },
    /// As many values as the input's shape needs were not given.
    #[error("the input has {found} values where {expected} are needed (channels x size x size)")]
    InputLength {
        /// How many were given.
        found: usize,
        /// How many are needed.
        expected: usize,
    },
    /// A NaN or an infinity in a face, which a network may turn into a plausible answer.
    #[error("the input holds {value} at position {index}; give finite values")]
    InputValue {
        /// Flat position.
        index: usize,
        /// NaN or an infinity.
        value: f32,
    },
}
