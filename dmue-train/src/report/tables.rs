//! The figures as tables of text.

use super::confidence::Judgement;
use super::crowd::{CONTESTED, Crowd, NEGATIVE_VOTES, Nearness};
use super::page::Table;
use super::statistics::Estimate;
use super::study::Study;

/// One line per run.
pub fn runs(studies: &[Study], faces: usize) -> Table {
    let row = |study: &Study| {
        vec![
            study.name.clone(),
            study.method(),
            study.epochs.to_string(),
            study.config.seed.to_string(),
            percent(study.accuracy),
            percent(study.mean_recall),
        ]
    };
    Table {
        title: "Runs".into(),
        note: format!(
            "Share of right answers of each run's newest checkpoint on {faces} validation faces."
        ),
        header: header(&["run", "method", "epochs", "seed", "accuracy %", "mean recall %"]),
        rows: studies.iter().map(row).collect(),
    }
}

/// Mined distributions and controls against the crowd.
pub fn nearness(compared: &[Nearness], crowd: &Crowd) -> Table {
    let row = |near: &Nearness| {
        vec![
            near.source.clone(),
            interval(&near.divergence, 1., 3),
            near.difference.as_ref().map_or("-".into(), |difference| interval(difference, 1., 3)),
            interval(&near.top1, 100., 1),
            interval(&near.top2, 100., 1),
        ]
    };
    let first = compared.first().map_or("", |near| near.source.as_str());
    Table {
        title: "Mined distributions against people".into(),
        note: format!(
            "{} validation faces with at least {NEGATIVE_VOTES} votes on classes other than the label, of {}. \
             The votes on those classes, renormalised, against each source over the same classes. Brackets hold \
             95 % of the bootstrap values; differences are from \"{first}\", face by face on the same draws. \
             Lower divergence is nearer.",
            crowd.ambiguous.len(),
            crowd.agreement.len()
        ),
        header: header(&["source", "KL(crowd || model)", "difference", "top-1 %", "top-2 %"]),
        rows: compared.iter().map(row).collect(),
    }
}

const ALPHA: &str =
    " The alpha of the annotation is told the label, so it cannot be asked about errors.";

/// Measures of confidence against people and errors.
pub fn confidence(judged: &[Judgement], run: &str, crowd: Option<&Crowd>) -> Table {
    let cell = |estimate: &Option<Estimate>, factor: f64, digits: usize| {
        estimate.as_ref().map_or("-".into(), |estimate| interval(estimate, factor, digits))
    };
    let row = |judgement: &Judgement| {
        vec![
            judgement.measure.to_owned(),
            cell(&judgement.correlation, 1., 3),
            cell(&judgement.contested, 1., 3),
            cell(&judgement.wrong, 1., 3),
            cell(&judgement.aurc, 100., 2),
            cell(&judgement.difference, 100., 2),
            cell(&judgement.contested_difference, 100., 2),
        ]
    };
    let contested =
        crowd.map_or(0, |crowd| crowd.contested().iter().filter(|contested| **contested).count());
    Table {
        title: "Uncertainty against people and against errors".into(),
        note: format!(
            "All measures on the network of {run}. Contested are the {contested} faces whose label has less than \
             {:.0} % of the votes. AUROC 0.5 is chance; AURC is the area under the risk-coverage curve in per cent, \
             lower is better, its difference is from 1 - max softmax on the same draws.{}",
            100. * CONTESTED,
            if judged.iter().any(|judgement| judgement.aurc.is_none()) { ALPHA } else { "" }
        ),
        header: header(&[
            "measure",
            "rank correlation with agreement",
            "AUROC contested",
            "AUROC wrong",
            "AURC %",
            "difference",
            "difference, contested as errors",
        ]),
        rows: judged.iter().map(row).collect(),
    }
}

/// Flipped labels recovered.
pub fn recovery(studies: &[Study]) -> Option<Table> {
    let rows: Vec<Vec<String>> = studies
        .iter()
        .filter_map(|study| study.recovery.as_ref().map(|recovery| (study, recovery)))
        .map(|(study, recovery)| {
            vec![
                study.name.clone(),
                recovery.source.to_owned(),
                percent(recovery.share),
                recovery.count.to_string(),
                percent(recovery.recovered),
                percent(study.accuracy),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        title: "Synthetic ambiguity".into(),
        note: "Training labels replaced at random by another class; recovered are those whose first mined class \
               (or, for a baseline, first class of the softmax besides the given label) is the label from before. \
               Chance is one in the number of other classes."
            .into(),
        header: header(&["run", "source", "flipped %", "faces", "recovered %", "validation accuracy %"]),
        rows,
    })
}

pub(crate) fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.2}", 100. * share)
}

/// A dash where the figure has no value, as an AUROC of faces that are all contested.
fn interval(estimate: &Estimate, factor: f64, digits: usize) -> String {
    let Estimate { value, low, high } = estimate;
    if !value.is_finite() {
        return "-".into();
    }
    format!("{:.digits$} [{:.digits$}, {:.digits$}]", factor * value, factor * low, factor * high)
}
