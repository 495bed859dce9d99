//! What both published forms of AffectNet share: the codes of the expressions.

use super::expressions::names;

/// Position among the expressions of AffectNet's codes 0..=7: neutral, happiness, sadness, surprise,
/// fear, disgust, anger, contempt.
const CODES: [usize; 8] = [0, 1, 3, 2, 6, 5, 4, 7];

/// Why rows are left out by rule.
pub const NO_EXPRESSION: &str = "labelled none, uncertain or no face";

/// The label of a code; none for 8 (none), 9 (uncertain) and 10 (no face).
///
/// # Errors
/// A code outside 0..=10.
pub fn label(code: i64) -> Result<Option<usize>, String> {
    match usize::try_from(code) {
        Ok(code @ 0..=7) => Ok(CODES.get(code).copied()),
        Ok(8..=10) => Ok(None),
        _ => Err(format!(
            "expression is {code}: must be 0 neutral, 1 happiness, 2 sadness, 3 surprise, 4 fear, \
             5 disgust, 6 anger, 7 contempt, 8 none, 9 uncertain or 10 no face"
        )),
    }
}

/// All eight; `data.classes` in the settings makes seven of them.
pub fn classes() -> Vec<String> {
    names(8)
}
