//! What repositories hold, alone and in groups: figures that the schema's triggers keep, read
//! beside the change that they may forbid. The bounds are rules of the registry.
//!
//! A group is known by its patterns over repository names, written with blanks between them; which
//! repositories are in it is decided when they are made or renamed.

use super::rows::{Growth, Held};
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn};
use crate::oci::{Digest, Glob, RepositoryName, Tag};
use crate::store::Error;

/// Repositories that are looked at in one go when a group is new.
const NAMES_AT_ONCE: usize = 1000;

statements! {
    REPOSITORY = "SELECT blob_bytes + manifest_bytes, tags FROM repository WHERE name = ?1";
    GROUP = "SELECT bytes, tags FROM quota_group WHERE pattern = ?1";
    GROUPS = "SELECT pattern, id FROM quota_group WHERE pattern > '' ORDER BY pattern";
    ADD_GROUP = "INSERT INTO quota_group (pattern) VALUES (?1) RETURNING id";
    REMOVE_GROUP = "DELETE FROM quota_group WHERE id = ?1";
    JOIN = "INSERT INTO quota_member (repository_id, group_id) VALUES (?1, ?2)
        ON CONFLICT DO NOTHING";
    LEAVE = "DELETE FROM quota_member WHERE repository_id = ?1";
    BLOB = "SELECT b.holders > 0, EXISTS (
            SELECT 1 FROM repository r JOIN repository_blob rb ON rb.repository_id = r.id
            WHERE r.name = ?2 AND rb.digest = ?1)
        FROM blob b WHERE b.digest = ?1";
    HAS_TAG = "SELECT 1 FROM repository r JOIN tag t ON t.repository_id = r.id
        WHERE r.name = ?1 AND t.name = ?2";
}

fn held(row: &rusqlite::Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        bytes: row.get::<_, Count>(0)?.0,
        tags: row.get::<_, Count>(1)?.0,
    })
}

impl ReadTx<'_> {
    /// What the repository holds; nothing when it is not there.
    pub fn repository_held(&self, name: &RepositoryName) -> Result<Held, Error> {
        self.one(REPOSITORY, (name.as_str(),), held)
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, "reading what it holds, the repository", name))
    }

    /// What the repositories of a group hold together; nothing when there is no such group.
    pub fn group_held(&self, pattern: &str) -> Result<Held, Error> {
        self.one(GROUP, (pattern,), held)
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, "reading what they hold, repositories", pattern))
    }

    /// What all repositories hold together, each blob counted once.
    pub fn store_held(&self) -> Result<Held, Error> {
        let totals = self.totals()?;
        let blobs = totals.blob_bytes.saturating_sub(totals.past_bytes);
        Ok(Held {
            bytes: blobs.saturating_add(totals.manifest_bytes),
            tags: totals.tags,
        })
    }

    /// Where a blob would be new.
    pub fn blob_growth(&self, name: &RepositoryName, digest: &Digest) -> Result<Growth, Error> {
        let growth = self.one(BLOB, (DigestColumn::from(digest), name.as_str()), |row| {
            Ok(Growth {
                of_store: !row.get(0)?,
                of_repository: !row.get(1)?,
            })
        });
        let everywhere = Growth {
            of_store: true,
            of_repository: true,
        };
        growth
            .map(|growth| growth.unwrap_or(everywhere))
            .map_err(|error| self.failed(&error, "looking up the blob", digest))
    }

    /// Whether the repository has the tag.
    pub fn has_tag(&self, name: &RepositoryName, tag: &Tag) -> Result<bool, Error> {
        self.one(HAS_TAG, (name.as_str(), tag.as_str()), |_| Ok(()))
            .map(|found| found.is_some())
            .map_err(|error| {
                self.failed(&error, "looking up the tag", format_args!("{name}:{tag}"))
            })
    }

    /// Whether the repositories of a group are counted.
    pub fn has_quota_group(&self, pattern: &str) -> Result<bool, Error> {
        self.one(GROUP, (pattern,), |_| Ok(()))
            .map(|found| found.is_some())
            .map_err(|error| self.failed(&error, "looking up the repositories", pattern))
    }

    /// The patterns of all groups, in byte order.
    pub fn quota_groups(&self) -> Result<Vec<String>, Error> {
        let groups = self.groups();
        groups
            .map(|groups| groups.into_iter().map(|(pattern, _)| pattern).collect())
            .map_err(|error| self.failed(&error, "listing", "the groups of quotas"))
    }

    fn groups(&self) -> rusqlite::Result<Vec<(String, i64)>> {
        self.all(GROUPS, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

impl WriteTx<'_> {
    /// Has these groups counted from now on, none of them named twice. All repositories are looked
    /// at for one that is new.
    pub fn add_quota_groups(&mut self, patterns: &[String]) -> Result<(), Error> {
        let failed = |error: &rusqlite::Error| self.failed(error, "adding", "the groups of quotas");
        let known = self.groups().map_err(|error| failed(&error))?;
        let is_new = |pattern: &&String| known.iter().all(|(known, _)| known != *pattern);
        for pattern in patterns.iter().filter(is_new) {
            let id: Option<i64> = self
                .one(ADD_GROUP, (pattern,), |row| row.get(0))
                .map_err(|error| failed(&error))?;
            if let Some(id) = id {
                self.fill_group(id, pattern)?;
            }
        }
        Ok(())
    }

    /// Removes all groups but these.
    pub fn keep_quota_groups(&mut self, patterns: &[String]) -> Result<(), Error> {
        let remove = || {
            for (pattern, id) in self.groups()? {
                if !patterns.contains(&pattern) {
                    self.execute(REMOVE_GROUP, (id,))?;
                }
            }
            Ok(())
        };
        remove().map_err(|error| self.failed(&error, "removing", "the groups of quotas"))
    }

    fn fill_group(&self, id: i64, pattern: &str) -> Result<(), Error> {
        let mut last: Option<String> = None;
        loop {
            let names = self.repositories(last.as_deref(), NAMES_AT_ONCE)?;
            for name in &names {
                let name: Option<RepositoryName> = name.parse().ok();
                let Some(name) = name.filter(|name| is_member(pattern, name)) else {
                    continue;
                };
                if let Some(repository) = self.repository_id(&name)? {
                    self.execute(JOIN, (repository, id))
                        .map_err(|error| self.failed(&error, "counting the repository", &name))?;
                }
            }
            if names.len() < NAMES_AT_ONCE {
                return Ok(());
            }
            last = names.into_iter().next_back();
        }
    }

    /// A repository was made: it is in the groups that its name says.
    pub(super) fn join_groups(&self, id: i64, name: &RepositoryName) -> rusqlite::Result<()> {
        for (pattern, group) in self.groups()? {
            if is_member(&pattern, name) {
                self.execute(JOIN, (id, group))?;
            }
        }
        Ok(())
    }

    /// A repository has this name now.
    pub(super) fn change_groups(&self, id: i64, name: &RepositoryName) -> rusqlite::Result<()> {
        self.execute(LEAVE, (id,))?;
        self.join_groups(id, name)
    }
}

fn is_member(pattern: &str, name: &RepositoryName) -> bool {
    let mut globs = pattern.split(' ').filter_map(|glob| Glob::parse(glob).ok());
    globs.any(|glob| glob.matches(name, None))
}
