//! What an operator is told: plain values with times in RFC 3339 and sizes in bytes.

use serde::{Deserialize, Serialize};

use crate::clock::{rfc3339, rfc3339_ms, unix_ms};
use crate::registry::history::TagTime;
use crate::store::catalog::{Ended, RemovedPlace, RepositoryRow, TagRow};

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Reply {
    /// A page of repositories, by name.
    Repositories {
        /// The repositories.
        repositories: Vec<RepositoryView>,
        /// Whether more follow.
        more: bool,
    },
    /// One repository.
    Repository(RepositoryDetail),
    /// A repository that has another name now.
    Renamed(RepositoryView),
    /// A repository that was removed.
    RepositoryRemoved(RepositoryRemoved),
    /// A page of tags, by name.
    Tags {
        /// The tags.
        tags: Vec<TagView>,
        /// Whether more follow.
        more: bool,
    },
    /// Tags that were removed.
    TagsRemoved(TagsRemoved),
    /// A tag that was set, as it is now.
    TagSet(TagSet),
    /// What a tag pointed to, the latest first.
    History(HistoryView),
    /// What was brought back.
    Restored(Restored),
    /// A page of manifests that can be brought back.
    RemovedManifests {
        /// The manifests, those that are removed longest first.
        manifests: Vec<RemovedView>,
        /// Where the next page begins; none when this is the last.
        next: Option<RemovedPlace>,
    },
    /// A page of tags that can be brought back.
    RemovedTags {
        /// The tags, those that are removed longest first.
        tags: Vec<RemovedView>,
        /// Where the next page begins; none when this is the last.
        next: Option<RemovedPlace>,
    },
    /// What the store takes.
    StoreUsage(StoreUsage),
    /// A page of what repositories take, by name.
    RepositoryUsages {
        /// The repositories.
        repositories: Vec<Usage>,
        /// Whether more follow.
        more: bool,
    },
    /// What a repository or a tag takes.
    Usage(Usage),
}

/// What a repository holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryView {
    /// Its name.
    pub name: String,
    /// When its first content arrived.
    pub created_at: String,
    /// Tags.
    pub tags: u64,
    /// Manifests.
    pub manifests: u64,
    /// Sum of the sizes of its manifests and blobs.
    pub bytes: u64,
    /// The part of it that no other repository holds.
    pub alone_bytes: u64,
}

/// A repository with its newest tags and its past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryDetail {
    /// What it holds.
    #[serde(flatten)]
    pub repository: RepositoryView,
    /// Blobs.
    pub blobs: u64,
    /// When a tag was set last.
    pub set_at: Option<String>,
    /// The tags that were set last, the last first.
    pub newest_tags: Vec<TagView>,
    /// What was removed from it and can be brought back.
    pub removed: Option<PastView>,
}

/// What was removed from a repository and can be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastView {
    /// Manifests.
    pub manifests: u64,
    /// Bytes that nothing else needs.
    pub alone_bytes: u64,
    /// When the time to bring back the last of them ends.
    pub until: Option<String>,
}

/// A repository that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRemoved {
    /// What it held.
    #[serde(flatten)]
    pub repository: RepositoryView,
    /// Until when it can be brought back; not at all without.
    pub until: Option<String>,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagView {
    /// Its name.
    pub name: String,
    /// The manifest that it points to.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// What a pull of it and all its children takes, each blob once; none when there are too many
    /// of them to be counted in passing.
    pub bytes: Option<u64>,
    /// When it was last set.
    pub set_at: String,
    /// By whom; none when nobody was logged in.
    pub set_by: Option<String>,
    /// When it is to be removed.
    pub expires_at: Option<String>,
    /// When it was last pulled.
    pub pulled_at: Option<String>,
    /// How often it was.
    pub pulls: u64,
}

/// A tag that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagSet {
    /// Its repository.
    pub repository: String,
    /// The tag as it is now.
    #[serde(flatten)]
    pub tag: TagView,
    /// Whether it points to something else than before.
    pub moved: bool,
    /// Manifests that were brought back for it.
    pub restored: u64,
}

/// Tags that were removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagsRemoved {
    /// Their repository.
    pub repository: String,
    /// The tags.
    pub tags: Vec<String>,
    /// Manifests that went with them.
    pub manifests: u64,
    /// Until when they can be brought back; not at all without.
    pub until: Option<String>,
}

/// What a tag pointed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The latest first.
    pub history: Vec<TimeView>,
}

/// A time in which a tag pointed to one manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeView {
    /// The manifest.
    pub digest: String,
    /// When it began.
    pub set_at: String,
    /// Who began it.
    pub set_by: Option<String>,
    /// When it ended; none for what the tag points to now.
    pub ended_at: Option<String>,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// `current`, `moved`, `removed`, or `removed_with_manifest`.
    pub how: String,
    /// Where the manifest is: `here`, `removed` when it can be brought back, or `gone`.
    pub manifest: String,
}

/// What was brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The repository.
    pub repository: String,
    /// How many manifests.
    pub manifests: u64,
    /// How many tags.
    pub tags: u64,
    /// The first of these tags.
    pub first_tags: Vec<String>,
}

/// A tag or a manifest that can be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedView {
    /// The repository.
    pub repository: String,
    /// The tag; none for a manifest.
    pub tag: Option<String>,
    /// The manifest.
    pub digest: String,
    /// When it was removed.
    pub removed_at: String,
    /// By whom, where that is known.
    pub removed_by: Option<String>,
    /// When the time to bring it back ends.
    pub until: String,
}

/// What the store takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreUsage {
    /// Repositories.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests, with those that can be brought back.
    pub manifests: u64,
    /// Sum of their sizes.
    pub manifest_bytes: u64,
    /// Blobs.
    pub blobs: u64,
    /// Sum of their sizes.
    pub blob_bytes: u64,
    /// What more there would be if each repository had its own copy of its blobs.
    pub saved_bytes: u64,
    /// Sum of the sizes of blobs that only what was removed still needs.
    pub past_bytes: u64,
    /// When the last of what was removed can be brought back no more.
    pub past_until: Option<String>,
}

/// What a repository or an image takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The repository or tag.
    pub name: String,
    /// Sum of the sizes of blobs that nothing else uses: what its removal would free.
    pub alone_bytes: u64,
    /// Sum of the sizes of blobs that it shares: what deduplication saves here.
    pub shared_bytes: u64,
    /// Sum of the sizes of the manifests that would go with it.
    pub manifest_bytes: u64,
    /// Of a repository: sum of the sizes of blobs that only what was removed from it needs.
    pub past_bytes: Option<u64>,
    /// When the last of that can be brought back no more.
    pub past_until: Option<String>,
}

impl From<RepositoryRow> for RepositoryView {
    fn from(row: RepositoryRow) -> Self {
        Self {
            name: row.name.to_string(),
            created_at: rfc3339(unix_ms(row.created_at)),
            tags: row.tags,
            manifests: row.manifests,
            bytes: row.manifest_bytes + row.blob_bytes,
            alone_bytes: row.alone_bytes,
        }
    }
}

impl TagView {
    /// The view of a row whose image takes so much.
    pub(super) fn of(row: TagRow, bytes: Option<u64>) -> Self {
        let time = |time| rfc3339(unix_ms(time));
        Self {
            name: row.name,
            digest: row.digest.to_string(),
            media_type: row.media_type.to_string(),
            bytes,
            set_at: rfc3339_ms(unix_ms(row.set_at)),
            set_by: row.set_by,
            expires_at: row.expires_at.map(time),
            pulled_at: row.pulled_at.map(time),
            pulls: row.pulls,
        }
    }
}

impl TimeView {
    /// The view of such a time, whose manifest is where `manifest` says.
    pub(super) fn of(time: TagTime, manifest: &str) -> Self {
        let at = |time| rfc3339_ms(unix_ms(time));
        let end = time.end.as_ref();
        Self {
            digest: time.digest.to_string(),
            set_at: at(time.set_at),
            set_by: time.set_by,
            ended_at: end.map(|end| at(end.at)),
            ended_by: end.and_then(|end| end.by.clone()),
            how: end.map_or("current", |end| how(end.how)).to_owned(),
            manifest: manifest.to_owned(),
        }
    }
}

const fn how(ended: Ended) -> &'static str {
    match ended {
        Ended::Moved => "moved",
        Ended::Removed => "removed",
        Ended::RemovedWithManifest => "removed_with_manifest",
    }
}
