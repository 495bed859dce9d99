//! Adam, AdamW and Nesterov SGD over named tensors, because tch cannot save its own optimisers' state.

use std::collections::BTreeMap;

use tch::{Tensor, nn};

use super::average::Average;
use crate::config::{Optimiser as Settings, Rule};
use crate::error::{Error, Result};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
const MOMENTUM: f64 = 0.9;

/// Moves every trainable variable of a store; its state can be written and read back.
#[derive(Debug)]
pub struct Optimiser {
    settings: Settings,
    parameters: Vec<Parameter>,
    /// Steps taken.
    steps: i64,
    average: Option<Average>,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    value: Tensor,
    /// First moment, or momentum.
    first: Tensor,
    /// Second moment; not used by SGD.
    second: Tensor,
    group: Group,
    decays: bool,
}

/// Which peak rate a variable has.
#[derive(Clone, Copy, Debug)]
enum Group {
    Body,
    Head,
    Uncertainty,
}

impl Group {
    fn of(name: &str) -> Self {
        match name.split('.').next() {
            Some("stem" | "branch") => Self::Body,
            Some("uncertainty") => Self::Uncertainty,
            _ => Self::Head,
        }
    }

    fn rate(self, settings: &Settings, progress: f64, epochs: f64) -> f64 {
        let peak = match self {
            Self::Body => settings.body_rate,
            Self::Head => settings.head_rate,
            Self::Uncertainty => settings.uncertainty_rate,
        };
        let warmup = settings.warmup;
        if progress < warmup {
            return peak * (progress / warmup).max(1e-3);
        }
        peak * match (&settings.steps, self) {
            (None, _) => cosine((progress - warmup) / (epochs - warmup).max(1e-9)),
            (Some(steps), Self::Body) => stepped(&steps.body, progress),
            (Some(steps), _) => stepped(&steps.head, progress),
        }
    }
}

impl Optimiser {
    /// Zero state for all trainable variables, in the order of their names.
    pub fn new(store: &nn::VarStore, settings: &Settings) -> Self {
        let named: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
        let trainable = named.into_iter().filter(|(_, value)| value.requires_grad());
        let parameters = trainable.map(|(name, value)| Parameter::new(name, value)).collect();
        let average = Average::new(store, settings.average);
        Self { settings: settings.clone(), parameters, steps: 0, average }
    }

    /// Clears gradients, runs backward, moves the variables. `progress` is the epoch with its
    /// fraction, `epochs` the length of the schedule.
    pub fn step(&mut self, loss: &Tensor, progress: f64, epochs: f64) {
        self.backward(loss);
        self.update(progress, epochs);
    }

    /// The first half of [`Self::step`]: clears gradients, runs backward.
    pub fn backward(&mut self, loss: &Tensor) {
        self.parameters.iter_mut().for_each(|parameter| parameter.value.zero_grad());
        loss.backward();
    }

    /// The second half of [`Self::step`]: moves the variables.
    pub fn update(&mut self, progress: f64, epochs: f64) {
        self.steps += 1;
        tch::no_grad(|| {
            for parameter in &mut self.parameters {
                let rate = parameter.group.rate(&self.settings, progress, epochs);
                parameter.step(&self.settings, rate, self.steps);
            }
        });
        if let Some(average) = &mut self.average {
            average.update();
        }
    }

    /// Where an average is kept: gives the variables its values, which are what counts, for looking at or
    /// saving, or takes that back.
    pub fn swap_average(&mut self) {
        if let Some(average) = &mut self.average {
            average.swap();
        }
    }

    /// The state as named tensors, which the next step changes in place; where an average is kept, while the
    /// variables have its values.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let steps = ("steps".to_owned(), Tensor::from_slice(&[self.steps]));
        let moments = self.parameters.iter().flat_map(|parameter| {
            let name = &parameter.name;
            [
                (format!("first.{name}"), parameter.first.shallow_clone()),
                (format!("second.{name}"), parameter.second.shallow_clone()),
            ]
        });
        let average = self.average.iter().flat_map(Average::state);
        let average = average.map(|(name, value)| (format!("live.{name}"), value));
        std::iter::once(steps).chain(moments).chain(average).collect()
    }

    /// Takes a state that [`Self::state`] gave.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape.
    pub fn load(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let find = |name: String| {
            state.get(&name).ok_or_else(|| Error::Config(format!("optimiser state lacks {name}")))
        };
        self.steps = find("steps".into())?.int64_value(&[0]);
        tch::no_grad(|| {
            for parameter in &mut self.parameters {
                parameter.first.f_copy_(find(format!("first.{}", parameter.name))?)?;
                parameter.second.f_copy_(find(format!("second.{}", parameter.name))?)?;
            }
            Ok::<_, Error>(())
        })?;
        match &mut self.average {
            Some(average) => average.load(|name| Ok(find(format!("live.{name}"))?.shallow_clone())),
            None => Ok(()),
        }
    }
}

impl Parameter {
    fn new(name: String, value: Tensor) -> Self {
        let zero = || value.detach().zeros_like();
        Self {
            first: zero(),
            second: zero(),
            group: Group::of(&name),
            decays: name.ends_with("weight") && !name.ends_with("norm_weight")
                || name.starts_with("heads."),
            name,
            value,
        }
    }

    fn step(&mut self, settings: &Settings, rate: f64, steps: i64) {
        let gradient = self.value.grad();
        if !gradient.defined() {
            return;
        }
        let decay = if self.decays { settings.weight_decay } else { 0. };
        match settings.rule {
            Rule::Adamw => {
                let _ = self.value.g_mul_scalar_(1. - rate * decay);
                self.adam(&gradient, rate, steps);
            }
            Rule::Adam => self.adam(&(gradient + &self.value * decay), rate, steps),
            Rule::Sgd => self.sgd(&gradient, rate, decay),
        }
    }

    /// In place, because large networks spend a sixth of a step on what this reads and writes.
    fn adam(&mut self, gradient: &Tensor, rate: f64, steps: i64) {
        let (bias1, bias2) = (1. - BETA1.powf(steps as f64), 1. - BETA2.powf(steps as f64));
        let _ = self.first.lerp_(gradient, 1. - BETA1);
        let scaled = gradient * (1. - BETA2).sqrt();
        let _ = self.second.g_mul_scalar_(BETA2).addcmul_(&scaled, &scaled);
        let mut root = self.second.sqrt();
        let _ = root.g_mul_scalar_(1. / bias2.sqrt()).g_add_scalar_(EPSILON);
        let direction = &self.first * (-rate / bias1);
        let _ = self.value.addcdiv_(&direction, &root);
    }

    fn sgd(&mut self, gradient: &Tensor, rate: f64, decay: f64) {
        let gradient = gradient + &self.value * decay;
        self.first = &self.first * MOMENTUM + &gradient;
        self.value -= (gradient + &self.first * MOMENTUM) * rate;
    }
}

/// Half a cosine from 1 at share 0 to 0 at 1.
fn cosine(share: f64) -> f64 {
    0.5 * (1. + (std::f64::consts::PI * share.min(1.)).cos())
}

/// The factor of the last step that `progress` has reached, 1 before the first.
fn stepped(steps: &[(f64, f64)], progress: f64) -> f64 {
    let reached = steps.iter().rev().find(|(epoch, _)| progress >= *epoch);
    reached.map_or(1., |(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tch::Device;

    fn settings(rule: Rule) -> Settings {
        let mut settings = Config::named("resnet18").unwrap().optimiser;
        settings.rule = rule;
        settings
    }

    #[test]
    fn the_papers_rates_by_epoch() {
        let settings = settings(Rule::Adam);
        let expected = [
            (0., 1e-4, 1e-3),
            (3.99, 1e-4, 1e-3),
            (4., 1e-4, 5e-4),
            (6., 5e-5, 5e-4),
            (8., 5e-5, 1e-4),
            (12.5, 1e-5, 1e-4),
            (14., 1e-5, 1e-5),
            (35.9, 1e-5, 1e-5),
        ];
        for (epoch, body, head) in expected {
            for (group, rate) in [(Group::Body, body), (Group::Head, head)] {
                let found = group.rate(&settings, epoch, 36.);
                assert!((found / rate - 1.).abs() < 1e-9, "{group:?} in {epoch}: {found}");
            }
        }
    }

    /// Both moments by hand; the decay enters Adam's gradient and AdamW's value.
    #[test]
    fn two_steps_of_adam_and_adamw_by_hand() {
        for rule in [Rule::Adam, Rule::Adamw] {
            let mut settings = settings(rule);
            settings.weight_decay = 0.1;
            let store = nn::VarStore::new(Device::Cpu);
            let path = store.root() / "stem";
            let value = path.var("weight", &[1], nn::Init::Const(2.));
            let mut optimiser = Optimiser::new(&store, &settings);
            let (mut x, mut first, mut second) = (2f64, 0., 0.);
            for step in 1..=2 {
                optimiser.step(&(&value * &value), 0., 36.);
                let decayed = if rule == Rule::Adam { 0.1 * x } else { 0. };
                let gradient = 2. * x + decayed;
                first = 0.9 * first + 0.1 * gradient;
                second = 0.999 * second + 0.001 * gradient * gradient;
                let (bias1, bias2) = (1. - 0.9f64.powi(step), 1. - 0.999f64.powi(step));
                if rule == Rule::Adamw {
                    x *= 1. - 1e-4 * 0.1;
                }
                x -= 1e-4 * (first / bias1) / ((second / bias2).sqrt() + 1e-8);
                let found = value.double_value(&[0]);
                assert!((found - x).abs() < 1e-6, "{rule:?}, step {step}: {found}, not {x}");
            }
        }
    }
}
