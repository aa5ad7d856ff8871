//! The rules of the registry: who may read what, what a push must bring, what a delete removes.
//!
//! It decides over the store and knows no word of HTTP: no header, no status, no query. Every
//! operation takes parsed words (`oci`) and gives back a value or one [`Error`].

pub mod activities;
pub mod admin;
pub mod ages;
pub mod backup;
pub mod blobs;
pub mod check;
pub mod copies;
mod error;
pub mod events;
pub mod gc;
pub mod history;
mod immutable;
mod inspect;
mod leases;
pub mod manifests;
pub mod policy;
mod progress;
pub mod pulls;
mod pushing;
mod quotas;
pub mod referrers;
mod removals;
pub mod restore;
pub mod retention;
pub mod scrub;
pub mod sweep;
pub mod tags;
#[cfg(test)]
pub(crate) mod tests;
pub mod upload;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub use error::Error;
pub use progress::{Counted, Progress, Tell};

use self::activities::Activities;
use self::ages::ClockWatch;
use self::events::Events;
use self::leases::Leases;
use self::policy::Rules;
use self::pulls::Pulls;
use self::pushing::Pushing;
use self::removals::Removals;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::oci::{Digest, RepositoryName};
use crate::store::blobs::BlobStore;
use crate::store::catalog::{BlobRow, Catalog, Removal, Totals};
use crate::store::locks::DigestLocks;
use crate::store::space::{Claim, Space};
use crate::store::{self, ErrorKind, content};

/// What an operator decides about the rules.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether tags, manifests and blobs may be deleted.
    pub delete_enabled: bool,
    /// Whether a manifest is refused when content it refers to is missing.
    pub references_check: bool,
    /// The largest manifest, in bytes.
    pub manifest_bytes_max: u64,
    /// The most descriptors in one manifest.
    pub references_max: usize,
    /// The largest blob, in bytes; 0 means no bound.
    pub blob_bytes_max: u64,
    /// The most bytes of descriptors in one page of referrers.
    pub referrers_bytes_max: usize,
    /// How long what was removed can be brought back; none when zero.
    pub undo_window: Duration,
    /// How long a blob or manifest that nothing refers to is kept after a client has sent, mounted
    /// or found it.
    pub grace: Duration,
    /// How long the collection waits after the registry was opened, because nobody knows any more
    /// what clients were told before: `grace`, but for tests.
    pub start_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delete_enabled: true,
            references_check: true,
            manifest_bytes_max: 4 << 20,
            references_max: 10_000,
            blob_bytes_max: 0,
            referrers_bytes_max: 4 << 20,
            undo_window: Duration::from_secs(86_400),
            grace: Duration::from_secs(3600),
            start_wait: Duration::from_secs(3600),
        }
    }
}

/// The registry over one open store.
pub struct Registry {
    catalog: Arc<Catalog>,
    blobs: Arc<dyn BlobStore>,
    locks: DigestLocks,
    leases: Arc<Leases>,
    pushing: Arc<Pushing>,
    clock: Arc<dyn Clock>,
    watch: Mutex<ClockWatch>,
    /// One collection at a time.
    collecting: Mutex<()>,
    space: Arc<Space>,
    removals: Removals,
    options: Options,
    policy: RwLock<Arc<Rules>>,
    pulls: Pulls,
    activities: Activities,
    metrics: Arc<Metrics>,
    events: Arc<Events>,
}

/// What a row takes in the catalog beyond the content that it holds, with its indexes, in bytes.
const ROW_BYTES: u64 = 4 << 10;

/// A part of a list in its order, and whether more follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Whether at least one entry follows the last of these.
    pub more: bool,
}

impl<T> Page<T> {
    /// A page of `limit` out of a list that was asked for one entry more than that.
    fn of(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

impl Registry {
    /// The registry over `catalog` and `blobs`, which must belong together.
    pub fn new(catalog: Arc<Catalog>, blobs: Arc<dyn BlobStore>, options: Options) -> Self {
        let pulls = Pulls::new(Arc::clone(catalog.clock()));
        let clock = Arc::clone(catalog.clock());
        let events = Arc::new(Events::default());
        let heard = Arc::clone(&events);
        catalog.ring(Box::new(move |row| heard.added(row)));
        let all_until = clock.steady() + options.start_wait;
        Self {
            catalog,
            blobs,
            locks: DigestLocks::new(),
            leases: Arc::new(Leases::new(options.grace, all_until)),
            pushing: Arc::new(Pushing::new(options.grace)),
            clock,
            watch: Mutex::default(),
            collecting: Mutex::new(()),
            space: Space::unlimited(),
            removals: Removals::default(),
            options,
            policy: RwLock::default(),
            pulls,
            activities: Activities::default(),
            metrics: Arc::default(),
            events,
        }
    }

    /// Puts these rules about content in force, whatever comes of it.
    ///
    /// # Errors
    /// The catalog cannot be read or written. What repositories under a shared quota hold is then
    /// counted by the first push that needs it.
    pub fn set_policy(&self, rules: Rules) -> Result<(), store::Error> {
        let rules = Arc::new(rules);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&rules);
        quotas::add_groups(&self.catalog, &rules)
    }

    /// The rules about content.
    pub fn policy(&self) -> Arc<Rules> {
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&policy)
    }

    /// The pulls since they were last written.
    pub const fn pulls(&self) -> &Pulls {
        &self.pulls
    }

    /// The same, where pushes leave a reserve of `space` free. The blobs take their room from it
    /// by themselves.
    #[must_use]
    pub fn with_space(self, space: Arc<Space>) -> Self {
        Self { space, ..self }
    }

    /// The same, counting what it does here.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// What is counted.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The room of the file system below.
    pub const fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Refuses what has no room above the reserve, before its `bytes` travel.
    ///
    /// # Errors
    /// [`Error::Store`] of kind `Full`, with figures.
    pub fn require_room(&self, bytes: u64) -> Result<(), Error> {
        drop(self.claim_row(bytes)?);
        Ok(())
    }

    /// Room for a row that holds `bytes` of content, until it is committed.
    fn claim_row(&self, bytes: u64) -> Result<Claim, Error> {
        Ok(self.space.claim_all(bytes.saturating_add(ROW_BYTES))?)
    }

    /// The rules in force.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The catalog below, for what is not a rule: closing, totals, integrity.
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Proves that the catalog answers and that its last commit did not fail.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn probe_catalog(&self) -> Result<(), Error> {
        self.totals()?;
        if self.catalog.is_unclear() {
            let error = store::Error::new(ErrorKind::Io, "committing to", "the catalog");
            return Err(Error::Store(error.because("the last commit failed")));
        }
        Ok(())
    }

    /// Proves that bytes can be written.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn probe_blobs(&self) -> Result<(), Error> {
        Ok(self.blobs.probe()?)
    }

    /// Totals over the whole store.
    ///
    /// # Errors
    /// [`Error::Store`].
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's own lifetime does not fit where the closure's does"
    )]
    pub fn totals(&self) -> Result<Totals, Error> {
        self.catalog.read(|tx| tx.totals()).map_err(Error::Store)
    }

    /// Keeps a blob or manifest for the grace, because a client is about to be told of it. To be
    /// called before it is looked up, and not by who holds its lock. True when it was being taken
    /// at that moment: that is over now.
    fn lease(&self, digest: &Digest) -> bool {
        let condemned = self.leases.touch(digest, self.clock.steady());
        if condemned {
            drop(self.locks.lock(digest));
        }
        condemned
    }

    /// What becomes of a manifest that is removed.
    fn removal(&self) -> Removal {
        if self.options.undo_window.is_zero() {
            Removal::Final
        } else {
            Removal::Undoable
        }
    }

    fn require_delete(&self) -> Result<(), Error> {
        if self.options.delete_enabled {
            Ok(())
        } else {
            Err(Error::DeleteDisabled)
        }
    }

    /// The error for a thing that is not in `repository`: the repository itself may be what is
    /// missing.
    fn absent(&self, repository: &RepositoryName, otherwise: Error) -> Error {
        match self.catalog.read(|tx| tx.repository_exists(repository)) {
            Ok(true) => otherwise,
            Ok(false) => Error::NameUnknown {
                name: repository.clone(),
            },
            Err(error) => Error::Store(error),
        }
    }

    /// Puts a blob that was found to be missing or wrong out of service, unless it was replaced
    /// or removed meanwhile.
    fn distrust(&self, digest: &Digest) -> Result<(), Error> {
        let _owned = self.locks.lock(digest);
        let Some(row) = self.catalog.read_at_once(|tx| tx.blob(digest))? else {
            return Ok(());
        };
        let found = content::size(&*self.blobs, digest, &row)?;
        if row.quarantined || found == Some(row.size) {
            return Ok(());
        }
        log::error!(
            "blob {digest} should have {} bytes and has {}: it is not served any more; push it \
             again to heal it",
            row.size,
            found.map_or_else(|| "none".to_owned(), |size| size.to_string())
        );
        self.quarantine(digest, row)
    }

    /// Takes a blob out of service. A file is put aside; inline bytes stay with their row, until
    /// the blob is pushed again or deleted. The caller holds the digest's lock.
    fn quarantine(&self, digest: &Digest, row: BlobRow) -> Result<(), Error> {
        let digest = *digest;
        self.catalog
            .write(move |tx| tx.set_quarantine(&digest, true))?;
        if content::names_file(Some(row)) {
            self.blobs.quarantine(&digest)?;
        }
        Ok(())
    }
}
