//! The TOML file: reading it within a bound, and its keys and values with their lines.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Origin, Problem, shorten};
use super::load::Layer;
use super::settings::{KEYS, SECTIONS};
use super::suggest::nearest;
use super::tables::Kind;
use super::{access, policy, webhook};

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text of the file at `path`.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    let refuse = |why: String| {
        let path = path.display().to_string();
        Problem::of_source(Origin::File { path, line: 0 }, why)
    };
    let cannot = |error: std::io::Error| refuse(format!("cannot read the file: {error}"));
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refuse(format!(
            "is larger than {FILE_BYTES_MAX} bytes, which no configuration is"
        )));
    }
    String::from_utf8(bytes).map_err(|_| refuse("is not text in UTF-8".to_owned()))
}

/// After so many mistakes the rest of a file is not looked at: each costs a search for its line and
/// for the nearest name.
pub(super) const PROBLEMS_MAX: usize = 20;

/// The keys and values of `text`, which stands in the file called `name`.
pub(super) fn parse(text: &str, name: &str) -> Layer {
    let lines = Lines { text, name };
    let mut layer = Layer::default();
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(_) if is_distributions(text) => {
            let why = "is a configuration of Distribution's registry (YAML); coracle has one of \
                       its own (TOML): `coracle config default` prints it, to be edited";
            layer
                .problems
                .push(Problem::of_source(lines.origin(0), why));
            return layer;
        }
        Err(error) => {
            let origin = lines.origin(error.span().map_or(0, |span| span.start));
            let message: String = error
                .message()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let why = format!("is not valid TOML: {}", shorten_message(&message));
            layer.problems.push(Problem::of_source(origin, why));
            return layer;
        }
    };
    for (section, value) in document.get_ref() {
        if !read_tables(section.get_ref(), value, &lines, &mut layer) {
            read_section(section, value, &lines, &mut layer);
        }
        if layer.problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
    // A map sorts by name; people expect the order of the file.
    layer.problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, .. } => line,
        _ => 0,
    });
    layer
}

/// What can stand in a file besides sections: tables that come in lists.
pub(super) const TABLES: [&Kind; 5] = [
    &access::KIND,
    &policy::RETENTION,
    &policy::QUOTA,
    &policy::IMMUTABLE,
    &webhook::KIND,
];

/// Whether it was a list of tables, which were read.
fn read_tables(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    layer: &mut Layer,
) -> bool {
    let problems = &mut layer.problems;
    if name == access::KIND.name {
        layer.access = access::read(value, lines, problems);
    } else if name == policy::RETENTION.name {
        layer.policy.retention = policy::read_retention(value, lines, problems);
    } else if name == policy::QUOTA.name {
        layer.policy.quotas = policy::read_quotas(value, lines, problems);
    } else if name == policy::IMMUTABLE.name {
        layer.policy.immutable = policy::read_immutable(value, lines, problems);
    } else if name == webhook::KIND.name {
        layer.endpoints = webhook::read(value, lines, problems);
    } else {
        return false;
    }
    true
}

/// Whether a text that is no TOML is what `registry serve` takes: its first key is the version.
fn is_distributions(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#') && *line != "---")
        .is_some_and(|line| line.starts_with("version:"))
}

fn read_section(
    section: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    layer: &mut Layer,
) {
    let name = section.get_ref();
    let origin = lines.origin(section.span().start);
    if !SECTIONS.iter().any(|(known, _)| known == name) {
        let problem = unknown_section(name, value.get_ref(), origin);
        layer.problems.push(problem);
        return;
    }
    let DeValue::Table(keys) = value.get_ref() else {
        let why = format!("is a section and not a value; write [{name}] and its keys below");
        let problem = Problem::of_key(name.to_string(), origin, why);
        layer.problems.push(problem);
        return;
    };
    for (key, value) in keys {
        read_key(name, key, value, lines, layer);
        if layer.problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
}

fn read_key(
    section: &str,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    layer: &mut Layer,
) {
    let origin = lines.origin(name.span().start);
    let known = KEYS
        .iter()
        .position(|key| key.section == section && key.name == name.get_ref());
    let Some(index) = known else {
        let path = format!("{section}.{}", shorten(name.get_ref()));
        let why = unknown(&path, name.get_ref());
        layer.problems.push(Problem::of_key(path, origin, why));
        return;
    };
    match KEYS[index].kind.read_toml(value.get_ref()) {
        Ok(value) => layer.values.push((index, value, origin)),
        Err(why) => {
            let written = lines.text.get(value.span()).unwrap_or_default();
            let path = KEYS[index].path();
            layer
                .problems
                .push(Problem::of_value(path, written, origin, why));
        }
    }
}

fn unknown_section(name: &str, value: &DeValue<'_>, origin: Origin) -> Problem {
    let short = shorten(name);
    if value.is_table() || value.is_array() {
        let sections = SECTIONS.iter().map(|(known, _)| *known);
        let all: Vec<&str> = sections.chain(TABLES.map(|kind| kind.name)).collect();
        let why = match nearest(name, all.iter().map(|known| (*known).to_owned())) {
            None => format!("no such section; the sections are {}", all.join(", ")),
            Some(near) if TABLES.iter().any(|kind| kind.name == near) => {
                format!("no such section; did you mean [[{near}]]?")
            }
            Some(near) => format!("no such section; did you mean [{near}]?"),
        };
        Problem::of_key(format!("[{short}]"), origin, why)
    } else {
        Problem::of_key(short, origin, unknown(name, name))
    }
}

/// What to say of a key that does not exist: the key of that name in another section, or the
/// nearest one.
fn unknown(path: &str, name: &str) -> String {
    let elsewhere = KEYS
        .iter()
        .find(|key| key.name == name)
        .map(super::Key::path);
    let near = elsewhere
        .or_else(|| nearest(path, KEYS.iter().map(super::Key::path)))
        .or_else(|| {
            let near = nearest(name, KEYS.iter().map(|key| key.name.to_owned()))?;
            KEYS.iter()
                .find(|key| key.name == near)
                .map(super::Key::path)
        });
    match near {
        Some(near) => format!("no such key; did you mean {near}?"),
        None => "no such key; `coracle config default` lists all of them".to_owned(),
    }
}

fn shorten_message(message: &str) -> String {
    message
        .chars()
        .take(300)
        .filter(|c| !c.is_control())
        .collect()
}

/// Turns offsets into line numbers.
pub(super) struct Lines<'a> {
    text: &'a str,
    name: &'a str,
}

impl Lines<'_> {
    pub(super) fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or_default();
        Origin::File {
            path: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
        }
    }
}
