//! What a collection left because its time has not come, for who asked for one.

use std::collections::HashMap;
use std::time::SystemTime;

use super::run::Run;
use super::{Share, Waiting, far};
use crate::clock::{rfc3339, unix_ms};
use crate::oci::Digest;
use crate::registry::Error;
use crate::store::catalog::{Collectable, Removal};

/// Blobs of the queue that are read at a time.
const PAGE: usize = 1000;

impl Run<'_> {
    /// Counts what stays for now.
    pub(super) fn count_waiting(&mut self) -> Result<(), Error> {
        let registry = self.registry;
        let before = self.removed_before.unwrap_or(SystemTime::UNIX_EPOCH);
        let queue = self.count_queue()?;
        let ((removed, last_removed), totals) = registry
            .catalog
            .read(|tx| Ok::<_, Error>((tx.removed_since(before)?, tx.totals()?)))?;
        let steady = registry.clock.steady();
        let leased = (self.kept > 0).then(|| {
            let wait = registry.leases.end(steady).saturating_sub(steady);
            registry.clock.now() + wait
        });
        let plan = self.planned.as_ref();
        let ((planned, planned_bytes), planned_undo) =
            plan.map_or(((0, 0), 0), |plan| (plan.queued, plan.undo_bytes));
        let moved = plan.map_or((0, 0), |plan| (plan.moved.manifests, plan.moved.bytes));
        let will_move =
            plan.is_some() && self.removal == Removal::Undoable && self.report.untagged > 0;
        let last_removed = if will_move {
            last_removed.max(Some(registry.clock.now()))
        } else {
            last_removed
        };
        let count = queue.free.saturating_sub(planned);
        let undo_bytes = totals.past_bytes + queue.undo_bytes;
        let undo_bytes = undo_bytes.saturating_sub(queue.free_past_bytes + planned_undo);
        self.report.waiting = Some(Waiting {
            grace: Share {
                count,
                bytes: queue.free_bytes.saturating_sub(planned_bytes),
                until: written(queue.latest.max(leased).filter(|_| count > 0)),
            },
            undo: Share {
                count: removed + moved.0,
                bytes: undo_bytes + moved.1,
                until: written(last_removed.map(|at| at + registry.options.undo_window)),
            },
        });
        Ok(())
    }

    fn count_queue(&self) -> Result<Queue, Error> {
        let (mut queue, mut last) = (Queue::default(), None);
        // Only of those that several hold.
        let mut shared: HashMap<Digest, Shared> = HashMap::new();
        loop {
            let catalog = &self.registry.catalog;
            let page = catalog.read(|tx| tx.collectable(last.as_ref(), far(), PAGE))?;
            let Some(end) = page.last() else { break };
            last = Some(end.clone());
            for item in page {
                let mut of_one = Shared::default();
                let of = if item.holders == 1 {
                    &mut of_one
                } else {
                    shared.entry(item.digest).or_default()
                };
                of.note(&item);
                if item.holders == 1 {
                    queue.add(&of_one);
                }
            }
        }
        for of in shared.values() {
            queue.add(of);
        }
        queue.latest = last.map(|last| last.after);
        Ok(queue)
    }
}

/// What is in the queue, due or not.
#[derive(Default)]
struct Queue {
    /// Blobs that nothing uses in any repository that holds them.
    free: u64,
    free_bytes: u64,
    /// The part of these bytes that only pasts hold.
    free_past_bytes: u64,
    /// Bytes of blobs that repositories hold, and only pasts still use.
    undo_bytes: u64,
    /// When the last of all is due.
    latest: Option<SystemTime>,
}

/// The places of one blob in the queue.
#[derive(Default)]
struct Shared {
    size: u64,
    holders: u64,
    pasts: u64,
    seen: u64,
    seen_pasts: u64,
}

impl Shared {
    fn note(&mut self, item: &Collectable) {
        (self.size, self.holders, self.pasts) = (item.size, item.holders, item.pasts);
        self.seen += 1;
        self.seen_pasts += u64::from(item.name.is_none());
    }
}

impl Queue {
    fn add(&mut self, of: &Shared) {
        let visible = of.holders - of.pasts;
        if of.seen == of.holders {
            self.free += 1;
            self.free_bytes += of.size;
            if visible == 0 {
                self.free_past_bytes += of.size;
            }
        } else if visible > 0 && of.seen - of.seen_pasts == visible {
            self.undo_bytes += of.size;
        }
    }
}

fn written(time: Option<SystemTime>) -> Option<String> {
    time.map(|time| rfc3339(unix_ms(time)))
}
