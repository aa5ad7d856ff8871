//! The table of settings as text: a commented file, the effective values, the README's table.

use super::load::Effective;
use super::settings::SECTIONS;
use super::{Key, Origin, Value};
use crate::auth::Rule;

/// Columns of a comment in the commented file.
const COMMENT_COLUMNS: usize = 96;

/// A file with every key at its default, each with its meaning, bounds, variable and flag.
pub fn default_toml() -> String {
    let mut lines = Vec::new();
    comment(
        &mut lines,
        "Coracle's settings, each with its default. Sizes may be written as \"4MiB\", durations as \
         \"24h\". Each key can also be set by the environment variable named with it, and some by \
         a flag; flags win over variables, and variables over this file.",
    );
    let defaults = Effective::defaults();
    for (section, meaning) in SECTIONS {
        lines.push(String::new());
        comment(&mut lines, meaning);
        lines.push(format!("[{section}]"));
        for (key, value, _) in defaults.section(section) {
            lines.push(String::new());
            comment(&mut lines, key.doc);
            comment(
                &mut lines,
                &format!("{}. {}", key.kind.allowed(), names(key)),
            );
            lines.push(match value.to_toml(&key.kind) {
                Some(value) => format!("{} = {value}", key.name),
                None => format!("# {} = \"…\"", key.name),
            });
        }
    }
    lines.push(String::new());
    lines.push(super::access::EXAMPLE.trim_end().to_owned());
    text_of(&lines)
}

/// The README's table: key, default, what is allowed, meaning with the flag.
pub fn markdown_table() -> String {
    let mut lines = vec![
        "| key | default | allowed | meaning |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ];
    for (key, value, _) in Effective::defaults().entries() {
        let default = match value.to_toml(&key.kind) {
            Some(value) => format!("`{value}`"),
            None => "none".to_owned(),
        };
        let flag = key
            .flag
            .map(|flag| format!(" Flag: `{flag}`."))
            .unwrap_or_default();
        let (path, allowed, doc) = (key.path(), key.kind.allowed(), key.doc);
        lines.push(format!(
            "| `{path}` | {default} | {allowed} | {doc}{flag} |"
        ));
    }
    text_of(&lines)
}

impl Effective {
    /// The effective values as a TOML file that sets them, each with where it comes from.
    pub fn to_toml(&self) -> String {
        let mut lines = Vec::new();
        for (section, _) in SECTIONS {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(format!("[{section}]"));
            for (key, value, origin) in self.section(section) {
                let setting = match value.to_toml(&key.kind) {
                    Some(value) => format!("{} = {value}", key.name),
                    None => format!("# {}: none", key.name),
                };
                let origin = super::error::shorten(&origin.to_string());
                lines.push(format!("{setting:<42} # {origin}"));
            }
        }
        for rule in &self.settings.access {
            lines.push(String::new());
            lines.push(format!("{:<42} # {}", "[[access]]", rule.origin));
            let [who, repositories, actions] = lists(rule).map(|(name, texts)| {
                let quoted = texts.iter().map(|text| super::value::quote(text));
                format!("{name} = {}", super::value::list(quoted))
            });
            lines.extend([who, repositories, actions]);
        }
        text_of(&lines)
    }

    /// The effective values as JSON: an object a section; for each key `value` (numbers in the
    /// key's unit), `from` (`default`, `file`, `environment`, `flag`) and `where`. `access` is the
    /// list of rules, each with its lists and its `where`.
    pub fn to_json(&self) -> serde_json::Value {
        let sections = SECTIONS.iter().map(|(section, _)| {
            let keys = self.section(section).map(|(key, value, origin)| {
                let entry = serde_json::json!({
                    "value": value.to_json(),
                    "from": origin.word(),
                    "where": origin.to_string(),
                });
                (key.name.to_owned(), entry)
            });
            (
                (*section).to_owned(),
                serde_json::Value::Object(keys.collect()),
            )
        });
        let mut all: serde_json::Map<_, _> = sections.collect();
        let rules = self.settings.access.iter().map(|rule| {
            let lists = lists(rule).into_iter();
            let mut entry: serde_json::Map<_, _> = lists
                .map(|(name, texts)| (name.to_owned(), texts.into()))
                .collect();
            entry.insert("where".to_owned(), rule.origin.clone().into());
            serde_json::Value::Object(entry)
        });
        all.insert(super::access::NAME.to_owned(), rules.collect());
        serde_json::Value::Object(all)
    }

    fn section(&self, section: &str) -> impl Iterator<Item = (&'static Key, &Value, &Origin)> {
        self.entries()
            .filter(move |(key, ..)| key.section == section)
    }
}

/// A rule's lists, each with its key.
fn lists(rule: &Rule) -> [(&'static str, Vec<String>); 3] {
    [
        ("who", rule.who.iter().map(ToString::to_string).collect()),
        (
            "repositories",
            rule.repositories.iter().map(ToString::to_string).collect(),
        ),
        (
            "actions",
            rule.actions
                .names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
        ),
    ]
}

fn names(key: &Key) -> String {
    match key.flag {
        Some(flag) => format!("{} or {flag}", key.variable()),
        None => key.variable(),
    }
}

/// Adds `sentence` as comment lines of at most [`COMMENT_COLUMNS`] columns.
fn comment(lines: &mut Vec<String>, sentence: &str) {
    let mut line = String::from("#");
    for word in sentence.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COMMENT_COLUMNS {
            lines.push(std::mem::replace(&mut line, String::from("#")));
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push(line);
}

fn text_of(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
