//! Lists and maps of a manifest that are bounded while they are read: a document of a few megabytes
//! must not become hundreds of megabytes of values before somebody counts them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The most entries of one list or map of a manifest, whatever a registry's own bound is.
pub const ENTRIES_MAX: usize = 20_000;

/// A list of at most [`ENTRIES_MAX`] entries.
pub(super) struct List<T>(pub(super) Vec<T>);

/// A map of at most [`ENTRIES_MAX`] texts.
pub(super) struct Texts(pub(super) BTreeMap<String, String>);

/// Whether a list has an entry; the entries themselves are not kept.
pub(super) struct NotEmpty(pub(super) bool);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = entries.next_element()? {
                    if list.len() == ENTRIES_MAX {
                        return Err(A::Error::custom(too_many()));
                    }
                    list.push(entry);
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Texts, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((key, value)) = entries.next_entry()? {
                    if map.len() == ENTRIES_MAX {
                        return Err(A::Error::custom(too_many()));
                    }
                    map.insert(key, value);
                }
                Ok(Texts(map))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for NotEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = NotEmpty;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<NotEmpty, A::Error> {
                let mut found = false;
                while entries.next_element::<IgnoredAny>()?.is_some() {
                    found = true;
                }
                Ok(NotEmpty(found))
            }
        }

        deserializer.deserialize_seq(Entries)
    }
}

fn too_many() -> String {
    format!("a list or map has more than {ENTRIES_MAX} entries")
}
