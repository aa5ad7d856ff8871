//! Tags that never move: once set they stay on their manifest, and neither they nor it go.

use crate::oci::{Glob, Tag, TagGlob};

/// A `[[immutable]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Immutable {
    /// Of which repositories.
    pub repositories: Vec<Glob>,
    /// Which of their tags.
    pub tags: Vec<TagGlob>,
    /// Where it was written, for people.
    pub origin: String,
}

impl Immutable {
    /// Whether it speaks of this tag, in a repository that it speaks of.
    pub fn holds(&self, tag: &Tag) -> bool {
        self.tags.iter().any(|glob| glob.matches(tag))
    }
}
