//! How good a set of answers is. Accuracies, recalls, errors and areas are shares (0..1).

use crate::report::statistics;

/// One answer beside the truth.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The majority's class.
    pub label: usize,
    /// Logit of each class.
    pub logits: Vec<f32>,
    /// Probability of each class.
    pub probabilities: Vec<f32>,
    /// The shipped score.
    pub score: f32,
    /// The paper's alpha.
    pub alpha: f32,
}

impl Answer {
    /// The most probable class, the first of equals.
    pub fn predicted(&self) -> usize {
        let best = |best: usize, index| {
            if self.probabilities[index] > self.probabilities[best] { index } else { best }
        };
        (0..self.probabilities.len()).fold(0, best)
    }

    /// Whether it is the label.
    pub fn right(&self) -> bool {
        self.predicted() == self.label
    }

    /// The largest probability.
    pub fn max_softmax(&self) -> f32 {
        self.probabilities[self.predicted()]
    }
}

/// Share of right answers.
pub fn accuracy(answers: &[Answer]) -> f64 {
    answers.iter().filter(|answer| answer.right()).count() as f64 / answers.len() as f64
}

/// Counts `[C]``[C]`: row is the label, column the answer.
pub fn confusion(answers: &[Answer], classes: usize) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; classes]; classes];
    answers.iter().for_each(|answer| counts[answer.label][answer.predicted()] += 1);
    counts
}

/// Share of each class that is found; `None` for a class without an image.
pub fn recalls(confusion: &[Vec<usize>]) -> Vec<Option<f64>> {
    let share = |(label, row): (usize, &Vec<usize>)| {
        let total: usize = row.iter().sum();
        (total > 0).then(|| row[label] as f64 / total as f64)
    };
    confusion.iter().enumerate().map(share).collect()
}

/// Mean over the classes that have images.
pub fn mean_recall(recalls: &[Option<f64>]) -> f64 {
    let present: Vec<f64> = recalls.iter().flatten().copied().collect();
    present.iter().sum::<f64>() / present.len() as f64
}

/// Mean negative log likelihood of the labels, natural logarithm.
pub fn nll(answers: &[Answer]) -> f64 {
    let loss = |answer: &Answer| -f64::from(answer.probabilities[answer.label]).max(1e-12).ln();
    answers.iter().map(loss).sum::<f64>() / answers.len() as f64
}

/// Expected calibration error over `bins` equal bins of `confidence`: the mean distance, weighted by
/// the bin's share, between mean confidence and share of right answers.
pub fn ece(answers: &[Answer], confidence: impl Fn(&Answer) -> f32, bins: usize) -> f64 {
    let distance = |[confidence, right, _]: &[f64; 3]| (confidence - right).abs();
    binned(answers, confidence, bins).iter().map(distance).sum::<f64>() / answers.len() as f64
}

/// The [`ece`] to expect of confidences that are exactly right, by chance alone, because each bin holds only so many
/// answers: the mean distance of a normal variable of each bin's variance.
pub fn ece_by_chance(answers: &[Answer], confidence: impl Fn(&Answer) -> f32, bins: usize) -> f64 {
    let mut variances = vec![0f64; bins];
    for value in answers.iter().map(|answer| f64::from(confidence(answer))) {
        variances[bin(value, bins)] += value * (1. - value);
    }
    let distance = |variance: &f64| (variance * std::f64::consts::FRAC_2_PI).sqrt();
    variances.iter().map(distance).sum::<f64>() / answers.len() as f64
}

/// (mean confidence, share of right answers) of each of `bins` equal bins that holds at least 1 % of the answers.
pub fn reliability(
    answers: &[Answer],
    confidence: impl Fn(&Answer) -> f32,
    bins: usize,
) -> Vec<(f64, f64)> {
    let enough = answers.len() as f64 / 100.;
    let full = |[_, _, count]: &[f64; 3]| *count > 0. && *count >= enough;
    let bins = binned(answers, confidence, bins).into_iter().filter(full);
    bins.map(|[confidence, right, count]| (confidence / count, right / count)).collect()
}

/// Sum of confidences, right answers and all answers of each bin.
fn binned(answers: &[Answer], confidence: impl Fn(&Answer) -> f32, bins: usize) -> Vec<[f64; 3]> {
    let mut sums = vec![[0f64; 3]; bins];
    for answer in answers {
        let value = f64::from(confidence(answer));
        let sum = &mut sums[bin(value, bins)];
        *sum = [sum[0] + value, sum[1] + f64::from(u8::from(answer.right())), sum[2] + 1.];
    }
    sums
}

/// Which of `bins` equal bins a confidence falls into.
fn bin(confidence: f64, bins: usize) -> usize {
    ((confidence * bins as f64) as usize).min(bins - 1)
}

/// (share of the answers, share of errors among these), most confident first, at every per cent; ties as in
/// [`aurc`].
pub fn risk_coverage(answers: &[Answer], confidence: impl Fn(&Answer) -> f32) -> Vec<(f64, f64)> {
    let risks = statistics::risks(&values(answers, confidence), &wrong(answers));
    let at = |per_cent: usize| {
        let count = (risks.len() * per_cent).div_ceil(100);
        (count as f64 / risks.len() as f64, risks[count - 1])
    };
    if risks.is_empty() { vec![] } else { (1..=100).map(at).collect() }
}

/// Area under the risk-coverage curve: the share of errors among the k most confident answers,
/// averaged over k = 1..n. Equally confident answers share their errors evenly.
pub fn aurc(answers: &[Answer], confidence: impl Fn(&Answer) -> f32) -> f64 {
    statistics::aurc(&values(answers, confidence), &wrong(answers))
}

/// Probability that a right answer has a higher confidence than a wrong one; ties count half.
/// NaN where all answers are right, or all wrong.
pub fn auroc(answers: &[Answer], confidence: impl Fn(&Answer) -> f32) -> f64 {
    let right: Vec<bool> = answers.iter().map(Answer::right).collect();
    statistics::auroc(&values(answers, confidence), &right)
}

fn wrong(answers: &[Answer]) -> Vec<bool> {
    answers.iter().map(|answer| !answer.right()).collect()
}

fn values(answers: &[Answer], confidence: impl Fn(&Answer) -> f32) -> Vec<f64> {
    answers.iter().map(|answer| f64::from(confidence(answer))).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Two classes, the predicted one with probability `confidence`.
    fn answer(right: bool, confidence: f32) -> Answer {
        let probabilities = vec![confidence, 1. - confidence];
        let logits = probabilities.iter().map(|share| share.ln()).collect();
        Answer { label: usize::from(!right), logits, probabilities, score: confidence, alpha: 0.5 }
    }

    fn four() -> Vec<Answer> {
        vec![answer(true, 0.9), answer(false, 0.8), answer(true, 0.7), answer(false, 0.6)]
    }

    #[test]
    fn accuracy_confusion_and_recall_by_hand() {
        let answers = four();
        assert_eq!(accuracy(&answers), 0.5);
        let confusion = confusion(&answers, 2);
        assert_eq!(confusion, [[2, 0], [2, 0]]);
        assert_eq!(recalls(&confusion), [Some(1.), Some(0.)]);
        assert_eq!(mean_recall(&[Some(1.), None, Some(0.)]), 0.5);
    }

    #[test]
    fn aurc_by_hand() {
        // risks at coverage 1..4: 0/1, 1/2, 1/3, 2/4
        let expected = (0. + 1. / 2. + 1. / 3. + 2. / 4.) / 4.;
        assert!((aurc(&four(), Answer::max_softmax) - expected).abs() < 1e-12);
        // one confidence for all: the risk is the error rate at every coverage
        assert!((aurc(&four(), |answer| answer.alpha) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn auroc_by_hand() {
        // pairs (right, wrong): 0.9 above both, 0.7 above 0.6 only
        assert!((auroc(&four(), Answer::max_softmax) - 0.75).abs() < 1e-12);
        assert!((auroc(&four(), |answer| answer.alpha) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn ece_and_nll_by_hand() {
        // each answer in a bin of its own: |0.9-1| + |0.8-0| + |0.7-1| + |0.6-0|, over 4
        assert!((ece(&four(), Answer::max_softmax, 15) - 1.8 / 4.).abs() < 1e-6);
        let expected = -(0.9f64.ln() + 0.2f64.ln() + 0.7f64.ln() + 0.4f64.ln()) / 4.;
        assert!((nll(&four()) - expected).abs() < 1e-6);
    }

    #[test]
    fn confidences_that_are_right_show_the_calibration_error_of_chance() {
        let mut generator = ChaCha8Rng::seed_from_u64(4);
        let mut drawn = || -> Vec<Answer> {
            let confidence = (0..1500).map(|place| 0.55 + 0.4 * (place as f32 / 1500.));
            confidence.map(|share| answer(generator.random::<f32>() < share, share)).collect()
        };
        let mean = (0..200).map(|_| ece(&drawn(), Answer::max_softmax, 15)).sum::<f64>() / 200.;
        let expected = ece_by_chance(&drawn(), Answer::max_softmax, 15);
        assert!((mean / expected - 1.).abs() < 0.05, "{mean} {expected}");
    }

    #[test]
    fn reliability_and_risk_by_hand() {
        let reliable = reliability(&four(), Answer::max_softmax, 2);
        assert_eq!(reliable.len(), 1, "all lie above a half");
        assert!((reliable[0].0 - 0.75).abs() < 1e-6 && reliable[0].1 == 0.5);
        let risks = risk_coverage(&four(), Answer::max_softmax);
        assert_eq!([risks[0], risks[49], risks[99]], [(0.25, 0.), (0.5, 0.5), (1., 0.5)]);
    }

    #[test]
    fn confidence_of_exactly_one_falls_into_the_last_bin() {
        assert!(ece(&[answer(true, 1.)], Answer::max_softmax, 15).abs() < 1e-12);
    }
}
