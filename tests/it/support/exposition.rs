//! Reads the text format of Prometheus strictly: what one of its servers would refuse, or take for
//! something else than was meant, fails the test.

use std::collections::{BTreeMap, BTreeSet};

/// A page of metrics.
#[derive(Debug)]
pub struct Exposition {
    /// Kind of each metric by its name.
    pub kinds: BTreeMap<String, String>,
    /// Values by the whole of what stands before them: `name{label="value"}`.
    pub samples: BTreeMap<String, f64>,
}

/// One sample as it was written.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl Exposition {
    /// Reads a page.
    #[track_caller]
    pub fn parse(text: &str) -> Exposition {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut page = Exposition {
            kinds: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        let mut family = String::new();
        let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help");
                assert!(is_name(name) && !help.is_empty(), "{line}");
                assert!(helped.insert(name.to_owned()), "{name} has two helps");
                name.clone_into(&mut family);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, family, "the type follows the help");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let before = page.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} has two types");
            } else {
                let sample = sample(line);
                let kind = page.kinds.get(&family).expect("a type before a sample");
                let suffix = sample.name.strip_prefix(family.as_str());
                let suffixes: &[&str] = match kind.as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                let suffix = suffix.filter(|own| suffixes.contains(own));
                let suffix = suffix.unwrap_or_else(|| panic!("{line} below {family}"));
                page.add(line, &sample, suffix, &family, &mut buckets);
            }
        }
        for (series, ends) in buckets {
            page.check_buckets(&series, &ends);
        }
        page
    }

    fn add(
        &mut self,
        line: &str,
        sample: &Sample<'_>,
        suffix: &str,
        family: &str,
        buckets: &mut BTreeMap<String, Vec<(f64, f64)>>,
    ) {
        assert!(sample.value >= 0.0 && sample.value.is_finite(), "{line}");
        let end = sample.labels.iter().find(|(name, _)| *name == "le");
        assert_eq!(end.is_some(), suffix == "_bucket", "{line}");
        if let Some((_, end)) = end {
            let end = if end == "+Inf" {
                f64::INFINITY
            } else {
                end.parse().expect("an end")
            };
            let others = sample.labels.iter().filter(|(name, _)| *name != "le");
            let series = written(family, others);
            buckets.entry(series).or_default().push((end, sample.value));
        }
        let whole = written(sample.name, sample.labels.iter());
        let before = self.samples.insert(whole.clone(), sample.value);
        assert_eq!(before, None, "{whole} is there twice");
    }

    fn check_buckets(&self, series: &str, ends: &[(f64, f64)]) {
        let is_rising = ends
            .windows(2)
            .all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
        assert!(is_rising, "{series}: {ends:?}");
        let (last, all) = ends[ends.len() - 1];
        assert!(last.is_infinite(), "{series} has no last bucket");
        let (name, labels) = series.split_at(series.find('{').unwrap_or(series.len()));
        for suffix in ["_count", "_sum"] {
            let whole = format!("{name}{suffix}{labels}");
            let value = self
                .samples
                .get(&whole)
                .unwrap_or_else(|| panic!("no {whole}"));
            assert!(suffix == "_sum" || (value - all).abs() < 0.5, "{whole}");
        }
    }

    /// The value of `name{label="value"}`; 0 where it is not there.
    pub fn value(&self, whole: &str) -> f64 {
        self.samples.get(whole).copied().unwrap_or(0.0)
    }

    /// The sum over all samples of a metric whose labels hold these texts.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let fits = |whole: &str| {
            let rest = whole.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && labels.iter().all(|label| whole.contains(label))
        };
        let samples = self.samples.iter().filter(|(whole, _)| fits(whole));
        samples.map(|(_, value)| value).sum()
    }
}

fn written<'a>(name: &str, labels: impl Iterator<Item = &'a (&'a str, String)>) -> String {
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    if labels.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", labels.join(","))
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[track_caller]
fn sample(line: &str) -> Sample<'_> {
    let end = line.find(['{', ' ']).expect("a value");
    let name = &line[..end];
    assert!(is_name(name), "{line}");
    let mut rest = &line[end..];
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label), "{label} in {line}");
            assert!(!labels.iter().any(|(own, _)| *own == label), "{line}");
            let (value, behind) = quoted(behind, line);
            labels.push((label, value));
            if let Some(behind) = behind.strip_prefix(',') {
                rest = behind;
            } else {
                rest = behind.strip_prefix('}').expect("the end of the labels");
                break;
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("one blank before the value");
    let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
    Sample {
        name,
        labels,
        value,
    }
}

/// A value up to its closing quote, and what is behind it.
fn quoted<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, own @ ('\\' | '"'))) => value.push(own),
                other => panic!("{other:?} behind a backslash in {line}"),
            },
            own => value.push(own),
        }
    }
    panic!("a value without an end in {line}")
}
