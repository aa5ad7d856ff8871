//! Request header fields: an ordered multi-map with case-insensitive names.
//!
//! All names and values live in one string, so a request's headers cost two allocations.

use std::fmt;

/// Header fields in the order in which they arrived.
#[derive(Clone, Default)]
pub struct Headers {
    text: String,
    fields: Vec<Field>,
}

/// Byte offsets into `Headers::text`: name, then value, both contiguous.
#[derive(Clone, Copy)]
struct Field {
    name_start: usize,
    value_start: usize,
    value_end: usize,
}

impl Headers {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields yet, with room for `fields` of them and `text_bytes` of names and values.
    pub(super) fn with_capacity(fields: usize, text_bytes: usize) -> Self {
        Self {
            text: String::with_capacity(text_bytes),
            fields: Vec::with_capacity(fields),
        }
    }

    /// Adds a field after those that are there, also when the name is there already.
    pub fn push(&mut self, name: &str, value: &str) {
        let name_start = self.text.len();
        self.text.push_str(name);
        let value_start = self.text.len();
        self.text.push_str(value);
        self.fields.push(Field {
            name_start,
            value_start,
            value_end: self.text.len(),
        });
    }

    /// Adds a field whose value came off the wire: UTF-8 where it is, else ISO-8859-1,
    /// which is what the octets above 127 mean to the clients that still send them.
    pub(super) fn push_bytes(&mut self, name: &str, value: &[u8]) {
        if let Ok(value) = std::str::from_utf8(value) {
            self.push(name, value);
        } else {
            let value: String = value.iter().map(|byte| char::from(*byte)).collect();
            self.push(name, &value);
        }
    }

    /// The value of the first field called `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|field| field.0.eq_ignore_ascii_case(name))
            .map(|field| field.1)
    }

    /// The values of all fields called `name`, in any case, in the order of arrival.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.iter()
            .filter(move |field| field.0.eq_ignore_ascii_case(name))
            .map(|field| field.1)
    }

    /// All fields as (name as it was sent, value).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| {
            (
                &self.text[field.name_start..field.value_start],
                &self.text[field.value_start..field.value_end],
            )
        })
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether the comma-separated list in all fields called `name` holds `token`, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.push(name, value);
        }
        headers
    }
}
