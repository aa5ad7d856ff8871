//! Rules between settings, each of which is within its own bounds.

use super::Key;
use super::error::{Origin, Problem};
use super::settings::KEYS;
use super::value::Value;

/// Pairs of keys of which the first must not be larger than the second.
const NOT_LARGER: [(&str, &str); 2] = [
    ("limits.request_line_bytes_max", "limits.head_bytes_max"),
    ("listing.catalog_page_default", "listing.catalog_page_max"),
];

/// What is wrong between the values, which are in the order of [`KEYS`].
pub(super) fn problems(values: &[(Value, Origin)]) -> Vec<Problem> {
    let pairs = NOT_LARGER.iter();
    pairs
        .filter_map(|(smaller, larger)| not_larger(find(values, smaller)?, find(values, larger)?))
        .collect()
}

/// A number with its key and where it comes from.
struct Found<'a> {
    key: &'static Key,
    number: u64,
    written: String,
    origin: &'a Origin,
}

fn find<'a>(values: &'a [(Value, Origin)], path: &str) -> Option<Found<'a>> {
    let index = KEYS.iter().position(|key| key.path() == path)?;
    let (key, (value, origin)) = (&KEYS[index], values.get(index)?);
    let Value::Number(number) = *value else {
        return None;
    };
    let written = value.to_toml(&key.kind)?;
    Some(Found {
        key,
        number,
        written,
        origin,
    })
}

/// Blames the value that was set rather than a default.
fn not_larger(smaller: Found<'_>, larger: Found<'_>) -> Option<Problem> {
    if smaller.number <= larger.number {
        return None;
    }
    let (blamed, other, word) = match smaller.origin {
        Origin::Default => (larger, smaller, "smaller"),
        _ => (smaller, larger, "larger"),
    };
    let why = format!(
        "must not be {word} than {} = {} ({})",
        other.key.path(),
        other.written,
        other.origin
    );
    let origin = blamed.origin.clone();
    Some(Problem::of_value(
        blamed.key.path(),
        &blamed.written,
        origin,
        why,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;

    #[test]
    fn rules_speak_of_numbers_that_exist() {
        for path in NOT_LARGER.iter().flat_map(|(one, other)| [one, other]) {
            let key = KEYS.iter().find(|key| key.path() == *path).unwrap();
            assert!(matches!(
                key.kind,
                Kind::Count(_) | Kind::Bytes(_) | Kind::Seconds(_)
            ));
        }
    }
}
