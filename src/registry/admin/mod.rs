//! What an operator does to repositories and tags, by the command line: each operation changes all
//! of what it says or nothing, through the same rows that clients' requests change.
//!
//! Whether clients may delete (`delete.enabled`) is of no concern here.

mod command;
mod error;
mod image;
mod reply;
mod repositories;
mod tags;
mod text;
mod undelete;
mod usage;

use std::time::SystemTime;

pub use command::{Command, Earlier, Target};
pub use error::AdminError;
pub use reply::{
    HistoryView, PastView, RemovedView, Reply, RepositoryDetail, RepositoryRemoved, RepositoryView,
    Restored, StoreUsage, TagSet, TagView, TagsRemoved, TimeView, Usage,
};
pub use tags::{EXPIRES_MAX, TAGS_MAX};

use super::Registry;
use crate::clock::{rfc3339, unix_ms};
use crate::logging::{AuditRecord, Event, audit};
use crate::oci::RepositoryName;
use crate::store::catalog::{Removal, WriteTx};

/// Who the command line is, in the audit log and in the history of tags: the permissions of the
/// control socket and of the folder are what let somebody in.
const LOCAL: &str = "local";

/// Entries in a page of a list.
const PAGE: usize = 500;

impl Registry {
    /// Does what an operator asks.
    ///
    /// # Errors
    /// [`AdminError`]; nothing was changed then.
    pub fn administer(&self, command: Command) -> Result<Reply, AdminError> {
        match command {
            Command::Repositories { after } => self.list_repositories(after.as_deref()),
            Command::RepositoryShow { repository } => self.show_repository(&repository),
            Command::RepositoryRename { repository, to } => self.rename_repository(repository, to),
            Command::RepositoryRemove { repository, now } => {
                self.remove_repository(repository, now)
            }
            Command::Tags { repository, after } => self.list_tags(&repository, after.as_deref()),
            Command::TagRemove {
                repository,
                tags,
                now,
            } => self.remove_tags(repository, tags, now),
            Command::TagSet {
                repository,
                tag,
                to,
                expires_seconds,
            } => self.set_tag(repository, tag, to, expires_seconds),
            Command::TagHistory { repository, tag } => self.show_history(&repository, &tag),
            Command::TagRollback {
                repository,
                tag,
                to,
            } => self.roll_back(repository, tag, to),
            Command::Undelete { target } => self.undelete(target),
            Command::RemovedManifests { repository, after } => {
                self.removed_manifests(repository.as_deref(), after)
            }
            Command::RemovedTags { repository, after } => {
                self.removed_tags(repository.as_deref(), after)
            }
            Command::StoreUsage => self.store_usage(),
            Command::RepositoryUsages { after } => self.repository_usages(after.as_deref()),
            Command::Usage { target } => self.usage(&target),
        }
    }

    /// Writes on behalf of the operator.
    fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        self.catalog.write(move |tx| {
            tx.set_actor(Some(LOCAL.to_owned()));
            work(tx)
        })
    }

    /// What becomes of what is removed.
    fn removal_of(&self, now: bool) -> Removal {
        if now { Removal::Final } else { self.removal() }
    }

    /// Until when something can be brought back that was removed at that time; not at all when
    /// undo is off.
    fn until(&self, removed_at: SystemTime) -> Option<String> {
        let window = self.options.undo_window;
        (!window.is_zero()).then(|| rfc3339(unix_ms(removed_at + window)))
    }
}

/// Records what was done to a repository.
fn record(event: Event, repository: &RepositoryName, reference: &str, digest: &str) {
    audit(&AuditRecord {
        actor: LOCAL,
        repository: repository.as_str(),
        reference,
        digest,
        ..AuditRecord::new(event)
    });
}
