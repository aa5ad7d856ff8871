//! `coracle repo …`, `tag …`, `undelete` and `du`: what can be typed about repositories and tags.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::accounts::{FolderArgs, life};
use crate::clock::parse_rfc3339;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::admin::Target;

/// `coracle repo …`.
#[derive(Clone, Debug, Subcommand)]
pub enum RepoCommand {
    /// List all repositories with what they hold
    List(FolderArgs),
    /// Show a repository: what it holds, its newest tags, what can be brought back
    Show {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: RepositoryName,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Give a repository another name, with its tags, their history and what was removed from it
    Rename {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: RepositoryName,
        /// Its new name, which must be free
        #[arg(value_name = "NEW")]
        to: RepositoryName,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Remove a repository with all that it holds; `coracle undelete` brings it back for a time
    Remove {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: RepositoryName,
        /// For good, with all that was removed from it before: its room is free with the next
        /// collection
        #[arg(long)]
        now: bool,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
}

/// `coracle tag …`.
#[derive(Clone, Debug, Subcommand)]
pub enum TagCommand {
    /// List the tags of a repository
    List {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: RepositoryName,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Remove tags, all of them or none; `coracle undelete` brings one back for a time
    Remove {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: RepositoryName,
        /// The tags
        #[arg(value_name = "TAG", required = true)]
        tags: Vec<Tag>,
        /// For good, with the manifests that nothing else holds: their room is free with the next
        /// collection
        #[arg(long)]
        now: bool,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Make a tag, or move it to another manifest
    #[command(visible_alias = "move")]
    Set {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: RepositoryName,
        /// The tag
        #[arg(value_name = "TAG")]
        tag: Tag,
        /// What it is to point to: a manifest of the repository, or what another tag points to
        #[arg(value_name = "DIGEST|TAG")]
        to: Reference,
        /// How long it is to live, such as 12h or 7d; for ever without
        #[arg(long, value_name = "TIME", value_parser = life)]
        expires: Option<Duration>,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Tell what a tag pointed to, when, and by whom
    History {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: RepositoryName,
        /// The tag
        #[arg(value_name = "TAG")]
        tag: Tag,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Move a tag back to what it pointed to before
    #[command(after_help = "Examples:\n  \
                            coracle tag rollback team/app latest\n  \
                            coracle tag rollback team/app latest --at 2026-03-01T12:00:00Z")]
    Rollback {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: RepositoryName,
        /// The tag
        #[arg(value_name = "TAG")]
        tag: Tag,
        /// To this manifest, which it pointed to once
        #[arg(long, value_name = "DIGEST", conflicts_with = "at")]
        to: Option<Digest>,
        /// To what it pointed to at this time (RFC 3339)
        #[arg(long, value_name = "TIME", value_parser = time)]
        at: Option<i64>,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
}

/// `coracle undelete`.
#[derive(Args, Clone, Debug)]
pub struct UndeleteArgs {
    /// What to bring back: REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST
    #[arg(value_name = "TARGET", required_unless_present = "list")]
    pub target: Option<Target>,
    /// List what can be brought back and until when, of one repository or of all
    #[arg(long)]
    pub list: bool,
    /// Where and how.
    #[command(flatten)]
    pub common: FolderArgs,
}

/// `coracle du`.
#[derive(Args, Clone, Debug)]
pub struct DuArgs {
    /// Of what: REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST
    #[arg(value_name = "TARGET")]
    pub target: Option<Target>,
    /// Where and how.
    #[command(flatten)]
    pub common: FolderArgs,
}

impl RepoCommand {
    /// Where and how.
    pub const fn common(&self) -> &FolderArgs {
        match self {
            Self::List(common)
            | Self::Show { common, .. }
            | Self::Rename { common, .. }
            | Self::Remove { common, .. } => common,
        }
    }
}

impl TagCommand {
    /// Where and how.
    pub const fn common(&self) -> &FolderArgs {
        match self {
            Self::List { common, .. }
            | Self::Remove { common, .. }
            | Self::Set { common, .. }
            | Self::History { common, .. }
            | Self::Rollback { common, .. } => common,
        }
    }
}

/// A time in milliseconds since 1970.
fn time(text: &str) -> Result<i64, &'static str> {
    parse_rfc3339(text).ok_or("it must be a time as in 2026-03-01T12:00:00Z")
}
