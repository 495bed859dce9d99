//! What people said of the faces, and how near the mined distributions come to it.

use serde::Serialize;

use super::opened::Rows;
use super::statistics::{Bootstrap, Estimate, agrees, divergence, mean};

/// Votes on classes other than the label that a face needs to be compared.
pub const NEGATIVE_VOTES: usize = 2;
/// A label with less than this share of the votes is contested.
pub const CONTESTED: f64 = 0.6;

/// The crowd's opinion of each face of a set.
#[derive(Debug)]
pub struct Crowd {
    /// Share of the votes, on classes only, that the label has: 0..1.
    pub agreement: Vec<f64>,
    /// Faces with at least [`NEGATIVE_VOTES`] votes on other classes.
    pub ambiguous: Vec<usize>,
    /// For each of those the shares of these votes, 0 on the label: `[n][C]`.
    pub negative: Rows,
}

/// How near one source of distributions comes to the crowd.
#[derive(Debug, Serialize)]
pub struct Nearness {
    /// Which run and which of its outputs.
    pub source: String,
    /// Mean KL(crowd || model), natural logarithm.
    pub divergence: Estimate,
    /// Share of faces whose first class is (one of) the crowd's first.
    pub top1: Estimate,
    /// Share of faces with the crowd's first among the model's first two.
    pub top2: Estimate,
    /// KL of this source minus that of the first one, on the same draws.
    pub difference: Option<Estimate>,
}

impl Crowd {
    /// From the number of taggers who chose each class, `[n][C]`, and the faces' labels.
    pub fn of(votes: &[Vec<u8>], labels: &[usize]) -> Self {
        let pairs = || votes.iter().zip(labels);
        let agreement = pairs()
            .map(|(votes, &label)| f64::from(votes[label]) / f64::from(total(votes)).max(1.));
        let ambiguous: Vec<usize> = pairs()
            .enumerate()
            .filter(|(_, (votes, label))| others(votes, **label) as usize >= NEGATIVE_VOTES)
            .map(|(index, _)| index)
            .collect();
        let negative = ambiguous.iter().map(|&index| shares(&votes[index], labels[index]));
        Self { agreement: agreement.collect(), negative: negative.collect(), ambiguous }
    }

    /// Whether each face's label has less than [`CONTESTED`] of the votes.
    pub fn contested(&self) -> Vec<bool> {
        self.agreement.iter().map(|&agreement| agreement < CONTESTED).collect()
    }

    /// Compares sources of distributions `[n][C]` over the ambiguous faces; the first is what the others
    /// are subtracted from.
    pub fn compare(&self, sources: &[(String, Rows)], resamples: usize) -> Vec<Nearness> {
        let bootstrap = Bootstrap::new(self.ambiguous.len(), resamples, 1);
        let first = sources.first().map(|(_, rows)| self.divergences(rows));
        let compared = sources.iter().enumerate().map(|(index, (source, rows))| {
            let divergences = self.divergences(rows);
            let difference = first.as_ref().filter(|_| index > 0).map(|first| {
                bootstrap.estimate(|draw| mean(&divergences, draw) - mean(first, draw))
            });
            let agreement = |count| {
                let hits = self.hits(rows, count);
                bootstrap.estimate(|draw| mean(&hits, draw))
            };
            Nearness {
                source: source.clone(),
                divergence: bootstrap.estimate(|draw| mean(&divergences, draw)),
                top1: agreement(1),
                top2: agreement(2),
                difference,
            }
        });
        compared.collect()
    }

    fn divergences(&self, rows: &Rows) -> Vec<f64> {
        self.negative.iter().zip(rows).map(|(crowd, model)| divergence(crowd, model)).collect()
    }

    fn hits(&self, rows: &Rows, count: usize) -> Vec<f64> {
        let hit = |(crowd, model): (&Vec<f64>, &Vec<f64>)| {
            f64::from(u8::from(agrees(crowd, model, count)))
        };
        self.negative.iter().zip(rows).map(hit).collect()
    }
}

fn total(votes: &[u8]) -> u32 {
    votes.iter().map(|&count| u32::from(count)).sum()
}

fn others(votes: &[u8], label: usize) -> u32 {
    total(votes) - u32::from(votes[label])
}

fn shares(votes: &[u8], label: usize) -> Vec<f64> {
    let sum = f64::from(others(votes, label));
    let share = |(class, &count): (usize, &u8)| {
        if class == label { 0. } else { f64::from(count) / sum }
    };
    votes.iter().enumerate().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_and_negative_shares_by_hand() {
        let votes = [[7, 2, 1], [0, 9, 1], [1, 1, 6]].map(Vec::from);
        let crowd = Crowd::of(&votes, &[0, 1, 2]);
        assert_eq!(crowd.agreement, [0.7, 0.9, 0.75]);
        assert_eq!(crowd.ambiguous, [0, 2]); // the second has one negative vote
        assert_eq!(crowd.negative, [vec![0., 2. / 3., 1. / 3.], vec![0.5, 0.5, 0.]]);
    }

    #[test]
    fn a_source_that_is_the_crowd_is_nearest() {
        let votes: Vec<Vec<u8>> = (0..40).map(|face| vec![6, 1 + face % 4, 3]).collect();
        let crowd = Crowd::of(&votes, &[0; 40]);
        let uniform = vec![vec![0., 0.5, 0.5]; 40];
        let sources = [("itself".into(), crowd.negative.clone()), ("uniform".into(), uniform)];
        let compared = crowd.compare(&sources, 200);
        let [itself, uniform] = &compared[..] else { panic!() };
        assert!(itself.divergence.value.abs() < 1e-12 && itself.top1.value == 1.);
        assert!(itself.difference.is_none());
        let difference = uniform.difference.unwrap();
        assert!(difference.low > 0. && difference.excludes_zero(), "{difference:?}");
        assert_eq!(uniform.top2.value, 1.);
    }
}
