//! Sweeping: upload sessions that nobody comes back for, and files that no row means, a few
//! folders each time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Job;
use crate::clock::Clock;
use crate::registry::Registry;
use crate::store::Shard;

/// How old things must be before they are swept, and how often somebody looks.
#[derive(Clone, Copy, Debug)]
pub struct SweepOptions {
    /// Time between two sweeps.
    pub interval: Duration,
    /// Age at which an upload session that nobody touches is removed.
    pub upload_age: Duration,
    /// Age at which a file without a row is removed.
    pub orphan_age: Duration,
}

/// Sweeps between two visits to the same folder: a day at the default interval.
const SWEEPS_PER_ROUND: usize = 24;

/// The job.
pub fn job(registry: Arc<Registry>, clock: Arc<dyn Clock>, options: SweepOptions) -> Job {
    let shards: Vec<Shard> = Shard::all().collect();
    let visit = shards.len().div_ceil(SWEEPS_PER_ROUND);
    let mut next = 0;
    Job::new(options.interval, move |_| {
        let end = (next + visit).min(shards.len());
        if are_ages_believed(&registry, options.upload_age) {
            let now = clock.now();
            expire_uploads(&registry, now, options.upload_age);
            sweep_orphans(&registry, now, options, &shards[next..end]);
        }
        next = if end == shards.len() { 0 } else { end };
        options.interval
    })
}

/// Whether ages can be believed: files carry the time of the clock that was right or wrong when
/// they were written.
pub(super) fn are_ages_believed(registry: &Registry, age: Duration) -> bool {
    match registry.doubt_about_ages(age) {
        Ok(None) => {
            if let Err(error) = registry.note_time() {
                log::warn!("the time could not be noted: {error}");
            }
            true
        }
        Ok(Some(doubt)) => {
            log::warn!("no upload or file is removed by its age for now: {doubt}");
            false
        }
        Err(error) => {
            log::warn!("nothing is swept for now: {error}");
            false
        }
    }
}

/// Removes the upload sessions of this age.
pub(super) fn expire_uploads(registry: &Registry, now: SystemTime, age: Duration) {
    let Some(before) = now.checked_sub(age) else {
        return;
    };
    match registry.expire_uploads(before) {
        Ok(0) => {}
        Ok(count) => log::info!("removed {count} upload sessions that nobody touched"),
        Err(error) => log::warn!("expired uploads could not be removed: {error}"),
    }
}

fn sweep_orphans(registry: &Registry, now: SystemTime, options: SweepOptions, shards: &[Shard]) {
    let Some(before) = now.checked_sub(options.orphan_age) else {
        return;
    };
    for shard in shards {
        match registry.sweep_orphans(*shard, before) {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} files without a row"),
            Err(error) => log::warn!("files without a row could not be removed: {error}"),
        }
    }
}
