//! What an operator declares about the content: how long tags are kept, how much there may be,
//! which tags never move. Pure values and decisions: no store, no clock.

pub mod immutable;
pub mod quota;
pub mod retention;
pub mod semver;

pub use immutable::Immutable;
pub use quota::{Excess, Quota, Usage};
pub use retention::{Decision, Retention, TagFacts, Verdict};

use crate::oci::{Glob, RepositoryName, Tag};

/// All rules, each list in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The `[[retention]]` tables; the first that fits a repository holds for it.
    pub retention: Vec<Retention>,
    /// The `[[quota]]` tables; all that fit hold.
    pub quotas: Vec<Quota>,
    /// The `[[immutable]]` tables; any that fits holds.
    pub immutable: Vec<Immutable>,
}

impl Rules {
    /// Puts other rules behind these.
    pub fn extend(&mut self, other: Self) {
        self.retention.extend(other.retention);
        self.quotas.extend(other.quotas);
        self.immutable.extend(other.immutable);
    }

    /// The rule by which the repository's tags and manifests are kept; without one all stay.
    pub fn retention_of(&self, repository: &RepositoryName) -> Option<&Retention> {
        self.retention
            .iter()
            .find(|rule| fits(&rule.repositories, repository))
    }

    /// The bounds that hold for the repository.
    pub fn quotas_of(&self, repository: &RepositoryName) -> impl Iterator<Item = &Quota> {
        self.quotas
            .iter()
            .filter(move |quota| fits(&quota.repositories, repository))
    }

    /// The rules about tags of the repository that never move.
    pub fn immutable_of(&self, repository: &RepositoryName) -> impl Iterator<Item = &Immutable> {
        self.immutable
            .iter()
            .filter(move |rule| fits(&rule.repositories, repository))
    }

    /// The rule that says that this tag never moves.
    pub fn immutable(&self, repository: &RepositoryName, tag: &Tag) -> Option<&Immutable> {
        self.immutable_of(repository).find(|rule| rule.holds(tag))
    }
}

/// Whether one of the patterns fits.
pub(super) fn fits(globs: &[Glob], repository: &RepositoryName) -> bool {
    globs.iter().any(|glob| glob.matches(repository, None))
}

#[cfg(test)]
mod tests;
