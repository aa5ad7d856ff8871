//! Why an operator's command was not done.

use std::fmt;
use std::time::SystemTime;

use super::Target;
use crate::clock::{rfc3339, unix_ms};
use crate::oci::{Digest, RepositoryName, RepositoryNameError, Tag};
use crate::registry::Error;
use crate::store;

/// Why an operator's command was not done. Whatever the variant, nothing was changed by it.
#[derive(Debug)]
pub enum AdminError {
    /// No such repository, tag or manifest.
    Unknown(Target),
    /// The name that a repository should get is another's.
    Taken(RepositoryName),
    /// What is to be brought back is there.
    Exists(Target),
    /// There is nothing that could be brought back.
    NothingRemoved(Target),
    /// The time to bring it back is over.
    WindowOver {
        /// What.
        target: Target,
        /// When it ended.
        ended: SystemTime,
    },
    /// Undo is switched off.
    UndoOff,
    /// A manifest was removed and has to be brought back first.
    ManifestRemoved {
        /// The repository.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
    },
    /// The manifest that a tag pointed to is gone for good.
    ManifestGone {
        /// The manifest.
        digest: Digest,
    },
    /// The tag never pointed to the manifest, as far as its history goes back.
    NeverPointed {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
        /// The manifest.
        digest: Digest,
    },
    /// The tag pointed to nothing at that time, as far as its history goes back.
    NothingThen {
        /// The tag.
        tag: Tag,
        /// The time.
        at: SystemTime,
    },
    /// The tag has never pointed to anything else, as far as its history goes back.
    NothingBefore {
        /// The tag.
        tag: Tag,
    },
    /// More is asked for at once than is done at once.
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// What should be a repository's name is none.
    Name(RepositoryNameError),
    /// A time to live that is none.
    Expiry,
    /// The clock is wrong, so that nothing can be given an end.
    Clock,
    /// The rules of the registry or its store say no.
    Registry(Error),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(target) => write!(f, "there is no {}", Kind(target)),
            Self::Taken(name) => write!(
                f,
                "there is a repository {name} already; choose another name, or remove it first"
            ),
            Self::Exists(target @ Target::Tag(name, tag)) => write!(
                f,
                "{} exists; `coracle tag rollback {name} {tag}` moves it back to what it pointed \
                 to before",
                Kind(target)
            ),
            Self::Exists(target) => write!(f, "{} exists, nothing was changed", Kind(target)),
            Self::NothingRemoved(target) => write!(
                f,
                "{}: nothing was removed that can be brought back; `coracle undelete --list` tells \
                 what can",
                Kind(target)
            ),
            Self::WindowOver { target, ended } => write!(
                f,
                "{} could be brought back until {}, which is over (undo.window_seconds)",
                Kind(target),
                rfc3339(unix_ms(*ended))
            ),
            Self::UndoOff => f.write_str(
                "undo is switched off, so what is removed is gone; undo.window_seconds sets how \
                 long it is kept",
            ),
            Self::ManifestRemoved { repository, digest } => write!(
                f,
                "the manifest {digest} was removed; bring it back first with \
                 `coracle undelete {repository}@{digest}`"
            ),
            Self::ManifestGone { digest } => write!(
                f,
                "the manifest {digest} is gone for good; push it again to set the tag to it"
            ),
            Self::NeverPointed {
                repository,
                tag,
                digest,
            } => write!(
                f,
                "the tag {tag} never pointed to {digest}, as far as its history goes back; \
                 `coracle tag set {repository} {tag} {digest}` sets it to any manifest"
            ),
            Self::NothingThen { tag, at } => write!(
                f,
                "the tag {tag} pointed to nothing at {}, as far as its history goes back",
                rfc3339(unix_ms(*at))
            ),
            Self::NothingBefore { tag } => write!(
                f,
                "the tag {tag} pointed to nothing else before, as far as its history goes back"
            ),
            Self::TooMany { what, limit } => {
                write!(f, "there are more than {limit} {what}, the most at once")
            }
            Self::Name(error) => error.fmt(f),
            Self::Expiry => f.write_str("a tag that expires lives for 1 second to 3650 days"),
            Self::Clock => {
                f.write_str("the clock is wrong, so that no tag can be given an end; set it first")
            }
            Self::Registry(error) => error.fmt(f),
        }
    }
}

/// A target with the word for what it is.
struct Kind<'t>(&'t Target);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.0 {
            Target::Repository(_) => "repository",
            Target::Tag(..) => "tag",
            Target::Manifest(..) => "manifest",
        };
        write!(f, "{word} {}", self.0)
    }
}

impl std::error::Error for AdminError {}

impl From<store::Error> for AdminError {
    fn from(error: store::Error) -> Self {
        Self::Registry(Error::Store(error))
    }
}

impl From<Error> for AdminError {
    fn from(error: Error) -> Self {
        Self::Registry(error)
    }
}
