//! Whole repositories: listed, shown, renamed, removed.

use super::reply::{PastView, Reply, RepositoryDetail, RepositoryRemoved, RepositoryView};
use super::{AdminError, PAGE, Target, record, tags};
use crate::clock::{rfc3339_ms, unix_ms};
use crate::logging::Event;
use crate::oci::RepositoryName;
use crate::registry::events::Recorder;
use crate::registry::{Page, Registry, immutable};
use crate::store::catalog::{Removal, RepositoryRow, WriteTx};

/// Tags that are shown with a repository.
const NEWEST: usize = 10;

impl Registry {
    pub(super) fn list_repositories(&self, after: Option<&str>) -> Result<Reply, AdminError> {
        let rows = self
            .catalog
            .read(|tx| tx.repository_rows(after, PAGE + 1))?;
        let page = Page::of(rows, PAGE);
        Ok(Reply::Repositories {
            repositories: page.items.into_iter().map(RepositoryView::from).collect(),
            more: page.more,
        })
    }

    pub(super) fn show_repository(&self, name: &RepositoryName) -> Result<Reply, AdminError> {
        self.catalog.read(|tx| {
            let row = existing(tx.repository_row(name)?, name)?;
            let past = tx.past_row(name)?.filter(|past| past.manifests > 0);
            let newest = tx.newest_tags(name, NEWEST)?;
            let set_at = newest.first().map(|tag| rfc3339_ms(unix_ms(tag.set_at)));
            let newest_tags = newest.into_iter().map(|tag| tags::view(tx, name, tag));
            Ok(Reply::Repository(RepositoryDetail {
                blobs: row.blobs,
                repository: row.into(),
                set_at,
                newest_tags: newest_tags.collect::<Result<_, _>>()?,
                removed: past.map(|past| PastView {
                    manifests: past.manifests,
                    alone_bytes: past.alone_bytes,
                    until: past.last_at.and_then(|at| self.until(at)),
                }),
            }))
        })
    }

    pub(super) fn rename_repository(
        &self,
        name: RepositoryName,
        to: RepositoryName,
    ) -> Result<Reply, AdminError> {
        let (from, new) = (name.clone(), to.clone());
        let recorder = self.recorder();
        let row = self.change(move |tx| {
            if tx.repository_exists(&to)? {
                return Err(AdminError::Taken(to));
            }
            if !tx.rename_repository(&name, &to)? {
                return Err(AdminError::Unknown(Target::Repository(name)));
            }
            recorder.repository_deleted(tx, &name)?;
            recorder.repository_named(tx, &to)?;
            existing(tx.repository_row(&to)?, &to)
        })?;
        record(Event::RepositoryRenamed, &from, new.as_str(), "");
        Ok(Reply::Renamed(row.into()))
    }

    pub(super) fn remove_repository(
        &self,
        name: RepositoryName,
        now: bool,
    ) -> Result<Reply, AdminError> {
        let (removed, removal) = (name.clone(), self.removal_of(now));
        let (rules, recorder) = (self.policy(), self.recorder());
        let (row, at) = self.change(move |tx| {
            immutable::may_remove_repository(tx, &rules, &name)?;
            let row = if now {
                // Also what was removed from one that is no more.
                let forgotten = tx.forget_past(&name)?;
                let row = tx.repository_row(&name)?;
                if row.is_none() && forgotten > 0 {
                    return Ok((empty(&name, tx), tx.now()));
                }
                existing(row, &name)?
            } else {
                existing(tx.repository_row(&name)?, &name)?
            };
            remove(tx, &recorder, &name, removal)?;
            Ok((row, tx.now()))
        })?;
        record(Event::RepositoryRemoved, &removed, "", "");
        let undoable = removal == Removal::Undoable && row.manifests > 0;
        Ok(Reply::RepositoryRemoved(RepositoryRemoved {
            repository: row.into(),
            until: undoable.then(|| self.until(at)).flatten(),
        }))
    }
}

/// Removes all manifests with their tags, then what is left.
fn remove(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    removal: Removal,
) -> Result<(), AdminError> {
    if removal == Removal::Undoable {
        tx.note_repository_removed(name)?;
    }
    loop {
        let part = tx.manifest_digests(name, None, PAGE)?;
        if part.is_empty() {
            break;
        }
        for digest in &part {
            recorder.remove_manifest(tx, name, digest, removal)?;
        }
    }
    tx.retire_blobs(name)?;
    Ok(recorder.repository_deleted(tx, name)?)
}

fn existing(
    row: Option<RepositoryRow>,
    name: &RepositoryName,
) -> Result<RepositoryRow, AdminError> {
    row.ok_or_else(|| AdminError::Unknown(Target::Repository(name.clone())))
}

/// A repository of which there was nothing but a past.
fn empty(name: &RepositoryName, tx: &WriteTx<'_>) -> RepositoryRow {
    RepositoryRow {
        name: name.clone(),
        created_at: tx.now(),
        tags: 0,
        manifests: 0,
        manifest_bytes: 0,
        blobs: 0,
        blob_bytes: 0,
        alone_bytes: 0,
    }
}
