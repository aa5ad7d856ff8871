//! How often and when tags and manifests were last pulled. Written in rare batches: nothing on the
//! pull path writes.

use std::time::SystemTime;

use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, time};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::Error;

statements! {
    OF_TAG = "SELECT t.pulls, t.pulled_at FROM repository r
        JOIN tag t ON t.repository_id = r.id WHERE r.name = ?1 AND t.name = ?2";
    OF_MANIFEST = "SELECT p.pulls, p.pulled_at FROM repository r
        JOIN manifest m ON m.repository_id = r.id
        JOIN manifest_pull p ON p.manifest_id = m.id WHERE r.name = ?1 AND m.digest = ?2";
    // The tag may have moved since: then it was not what was pulled.
    ADD_TO_TAG = "UPDATE tag SET pulls = pulls + ?4, pulled_at = max(ifnull(pulled_at, ?5), ?5)
        WHERE repository_id = ?1 AND name = ?2 AND manifest_id = ?3";
    ADD_TO_MANIFEST = "INSERT INTO manifest_pull (manifest_id, pulls, pulled_at)
        VALUES (?1, ?2, ?3)
        ON CONFLICT DO UPDATE SET pulls = pulls + excluded.pulls,
            pulled_at = max(pulled_at, excluded.pulled_at)";
}

/// How often and when something was last pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullCount {
    /// How often.
    pub pulls: u64,
    /// When last; `None` for never.
    pub last_at: Option<SystemTime>,
}

fn count(row: &rusqlite::Row<'_>) -> rusqlite::Result<PullCount> {
    Ok(PullCount {
        pulls: row.get::<_, Count>(0)?.0,
        last_at: row.get::<_, Option<i64>>(1)?.map(time),
    })
}

impl ReadTx<'_> {
    /// The pulls of a tag, as far as they were written; `None` when there is no such tag.
    pub fn tag_pulls(&self, name: &RepositoryName, tag: &Tag) -> Result<Option<PullCount>, Error> {
        self.one(OF_TAG, (name.as_str(), tag.as_str()), count)
            .map_err(|error| self.failed(&error, COUNTING, format_args!("{name}:{tag}")))
    }

    /// The pulls of a manifest, by whatever name, as far as they were written.
    pub fn manifest_pulls(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<PullCount, Error> {
        self.one(
            OF_MANIFEST,
            (name.as_str(), DigestColumn::from(digest)),
            count,
        )
        .map(Option::unwrap_or_default)
        .map_err(|error| self.failed(&error, COUNTING, format_args!("{name}@{digest}")))
    }
}

impl WriteTx<'_> {
    /// Adds pulls of a manifest, the last of them at `last_at` (milliseconds since 1970), to it and
    /// to the tag by which it was pulled. What is not there any more is passed over.
    pub fn add_pulls(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        tag: Option<&Tag>,
        pulls: u64,
        last_at: i64,
    ) -> Result<(), Error> {
        let Some(repository) = self.repository_id(name)? else {
            return Ok(());
        };
        let add = || {
            let Some(manifest) = self.manifest_id(repository, digest)? else {
                return Ok(());
            };
            self.execute(ADD_TO_MANIFEST, (manifest, Count(pulls), last_at))?;
            if let Some(tag) = tag {
                let params = (repository, tag.as_str(), manifest, Count(pulls), last_at);
                self.execute(ADD_TO_TAG, params)?;
            }
            Ok(())
        };
        add().map_err(|error| self.failed(&error, COUNTING, format_args!("{name}@{digest}")))
    }
}

const COUNTING: &str = "counting the pulls of";
