//! What rules about content need in the background, on a thread of its own: pulls are written
//! down, and what is kept no longer is removed.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select_biased};

use crate::registry::Registry;
use crate::registry::retention::Report;

/// How often.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// Between two times that pulls are written.
    pub flush: Duration,
    /// Between two runs of retention; none by itself when zero.
    pub retention: Duration,
}

/// The first run of retention comes at most so long after the start, so that a host which never
/// runs for long has one too.
const FIRST_RUN_MAX: Duration = Duration::from_secs(300);

/// The age that is asked about before a run: of what retention goes by, nothing is younger than
/// this without being in doubt only for a shorter time.
const AGE: Duration = Duration::from_secs(86_400);

/// The running thread; dropping it has the last pulls written, stops it and joins it.
pub struct PolicyJobs {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PolicyJobs {
    /// Starts it.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(registry: Arc<Registry>, intervals: Intervals) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("policy".to_owned())
            .stack_size(512 << 10)
            .spawn(move || run(&registry, intervals, &stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for PolicyJobs {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn run(registry: &Registry, intervals: Intervals, stopped: &Receiver<()>) {
    let start = Instant::now();
    let mut flush_at = start + intervals.flush;
    let mut retain_at =
        (!intervals.retention.is_zero()).then(|| start + intervals.retention.min(FIRST_RUN_MAX));
    loop {
        let next = retain_at.map_or(flush_at, |at| at.min(flush_at));
        select_biased! {
            recv(stopped) -> _ => {
                flush(registry);
                return;
            }
            recv(registry.pulls().wanted()) -> _ => {
                flush_at = Instant::now();
            }
            default(next.saturating_duration_since(Instant::now())) => {}
        }
        let now = Instant::now();
        if now >= flush_at {
            flush(registry);
            flush_at = Instant::now() + intervals.flush;
        }
        if retain_at.is_some_and(|at| now >= at) {
            match registry.doubt_about_ages(AGE) {
                Ok(None) => retain(registry, stopped),
                Ok(Some(doubt)) => log::warn!("retention waits: {doubt}"),
                Err(error) => log::warn!("retention waits: {error}"),
            }
            retain_at = Some(Instant::now() + intervals.retention);
        }
    }
}

fn flush(registry: &Registry) {
    if let Err(error) = registry.flush_pulls() {
        log::warn!("pulls could not be written down, and are kept in memory: {error}");
    }
}

fn retain(registry: &Registry, stopped: &Receiver<()>) {
    let may_go_on = || !matches!(stopped.try_recv(), Err(TryRecvError::Disconnected));
    match registry.retention_run(None, &may_go_on, &mut |_| {}) {
        Ok(report) => tell(&report),
        Err(error) => log::warn!("retention could not go on: {error}"),
    }
}

fn tell(report: &Report) {
    if report.tags + report.manifests > 0 {
        log::info!(
            "retention removed {} tags and {} manifests, which frees {} bytes; {} stay because \
             they have changed meanwhile{}",
            report.tags,
            report.manifests,
            report.bytes,
            report.left,
            if report.more { "; there are more" } else { "" }
        );
    }
}
