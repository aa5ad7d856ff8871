//! The end of a repository as a whole: what its manifests leave behind.
//!
//! Blobs that nothing uses keep no repository in the catalog: they wait for collection with its
//! past, where no client finds them.

use super::past::past_name;
use super::transaction::{WriteTx, statements};
use super::values::{DigestColumn, limit};
use crate::oci::{Digest, RepositoryName};
use crate::store::Error;

statements! {
    UNUSED = "SELECT digest FROM repository_blob WHERE repository_id = ?1 AND uses = 0 LIMIT ?2";
    COLLECT_NOW = "UPDATE repository_blob SET collect_after = ?3
        WHERE repository_id = ?1 AND digest = ?2 AND uses = 0";
    OF_PAST = "SELECT m.id, m.repository_id FROM repository r
        JOIN manifest m ON m.repository_id = r.id WHERE r.name = ?1 LIMIT ?2";
}

/// Rows that are worked on at once.
const PART: usize = 500;

impl WriteTx<'_> {
    /// Takes all blobs that nothing uses from the repository (and the repository, when that was
    /// its last content); they may be collected at once. How many there were.
    pub fn retire_blobs(&mut self, name: &RepositoryName) -> Result<usize, Error> {
        let Some(repository) = self.repository_id(name)? else {
            return Ok(0);
        };
        let mut count = 0;
        loop {
            let part = self
                .retire_part(name, repository)
                .map_err(|error| self.failed(&error, "retiring the blobs of", name))?;
            count += part;
            if part < PART {
                break;
            }
        }
        self.delete_empty_repository(repository)?;
        Ok(count)
    }

    fn retire_part(&self, name: &RepositoryName, repository: i64) -> rusqlite::Result<usize> {
        let params = (repository, limit(PART));
        let unused: Vec<Digest> = self.all(UNUSED, params, |row| row.get(0))?;
        if unused.is_empty() {
            return Ok(0);
        }
        let past = self.ensure_past(name)?;
        for digest in &unused {
            self.link(past, digest)?;
            let params = (past, DigestColumn::from(digest), self.now_ms());
            self.execute(COLLECT_NOW, params)?;
            self.unlink(repository, digest)?;
        }
        Ok(unused.len())
    }

    /// Forgets all that was removed from the repository before; how many manifests went.
    pub fn forget_past(&mut self, name: &RepositoryName) -> Result<usize, Error> {
        let mut count = 0;
        loop {
            let forget = || {
                let params = (past_name(name), limit(PART));
                let part = self.all(OF_PAST, params, |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
                })?;
                for (manifest, past) in &part {
                    let references = self.references_of(*manifest)?;
                    self.forget(*past, *manifest, &references)?;
                }
                Ok(part)
            };
            let part =
                forget().map_err(|error| self.failed(&error, "forgetting the past of", name))?;
            count += part.len();
            if let Some((_, past)) = part.first() {
                self.delete_empty_repository(*past)?;
            }
            if part.len() < PART {
                return Ok(count);
            }
        }
    }
}
