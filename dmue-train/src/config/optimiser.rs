//! How the weights move.

use serde::{Deserialize, Serialize};

use super::within;
use crate::error::{Error, Result};

/// The rule by which gradients move the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Adam with coupled weight decay: the paper's.
    Adam,
    /// SGD with Nesterov momentum 0.9 and coupled weight decay.
    Sgd,
}

/// How the weights move: warm-up, then a half cosine to zero, or steps where `steps` are given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimiser {
    /// The update rule.
    pub rule: Rule,
    /// Peak rate of stem and branches.
    pub body_rate: f64,
    /// Peak rate of heads and neck.
    pub head_rate: f64,
    /// Peak rate of the uncertainty module. It is given the label, so at the heads' rate it finds
    /// that alpha = 0 for a whole hard class is the cheapest loss, and the class is never learned.
    pub uncertainty_rate: f64,
    /// On convolution and head weights only.
    pub weight_decay: f64,
    /// Epochs of linear warm-up.
    pub warmup: f64,
    /// Decay per step of the moving average of all variables, which is what is validated and exported; 0
    /// takes the last ones. Shorter at the beginning.
    #[serde(default)]
    pub average: f64,
    /// The rates go down in these steps instead of along the cosine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
}

/// Pairs of an epoch, counted from 0, and the factor on the peak rate from then on; ascending.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// For stem and branches.
    pub body: Vec<(f64, f64)>,
    /// For heads, neck and the uncertainty module.
    pub head: Vec<(f64, f64)>,
}

impl Optimiser {
    pub(super) fn check(&self) -> Result<()> {
        within("optimiser.body_rate", self.body_rate, 0., 10.)?;
        within("optimiser.head_rate", self.head_rate, 0., 10.)?;
        within("optimiser.uncertainty_rate", self.uncertainty_rate, 0., 10.)?;
        within("optimiser.weight_decay", self.weight_decay, 0., 1.)?;
        within("optimiser.warmup", self.warmup, 0., 1e5)?;
        within("optimiser.average", self.average, 0., 0.999_999)?;
        match &self.steps {
            None => Ok(()),
            Some(steps) => {
                check_steps("optimiser.steps.body", &steps.body)?;
                check_steps("optimiser.steps.head", &steps.head)
            }
        }
    }
}

fn check_steps(key: &str, steps: &[(f64, f64)]) -> Result<()> {
    for (epoch, factor) in steps {
        within(&format!("an epoch of {key}"), *epoch, 0., 1e5)?;
        within(&format!("a factor of {key}"), *factor, 0., 1.)?;
    }
    if steps.is_sorted_by(|before, after| before.0 < after.0) {
        return Ok(());
    }
    Err(Error::Config(format!("{key} = {steps:?}: the epochs must ascend")))
}
