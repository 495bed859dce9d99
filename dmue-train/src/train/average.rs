//! A moving average of all variables, for validation and export.

use std::collections::BTreeMap;

use tch::{Tensor, nn};

use crate::error::Result;

/// Steps after which the average is as slow as it was asked to be: before, it forgets the random weights.
const WARM_UP: f64 = 10.;

/// The average beside the variables of a store, running statistics among them.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    steps: f64,
    pairs: BTreeMap<String, Pair>,
}

#[derive(Debug)]
struct Pair {
    live: Tensor,
    mean: Tensor,
}

impl Average {
    /// Of the store's present values; none for a decay of 0.
    pub fn new(store: &nn::VarStore, decay: f64) -> Option<Self> {
        let pair = |live: Tensor| Pair { mean: live.detach().copy(), live };
        let pairs = store.variables().into_iter().map(|(name, live)| (name, pair(live)));
        (decay > 0.).then(|| Self { decay, steps: 0., pairs: pairs.collect() })
    }

    /// After each step: `mean = d mean + (1 - d) value` with `d = min(decay, (1 + steps) / (10 + steps))`.
    pub fn update(&mut self) {
        let decay = self.decay.min((1. + self.steps) / (WARM_UP + self.steps));
        self.steps += 1.;
        tch::no_grad(|| {
            for pair in self.pairs.values_mut() {
                let _ = pair.mean.lerp_(&pair.live, 1. - decay);
            }
        });
    }

    /// Gives the variables the average's values and keeps theirs, or takes that back.
    pub fn swap(&mut self) {
        tch::no_grad(|| {
            for Pair { live, mean } in self.pairs.values_mut() {
                let kept = live.copy();
                live.copy_(mean);
                mean.copy_(&kept);
            }
        });
    }

    /// The state while the variables have the average's values: what they had before, as named tensors.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let steps = ("steps".to_owned(), Tensor::from_slice(&[self.steps]));
        let live = self.pairs.iter().map(|(name, pair)| (name.clone(), pair.mean.shallow_clone()));
        std::iter::once(steps).chain(live).collect()
    }

    /// Takes a state that [`Self::state`] gave, while the variables have the average's values; they then have
    /// their own.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape.
    pub fn load(&mut self, find: impl Fn(&str) -> Result<Tensor>) -> Result<()> {
        self.steps = find("steps")?.double_value(&[0]);
        tch::no_grad(|| -> Result<()> {
            for (name, pair) in &mut self.pairs {
                pair.mean.f_copy_(&find(name)?)?;
            }
            Ok(())
        })?;
        self.swap();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn the_average_follows_by_hand_and_hides_again() {
        let store = nn::VarStore::new(Device::Cpu);
        let mut value = store.root().zeros("value", &[1]);
        assert!(Average::new(&store, 0.).is_none());
        let mut average = Average::new(&store, 0.3).unwrap();
        let mut expected = 0.;
        for step in 0..6 {
            let _ = tch::no_grad(|| value.fill_(f64::from(step)));
            average.update();
            let decay = 0.3f64.min((1. + f64::from(step)) / (10. + f64::from(step)));
            expected = decay * expected + (1. - decay) * f64::from(step);
        }
        average.swap();
        let seen = value.double_value(&[0]);
        assert!((seen - expected).abs() < 1e-6, "{seen}, not {expected}");
        let state: BTreeMap<_, _> =
            average.state().into_iter().map(|(name, value)| (name, value.copy())).collect();
        average.swap();
        assert_eq!(value.double_value(&[0]), 5., "the last value is back");

        let _ = tch::no_grad(|| value.fill_(seen));
        let mut again = Average::new(&store, 0.3).unwrap();
        again.load(|name| Ok(state[name].shallow_clone())).unwrap();
        assert_eq!((again.steps, value.double_value(&[0])), (6., 5.));
        again.swap();
        assert_eq!(value.double_value(&[0]), seen);
    }
}
