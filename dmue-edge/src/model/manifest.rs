//! The manifest: what a model file says about itself, as JSON under [`MANIFEST_KEY`] in ONNX'
//! `metadata_props`.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::ModelError;
use crate::abstain::Threshold;
use crate::face::align::FaceTemplate;

/// Where in `metadata_props` the manifest stands.
pub const MANIFEST_KEY: &str = "dmue.manifest";

/// The latest format that is understood. A file with a later one is refused: its meaning cannot be
/// guessed. 2: the score's head may take the feature. 1 is read, too.
pub const FORMAT_VERSION: u32 = 2;

/// Sides in pixels that an input may have.
pub const INPUT_SIZES: std::ops::RangeInclusive<u32> = 8..=1024;

/// Temperatures that probabilities may have.
pub const TEMPERATURES: std::ops::RangeInclusive<f32> = 0.01..=100.0;

/// Bytes of a name, of the model and of a class.
pub const LONGEST_NAME: usize = 256;

/// Everything about a model that is not a weight.
///
/// Unknown keys are an error: a key that this version does not know may change what the file means.
/// A new key comes with a new `format_version`, unless files without it mean what they did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] at the time of writing.
    pub format_version: u32,
    /// The model's name.
    pub name: String,
    /// Names of the classes in the order of the logits; any number from 2 on.
    pub classes: Vec<String>,
    /// What the network takes.
    pub input: InputSpec,
    /// Where the weights come from.
    pub training: TrainingInfo,
    /// T: the probabilities are softmax(logits / T). Fitted by `dmue-train calibrate`; 1 where absent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub temperature: f32,
    /// Calibrated thresholds on the score, by ascending error rate; none if it was not calibrated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abstention: Vec<Threshold>,
}

/// What the network takes: how a face becomes its input tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Side S in pixels of the square crop.
    pub size: u32,
    /// Gray or RGB.
    pub colour: Colour,
    /// Per channel, subtracted from a pixel in 0..1.
    pub mean: Vec<f32>,
    /// Per channel, above 0; the difference is divided by it.
    pub std: Vec<f32>,
    /// Where the landmarks lie in the crop.
    pub template: FaceTemplate,
}

/// The channels of a network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// One channel, luma.
    Gray,
    /// Three channels: red, green, blue.
    Rgb,
}

/// Where the weights come from, so that they can be made again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingInfo {
    /// The training data in words.
    pub data: String,
    /// Terms of the weights.
    pub licence: String,
    /// The exact command.
    pub command: String,
    /// Commit of this project that ran it.
    pub commit: String,
    /// Seed of all its randomness.
    pub seed: u64,
    /// Figures measured on validation faces, by name; finite.
    pub metrics: BTreeMap<String, f64>,
}

impl Colour {
    /// 1 or 3.
    pub fn channels(self) -> u32 {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
        }
    }
}

impl InputSpec {
    /// `[channels, size, size]` of one face's tensor.
    pub fn shape(&self) -> [usize; 3] {
        let size = self.size as usize;
        [self.colour.channels() as usize, size, size]
    }
}

impl Manifest {
    /// Reads and validates the JSON.
    ///
    /// # Errors
    /// [`ModelError::FutureFormat`] before anything else in a newer file is looked at,
    /// [`ModelError::ManifestJson`] for what does not parse (unknown keys too),
    /// [`ModelError::Manifest`] for values that cannot be true.
    pub fn from_json(json: &str) -> Result<Self, ModelError> {
        let Version { format_version } = serde_json::from_str(json).map_err(json_error)?;
        if format_version > u64::from(FORMAT_VERSION) {
            let (found, supported) = (format_version, FORMAT_VERSION);
            return Err(ModelError::FutureFormat { found, supported });
        }
        let manifest: Self = serde_json::from_str(json).map_err(json_error)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Validates the manifest and writes it as JSON.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] for values that cannot be true.
    pub fn to_json(&self) -> Result<String, ModelError> {
        self.validate()?;
        serde_json::to_string(self).map_err(json_error)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] names the first field that cannot be true.
    pub fn validate(&self) -> Result<(), ModelError> {
        if !(1..=FORMAT_VERSION).contains(&self.format_version) {
            let reason = format!("{}, known are 1 to {FORMAT_VERSION}", self.format_version);
            return wrong("format_version", reason);
        }
        validate_name("name", &self.name)?;
        validate_classes(&self.classes)?;
        validate_input(&self.input)?;
        validate_template(&self.input.template)?;
        validate_abstention(&self.abstention)?;
        if !TEMPERATURES.contains(&self.temperature) {
            let reason = format!("{}, allowed are {TEMPERATURES:?}", self.temperature);
            return wrong("temperature", reason);
        }
        match self.training.metrics.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, value)) => wrong("training.metrics", format!("`{name}` is {value}")),
            None => Ok(()),
        }
    }
}

fn one() -> f32 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_one(temperature: &f32) -> bool {
    *temperature == 1.0
}

/// The one key that every version has.
#[derive(Deserialize)]
struct Version {
    format_version: u64,
}

fn json_error(error: serde_json::Error) -> ModelError {
    // It quotes the file.
    let reason = error.to_string().replace(char::is_control, "\u{fffd}");
    ModelError::ManifestJson { reason }
}

fn wrong<T>(field: &'static str, reason: String) -> Result<T, ModelError> {
    Err(ModelError::Manifest { field, reason })
}

/// Names are shown: in terminals, in logs of one line a message, in pictures.
fn validate_name(field: &'static str, name: &str) -> Result<(), ModelError> {
    if name.trim().is_empty() {
        return wrong(field, "empty".into());
    }
    if name.len() > LONGEST_NAME {
        let reason = format!("{} bytes long, at most {LONGEST_NAME} are allowed", name.len());
        return wrong(field, reason);
    }
    match name.contains(char::is_control) {
        true => wrong(field, format!("{name:?}, which holds a control character")),
        false => Ok(()),
    }
}

fn validate_classes(classes: &[String]) -> Result<(), ModelError> {
    if classes.len() < 2 {
        return wrong("classes", format!("{} named, at least 2 are needed", classes.len()));
    }
    let mut seen = HashSet::new();
    for (index, class) in classes.iter().enumerate() {
        validate_name("classes", class).map_err(|error| match error {
            ModelError::Manifest { field, reason } => {
                ModelError::Manifest { field, reason: format!("number {index} is {reason}") }
            }
            other => other,
        })?;
        if !seen.insert(class) {
            return wrong("classes", format!("`{class}` stands there twice"));
        }
    }
    Ok(())
}

fn validate_input(input: &InputSpec) -> Result<(), ModelError> {
    if !INPUT_SIZES.contains(&input.size) {
        return wrong("input.size", format!("{}, allowed are {INPUT_SIZES:?}", input.size));
    }
    let channels = input.colour.channels() as usize;
    for (field, values) in [("input.mean", &input.mean), ("input.std", &input.std)] {
        if values.len() != channels {
            let reason = format!("{} values for {channels} channel(s)", values.len());
            return wrong(field, reason);
        }
    }
    if let Some(mean) = input.mean.iter().find(|mean| !mean.is_finite()) {
        return wrong("input.mean", format!("{mean} is not a number"));
    }
    if let Some(std) = input.std.iter().find(|std| !(std.is_finite() && **std > 0.0)) {
        return wrong("input.std", format!("{std} is not above 0"));
    }
    Ok(())
}

fn validate_abstention(thresholds: &[Threshold]) -> Result<(), ModelError> {
    const FIELD: &str = "abstention";
    for Threshold { error_rate, threshold, coverage, confidence, count } in thresholds {
        for (name, value) in [("error_rate", error_rate), ("confidence", confidence)] {
            if !(*value > 0.0 && *value < 1.0) {
                return wrong(FIELD, format!("{name} {value} is not above 0 and below 1"));
            }
        }
        for (name, value) in [("threshold", threshold), ("coverage", coverage)] {
            if !(0.0..=1.0).contains(value) {
                return wrong(FIELD, format!("{name} {value} is not from 0 to 1"));
            }
        }
        if *count == 0 {
            return wrong(FIELD, "count is 0: calibrated on no face".into());
        }
    }
    let rates = thresholds.windows(2).find(|pair| pair[0].error_rate >= pair[1].error_rate);
    match rates {
        Some(pair) => {
            let (earlier, later) = (pair[0].error_rate, pair[1].error_rate);
            wrong(FIELD, format!("error_rate {later} stands after {earlier}, they must ascend"))
        }
        None => Ok(()),
    }
}

/// Landmarks may lie somewhat outside of a tight crop, but an alignment needs eyes that are apart
/// and a mouth below them.
fn validate_template(template: &FaceTemplate) -> Result<(), ModelError> {
    const FIELD: &str = "input.template";
    const SANE: std::ops::RangeInclusive<f32> = -0.5..=1.5;
    let FaceTemplate { right_eye, left_eye, nose, mouth } = template;
    for [x, y] in [right_eye, left_eye, nose, mouth] {
        if !(SANE.contains(x) && SANE.contains(y)) {
            return wrong(FIELD, format!("({x}, {y}) lies outside of {SANE:?} of the crop's side"));
        }
    }
    if (right_eye[0] - left_eye[0]).hypot(right_eye[1] - left_eye[1]) < 0.05 {
        return wrong(FIELD, format!("the eyes lie together, at {right_eye:?} and {left_eye:?}"));
    }
    if mouth[1] <= (right_eye[1] + left_eye[1]) / 2.0 {
        return wrong(FIELD, format!("the mouth at {mouth:?} lies above the eyes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::manifest;
    use super::*;

    #[test]
    fn json_round_trip_keeps_every_value() {
        for colour in [Colour::Gray, Colour::Rgb] {
            let manifest = manifest(5, 48, colour);
            assert_eq!(Manifest::from_json(&manifest.to_json().unwrap()).unwrap(), manifest);
        }
    }

    #[test]
    fn a_file_that_was_not_calibrated_reads_and_writes_as_before_that_existed() {
        let uncalibrated = manifest(3, 48, Colour::Gray);
        let plain = Manifest { abstention: vec![], temperature: 1.0, ..uncalibrated };
        let json = plain.to_json().unwrap();
        assert!(!json.contains("abstention") && !json.contains("temperature"), "{json}");
        assert_eq!(Manifest::from_json(&json).unwrap(), plain);
    }

    #[test]
    fn a_future_version_is_named_even_where_nothing_else_is_understood() {
        let error = Manifest::from_json(r#"{"format_version": 7, "shape": []}"#).unwrap_err();
        assert!(matches!(error, ModelError::FutureFormat { found: 7, supported: 2 }), "{error}");
    }

    #[test]
    fn unknown_missing_and_malformed_keys_are_refused_by_name() {
        let json = manifest(3, 48, Colour::Gray).to_json().unwrap();
        let unknown = json.replacen("\"name\"", "\"nom\":1,\"name\"", 1);
        let missing = json.replacen("\"classes\"", "\"klasses\"", 1);
        let colour = json.replacen("gray", "grey", 1);
        for (json, word) in [(unknown, "nom"), (missing, "klasses"), (colour, "grey")] {
            let error = Manifest::from_json(&json).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let escape = json.replacen("\"name\"", "\"\\u001b[2J\":1,\"name\"", 1);
        let error = Manifest::from_json(&escape).unwrap_err().to_string();
        assert!(error.contains("[2J") && !error.contains('\u{1b}'), "{error:?}");
        for json in ["", "[]", "{", "{}", "null", r#"{"format_version": -1}"#] {
            let error = Manifest::from_json(json).unwrap_err();
            assert!(matches!(error, ModelError::ManifestJson { .. }), "{json}: {error}");
        }
    }

    type Lie = fn(&mut Manifest);

    #[test]
    fn every_value_that_cannot_be_true_is_named() {
        let lies: [(&str, Lie); 33] = [
            ("format_version", |m| m.format_version = 0),
            ("name", |m| m.name = " ".into()),
            ("classes", |m| m.classes.truncate(1)),
            ("classes", |m| m.classes.clear()),
            ("classes", |m| m.classes[1] = m.classes[0].clone()),
            ("classes", |m| m.classes[2] = String::new()),
            ("classes", |m| m.classes[2] = "\u{1b}[2J".into()),
            ("classes", |m| m.classes[2] = "x".repeat(257)),
            ("name", |m| m.name = "two\nlines".into()),
            ("input.size", |m| m.input.size = 7),
            ("input.size", |m| m.input.size = 1025),
            ("input.size", |m| m.input.size = u32::MAX),
            ("input.mean", |m| m.input.mean = vec![0.5; 3]),
            ("input.mean", |m| m.input.mean[0] = f32::NAN),
            ("input.std", |m| m.input.std.clear()),
            ("input.std", |m| m.input.std[0] = 0.0),
            ("input.std", |m| m.input.std[0] = -1.0),
            ("input.std", |m| m.input.std[0] = f32::INFINITY),
            ("input.template", |m| m.input.template.nose[0] = f32::NAN),
            ("input.template", |m| m.input.template.nose[1] = 2.0),
            ("input.template", |m| m.input.template.left_eye = m.input.template.right_eye),
            ("input.template", |m| m.input.template.mouth[1] = 0.1),
            ("abstention", |m| m.abstention[0].error_rate = 0.0),
            ("abstention", |m| m.abstention[0].error_rate = 1.0),
            ("abstention", |m| m.abstention[1].error_rate = 0.05),
            ("abstention", |m| m.abstention[0].confidence = f64::NAN),
            ("abstention", |m| m.abstention[0].threshold = -0.1),
            ("abstention", |m| m.abstention[0].coverage = 1.1),
            ("abstention", |m| m.abstention[0].count = 0),
            ("temperature", |m| m.temperature = 0.0),
            ("temperature", |m| m.temperature = f32::NAN),
            ("training.metrics", |m| m.training.metrics = [("nll".into(), f64::NAN)].into()),
            ("training.metrics", |m| m.training.metrics = [("x".into(), f64::INFINITY)].into()),
        ];
        for (number, (expected, lie)) in lies.into_iter().enumerate() {
            let mut manifest = manifest(4, 48, Colour::Gray);
            lie(&mut manifest);
            match manifest.to_json() {
                Err(ModelError::Manifest { field, .. }) => assert_eq!(field, expected, "{number}"),
                other => panic!("lie {number} about {expected}: {other:?}"),
            }
        }
    }
}
