//! The nearest known name to one that is not known.

/// Longer names are not compared: nobody mistypes them, and comparing costs their square.
const CHARACTERS_MAX: usize = 100;

/// The candidate nearest to `name`, if it is near enough to be what was meant: at most a third of
/// its characters differ.
pub fn nearest(name: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    if name.chars().count() > CHARACTERS_MAX {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (distance(name, &candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be added, removed, replaced or swapped with their neighbour to make
/// one text of the other (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    // Rows of the table: the one before the last, the last, and the one being filled.
    let mut before: Vec<usize> = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 0..one.len() {
        let mut row = vec![i + 1];
        for j in 0..other.len() {
            let replaced = last[j] + usize::from(one[i] != other[j]);
            let mut fewest = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && one[i] == other[j - 1] && one[i - 1] == other[j] {
                fewest = fewest.min(before[j - 1] + 1);
            }
            row.push(fewest);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let cases = [
            ("", "", 0),
            ("a", "", 1),
            ("listen", "listen", 0),
            ("lisetn", "listen", 1),
            ("listn", "listen", 1),
            ("listens", "listen", 1),
            ("lustin", "listen", 2),
            ("abc", "xyz", 3),
        ];
        for (one, other, expected) in cases {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let names = || ["workers_max".to_owned(), "listen".to_owned()];
        assert_eq!(
            nearest("worker_max", names()).as_deref(),
            Some("workers_max")
        );
        assert_eq!(nearest("lsiten", names()).as_deref(), Some("listen"));
        assert_eq!(nearest("zebra", names()), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), names()), None);
    }
}
