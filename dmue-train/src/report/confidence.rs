//! How well measures of confidence foresee what people disagree on and where the network errs.

use serde::Serialize;

use super::crowd::Crowd;
use super::opened::{Measure, Rows};
use super::statistics::{Bootstrap, Estimate, aurc, auroc, largest, rank_correlation};

/// The measure that others are subtracted from.
pub const MAX_SOFTMAX: &str = "1 - max softmax";

/// One measure against people and against the network's errors.
#[derive(Debug, Serialize)]
pub struct Judgement {
    /// The measure.
    pub measure: &'static str,
    /// Spearman's correlation with the crowd's agreement.
    pub correlation: Option<Estimate>,
    /// AUROC of contested labels: how often a contested face gets less confidence than another.
    pub contested: Option<Estimate>,
    /// AUROC of wrong answers; `None` for a measure that knows the label.
    pub wrong: Option<Estimate>,
    /// Area under the risk-coverage curve, 0..1, lower is better.
    pub aurc: Option<Estimate>,
    /// AURC minus that of 1 - max softmax on the same draws.
    pub difference: Option<Estimate>,
    /// The same difference where a contested label counts as the error.
    pub contested_difference: Option<Estimate>,
}

/// Judges every measure on the same faces and the same draws.
pub fn judge(
    measures: &[Measure],
    probabilities: &Rows,
    labels: &[usize],
    crowd: Option<&Crowd>,
    resamples: usize,
) -> Vec<Judgement> {
    let wrong: Vec<bool> =
        probabilities.iter().zip(labels).map(|(row, &label)| largest(row) != label).collect();
    let judge = Judge { bootstrap: Bootstrap::new(labels.len(), resamples, 2), wrong, crowd };
    let reference = measures.iter().find(|measure| measure.name == MAX_SOFTMAX);
    measures.iter().map(|measure| judge.of(measure, reference)).collect()
}

struct Judge<'a> {
    bootstrap: Bootstrap,
    wrong: Vec<bool>,
    crowd: Option<&'a Crowd>,
}

impl Judge<'_> {
    fn of(&self, measure: &Measure, reference: Option<&Measure>) -> Judgement {
        let sure = &measure.confidence;
        let at = |draw: &[usize]| picked(sure, draw);
        let errors = |draw: &[usize]| picked(&self.wrong, draw);
        let fair = !measure.knows_label;
        let reference = reference.filter(|reference| fair && reference.name != measure.name);
        let contested = self.crowd.map(Crowd::contested);
        Judgement {
            measure: measure.name,
            correlation: self.crowd.map(|crowd| {
                self.bootstrap
                    .estimate(|draw| rank_correlation(&at(draw), &picked(&crowd.agreement, draw)))
            }),
            contested: contested.as_ref().map(|contested| {
                self.bootstrap.estimate(|draw| 1. - auroc(&at(draw), &picked(contested, draw)))
            }),
            wrong: fair
                .then(|| self.bootstrap.estimate(|draw| 1. - auroc(&at(draw), &errors(draw)))),
            aurc: fair.then(|| self.bootstrap.estimate(|draw| aurc(&at(draw), &errors(draw)))),
            difference: reference.map(|reference| self.difference(sure, reference, &self.wrong)),
            contested_difference: reference
                .zip(contested.as_ref())
                .map(|(reference, contested)| self.difference(sure, reference, contested)),
        }
    }

    /// AURC of `sure` minus that of `reference`.
    fn difference(&self, sure: &[f64], reference: &Measure, errors: &[bool]) -> Estimate {
        self.bootstrap.estimate(|draw| {
            let errors = picked(errors, draw);
            let other = picked(&reference.confidence, draw);
            aurc(&picked(sure, draw), &errors) - aurc(&other, &errors)
        })
    }
}

fn picked<T: Copy>(values: &[T], indices: &[usize]) -> Vec<T> {
    indices.iter().map(|&index| values[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(name: &'static str, confidence: Vec<f64>, knows_label: bool) -> Measure {
        Measure { name, confidence, knows_label }
    }

    #[test]
    fn a_measure_that_knows_beats_one_that_does_not() {
        // Faces 0..20 in turn right and wrong; agreement high where right.
        let probabilities: Rows = (0..20)
            .map(|face| if face % 2 == 0 { vec![0.9, 0.1] } else { vec![0.2, 0.8] })
            .collect();
        let right: Vec<f64> = (0..20).map(|face| f64::from(1 - face % 2)).collect();
        let crowd = Crowd {
            agreement: right.iter().map(|right| 0.5 + 0.4 * right).collect(),
            ambiguous: vec![],
            negative: vec![],
        };
        let measures = [
            measure("1 - max softmax", vec![0.5; 20], false),
            measure("oracle", right.clone(), false),
            measure("told", right, true),
        ];
        let judged = judge(&measures, &probabilities, &[0; 20], Some(&crowd), 200);
        let [flat, oracle, told] = &judged[..] else { panic!() };
        assert_eq!(flat.wrong.unwrap().value, 0.5);
        assert_eq!(oracle.wrong.unwrap().value, 1.);
        assert_eq!(oracle.contested.unwrap().value, 1.);
        assert!((oracle.correlation.unwrap().value - 1.).abs() < 1e-12);
        assert!(flat.difference.is_none() && oracle.difference.unwrap().high < 0.);
        assert!(oracle.contested_difference.unwrap().high < 0.);
        assert!(told.wrong.is_none() && told.aurc.is_none() && told.contested.is_some());
    }
}
