//! What a collection left because its time has not come, for who asked for one.

use std::collections::HashMap;
use std::time::SystemTime;

use super::run::Run;
use super::{Share, Waiting, far};
use crate::clock::{rfc3339, unix_ms};
use crate::oci::Digest;
use crate::registry::Error;

/// Blobs of the queue that are read at a time.
const PAGE: usize = 1000;

impl Run<'_> {
    /// Counts what stays for now.
    pub(super) fn count_waiting(&mut self) -> Result<(), Error> {
        let registry = self.registry;
        let before = self.removed_before.unwrap_or(SystemTime::UNIX_EPOCH);
        let (queue, latest) = self.count_queue()?;
        let ((removed, last_removed), totals) = registry
            .catalog
            .read(|tx| Ok::<_, Error>((tx.removed_since(before)?, tx.totals()?)))?;
        let steady = registry.clock.steady();
        let leased = (self.kept > 0).then(|| {
            let wait = registry.leases.end(steady).saturating_sub(steady);
            registry.clock.now() + wait
        });
        let plan = self.planned.as_ref();
        let (queued, past_bytes) = plan.map_or(((0, 0), 0), |plan| (plan.queued, plan.past_bytes));
        let count = queue.0.saturating_sub(queued.0);
        self.report.waiting = Some(Waiting {
            grace: Share {
                count,
                bytes: queue.1.saturating_sub(queued.1),
                until: written(latest.max(leased).filter(|_| count > 0)),
            },
            undo: Share {
                count: removed,
                bytes: totals.past_bytes.saturating_sub(past_bytes),
                until: written(last_removed.map(|at| at + registry.options.undo_window)),
            },
        });
        Ok(())
    }

    /// Blobs that nothing uses in any repository that holds them, and their bytes; when the last
    /// blob of the queue is due.
    fn count_queue(&self) -> Result<((u64, u64), Option<SystemTime>), Error> {
        let (mut count, mut bytes, mut last) = (0, 0, None);
        // Only of those that several repositories hold.
        let mut links: HashMap<Digest, u64> = HashMap::new();
        loop {
            let catalog = &self.registry.catalog;
            let page = catalog.read(|tx| tx.collectable(last.as_ref(), far(), PAGE))?;
            let Some(end) = page.last() else {
                return Ok(((count, bytes), last.map(|last| last.after)));
            };
            last = Some(end.clone());
            for item in page {
                let free = item.holders == 1 || {
                    let seen = links.entry(item.digest).or_default();
                    *seen += 1;
                    *seen == item.holders
                };
                if free {
                    count += 1;
                    bytes += item.size;
                }
            }
        }
    }
}

fn written(time: Option<SystemTime>) -> Option<String> {
    time.map(|time| rfc3339(unix_ms(time)))
}
