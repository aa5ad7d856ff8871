//! What a key is: its place, its type and bounds, its default and its names elsewhere.

use super::number::{format_bytes, format_seconds};

/// What is written where the registry chooses a number.
pub(super) const AUTO: &str = "auto";
/// What is written where there shall be none.
pub(super) const OFF: &str = "off";

/// One setting. All of them are in [`super::KEYS`].
#[derive(Debug)]
pub struct Key {
    /// The TOML table it stands in.
    pub section: &'static str,
    /// Its name in that table.
    pub name: &'static str,
    /// Its type and bounds.
    pub kind: Kind,
    /// Its default, as it could be written in an environment variable; empty for none.
    pub default: &'static str,
    /// The flag that sets it, where it has one.
    pub flag: Option<&'static str>,
    /// What it means, in a line or two.
    pub doc: &'static str,
}

impl Key {
    /// Section and name: `limits.workers_max`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it: `CORACLE_LIMITS_WORKERS_MAX`.
    pub fn variable(&self) -> String {
        format!("CORACLE_{}_{}", self.section, self.name).to_ascii_uppercase()
    }
}

/// The type of a setting's value, and what it may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A number of things.
    Count(Bounds),
    /// A number of bytes: an integer, or a text such as `4MiB`.
    Bytes(Bounds),
    /// A number of bytes, or `auto`, which leaves it to the registry.
    AutoBytes(Bounds),
    /// A number of seconds: an integer, or a text such as `24h`.
    Seconds(Bounds),
    /// One of these names.
    Choice(&'static [&'static str]),
    /// A path that must be given.
    Path,
    /// A path, or none.
    OptionalPath,
    /// A list of paths, which may be empty.
    Paths,
    /// A text that must be given.
    Text,
    /// A text, or none.
    OptionalText,
    /// A list of texts, which may be empty.
    Texts,
    /// One address or more to listen on.
    Addresses,
    /// An address to listen on, `auto`, or `off`.
    OwnAddress,
}

impl Kind {
    /// Whether 0 has a meaning of its own.
    pub(super) const fn has_zero(&self) -> bool {
        match self {
            Self::Count(bounds)
            | Self::Bytes(bounds)
            | Self::AutoBytes(bounds)
            | Self::Seconds(bounds) => bounds.zero.is_some(),
            _ => false,
        }
    }

    /// What may be written, for people: `true or false`, `1 to 4096`.
    pub fn allowed(&self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Count(bounds) => bounds.describe(|n| n.to_string()),
            Self::Bytes(bounds) => bounds.describe(format_bytes),
            Self::AutoBytes(bounds) => format!("{AUTO}, {}", bounds.describe(format_bytes)),
            Self::Seconds(bounds) => bounds.describe(format_seconds),
            Self::Choice(names) => names.join(", "),
            Self::Path => "a path".to_owned(),
            Self::OptionalPath => "a path, or nothing".to_owned(),
            Self::Paths => "a list of paths".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::OptionalText => "a text, or nothing".to_owned(),
            Self::Texts => "a list of texts".to_owned(),
            Self::Addresses => "a list of addresses".to_owned(),
            Self::OwnAddress => format!("{AUTO}, {OFF}, or an address"),
        }
    }
}

/// The numbers that a setting may have.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// What 0 means where it is allowed although it is less than `min`.
    pub zero: Option<&'static str>,
}

impl Bounds {
    /// From `min` to `max`, both included.
    pub(super) const fn within(min: u64, max: u64) -> Self {
        Self {
            min,
            max,
            zero: None,
        }
    }

    /// The same, and 0 with a meaning of its own.
    pub(super) const fn or_zero(self, meaning: &'static str) -> Self {
        Self {
            zero: Some(meaning),
            ..self
        }
    }

    /// Whether `number` is allowed.
    pub fn contains(&self, number: u64) -> bool {
        (self.min..=self.max).contains(&number) || (number == 0 && self.zero.is_some())
    }

    fn describe(&self, unit: impl Fn(u64) -> String) -> String {
        let range = format!("{} to {}", unit(self.min), unit(self.max));
        match self.zero {
            Some(meaning) => format!("{range}, or 0 ({meaning})"),
            None => range,
        }
    }

    /// What to say of a number out of bounds.
    pub(super) fn refuse(&self, unit: impl Fn(u64) -> String) -> String {
        let range = format!("between {} and {}", unit(self.min), unit(self.max));
        match self.zero {
            Some(meaning) => format!("must be {range}, or 0 for {meaning}"),
            None => format!("must be {range}"),
        }
    }
}
