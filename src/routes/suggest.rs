//! "Did you mean": the name that a mistyped one was most likely meant to be.
//!
//! This file decides how near two names are. It must not know what they name.

/// Names longer than this, in bytes, are not compared: the cost grows with the square.
const NAME_BYTES_MAX: usize = 48;
/// Most names that are looked through for one mistake.
const CANDIDATES_MAX: usize = 1_000;

/// The candidate nearest to `name`, if one is near enough to be a slip of the hand: one edit for
/// each three characters, at least one.
pub(super) fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= allowed * 4)
        .filter(|candidate| candidate.len() <= NAME_BYTES_MAX)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        // Of two that are as near, always the same one, whatever order they come in.
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours make `left` into `right`,
/// letter case set aside.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().map(|c| c.to_ascii_lowercase()).collect();
    // Three rows of the usual table: the one under way, and the two above it (a swap looks back
    // by two).
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut two_above = above.clone();
    let mut left_before = '\0';
    for (index, letter) in left.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut row = Vec::with_capacity(above.len());
        row.push(index + 1);
        let mut right_before = '\0';
        // What stands one to the left, two to the left, and above each of them.
        let mut corner = index;
        let mut swap_corner = usize::MAX - 1;
        let cells = right.iter().zip(above.iter().skip(1)).zip(two_above.iter());
        for ((&other, &up), &far) in cells {
            let beside = row.last().copied().unwrap_or(index + 1);
            let mut edits = (up + 1).min(beside + 1).min(corner + usize::from(letter != other));
            if letter == right_before && left_before == other {
                edits = edits.min(swap_corner + 1);
            }
            row.push(edits);
            corner = up;
            swap_corner = far;
            right_before = other;
        }
        left_before = letter;
        two_above = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_insertions_deletions_replacements_and_swaps() {
        for (left, right, edits) in [
            ("", "", 0),
            ("burst", "burst", 0),
            ("", "rate", 4),
            ("rate", "", 4),
            ("bursts", "burst", 1),
            ("burts", "burst", 1),
            ("ubrst", "burst", 1),
            ("bxrst", "burst", 1),
            ("BURST", "burst", 0),
            ("certifcates", "certificates", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), edits, "{left:?} {right:?}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let keys = ["rate", "burst", "shadow"];
        assert_eq!(nearest("burts", keys), Some("burst"));
        assert_eq!(nearest("concurrency", keys), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), keys), None);
    }
}
