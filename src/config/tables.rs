//! Tables that come in a list, `[[NAME]]`: reading them, with helpful words about what is wrong,
//! and how their entries are shown again. What the keys mean is said by whoever reads a table.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Problem, shorten};
use super::file::{Lines, PROBLEMS_MAX};
use super::number::parse_bytes;
use super::suggest::nearest;
use super::value::{list, quote};

/// The most tables of one name: each is looked at for each request that it may concern.
const TABLES_MAX: usize = 1000;
/// The most entries of one list in a table.
const ENTRIES_MAX: usize = 100;

/// What a kind of tables is called, and which keys there are.
pub(super) struct Kind {
    /// The name between the brackets.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) keys: &'static [&'static str],
    /// What is said of these tables in the commented file.
    pub(super) example: &'static str,
}

impl Kind {
    /// Reads all tables; what is wrong goes to `problems`, and a table with a mistake is left out.
    pub(super) fn read<T>(
        &self,
        value: &Spanned<DeValue<'_>>,
        lines: &Lines<'_>,
        problems: &mut Vec<Problem>,
        mut read: impl FnMut(&mut Reader<'_>) -> T,
    ) -> Vec<T> {
        let name = self.name;
        let mut refuse = |start: usize, why: String| {
            problems.push(Problem::of_key(name.to_owned(), lines.origin(start), why));
        };
        let start = value.span().start;
        let DeValue::Array(tables) = value.get_ref() else {
            let why = format!("is a list of tables; write [[{name}]] and the rule's keys below");
            refuse(start, why);
            return Vec::new();
        };
        if tables.len() > TABLES_MAX {
            let why = format!("has {} rules, the most is {TABLES_MAX}", tables.len());
            refuse(start, why);
            return Vec::new();
        }
        let mut all = Vec::new();
        for table in tables {
            if problems.len() >= PROBLEMS_MAX {
                break;
            }
            let start = table.span().start;
            let DeValue::Table(keys) = table.get_ref() else {
                let why = format!("must be a table; write [[{name}]] and the rule's keys below");
                problems.push(Problem::of_key(name.to_owned(), lines.origin(start), why));
                continue;
            };
            let before = problems.len();
            let mut reader = Reader {
                kind: self,
                table: keys,
                start,
                lines,
                problems,
            };
            reader.unknown_keys();
            let one = read(&mut reader);
            if problems.len() == before {
                all.push(one);
            }
        }
        all
    }
}

/// Reads the keys of one table.
pub(super) struct Reader<'a> {
    kind: &'a Kind,
    table: &'a DeTable<'a>,
    start: usize,
    lines: &'a Lines<'a>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Where the table stands, for people.
    pub(super) fn origin(&self) -> String {
        self.lines.origin(self.start).to_string()
    }

    /// Whether the table has the key.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A list of texts, or one text, which must be there; each of them parsed.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        if self.has(name) {
            return self.list_if_any(name, parse).unwrap_or_default();
        }
        self.problem("is missing".to_owned(), name);
        Vec::new()
    }

    /// A list of texts, or one text; each of them parsed. `None` without the key.
    pub(super) fn list_if_any<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.value(name, |value| {
            let texts: Option<Vec<&str>> = match value {
                DeValue::String(text) => Some(vec![text]),
                DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
                _ => None,
            };
            match texts {
                None => Err("must be a list of texts".to_owned()),
                Some(texts) if texts.is_empty() => Err("must hold at least one entry".to_owned()),
                Some(texts) if texts.len() > ENTRIES_MAX => {
                    Err(format!("must not hold more than {ENTRIES_MAX} entries"))
                }
                Some(texts) => texts.into_iter().map(parse).collect(),
            }
        })
    }

    /// A text that is parsed; `None` without the key.
    pub(super) fn text<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.value(name, |value| match value {
            DeValue::String(text) => parse(text),
            _ => Err("must be a text".to_owned()),
        })
    }

    /// Texts by name, each a text or a list of them; each pair parsed. None without the key.
    pub(super) fn fields<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str, &str) -> Result<T, String>,
    ) -> Vec<T> {
        const FORM: &str = "must be a table of texts, such as { X-Kind = \"registry\" }";
        let fields = self.value(name, |value| {
            let fields = value.as_table().ok_or(FORM)?;
            let mut all = Vec::new();
            for (name, value) in fields {
                let texts = match value.get_ref() {
                    DeValue::String(text) => vec![&**text],
                    DeValue::Array(items) => items
                        .iter()
                        .map(|item| item.get_ref().as_str().ok_or(FORM))
                        .collect::<Result<_, _>>()?,
                    _ => return Err(FORM.to_owned()),
                };
                for text in texts {
                    all.push(parse(name.get_ref(), text)?);
                }
            }
            if all.len() > ENTRIES_MAX {
                return Err(format!("must not hold more than {ENTRIES_MAX} entries"));
            }
            Ok(all)
        });
        fields.unwrap_or_default()
    }

    /// A whole number from 1 to `max`; `None` without the key.
    pub(super) fn count(&mut self, name: &str, max: u64) -> Option<u64> {
        let why = || format!("must be a whole number from 1 to {max}");
        self.value(name, |value| match value {
            DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .filter(|number| (1..=max).contains(number))
                .ok_or_else(why),
            _ => Err(why()),
        })
    }

    /// A number of bytes, as a number or as a text with a unit; `None` without the key.
    pub(super) fn bytes(&mut self, name: &str, max: u64) -> Option<u64> {
        let bounded = |number: u64| {
            let why = || format!("must be a number of bytes from 1 to {max}, such as 512MiB");
            Some(number)
                .filter(|number| (1..=max).contains(number))
                .ok_or_else(why)
        };
        self.value(name, |value| match value {
            DeValue::Integer(integer) => {
                let number = u64::from_str_radix(integer.as_str(), integer.radix());
                bounded(number.unwrap_or_default())
            }
            DeValue::String(text) => bounded(parse_bytes(text)?),
            _ => Err("must be a number of bytes, such as 1048576 or \"512MiB\"".to_owned()),
        })
    }

    /// `true` or `false`; `None` without the key.
    pub(super) fn switch(&mut self, name: &str) -> Option<bool> {
        self.value(name, |value| match value {
            DeValue::Boolean(on) => Ok(*on),
            _ => Err("must be true or false".to_owned()),
        })
    }

    /// Says that something is wrong with the table as a whole, told of the key `name`.
    pub(super) fn problem(&mut self, why: String, name: &str) {
        self.problem_at(self.start, why, name);
    }

    fn find(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        let mut entries = self.table.iter();
        entries
            .find(|(key, _)| key.get_ref() == name)
            .map(|(_, value)| value)
    }

    fn value<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.find(name)?;
        match read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(why) => {
                self.problem_at(value.span().start, why, name);
                None
            }
        }
    }

    fn problem_at(&mut self, start: usize, why: String, name: &str) {
        let key = format!("{}.{name}", self.kind.name);
        let problem = Problem::of_key(key, self.lines.origin(start), why);
        self.problems.push(problem);
    }

    fn unknown_keys(&mut self) {
        let is_known = |key: &Spanned<Cow<'_, str>>| self.kind.keys.contains(&&**key.get_ref());
        let unknown: Vec<_> = self.table.keys().filter(|key| !is_known(key)).collect();
        for key in unknown {
            let name = key.get_ref();
            let keys = self.kind.keys;
            let why = match nearest(name, keys.iter().map(|key| (*key).to_owned())) {
                Some(near) => format!("no such key; did you mean {near}?"),
                None => format!("no such key; a rule has {}", keys.join(", ")),
            };
            self.problem_at(key.span().start, why, &shorten(name));
        }
    }
}

/// A table as it is shown: where it was written, and its keys with their values.
pub(super) struct Shown {
    /// Where it was written.
    pub(super) origin: String,
    /// Its keys, in the order of their kind, without those that were left out.
    pub(super) entries: Vec<(&'static str, Entry)>,
}

/// A value in a table.
pub(super) enum Entry {
    /// A list of texts.
    Texts(Vec<String>),
    /// A text.
    Text(String),
    /// Texts by name.
    Fields(Vec<(String, String)>),
    /// A count.
    Number(u64),
    /// A number of bytes, and how it is written.
    Bytes(u64),
    /// On or off.
    Switch(bool),
}

impl Entry {
    pub(super) fn texts<T: ToString>(values: &[T]) -> Self {
        Self::Texts(values.iter().map(ToString::to_string).collect())
    }

    pub(super) fn to_toml(&self) -> String {
        match self {
            Self::Texts(texts) => list(texts.iter().map(|text| quote(text))),
            Self::Text(text) => quote(text),
            Self::Fields(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, text)| format!("{name} = {}", quote(text)));
                format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => quote(&super::number::format_bytes(*bytes)),
            Self::Switch(on) => on.to_string(),
        }
    }

    /// As JSON, where bytes are a number.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Texts(texts) => texts.clone().into(),
            Self::Text(text) => text.clone().into(),
            Self::Fields(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, text)| (name.clone(), text.clone().into()));
                serde_json::Value::Object(fields.collect())
            }
            Self::Number(number) | Self::Bytes(number) => (*number).into(),
            Self::Switch(on) => (*on).into(),
        }
    }
}
