//! Which faces and curves the figures show.

use super::canvas::{Curve, FaceImage};
use super::crowd::Crowd;
use super::figures::{Cell, Content, Item, Panel, Strip};
use super::opened::{Opened, Rows};
use super::page::Figure;
use super::statistics::largest;
use super::study::{FlippedFace, Logged, Study};
use crate::data::dataset::Dataset;
use crate::data::sampler::Sampler;
use crate::error::Result;

/// Checkpoints side by side.
const MOMENTS: usize = 4;
/// Curves that can be told apart.
const CURVES: usize = 6;
/// Faces of a strip.
const STRIP: usize = 10;
/// Rows of faces sorted by score.
const STRIPS: usize = 8;

/// Figure 1: the terms of the runs that mine, and every run's validation accuracy.
pub fn curves(studies: &[Study]) -> Figure {
    let mining: Vec<&Study> = studies
        .iter()
        .filter(|study| study.mining().is_some() && study.recovery.is_none())
        .collect();
    let of = |studies: &[&Study], value: &dyn Fn(&Logged) -> Option<f64>| -> Vec<Curve> {
        studies.iter().take(CURVES).map(|study| curve(study, value)).collect()
    };
    let term = |name: &'static str| move |logged: &Logged| logged.loss.get(name).copied();
    let all: Vec<&Study> = studies.iter().collect();
    let panels = vec![
        over_epochs(
            "Cross entropy of the target branch, L_wce",
            "nats",
            of(&mining, &term("target")),
        ),
        over_epochs("Auxiliary branches, L_aux", "nats", of(&mining, &term("auxiliary"))),
        over_epochs(
            "Validation accuracy",
            "per cent",
            of(&all, &|logged| Some(100. * logged.valid_accuracy)),
        ),
    ];
    Figure {
        name: "figure1-loss",
        title: "1. Loss curves".into(),
        caption: "Means over each epoch; \"without L_sp\" trains with gamma = 0, everything else being equal."
            .into(),
        content: Content::Curves(panels),
    }
}

fn over_epochs(title: &str, y: &'static str, curves: Vec<Curve>) -> Panel {
    Panel { title: title.into(), x: "epoch", y, curves }
}

/// Figure 2: what is mined for a few faces as training goes on, beside the crowd.
///
/// # Errors
/// A checkpoint that cannot be read.
pub fn moments(
    run: &mut Opened,
    valid: &Dataset,
    faces: &[usize],
    crowd: Option<&Crowd>,
) -> Result<Figure> {
    let history = run.history(valid, faces)?;
    let step = history.len().div_ceil(MOMENTS).max(1);
    let mut chosen: Vec<_> = history.iter().rev().step_by(step).collect();
    chosen.reverse();
    let items = faces.iter().enumerate().map(|(place, &index)| {
        let mut cells: Vec<Cell> = chosen
            .iter()
            .map(|(epochs, rows)| cell(format!("after epoch {epochs}"), &rows[place]))
            .collect();
        cells.extend(people(crowd, index).map(|shares| cell("people".into(), &shares)));
        item(valid, index, cells)
    });
    Ok(Figure {
        name: "figure2-moments",
        title: "2. A face's mined distribution as training goes on".into(),
        caption: format!(
            "Shares of the classes other than the label at the checkpoints that {} kept, and the votes on them.",
            run.name
        ),
        content: bars(valid, vec![], items.collect(), 1),
    })
}

/// Figure 3: flipped labels and what is mined for them.
pub fn flipped(study: &Study, data: &Dataset) -> Option<Figure> {
    let figures = study.recovery.as_ref()?;
    let item = |face: &FlippedFace| Item {
        heading: format!("given {}, was {}", data.classes[face.given], data.classes[face.before]),
        face: face.face.clone(),
        cells: vec![Cell {
            title: figures.source.into(),
            series: vec![face.shares.clone()],
            marked: Some(face.before),
        }],
    };
    Some(Figure {
        name: "figure3-flipped",
        title: "3. Labels flipped at random".into(),
        caption: format!(
            "Every n-th of the {} flipped training faces of {}; the marked bar is the label from before. It is the \
             highest for {:.1} % of them all.",
            figures.count,
            figures.run,
            100. * figures.recovered
        ),
        content: bars(data, vec![], study.flipped.iter().map(item).collect(), 3),
    })
}

/// Figure 4: LD-N beside LD-A; `places` are positions among the compared faces.
pub fn negative_beside_all(
    negative: &Study,
    all: &Study,
    valid: &Dataset,
    crowd: &Crowd,
    places: &[usize],
) -> Figure {
    let items = places.iter().map(|&place| {
        let cells = vec![
            cell("LD-N".into(), &negative.mined[place]),
            cell("LD-A".into(), &all.mined[place]),
            cell("people".into(), &crowd.negative[place]),
        ];
        item(valid, crowd.ambiguous[place], cells)
    });
    Figure {
        name: "figure4-negative-all",
        title: "4. LD-N beside LD-A".into(),
        caption: format!(
            "Mined without the label's class by {} and by {}, and the votes of people on those classes.",
            negative.name, all.name
        ),
        content: bars(valid, vec![], items.collect(), 1),
    }
}

/// Figure 5: mined against crowd, bar by bar.
pub fn mined_against_crowd(
    study: &Study,
    valid: &Dataset,
    crowd: &Crowd,
    places: &[usize],
) -> Figure {
    let items = places.iter().map(|&place| {
        let both = Cell {
            title: String::new(),
            series: vec![study.mined[place].clone(), crowd.negative[place].clone()],
            marked: None,
        };
        item(valid, crowd.ambiguous[place], vec![both])
    });
    Figure {
        name: "figure5-crowd",
        title: "5. Mined distributions and people".into(),
        caption: format!(
            "Ambiguous validation faces, evenly spaced from the most contested on: what {} mines over the classes \
             other than the label, and the votes on them.",
            study.name
        ),
        content: bars(valid, vec!["mined".into(), "people".into()], items.collect(), 3),
    }
}

/// Figure 6: faces of each predicted class by rising score, and one anchor face in two batches.
///
/// # Errors
/// Data that the run's sampler refuses.
pub fn by_score(
    run: &Opened,
    valid: &Dataset,
    score: &[f64],
    probabilities: &Rows,
    anchor: Option<usize>,
) -> Result<Figure> {
    let mut strips: Vec<Strip> = (0..valid.classes.len())
        .map(|class| {
            let answered: Vec<usize> =
                (0..valid.len()).filter(|&index| largest(&probabilities[index]) == class).collect();
            score_strip(valid, class, answered, score)
        })
        .filter(|strip| !strip.faces.is_empty())
        .take(STRIPS)
        .collect();
    if let Some(anchor) = anchor.filter(|_| run.config.method.trains_alpha()) {
        for (seed, name) in [(1, "first"), (2, "second")] {
            strips.push(batch_strip(run, valid, anchor, seed, name)?);
        }
    }
    Ok(Figure {
        name: "figure6-score",
        title: "6. Faces by score".into(),
        caption: "Validation faces answered as one class, evenly spaced from the lowest score to the highest; the \
                  number is the estimated probability that the answer is right. Last, one face in two batches, of \
                  which ten faces are shown: the number is the paper's alpha of its annotation in that company."
            .into(),
        content: Content::Strips(strips),
    })
}

/// `count` positions of faces for the figures, evenly spaced over the quarter that is contested most.
pub fn contested(crowd: &Crowd, count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..crowd.ambiguous.len()).collect();
    let agreement = |place: &usize| crowd.agreement[crowd.ambiguous[*place]];
    places.sort_by(|a, b| agreement(a).total_cmp(&agreement(b)));
    places.truncate((places.len() / 4).max(count));
    spaced(&places, count)
}

fn spaced(values: &[usize], count: usize) -> Vec<usize> {
    if values.len() <= count {
        return values.to_vec();
    }
    let last = (values.len() - 1) as f64;
    let place = |step: usize| (last * step as f64 / (count - 1).max(1) as f64).round() as usize;
    (0..count).map(|step| values[place(step)]).collect()
}

fn curve(study: &Study, value: &dyn Fn(&Logged) -> Option<f64>) -> Curve {
    let note = if study.mining().is_some() && study.config.method.gamma == 0. {
        " (without L_sp)"
    } else {
        ""
    };
    let points =
        study.log.iter().filter_map(|(&epoch, logged)| Some((epoch as f64, value(logged)?)));
    Curve { name: format!("{}{note}", study.name), points: points.collect() }
}

fn score_strip(valid: &Dataset, class: usize, mut answered: Vec<usize>, score: &[f64]) -> Strip {
    answered.sort_by(|&a, &b| score[a].total_cmp(&score[b]));
    let faces = spaced(&answered, STRIP).into_iter();
    Strip {
        heading: format!("answered {}", valid.classes[class]),
        faces: faces
            .map(|index| (FaceImage::of(valid, index), format!("{:.2}", score[index])))
            .collect(),
        framed: None,
    }
}

fn batch_strip(
    run: &Opened,
    valid: &Dataset,
    anchor: usize,
    seed: u64,
    name: &str,
) -> Result<Strip> {
    let batch = run.config.batch.min(valid.len());
    let sampler = Sampler::new(&valid.labels, &valid.classes, batch, 1.)?;
    let mut company: Vec<usize> = sampler.epoch(seed).into_iter().next().unwrap_or_default();
    company.retain(|&index| index != anchor);
    company.insert(0, anchor);
    let alpha = run.alpha_in_batch(valid, &company);
    let shown = company.iter().take(STRIP).enumerate();
    Ok(Strip {
        heading: format!(
            "{} batch of {}: alpha of the framed face, annotated {}",
            name,
            company.len(),
            valid.classes[valid.labels[anchor]]
        ),
        faces: shown
            .map(|(place, &index)| {
                let line = if place == 0 {
                    format!("{:.4}", alpha[0])
                } else {
                    valid.classes[valid.labels[index]].clone()
                };
                (FaceImage::of(valid, index), line)
            })
            .collect(),
        framed: Some(0),
    })
}

fn people(crowd: Option<&Crowd>, index: usize) -> Option<Vec<f64>> {
    let crowd = crowd?;
    let place = crowd.ambiguous.binary_search(&index).ok()?;
    crowd.negative.get(place).cloned()
}

fn cell(title: String, shares: &[f64]) -> Cell {
    Cell { title, series: vec![shares.to_vec()], marked: None }
}

fn item(data: &Dataset, index: usize, cells: Vec<Cell>) -> Item {
    Item {
        heading: format!("labelled {}", data.classes[data.labels[index]]),
        face: FaceImage::of(data, index),
        cells,
    }
}

fn bars(data: &Dataset, legend: Vec<String>, items: Vec<Item>, columns: usize) -> Content {
    Content::Bars { names: short_names(&data.classes), legend, items, columns }
}

/// Two letters of each class name, the first in upper case.
fn short_names(classes: &[String]) -> Vec<String> {
    let short = |name: &String| {
        let mut letters = name.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string());
        first.unwrap_or_default() + &letters.next().map(String::from).unwrap_or_default()
    };
    classes.iter().map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaced_takes_first_and_last() {
        let values: Vec<usize> = (0..100).collect();
        assert_eq!(spaced(&values, 4), [0, 33, 66, 99]);
        assert_eq!(spaced(&values[..2], 4), [0, 1]);
        assert_eq!(spaced(&values, 1), [0]);
        assert!(spaced(&[], 3).is_empty());
    }

    #[test]
    fn class_names_are_cut_to_two_letters() {
        let names = ["neutral", "x", "ärger"].map(String::from);
        assert_eq!(short_names(&names), ["Ne", "X", "Är"]);
    }
}
