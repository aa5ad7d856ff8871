//! The table of settings as text: a commented file, the effective values, the README's table.

use super::load::Effective;
use super::settings::SECTIONS;
use super::{Key, Settings, Sources};

/// Columns of a comment in the commented file.
const COMMENT_COLUMNS: usize = 96;

/// A file with every key at its default, each with its meaning, bounds, variable and flag.
pub fn default_toml() -> String {
    let mut text = String::from(
        "# Coracle's settings, each with its default. Sizes may be written as \"4MiB\", \
         durations as\n# \"24h\". Each key can also be set by the variable named below it, and \
         some by a flag;\n# flags win over variables, variables over this file.\n",
    );
    let defaults = Settings::defaults();
    for (section, meaning) in SECTIONS {
        text.push('\n');
        comment(&mut text, meaning);
        text.push_str(&format!("[{section}]\n"));
        for (key, value, _) in defaults
            .entries()
            .filter(|(key, ..)| key.section == *section)
        {
            text.push('\n');
            comment(&mut text, key.doc);
            comment(
                &mut text,
                &format!("{}: {}", key.kind.allowed(), names(key)),
            );
            match value.to_toml(&key.kind) {
                Some(value) => text.push_str(&format!("{} = {value}\n", key.name)),
                None => text.push_str(&format!("# {} = \"…\"\n", key.name)),
            }
        }
    }
    text
}

fn names(key: &Key) -> String {
    match key.flag {
        Some(flag) => format!("{}, {flag}", key.variable()),
        None => key.variable(),
    }
}

/// Adds `sentence` as comment lines of at most [`COMMENT_COLUMNS`] columns.
fn comment(text: &mut String, sentence: &str) {
    let mut columns = 0;
    for word in sentence.split_whitespace() {
        let width = word.chars().count() + 1;
        if columns == 0 || columns + width > COMMENT_COLUMNS {
            if columns > 0 {
                text.push('\n');
            }
            text.push('#');
            columns = 1;
        }
        text.push(' ');
        text.push_str(word);
        columns += width;
    }
    text.push('\n');
}

/// The README's table: key, default, what is allowed, meaning with the flag.
pub fn markdown_table() -> String {
    let mut text =
        String::from("| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n");
    let defaults = Settings::defaults();
    for (key, value, _) in defaults.entries() {
        let default = match value.to_toml(&key.kind) {
            Some(value) => format!("`{value}`"),
            None => "none".to_owned(),
        };
        let flag = key
            .flag
            .map(|flag| format!(" Flag: `{flag}`."))
            .unwrap_or_default();
        let row = format!(
            "| `{}` | {default} | {} | {}{flag} |\n",
            key.path(),
            key.kind.allowed(),
            key.doc,
        );
        text.push_str(&row);
    }
    text
}

impl Settings {
    /// The defaults as they would be loaded from no source at all.
    #[expect(
        clippy::expect_used,
        reason = "the defaults are constants, and a test loads them"
    )]
    fn defaults() -> Effective {
        Effective::load(&Sources::default()).expect("the defaults are within their own bounds")
    }
}

impl Effective {
    /// The effective values as a TOML file that sets them, each with where it comes from.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (index, (section, _)) in SECTIONS.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&format!("[{section}]\n"));
            for (key, value, origin) in self.entries().filter(|(key, ..)| key.section == *section) {
                let line = match value.to_toml(&key.kind) {
                    Some(value) => format!("{} = {value}", key.name),
                    None => format!("# {} is not set", key.name),
                };
                text.push_str(&format!("{line:<42} # {origin}\n"));
            }
        }
        text
    }

    /// The effective values as JSON: an object a section; for each key `value` (numbers in the
    /// key's unit), `from` (`default`, `file`, `environment`, `flag`) and `where`.
    pub fn to_json(&self) -> serde_json::Value {
        let mut sections = serde_json::Map::new();
        for (key, value, origin) in self.entries() {
            let entry = serde_json::json!({
                "value": value.to_json(),
                "from": origin.word(),
                "where": origin.to_string(),
            });
            let section = sections
                .entry(key.section)
                .or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
            if let serde_json::Value::Object(keys) = section {
                keys.insert(key.name.to_owned(), entry);
            }
        }
        serde_json::Value::Object(sections)
    }
}
