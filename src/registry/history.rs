//! What a tag pointed to, and when: the rows of its history as times without gaps of their own.

use std::time::SystemTime;

use super::{Error, Registry};
use crate::oci::{Digest, MediaType, RepositoryName, Tag};
use crate::store::Error as StoreError;
use crate::store::catalog::{Ended, PastTag, ReadTx, TAG_HISTORY_MAX, TagRow};

/// The most rows that are looked at. A repository that took the name of another has both
/// histories, until the tag is moved the next time.
const ROWS_MAX: usize = 4 * TAG_HISTORY_MAX;

/// A time in which a tag pointed to one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagTime {
    /// Counts up with the ends of such times; that of now is the last of all.
    pub id: i64,
    /// The manifest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size: u64,
    /// When it began.
    pub set_at: SystemTime,
    /// Who began it; `None` when nobody was logged in.
    pub set_by: Option<String>,
    /// How it ended; `None` for what the tag points to now.
    pub end: Option<End>,
}

/// The end of such a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: SystemTime,
    /// By whom; `None` when nobody was logged in.
    pub by: Option<String>,
    /// How.
    pub how: Ended,
}

impl Registry {
    /// What the tag pointed to, now and before, the latest first. A tag that never was has none.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] when there is no such repository, although it may have had the tag;
    /// [`Error::Store`].
    pub fn tag_history(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Vec<TagTime>, Error> {
        self.catalog.read(|tx| {
            if !tx.repository_exists(repository)? {
                return Err(Error::NameUnknown {
                    name: repository.clone(),
                });
            }
            Ok(times(tx, repository, tag)?)
        })
    }
}

/// What the tag pointed to, now and before, the latest first.
pub(super) fn times(
    tx: &ReadTx<'_>,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Vec<TagTime>, StoreError> {
    let now = tx.tag_row(repository, tag)?.map(of_now);
    let past = tx.tag_history(repository, tag, None, ROWS_MAX)?;
    let mut times: Vec<TagTime> = now
        .into_iter()
        .chain(past.into_iter().map(of_past))
        .collect();
    for at in 1..times.len() {
        let (later, earlier) = times.split_at_mut(at);
        let (Some(later), Some(End { at, by, how })) = (later.last_mut(), &earlier[0].end) else {
            continue;
        };
        // The row knows when the tag was set the last time, which may have been to the same again.
        if *how == Ended::Moved {
            later.set_at = *at;
            later.set_by.clone_from(by);
        }
    }
    Ok(times)
}

/// What the tag pointed to at a time.
pub(super) fn at(times: &[TagTime], time: SystemTime) -> Option<&TagTime> {
    let is_then =
        |own: &&TagTime| own.set_at <= time && own.end.as_ref().is_none_or(|end| time < end.at);
    times.iter().find(is_then)
}

fn of_now(row: TagRow) -> TagTime {
    TagTime {
        id: i64::MAX,
        digest: row.digest,
        media_type: row.media_type,
        size: row.size,
        set_at: row.set_at,
        set_by: row.set_by,
        end: None,
    }
}

fn of_past(row: PastTag) -> TagTime {
    TagTime {
        id: row.id,
        digest: row.digest,
        media_type: row.media_type,
        size: row.size,
        set_at: row.set_at,
        set_by: row.set_by,
        end: Some(End {
            at: row.ended_at,
            by: row.ended_by,
            how: row.ended,
        }),
    }
}
