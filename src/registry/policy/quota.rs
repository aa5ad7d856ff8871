//! How much a repository, some of them or all together may hold.

use std::fmt;

use crate::oci::{Glob, RepositoryName};

/// A `[[quota]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Of which repositories.
    pub repositories: Vec<Glob>,
    /// The most bytes of blobs and manifests.
    pub bytes: Option<u64>,
    /// The most tags.
    pub tags: Option<u64>,
    /// Whether the bounds hold for each of the repositories, or for all of them together.
    pub each: bool,
    /// Where it was written, for people.
    pub origin: String,
}

/// What is held, or what a change would add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of blobs and manifests.
    pub bytes: u64,
    /// Tags.
    pub tags: u64,
}

/// What a bound is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Bytes of blobs and manifests.
    Bytes,
    /// Tags.
    Tags,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Tags => "tags",
        })
    }
}

/// A change that a quota does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// What there would be too much of.
    pub measure: Measure,
    /// The bound.
    pub limit: u64,
    /// What is held.
    pub used: u64,
    /// What the change would add; at least 1.
    pub asked: u64,
    /// The repository, when the bound is that of each; `None` for several together.
    pub repository: Option<RepositoryName>,
    /// Where the quota was written.
    pub origin: String,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            measure,
            limit,
            used,
            asked,
            repository,
            origin,
        } = self;
        match repository {
            Some(name) => write!(f, "repository {name} may hold ")?,
            None => f.write_str("the repositories under this quota may together hold ")?,
        }
        write!(
            f,
            "at most {limit} {measure}, holds {used} and would need {asked} more (quota in \
             {origin}); delete manifests that nobody needs, or ask for more"
        )
    }
}

impl Quota {
    /// Whether it counts what the store holds, each blob once, and not what repositories hold.
    pub fn is_of_store(&self) -> bool {
        !self.each && self.repositories.iter().any(Glob::is_everything)
    }

    /// What the catalog knows the group of its repositories by, when they share it.
    pub fn group(&self) -> String {
        let globs: Vec<&str> = self.repositories.iter().map(Glob::as_str).collect();
        globs.join(" ")
    }

    /// What keeps `more` from being added to `used`, if anything. What adds nothing is never
    /// refused, also where a quota was lowered below what is held.
    pub fn excess(&self, repository: &RepositoryName, used: Usage, more: Usage) -> Option<Excess> {
        let measures = [
            (Measure::Bytes, self.bytes, used.bytes, more.bytes),
            (Measure::Tags, self.tags, used.tags, more.tags),
        ];
        measures
            .into_iter()
            .find_map(|(measure, limit, used, asked)| {
                let limit = limit?;
                let is_too_much = asked > 0 && used.saturating_add(asked) > limit;
                is_too_much.then(|| Excess {
                    measure,
                    limit,
                    used,
                    asked,
                    repository: self.each.then(|| repository.clone()),
                    origin: self.origin.clone(),
                })
            })
    }
}
