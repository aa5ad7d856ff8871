//! Work in the background: one thread that sweeps, a little at a time, until it is told to stop.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

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

/// The running background thread; dropping it stops and joins it.
pub struct Jobs {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Jobs {
    /// Starts sweeping.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
        options: SweepOptions,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("sweep".to_owned())
            .stack_size(256 << 10)
            .spawn(move || run(&registry, clock.as_ref(), options, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn run(registry: &Registry, clock: &dyn Clock, options: SweepOptions, stopped: &Receiver<()>) {
    let shards: Vec<Shard> = Shard::all().collect();
    let mut rounds = shards.chunks(shards.len().div_ceil(SWEEPS_PER_ROUND)).cycle();
    let mut next = Instant::now() + options.interval;
    loop {
        match stopped.recv_deadline(next) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        next = Instant::now() + options.interval;
        sweep(registry, clock, options, rounds.next().unwrap_or_default());
    }
}

fn sweep(registry: &Registry, clock: &dyn Clock, options: SweepOptions, shards: &[Shard]) {
    let now = clock.now();
    if let Some(before) = now.checked_sub(options.upload_age) {
        match registry.expire_uploads(before) {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} upload sessions that nobody touched"),
            Err(error) => log::warn!("expired uploads could not be removed: {error}"),
        }
    }
    let Some(before) = now.checked_sub(options.orphan_age) else { return };
    for shard in shards {
        match registry.sweep_orphans(*shard, before) {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} files without a row"),
            Err(error) => log::warn!("files without a row could not be removed: {error}"),
        }
    }
}
