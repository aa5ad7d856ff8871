//! Rules between settings, each of which is within its own bounds.

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
    let find = |path: &str| {
        let index = KEYS.iter().position(|key| key.path() == path)?;
        let (value, origin) = values.get(index)?;
        match value {
            Value::Number(number) => Some((&KEYS[index], *number, value, origin)),
            _ => None,
        }
    };
    let mut problems = Vec::new();
    for (smaller, larger) in NOT_LARGER {
        let (Some(one), Some(other)) = (find(smaller), find(larger)) else {
            continue;
        };
        if one.1 > other.1 {
            let written = one.2.to_toml(&one.0.kind).unwrap_or_default();
            let bound = other.2.to_toml(&other.0.kind).unwrap_or_default();
            let why = format!("must not be larger than {larger} = {bound} ({})", other.3);
            let origin = one.3.clone();
            problems.push(Problem::of_value(smaller.to_owned(), &written, origin, why));
        }
    }
    problems
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
