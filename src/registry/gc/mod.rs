//! The collection of what nothing refers to any more: one function, for the background and for the
//! command line.
//!
//! Whatever stops being used is put on a queue by the change itself, with the time from which on it
//! may go, so nothing is looked for. A run ends the time of what was removed and can be brought
//! back, then takes what is due from the queue in small batches: under the lock of each digest, the
//! writer looks again and removes the rows, and after the commit the file goes. Between batches
//! others write. What a client was told of lately is left (`leases`), and so is what a repository
//! holds to which an upload is in progress (`pushing`).

mod batch;
mod moved;
mod pace;
mod plan;
mod run;
mod waiting;

use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use self::run::Run;
use super::activities::{self, Work};
use super::{Error, Registry, Tell};

/// Later than anything that is ever written.
const FAR: Duration = Duration::from_millis(i64::MAX.unsigned_abs());

/// How a collection is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "one switch each, as typed")]
pub struct GcOptions {
    /// Wait for nothing: neither for the grace nor for the time in which what was removed can be
    /// brought back, which it cannot be afterwards. Repositories with an upload in progress are
    /// left all the same.
    pub now: bool,
    /// Change nothing; report what would go.
    pub dry_run: bool,
    /// Remove manifests that no tag, no index and no subject holds, first.
    pub delete_untagged: bool,
    /// Nobody else uses the registry, so that no client can have been told of anything.
    #[serde(skip)]
    pub alone: bool,
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcReport {
    /// What was asked for.
    pub options: GcOptions,
    /// Blobs that are gone.
    pub blobs: u64,
    /// Their lengths together, in bytes.
    pub bytes: u64,
    /// Blobs that a repository does not hold any more; one in several repositories counts for each.
    pub links: u64,
    /// Manifests that cannot be brought back any more.
    pub manifests: u64,
    /// Manifests that were removed because nothing held them. They are among `manifests` unless
    /// they can be brought back.
    pub untagged: u64,
    /// Removed tags whose history is forgotten.
    pub histories: u64,
    /// What stays for now; not counted by the collection in the background.
    pub waiting: Option<Waiting>,
    /// Why nothing was removed by its age, if so.
    pub clock: Option<String>,
    /// Whether that is all: a dry run looks at a bounded number of blobs.
    pub complete: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// What a collection left, because its time has not come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Blobs that nothing refers to, of which a client may have been told lately.
    pub grace: Share,
    /// Manifests that were removed and can be brought back, and the blobs that only they need.
    pub undo: Share,
}

/// A part of what waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Bytes of blobs that will be free then.
    pub bytes: u64,
    /// When the last of them may go, RFC 3339; `None` when there is none.
    pub until: Option<String>,
}

impl GcReport {
    /// Whether anything is gone.
    pub const fn did_something(&self) -> bool {
        self.links + self.manifests + self.untagged + self.histories > 0
    }
}

impl Registry {
    /// Takes what nothing refers to any more, telling how far it is as it goes. Pushes, pulls and
    /// deletes go on. Waits for a collection that runs already.
    ///
    /// # Errors
    /// [`Error::Store`] when it could not go on; what was taken until then is gone.
    pub fn collect(&self, options: GcOptions, tell: &mut Tell<'_>) -> Result<GcReport, Error> {
        let (started, _one) = (Instant::now(), self.one_collection());
        if options.dry_run {
            let mut run = Run::new(self, options, tell, &|| false)?;
            run.plan()?;
            run.count_waiting()?;
            return Ok(run.end(started));
        }
        self.told(|activity| {
            let mut tell = |progress: &super::Progress| {
                activity.tell(progress);
                tell(progress);
            };
            let mut run = Run::new(self, options, &mut tell, &|| false)?;
            run.take()?;
            run.count_waiting()?;
            Ok(run.end(started))
        })
    }

    /// The same in the background, until `stop` says so: takes what is due, if anything is.
    ///
    /// # Errors
    /// As for [`collect`](Self::collect).
    pub fn collect_due(&self, stop: &dyn Fn() -> bool) -> Result<GcReport, Error> {
        let (started, _one) = (Instant::now(), self.one_collection());
        let mut nobody = |_: &super::Progress| ();
        let looking = Run::new(self, GcOptions::default(), &mut nobody, stop)?;
        if !looking.is_due()? {
            return Ok(looking.end(started));
        }
        drop(looking);
        self.told(|activity| {
            let mut tell = |progress: &super::Progress| activity.tell(progress);
            let mut run = Run::new(self, GcOptions::default(), &mut tell, stop)?;
            run.take()?;
            Ok(run.end(started))
        })
    }

    /// Has others see a collection while it goes on, and counts what came of it.
    fn told(
        &self,
        run: impl FnOnce(&activities::Run<'_>) -> Result<GcReport, Error>,
    ) -> Result<GcReport, Error> {
        self.watched(Work::Collection, run, |report| {
            let work = &self.metrics.work;
            work.collected_blobs.add(report.blobs);
            work.collected_bytes.add(report.bytes);
            work.collected_manifests.add(report.manifests);
            vec![
                ("blobs", report.blobs),
                ("bytes", report.bytes),
                ("manifests", report.manifests),
            ]
        })
    }

    fn one_collection(&self) -> std::sync::MutexGuard<'_, ()> {
        // It guards no data of its own.
        self.collecting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn far() -> SystemTime {
    SystemTime::UNIX_EPOCH + FAR
}
