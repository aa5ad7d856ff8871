//! What an operator can ask about repositories and tags, and what is answered: the same values for
//! the control socket and for a folder that no server runs on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::catalog::RemovedPlace;

/// Something to be done to repositories and tags, or to be told about them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// List repositories, a page at a time.
    Repositories {
        /// The last name of the page before.
        after: Option<String>,
    },
    /// Show one.
    RepositoryShow {
        /// The repository.
        #[serde(with = "text")]
        repository: RepositoryName,
    },
    /// Give one another name.
    RepositoryRename {
        /// The repository.
        #[serde(with = "text")]
        repository: RepositoryName,
        /// Its new name.
        #[serde(with = "text")]
        to: RepositoryName,
    },
    /// Remove one with all that it holds.
    RepositoryRemove {
        /// The repository.
        #[serde(with = "text")]
        repository: RepositoryName,
        /// For good, with all that was removed from it before.
        now: bool,
    },
    /// List the tags of a repository, a page at a time.
    Tags {
        /// The repository.
        #[serde(with = "text")]
        repository: RepositoryName,
        /// The last tag of the page before.
        after: Option<String>,
    },
    /// Remove tags: all of them or none.
    TagRemove {
        /// The repository.
        #[serde(with = "text")]
        repository: RepositoryName,
        /// The tags.
        #[serde(with = "text::list")]
        tags: Vec<Tag>,
        /// For good, with the manifests that nothing else holds.
        now: bool,
    },
    /// Make or move a tag.
    TagSet {
        /// The repository.
        #[serde(with = "text")]
        repository: RepositoryName,
        /// The tag.
        #[serde(with = "text")]
        tag: Tag,
        /// What it is to point to: a manifest, or what another tag points to.
        #[serde(with = "text")]
        to: Reference,
        /// How long it is to live; for ever without.
        expires_seconds: Option<u64>,
    },
    /// Tell what a tag pointed to.
    TagHistory {
        /// The repository.
        #[serde(with = "text")]
        repository: RepositoryName,
        /// The tag.
        #[serde(with = "text")]
        tag: Tag,
    },
    /// Move a tag back.
    TagRollback {
        /// The repository.
        #[serde(with = "text")]
        repository: RepositoryName,
        /// The tag.
        #[serde(with = "text")]
        tag: Tag,
        /// To what.
        to: Earlier,
    },
    /// Bring back what was removed.
    Undelete {
        /// What.
        #[serde(with = "text")]
        target: Target,
    },
    /// List manifests that can be brought back, a page at a time.
    RemovedManifests {
        /// From one repository; from all without.
        repository: Option<String>,
        /// The place of the last of the page before.
        after: Option<RemovedPlace>,
    },
    /// List tags that can be brought back, a page at a time.
    RemovedTags {
        /// From one repository; from all without.
        repository: Option<String>,
        /// The place of the last of the page before.
        after: Option<RemovedPlace>,
    },
    /// Tell what the whole store takes.
    StoreUsage,
    /// Tell what each repository takes, a page at a time.
    RepositoryUsages {
        /// The last name of the page before.
        after: Option<String>,
    },
    /// Tell what a repository or a tag takes.
    Usage {
        /// Which.
        #[serde(with = "text")]
        target: Target,
    },
}

/// Which of the manifests that a tag pointed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Earlier {
    /// The one before.
    Before,
    /// This one.
    Digest(#[serde(with = "text")] Digest),
    /// The one of a time, in milliseconds since 1970.
    At(i64),
}

/// A repository, one of its tags or one of its manifests: `app`, `app:v1`, `app@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A repository.
    Repository(RepositoryName),
    /// A tag.
    Tag(RepositoryName, Tag),
    /// A manifest.
    Manifest(RepositoryName, Digest),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The name holds neither '@' nor ':', a digest holds ':'.
        if let Some((name, digest)) = text.split_once('@') {
            return Ok(Self::Manifest(parsed(name)?, parsed(digest)?));
        }
        match text.split_once(':') {
            Some((name, tag)) => Ok(Self::Tag(parsed(name)?, parsed(tag)?)),
            None => Ok(Self::Repository(parsed(text)?)),
        }
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(name) => name.fmt(f),
            Self::Tag(name, tag) => write!(f, "{name}:{tag}"),
            Self::Manifest(name, digest) => write!(f, "{name}@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_travel_as_json() {
        let command = Command::TagRemove {
            repository: "a/b".parse().expect("a name"),
            tags: vec!["v1".parse().expect("a tag"), "v2".parse().expect("a tag")],
            now: true,
        };
        let json = serde_json::to_string(&command).expect("JSON");
        assert_eq!(
            json,
            r#"{"do":"tag_remove","repository":"a/b","tags":["v1","v2"],"now":true}"#
        );
        assert_eq!(
            serde_json::from_str::<Command>(&json).expect("a command"),
            command
        );
        for wrong in [
            r#"{"do":"tag_remove","repository":"A","tags":["v1"],"now":true}"#,
            r#"{"do":"tag_remove","repository":"a","tags":[".v1"],"now":true}"#,
            r#"{"do":"tag_remove","repository":"a","tags":["v1"],"now":true,"why":"x"}"#,
            r#"{"do":"usage","target":"a@b"}"#,
        ] {
            assert!(serde_json::from_str::<Command>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_target_is_a_repository_a_tag_or_a_manifest() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for text in ["a", "a/b", "a/b:v1", &format!("a/b@{digest}")] {
            let target: Target = text.parse().expect(text);
            assert_eq!(target.to_string(), text);
        }
        for text in [
            "",
            ":",
            "a:",
            ":v1",
            "A",
            "a:b:c",
            "a@",
            "a@v1",
            "localhost:5000/a",
            &format!("a:v1@{digest}"),
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
