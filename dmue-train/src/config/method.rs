//! What is minimised.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::within;
use crate::error::Result;

/// What the target branch learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// All terms of method.md section 5.
    #[default]
    Dmue,
    /// The baseline: cross entropy, no auxiliary branch.
    Ce,
}

/// How the latent distribution is mined (method.md section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latent {
    /// LD-N: branch i never sees class i.
    #[default]
    Negative,
    /// LD-A: every branch sees every image.
    All,
}

/// The objective and the weights of method.md, sections 2 and 5.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// What is minimised.
    #[serde(default)]
    pub objective: Objective,
    /// How the latent distribution is mined.
    #[serde(default)]
    pub latent: Latent,
    /// Whether alpha weights the logits (method.md section 4); without it alpha = 1.
    #[serde(default = "yes")]
    pub uncertainty: bool,
    /// Weight of L_soft.
    pub omega: f64,
    /// Weight of L_sp.
    pub gamma: f64,
    /// The epoch at which the ramps turn.
    pub beta: f64,
    /// T, flattens the mined distribution where above 1; LD-A is not tempered.
    pub temperature: f64,
    /// Share of the crowd's vote distribution, the label having the rest, in what the target branch's
    /// cross entropy learns: 0 labels, 1 votes. For data with votes.
    #[serde(default)]
    pub crowd: f64,
    /// Exported models, of the same classes, whose mean answer to the same varied faces is learnt, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<PathBuf>,
    /// Weight of L_teach.
    #[serde(default = "one")]
    pub teacher_weight: f64,
    /// Flattens teachers' and own answers in L_teach where above 1.
    #[serde(default = "one")]
    pub teacher_temperature: f64,
}

fn one() -> f64 {
    1.
}

fn yes() -> bool {
    true
}

impl Method {
    /// How the auxiliary branches mine; `None` where there are none.
    pub fn auxiliary(&self) -> Option<Latent> {
        (self.objective == Objective::Dmue).then_some(self.latent)
    }

    pub(super) fn check(&self) -> Result<()> {
        within("method.omega", self.omega, 0., 1e6)?;
        within("method.gamma", self.gamma, 0., 1e6)?;
        within("method.beta", self.beta, 1e-3, 1e5)?;
        within("method.temperature", self.temperature, 1e-2, 100.)?;
        within("method.crowd", self.crowd, 0., 1.)?;
        within("method.teacher_weight", self.teacher_weight, 0., 1e6)?;
        within("method.teacher_temperature", self.teacher_temperature, 1e-2, 100.)
    }

    /// Whether alpha is trained.
    pub fn trains_alpha(&self) -> bool {
        self.objective == Objective::Dmue && self.uncertainty
    }
}
