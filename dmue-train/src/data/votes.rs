//! FERPlus' majority rule.

/// The label of an image from its votes; `counts` are in the order of `classes` followed by votes
/// for "unknown" and "no face". Single votes are dropped; where one of the last two wins or the
/// largest is shared, or nothing is left, there is no label.
pub fn majority(counts: &[u8], classes: usize) -> Option<usize> {
    let kept = |index: usize| if counts[index] > 1 { counts[index] } else { 0 };
    let best = (0..counts.len()).max_by_key(|&index| kept(index))?;
    let top = kept(best);
    let shared = (0..counts.len()).filter(|&index| kept(index) == top).count() > 1;
    (top > 0 && !shared && best < classes).then_some(best)
}

/// The shares of the classes among their votes, single votes dropped: `[C]`, sums to 1 wherever a
/// class has two votes, which a face with a majority has.
pub fn distribution(counts: &[u8]) -> Vec<f32> {
    let kept = |&count: &u8| if count > 1 { f32::from(count) } else { 0. };
    let total: f32 = counts.iter().map(kept).sum();
    counts.iter().map(|count| kept(count) / total.max(1.)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_leaves_single_votes_out() {
        assert_eq!(distribution(&[6, 1, 2, 0]), [0.75, 0., 0.25, 0.]);
        assert_eq!(distribution(&[1, 0]), [0., 0.]);
    }

    #[test]
    fn the_rule_on_hand_made_votes() {
        // counts of three classes, unknown, no face
        let cases: [(&[u8], Option<usize>); 7] = [
            (&[5, 2, 0, 0, 0], Some(0)),
            (&[1, 2, 0, 0, 0], Some(1)), // the single vote goes
            (&[4, 4, 0, 0, 0], None),    // a tie
            (&[2, 2, 5, 0, 0], Some(2)),
            (&[3, 0, 0, 4, 0], None), // unknown wins
            (&[3, 0, 0, 0, 3], None), // a tie with "no face"
            (&[1, 1, 1, 1, 1], None), // nothing left
        ];
        for (counts, label) in cases {
            assert_eq!(majority(counts, 3), label, "{counts:?}");
        }
    }
}
