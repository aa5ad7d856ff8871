//! Sizes and durations as people write them: `4MiB`, `24h`. Pure functions over text.

/// Units of size with their bytes. The binary ones come first: a size is printed with them.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of time with their seconds.
const TIMES: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// A number of bytes: `1048576`, `4MiB`, `10 GB`. Units may be written in any case.
/// The error is the sentence for people, without the value.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let why = || "must be a number of bytes, such as 1048576, 512KiB, 4MiB or 10GB".to_owned();
    let (digits, unit) = split_number(text.trim());
    let number: u64 = parse_digits(digits, why)?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Ok(number);
    }
    let (_, bytes) = SIZES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .ok_or_else(why)?;
    number.checked_mul(*bytes).ok_or_else(too_large)
}

/// A number of seconds: `90`, `90s`, `15m`, `24h`, `7d`, `1h30m`.
/// The error is the sentence for people, without the value.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let why = || "must be a number of whole seconds, such as 90, 90s, 15m, 24h or 7d".to_owned();
    let text = text.trim();
    let (digits, mut rest) = split_number(text);
    if rest.is_empty() {
        return parse_digits(digits, why);
    }
    let mut seconds: u64 = 0;
    let mut digits = digits;
    loop {
        let unit_end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (unit, after) = rest.split_at(unit_end);
        let (_, each) = TIMES
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(why)?;
        seconds = parse_digits(digits, why)?
            .checked_mul(*each)
            .and_then(|part| seconds.checked_add(part))
            .ok_or_else(too_large)?;
        if after.is_empty() {
            return Ok(seconds);
        }
        (digits, rest) = split_number(after);
    }
}

/// A number of bytes in the largest unit that divides it: `4MiB`, `1000`.
pub fn format_bytes(bytes: u64) -> String {
    in_largest_unit(bytes, &SIZES[..4]).unwrap_or_else(|| bytes.to_string())
}

/// A number of seconds in the largest unit that divides it: `24h` is `1d`, and 90 is `90s`.
pub fn format_seconds(seconds: u64) -> String {
    in_largest_unit(seconds, &TIMES).unwrap_or_else(|| format!("{seconds}s"))
}

fn in_largest_unit(number: u64, units: &[(&str, u64)]) -> Option<String> {
    let (unit, each) = units
        .iter()
        .find(|(_, each)| number != 0 && number.is_multiple_of(*each))?;
    Some(format!("{}{unit}", number / each))
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn parse_digits(digits: &str, why: impl Fn() -> String) -> Result<u64, String> {
    if digits.is_empty() {
        return Err(why());
    }
    digits.parse().map_err(|_| too_large())
}

fn too_large() -> String {
    "is larger than any number that can be held".to_owned()
}
