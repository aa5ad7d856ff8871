//! One run of the collection.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::batch::{self, Keepers, Removed, Taken};
use super::pace::Pace;
use super::plan::Plan;
use super::{GcOptions, GcReport, far};
use crate::oci::Digest;
use crate::registry::{Counted, Error, Progress, Registry, Tell};
use crate::store::Error as StoreError;
use crate::store::catalog::{Catalog, Collectable, LooseManifest, Removal, WriteTx};
use crate::store::locks::DigestLock;

/// Blobs that are read from the queue at a time. They are taken in the order of their digests,
/// because neighbours share pages of the catalog.
const QUEUE_PAGE: usize = 8 * 1024;

/// Manifests that nothing holds, read at a time.
const LOOSE_PAGE: usize = 256;

/// How long a batch waits for the catalog's log at the most.
const FOLD_MAX: Duration = Duration::from_millis(50);

/// How often it looks meanwhile.
const FOLD_LOOK: Duration = Duration::from_micros(500);

/// What a batch of manifests is smaller by: each has several references.
const REFERENCES_USUAL: usize = 4;

/// One run.
pub(super) struct Run<'r> {
    pub(super) registry: &'r Registry,
    pub(super) report: GcReport,
    pub(super) keepers: Keepers,
    /// What may be taken at this time goes; nothing when `None`.
    pub(super) until: Option<SystemTime>,
    /// What was removed then or earlier cannot be brought back any more; nothing when `None`.
    pub(super) removed_before: Option<SystemTime>,
    pub(super) removal: Removal,
    pub(super) progress: Progress,
    pub(super) tell: &'r mut Tell<'r>,
    stop: &'r dyn Fn() -> bool,
    pace: Pace,
    /// When it began, by steady time.
    begun: Duration,
    /// Blobs that were due and left.
    pub(super) kept: u64,
    /// Those of them that somebody else had locked: they are tried once more.
    locked: u64,
    pub(super) planned: Option<Plan>,
}

/// Items whose digests are locked.
struct Locked<'r, T> {
    items: Vec<T>,
    digests: Vec<Digest>,
    locks: Vec<DigestLock<'r>>,
}

impl<'r> Run<'r> {
    pub(super) fn new(
        registry: &'r Registry,
        options: GcOptions,
        tell: &'r mut Tell<'r>,
        stop: &'r dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        // The steady time first: what is written later is due at `now` and what has passed since.
        let begun = registry.clock.steady();
        let (now, rules) = (registry.clock.now(), registry.options);
        let (mut until, mut removed_before, mut clock) = (Some(far()), Some(far()), None);
        if !options.now {
            let of_undo = registry.doubt_about_ages(rules.undo_window)?;
            let of_grace = registry.doubt_about_ages(rules.grace)?;
            until = of_grace.is_none().then_some(now);
            removed_before = now
                .checked_sub(rules.undo_window)
                .filter(|_| of_undo.is_none());
            clock = of_grace.or(of_undo).map(|doubt| doubt.to_string());
        }
        Ok(Self {
            registry,
            report: GcReport {
                options,
                clock,
                complete: true,
                ..GcReport::default()
            },
            keepers: Keepers {
                leases: registry.leases.clone(),
                pushing: registry.pushing.clone(),
                clock: registry.clock.clone(),
                forced: options.now || options.alone,
            },
            until,
            removed_before,
            removal: if options.now {
                Removal::Final
            } else {
                registry.removal()
            },
            progress: Progress::start("collecting", Counted::Objects, 0),
            tell,
            stop,
            pace: Pace::new(),
            begun,
            kept: 0,
            locked: 0,
            planned: None,
        })
    }

    /// Whether there is anything to take.
    pub(super) fn is_due(&self) -> Result<bool, Error> {
        let epoch = SystemTime::UNIX_EPOCH;
        let until = self.until.unwrap_or(epoch);
        let before = self.removed_before.unwrap_or(epoch);
        Ok(self
            .registry
            .catalog
            .read(|tx| tx.is_collection_due(until, before))?)
    }

    /// Takes all that is due.
    pub(super) fn take(&mut self) -> Result<(), Error> {
        self.count_due()?;
        if let Some(before) = self.removed_before {
            self.forget_removed(before)?;
            self.forget_histories(before)?;
        }
        if self.report.options.delete_untagged {
            while self.remove_loose()? > 0 {}
        }
        if let Some(until) = self.until {
            // What was set free just now is due as well. Time goes on steadily, whatever a clock
            // that is set meanwhile says.
            let passed = self.registry.clock.steady().saturating_sub(self.begun);
            let until = until.checked_add(passed).unwrap_or(until);
            self.take_blobs(until)?;
            if self.locked > 0 {
                self.take_blobs(until)?;
            }
        }
        Ok(())
    }

    fn forget_removed(&mut self, before: SystemTime) -> Result<(), Error> {
        while !(self.stop)() {
            let limit = (self.pace.size() / REFERENCES_USUAL).max(1);
            let count = self.write(move |tx| tx.forget_removed(before, limit))?;
            if count == 0 {
                break;
            }
            self.report.manifests += count as u64;
            self.advance(count as u64);
        }
        Ok(())
    }

    fn forget_histories(&mut self, before: SystemTime) -> Result<(), Error> {
        while !(self.stop)() {
            let limit = self.pace.size();
            let forgotten = self.write(move |tx| tx.forget_history(before, limit))?;
            if forgotten.looked_at == 0 {
                break;
            }
            self.report.histories += forgotten.tags as u64;
        }
        Ok(())
    }

    /// Goes once through all manifests that nothing holds; how many were removed. Those that they
    /// held come after them.
    fn remove_loose(&mut self) -> Result<u64, Error> {
        let (mut last, mut removed): (Option<LooseManifest>, u64) = (None, 0);
        while !(self.stop)() {
            let page = self
                .registry
                .catalog
                .read(|tx| tx.loose_manifests(last.as_ref(), far(), LOOSE_PAGE))?;
            let Some(end) = page.last() else { break };
            last = Some(end.clone());
            let mut rest = page.as_slice();
            while !rest.is_empty() && !(self.stop)() {
                let size = (self.pace.size() / REFERENCES_USUAL).max(1);
                let (batch, later) = rest.split_at(size.min(rest.len()));
                rest = later;
                removed += self.loose_batch(batch)?;
            }
        }
        Ok(removed)
    }

    fn loose_batch(&mut self, batch: &[LooseManifest]) -> Result<u64, Error> {
        let free = batch
            .iter()
            .filter(|item| self.keepers.let_go(&item.repository, &item.digest))
            .cloned();
        let Locked {
            items,
            digests,
            locks,
        } = self.lock(free, |item| item.digest);
        if items.is_empty() {
            return Ok(0);
        }
        let condemned = self.registry.leases.condemned(digests);
        let (keepers, removal) = (self.keepers.clone(), self.removal);
        let recorder = self.registry.recorder();
        let outcome: Removed =
            self.write(move |tx| batch::remove(tx, &items, removal, &keepers, &recorder))?;
        drop((condemned, locks));
        self.report.untagged += outcome.manifests;
        if self.removal == Removal::Final {
            self.report.manifests += outcome.manifests;
        }
        self.advance(outcome.manifests);
        Ok(outcome.manifests)
    }

    fn take_blobs(&mut self, until: SystemTime) -> Result<(), Error> {
        let mut last: Option<Collectable> = None;
        (self.kept, self.locked) = (0, 0);
        while !(self.stop)() {
            let mut page = self
                .registry
                .catalog
                .read(|tx| tx.collectable(last.as_ref(), until, QUEUE_PAGE))?;
            let Some(end) = page.last() else { break };
            last = Some(end.clone());
            let due = page.len();
            page.retain(|item| {
                let name = item.name.as_ref();
                name.is_none_or(|name| self.keepers.let_go(name, &item.digest))
            });
            self.kept += (due - page.len()) as u64;
            page.sort_unstable_by_key(|one| one.digest);
            let mut rest = page.as_slice();
            while !rest.is_empty() && !(self.stop)() {
                let (batch, later) = rest.split_at(self.pace.size().min(rest.len()));
                rest = later;
                self.blob_batch(batch, until)?;
            }
        }
        Ok(())
    }

    fn blob_batch(&mut self, batch: &[Collectable], until: SystemTime) -> Result<(), Error> {
        let Locked {
            items,
            digests,
            locks,
        } = self.lock(batch.iter().cloned(), |item| item.digest);
        let locked = (batch.len() - items.len()) as u64;
        self.kept += locked;
        self.locked += locked;
        if items.is_empty() {
            return Ok(());
        }
        let registry = self.registry;
        let condemned = registry.leases.condemned(digests);
        let keepers = self.keepers.clone();
        let outcome: Taken = self.write(move |tx| batch::take(tx, &items, until, &keepers))?;
        // The rows are gone; who waits for a digest finds neither row nor file.
        for (digest, size) in &outcome.gone {
            if let Err(error) = registry.remove_file(digest) {
                log::warn!("blob {digest} was collected but its file stays for now: {error}");
            }
            self.report.bytes += size;
        }
        drop((condemned, locks));
        self.report.blobs += outcome.gone.len() as u64;
        self.report.links += outcome.links;
        self.kept += outcome.kept;
        self.advance(outcome.links);
        Ok(())
    }

    /// Locks the digests of these items. What somebody else has locked is being pushed or deleted,
    /// and left for the next time.
    fn lock<T>(
        &self,
        items: impl Iterator<Item = T>,
        digest: impl Fn(&T) -> Digest,
    ) -> Locked<'r, T> {
        let (mut kept, mut ours, mut locks) = (Vec::new(), HashSet::new(), Vec::new());
        for item in items {
            let digest = digest(&item);
            if !ours.contains(&digest) {
                let Some(lock) = self.registry.locks.try_lock(&digest) else {
                    continue;
                };
                locks.push(lock);
                ours.insert(digest);
            }
            kept.push(item);
        }
        Locked {
            items: kept,
            digests: ours.into_iter().collect(),
            locks,
        }
    }

    /// Has the writer do a batch, after the rest that the last one asks for.
    fn write<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let catalog = &self.registry.catalog;
        wait_for_fold(catalog);
        let (before, started) = (catalog.writes(), Instant::now());
        let (outcome, busy) = catalog.write_patiently(move |tx| {
            let begun = Instant::now();
            Ok::<_, StoreError>((work(tx)?, begun.elapsed()))
        })?;
        let shared = catalog.writes() > before + 1;
        self.pace.note(busy, started.elapsed(), shared);
        Ok(outcome)
    }

    /// Notes that so many objects are done, and lets others write.
    fn advance(&mut self, by: u64) {
        self.progress.done += by;
        self.progress.total = self.progress.total.max(self.progress.done);
        (self.tell)(&self.progress);
        if !self.pace.rest().is_zero() {
            thread::sleep(self.pace.rest());
        }
    }

    fn count_due(&mut self) -> Result<(), Error> {
        if let Some(until) = self.until {
            let count = self
                .registry
                .catalog
                .read(|tx| tx.count_collectable(until))?;
            self.progress.total = count;
        }
        Ok(())
    }

    /// The report, at the end.
    pub(super) fn end(mut self, started: Instant) -> GcReport {
        let took = started.elapsed().as_millis();
        self.report.duration_ms = u64::try_from(took).unwrap_or(u64::MAX);
        self.report
    }
}

/// Waits, for a while, until the catalog's log is folded in: others should find the writer free.
fn wait_for_fold(catalog: &Catalog) {
    let end = Instant::now() + FOLD_MAX;
    while catalog.is_folding() && Instant::now() < end {
        thread::sleep(FOLD_LOOK);
    }
}
