//! Numbers: series of rounds, their medians, and the goals they are held to.

use serde::Serialize;

/// What one subject reached in each round.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Who was measured: a server, or a limit.
    pub subject: String,
    /// Unit of every value.
    pub unit: &'static str,
    /// One value a round, in the order measured.
    pub rounds: Vec<f64>,
    /// Middle value.
    pub median: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Series {
    /// A series of at least one round; `None` when nothing was measured.
    pub fn new(subject: impl Into<String>, unit: &'static str, rounds: Vec<f64>) -> Option<Self> {
        let median = median(&rounds)?;
        let min = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let max = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Self {
            subject: subject.into(),
            unit,
            rounds,
            median,
            min,
            max,
        })
    }
}

/// The middle value, or the mean of the two middle ones; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// A bound that a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The figure should be this or more.
    AtLeast(f64),
    /// The figure should be this or less.
    AtMost(f64),
}

impl Goal {
    /// Whether `value` reaches the goal.
    pub fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// A count as a floating-point number.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes here stay far below 2^53"
)]
pub fn real(count: u64) -> f64 {
    count as f64
}

/// A length as a floating-point number.
#[expect(
    clippy::cast_precision_loss,
    reason = "lengths here stay far below 2^53"
)]
pub fn real_len(count: usize) -> f64 {
    count as f64
}

/// A number with about three significant digits, and separators where it is long.
pub fn show(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 0.095 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    separate(&text)
}

/// Puts a comma before every third digit of a plain number that has no fraction.
fn separate(text: &str) -> String {
    if text.contains('.') || text.len() < 4 {
        return text.to_owned();
    }
    let mut out = String::new();
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && digit.is_ascii_digit() && (text.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
