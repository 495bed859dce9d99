//! Tables and figures of a comparison.

use super::Entry;
use crate::eval::BINS;
use crate::metrics::{
    Answer, accuracy, aurc, confusion, ece, mean_recall, recalls, reliability, risk_coverage,
};
use crate::report::canvas::Curve;
use crate::report::figures::{Content, Panel};
use crate::report::page::{Figure, Table};
use crate::report::tables::{header, percent};

/// (x, y) of a curve.
type Points = Vec<(f64, f64)>;

/// One line a model.
pub fn summary(entries: &[Entry]) -> Table {
    let row = |entry: &Entry| {
        let known = entry.known();
        let recall = recalls(&confusion(&known, entry.classes.len()));
        vec![
            entry.name.clone(),
            format!("{}", entry.bytes.div_ceil(1024)),
            percent(accuracy(&entry.answers)),
            percent(accuracy(&known)),
            percent(mean_recall(&recall)),
            percent(ece(&known, Answer::max_softmax, BINS)),
            percent(aurc(&known, Answer::max_softmax)),
            if entry.measures.is_empty() { "-".into() } else { percent(aurc(&known, score)) },
            format!("{:.2}", entry.milliseconds),
        ]
    };
    let faces = entries.first().map_or(0, |entry| entry.answers.len());
    Table {
        title: "Models side by side".into(),
        note: format!(
            "{faces} distinct faces. \"all\": a class that a model does not know counts as wrong; the other columns \
             leave such faces out. ECE: calibration error of the largest probability, {BINS} bins. AURC: area under \
             the risk-coverage curve, lower is better. ms: median from crop to answer on one thread, ours by \
             dmue-edge, others by plain tract."
        ),
        header: header(&[
            "model",
            "KiB",
            "accuracy, all %",
            "accuracy %",
            "mean recall %",
            "ECE %",
            "AURC of the largest probability %",
            "of the score %",
            "ms",
        ]),
        rows: entries.iter().map(row).collect(),
    }
}

/// Recall of each class, and how many of the misses go to the data's most frequent one.
pub fn bias(entries: &[Entry]) -> Table {
    let classes = entries.first().map_or(&[][..], |entry| &entry.classes);
    let frequent = entries.first().map_or(0, most_frequent);
    let name = classes.get(frequent).map_or("", String::as_str);
    let row = |entry: &Entry| {
        let counts = confusion(&entry.answers, classes.len());
        let cell = |label: usize| {
            let row = &counts[label];
            let (all, right) = (row.iter().sum::<usize>(), row[label]);
            let share = |part: usize, of: usize| match of {
                0 => "-".into(),
                _ => format!("{:.0}", 100. * part as f64 / of as f64),
            };
            match entry.knows[label] {
                false => "-".into(),
                true if label == frequent => share(right, all),
                true => format!("{} ({})", share(right, all), share(row[frequent], all - right)),
            }
        };
        let cells = (0..classes.len()).map(cell);
        std::iter::once(entry.name.clone()).chain(cells).collect()
    };
    Table {
        title: format!("Recall %, and the share of the misses that are called {name}"),
        note: format!(
            "Of the faces of each class; in brackets the per cent of the missed ones that a model calls {name}. A \
             model that says {name} when it does not know has high ones."
        ),
        header: std::iter::once("model".into()).chain(classes.iter().cloned()).collect(),
        rows: entries.iter().map(row).collect(),
    }
}

/// Stated against true share of right answers; risk against coverage.
pub fn curves(entries: &[Entry]) -> Figure {
    let of = |curve: fn(&[Answer]) -> Points| -> Vec<Curve> {
        let named = |entry: &Entry| Curve {
            name: entry.name.clone(),
            points: scaled(curve(&entry.known())),
        };
        entries.iter().map(named).collect()
    };
    let mut stated = of(|answers| reliability(answers, Answer::max_softmax, BINS));
    stated.push(Curve { name: "true".into(), points: vec![(0., 0.), (100., 100.)] });
    let panel = |title: &str, x, y, curves| Panel { title: title.into(), x, y, curves };
    Figure {
        name: "compare",
        title: "Stated and true; risk and coverage".into(),
        caption: "Left: the share of right answers among those with a largest probability near the one stated. \
                  Right: the share of wrong answers among the most certain ones, by the model's score where it has \
                  one."
            .into(),
        content: Content::Curves(vec![
            panel("Reliability", "largest probability, per cent", "right, per cent", stated),
            panel(
                "Risk and coverage",
                "answered, per cent of the faces",
                "wrong, per cent of these",
                of(|answers| risk_coverage(answers, score)),
            ),
        ]),
    }
}

fn score(answer: &Answer) -> f32 {
    answer.score
}

fn most_frequent(entry: &Entry) -> usize {
    let count = |label: usize| entry.answers.iter().filter(|answer| answer.label == label).count();
    (0..entry.classes.len()).max_by_key(|&label| count(label)).unwrap_or(0)
}

fn scaled(points: Points) -> Points {
    points.into_iter().map(|(x, y)| (100. * x, 100. * y)).collect()
}
