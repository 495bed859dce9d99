//! The eight expressions under one set of names, in one order, whatever a published set calls them.

/// FERPlus' names in FERPlus' order; every published set's labels become these, so that models and
/// sets fit each other. Sets of seven classes have no contempt.
pub const EXPRESSIONS: [&str; 8] =
    ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];

/// The first `count` names; 7 or 8.
pub fn names(count: usize) -> Vec<String> {
    EXPRESSIONS.iter().take(count).map(|name| (*name).to_owned()).collect()
}
