//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write as _};

use super::instruments::Reading;
use super::list::Family;

/// The media type of the format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page that is being written: one metric after the other, each with its samples.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// The samples of one metric.
#[derive(Debug)]
pub struct Samples<'p> {
    text: &'p mut String,
    family: &'static Family,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self {
            // What a usual page needs.
            text: String::with_capacity(48 << 10),
        }
    }

    /// Begins a metric.
    pub fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let (name, kind) = (family.name, family.kind.as_str());
        // A string takes everything; here and below.
        let _ = write!(self.text, "# HELP {name} ");
        escape(&mut self.text, family.help, false);
        let _ = writeln!(self.text, "\n# TYPE {name} {kind}");
        Samples {
            text: &mut self.text,
            family,
        }
    }

    /// Tells a metric without labels.
    pub fn one(&mut self, family: &'static Family, value: impl Display) {
        self.family(family).add(&[], value);
    }

    /// Tells one that is there or is not: 1 or 0.
    pub fn is(&mut self, family: &'static Family, is_so: bool) {
        self.one(family, u8::from(is_so));
    }

    /// The page.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Samples<'_> {
    /// A value with these values of the labels, in the order of the family's names.
    pub fn add(&mut self, values: &[&str], value: impl Display) {
        self.sample("", values, None, value);
    }

    /// A histogram with these values of the labels.
    pub fn add_histogram(&mut self, values: &[&str], reading: &Reading) {
        for (end, count) in reading.cumulative() {
            self.sample("_bucket", values, Some(end), count);
        }
        let count = reading.count();
        self.sample("_bucket", values, Some(f64::INFINITY), count);
        self.sample("_sum", values, None, reading.told_sum());
        self.sample("_count", values, None, count);
    }

    fn sample(&mut self, suffix: &str, values: &[&str], end: Option<f64>, value: impl Display) {
        debug_assert_eq!(values.len(), self.family.labels.len(), "{:?}", self.family);
        let _ = write!(self.text, "{}{suffix}", self.family.name);
        let mut separator = '{';
        for (label, value) in self.family.labels.iter().zip(values) {
            let _ = write!(self.text, "{separator}{label}=\"");
            escape(self.text, value, true);
            self.text.push('"');
            separator = ',';
        }
        if let Some(end) = end {
            let end: &dyn Display = if end.is_finite() { &end } else { &"+Inf" };
            let _ = write!(self.text, "{separator}le=\"{end}\"");
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// Writes a text so that it stays on its line and within its quotes.
fn escape(out: &mut String, text: &str, quoted: bool) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            _ => out.push(character),
        }
    }
}
