//! Repositories: rows that come with their first content and go with their last.

use super::transaction::{ReadTx, WriteTx, statements};
use super::values::limit;
use crate::oci::RepositoryName;
use crate::store::Error;

statements! {
    ID = "SELECT id FROM repository WHERE name = ?1";
    // The names of pasts, which begin with '~', sort behind all others.
    LIST = "SELECT name FROM repository WHERE name > ?1 AND name < '~' ORDER BY name LIMIT ?2";
    INSERT = "INSERT INTO repository (name, created_at) VALUES (?1, ?2) RETURNING id";
    DELETE_EMPTY = "DELETE FROM repository WHERE id = ?1
        AND NOT EXISTS (SELECT 1 FROM manifest WHERE repository_id = ?1)
        AND NOT EXISTS (SELECT 1 FROM repository_blob WHERE repository_id = ?1)";
}

impl ReadTx<'_> {
    /// Whether the repository exists, which it does while it holds a manifest or a blob.
    pub fn repository_exists(&self, name: &RepositoryName) -> Result<bool, Error> {
        self.repository_id(name).map(|id| id.is_some())
    }

    /// Up to `limit` repository names after `last`, in byte order.
    pub fn repositories(&self, last: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        // No name is empty, so every name sorts after the empty text.
        let params = (last.unwrap_or_default(), self::limit(limit));
        self.all(LIST, params, |row| row.get(0))
            .map_err(|error| self.failed(&error, "listing", "repositories"))
    }

    pub(super) fn repository_id(&self, name: &RepositoryName) -> Result<Option<i64>, Error> {
        self.one(ID, (name.as_str(),), |row| row.get(0))
            .map_err(|error| self.failed(&error, "looking up the repository", name))
    }
}

impl WriteTx<'_> {
    /// The id of the repository, which is made when it is missing.
    pub(super) fn ensure_repository(&self, name: &RepositoryName) -> Result<i64, Error> {
        if let Some(id) = self.repository_id(name)? {
            return Ok(id);
        }
        let params = (name.as_str(), self.now_ms());
        let id = self.one(INSERT, params, |row| row.get(0));
        id.and_then(|id| id.ok_or(rusqlite::Error::QueryReturnedNoRows))
            .and_then(|id| self.join_groups(id, name).map(|()| id))
            .map_err(|error| self.failed(&error, "making the repository", name))
    }

    /// Removes the repository when nothing is left in it.
    pub(super) fn delete_empty_repository(&self, id: i64) -> Result<(), Error> {
        self.execute(DELETE_EMPTY, (id,))
            .map(|_| ())
            .map_err(|error| self.failed(&error, "removing", "an empty repository"))
    }
}
