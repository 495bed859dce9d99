//! The answer about one image as text for people.

use std::fmt::Write;

use dmue_edge::engine::Prediction;

use crate::predict::{Answer, is_unsure};

/// Characters of a bar that stands for 100 %.
const BAR_LENGTH: usize = 24;
/// The last, partly filled character of a bar in eighths.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The score in words. It estimates the probability that the label is right. Two digits of it count,
/// as many as are printed beside.
pub fn in_words(score: f32) -> &'static str {
    match (score * 100.0).round() / 100.0 {
        0.9.. => "very likely right",
        0.75.. => "likely right",
        0.5.. => "uncertain",
        _ => "probably wrong",
    }
}

/// Several lines, with a line break at the end; `colour` adds terminal colours.
pub fn text(answer: &Answer<'_>, colour: bool) -> String {
    let predictions = &answer.result.predictions;
    let mut text = String::new();
    let faces = match predictions.len() {
        0 => "no face found".to_string(),
        1 => "1 face".to_string(),
        count => format!("{count} faces"),
    };
    let name = styled(&answer.file.display().to_string(), "1", colour);
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{name}: {}x{} pixels, {faces}", answer.width, answer.height);
    for (number, prediction) in predictions.iter().enumerate() {
        face(&mut text, number + 1, prediction, answer, colour);
    }
    let t = answer.result.timings;
    let _ = writeln!(
        text,
        "  decode {:.1} ms, detect {:.1} ms, align {:.2} ms, classify {:.2} ms",
        answer.decode_ms, t.detect_ms, t.align_ms, t.classify_ms
    );
    text
}

fn face(
    text: &mut String,
    number: usize,
    prediction: &Prediction,
    answer: &Answer<'_>,
    colour: bool,
) {
    let place = prediction.face.map_or_else(String::new, |face| {
        let b = face.bounding_box;
        format!(
            " at x {:.0}, y {:.0}, {:.0}x{:.0} pixels (detector {:.2})",
            b.x, b.y, b.width, b.height, face.detection_score
        )
    });
    let Prediction { label, score, .. } = prediction;
    let unsure = answer.threshold.is_some_and(|threshold| is_unsure(prediction, threshold));
    let label = styled(label, "1", colour);
    let label = if unsure { format!("unsure, perhaps {label}") } else { label };
    let confidence =
        styled(&format!("{} (score {score:.2})", in_words(*score)), tone(*score), colour);
    let _ = writeln!(text, "  face {number}{place}: {label}, {confidence}");
    let width = answer.classes.iter().map(|class| class.chars().count()).max().unwrap_or_default();
    let mut rows: Vec<_> = answer.classes.iter().zip(&prediction.probabilities).collect();
    rows.sort_by(|a, b| b.1.total_cmp(a.1));
    for (class, probability) in rows {
        let row = format!("    {class:width$} {:5.1} % {}", probability * 100.0, bar(*probability));
        let _ = writeln!(text, "{}", row.trim_end());
    }
}

fn bar(probability: f32) -> String {
    let eighths = (probability.clamp(0.0, 1.0) * (BAR_LENGTH * 8) as f32).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// ANSI green, yellow or red.
fn tone(score: f32) -> &'static str {
    match score {
        0.75.. => "32",
        0.5.. => "33",
        _ => "31",
    }
}

fn styled(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_probability() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1.0), "█".repeat(BAR_LENGTH));
        assert_eq!(bar(0.5 / BAR_LENGTH as f32), "▌");
        assert_eq!(bar(f32::NAN), "");
    }

    #[test]
    fn words_follow_the_score() {
        let words = [1.0, 0.896, 0.89, 0.75, 0.5, 0.49, f32::NAN].map(in_words);
        let [sure, likely, unsure, wrong] =
            ["very likely right", "likely right", "uncertain", "probably wrong"];
        assert_eq!(words, [sure, sure, likely, likely, unsure, wrong, wrong]);
    }
}
