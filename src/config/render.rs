//! The table of settings as text: a commented file, the effective values, the README's table.

use super::file::TABLES;
use super::load::Effective;
use super::settings::SECTIONS;
use super::tables::{Kind, Shown};
use super::{Key, Origin, Value, access, policy, webhook};

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
    for kind in TABLES {
        lines.push(String::new());
        lines.push(kind.example.trim_end().to_owned());
    }
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
        for (kind, tables) in self.tables() {
            for table in tables {
                lines.push(String::new());
                let head = format!("[[{}]]", kind.name);
                lines.push(format!("{head:<42} # {}", table.origin));
                let entries = table.entries.iter();
                lines.extend(entries.map(|(name, entry)| format!("{name} = {}", entry.to_toml())));
            }
        }
        text_of(&lines)
    }

    /// The effective values as JSON: an object a section; for each key `value` (numbers in the
    /// key's unit), `from` (`default`, `file`, `environment`, `flag`) and `where`. `access`,
    /// `retention`, `quota`, `immutable` and `webhook` are lists of tables, each with its keys
    /// (bytes are a number) and its `where`.
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
        for (kind, tables) in self.tables() {
            let tables = tables.into_iter().map(|table| {
                let entries = table.entries.iter();
                let mut object: serde_json::Map<_, _> = entries
                    .map(|(name, entry)| ((*name).to_owned(), entry.to_json()))
                    .collect();
                object.insert("where".to_owned(), table.origin.into());
                serde_json::Value::Object(object)
            });
            all.insert(kind.name.to_owned(), tables.collect());
        }
        serde_json::Value::Object(all)
    }

    /// The tables of each kind, in the order of [`TABLES`].
    fn tables(&self) -> [(&'static Kind, Vec<Shown>); 5] {
        let (rules, own) = (&self.settings.access, &self.settings.policy);
        let [by_access, by_retention, by_quota, by_immutable, by_webhook] = TABLES;
        let endpoints = &self.settings.endpoints;
        [
            (by_access, rules.iter().map(access::show).collect()),
            (
                by_retention,
                own.retention.iter().map(policy::show_retention).collect(),
            ),
            (
                by_quota,
                own.quotas.iter().map(policy::show_quota).collect(),
            ),
            (
                by_immutable,
                own.immutable.iter().map(policy::show_immutable).collect(),
            ),
            (by_webhook, endpoints.iter().map(webhook::show).collect()),
        ]
    }

    fn section(&self, section: &str) -> impl Iterator<Item = (&'static Key, &Value, &Origin)> {
        self.entries()
            .filter(move |(key, ..)| key.section == section)
    }
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
