//! What the registry is doing beside answering clients: one place for each kind of long work, with
//! how far it is and how it last ended. Bounded by the number of kinds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Error, Progress, Registry};
use crate::clock::{Clock, rfc3339, unix_ms};
use crate::store;

/// A kind of long work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Taking what nothing refers to.
    Collection,
    /// Reading everything again in the background.
    Scrub,
    /// Removing what is kept no longer.
    Retention,
    /// A backup.
    Backup,
    /// A check.
    Check,
}

impl Work {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [
        Self::Collection,
        Self::Scrub,
        Self::Retention,
        Self::Backup,
        Self::Check,
    ];

    /// For people, and as a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collection => "collection",
            Self::Scrub => "scrub",
            Self::Retention => "retention",
            Self::Backup => "backup",
            Self::Check => "check",
        }
    }
}

/// How it stands with one kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// The kind.
    pub work: Work,
    /// The run that is under way.
    pub running: Option<Running>,
    /// The last run that has ended since the start of the process.
    pub last: Option<Ended>,
    /// Runs that came to their end since the start.
    pub runs: u64,
    /// Runs that failed, or were told to stop.
    pub failed: u64,
    /// How long all of them took, in milliseconds.
    pub took_ms: u64,
    /// When one last came to its end, in milliseconds since 1970.
    pub succeeded_at_ms: Option<i64>,
}

/// A run that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// When it began, RFC 3339.
    pub since: String,
    /// How long ago that is, in milliseconds.
    pub for_ms: u64,
    /// How far it is.
    pub progress: Progress,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// When, RFC 3339.
    pub at: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it did, counted by name: `blobs`.
    pub figures: Vec<(String, u64)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// All kinds of work of one registry.
#[derive(Debug, Default)]
pub(super) struct Activities([Mutex<State>; Work::ALL.len()]);

#[derive(Debug, Default)]
struct State {
    running: Option<(Instant, i64, Progress)>,
    last: Option<Ended>,
    runs: u64,
    failed: u64,
    took: Duration,
    succeeded_at_ms: Option<i64>,
}

/// A run that was begun. Dropping it without an end means that it broke off.
pub(super) struct Run<'a> {
    activities: &'a Activities,
    work: Work,
    clock: &'a dyn Clock,
}

impl Activities {
    /// A run has begun. Of two of one kind at a time the later one is told of.
    pub(super) fn begin<'a>(&'a self, work: Work, clock: &'a dyn Clock) -> Run<'a> {
        let at = unix_ms(clock.now());
        self.lock(work).running = Some((Instant::now(), at, Progress::default()));
        Run {
            activities: self,
            work,
            clock,
        }
    }

    /// How it stands with all of them.
    pub(super) fn all(&self) -> Vec<Activity> {
        let of = |work: Work| self.lock(work).activity(work);
        Work::ALL.into_iter().map(of).collect()
    }

    fn lock(&self, work: Work) -> MutexGuard<'_, State> {
        // Each change leaves a whole state behind.
        self.0[work as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn activity(&self, work: Work) -> Activity {
        let running = self.running.as_ref();
        Activity {
            work,
            running: running.map(|(begun, at, progress)| Running {
                since: rfc3339(*at),
                for_ms: ms(begun.elapsed()),
                progress: progress.clone(),
            }),
            last: self.last.clone(),
            runs: self.runs,
            failed: self.failed,
            took_ms: ms(self.took),
            succeeded_at_ms: self.succeeded_at_ms,
        }
    }
}

impl Run<'_> {
    /// So far it is.
    pub(super) fn tell(&self, progress: &Progress) {
        if let Some((.., own)) = &mut self.activities.lock(self.work).running {
            own.clone_from(progress);
        }
    }

    /// It has come to its end, or failed.
    pub(super) fn end(self, outcome: Result<&[(&str, u64)], String>) {
        self.note(outcome);
        // Nothing is left to be noted.
        std::mem::forget(self);
    }

    fn note(&self, outcome: Result<&[(&str, u64)], String>) {
        let now = unix_ms(self.clock.now());
        let mut state = self.activities.lock(self.work);
        let begun = state.running.take();
        let took = begun.map_or(Duration::ZERO, |(begun, ..)| begun.elapsed());
        state.took += took;
        if outcome.is_ok() {
            state.runs += 1;
            state.succeeded_at_ms = Some(now);
        } else {
            state.failed += 1;
        }
        let named = |(name, count): &(&str, u64)| ((*name).to_owned(), *count);
        let figures = outcome.as_ref().map(|own| own.iter().map(named).collect());
        state.last = Some(Ended {
            at: rfc3339(now),
            took_ms: ms(took),
            figures: figures.unwrap_or_default(),
            error: outcome.err(),
        });
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.note(Err("it broke off".to_owned()));
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Registry {
    /// Does a piece of work that others can see while it goes on. `figures` are what came of it.
    pub(super) fn watched<R>(
        &self,
        work: Work,
        run: impl FnOnce(&Run<'_>) -> Result<R, Error>,
        figures: impl FnOnce(&R) -> Vec<(&'static str, u64)>,
    ) -> Result<R, Error> {
        let activity = self.activities.begin(work, &*self.clock);
        let outcome = run(&activity);
        match &outcome {
            Ok(report) => activity.end(Ok(&figures(report))),
            Err(error) => activity.end(Err(error.to_string())),
        }
        outcome
    }

    /// What it is doing beside answering clients, and how that last ended.
    pub fn activities(&self) -> Vec<Activity> {
        self.activities.all()
    }

    /// Blobs whose time for the collection has come, at this moment; counts them.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn collection_due(&self) -> Result<u64, store::Error> {
        let now = self.clock.now();
        self.catalog.read(|tx| tx.count_collectable(now))
    }

    /// Upload sessions that are not finished.
    pub fn upload_sessions(&self) -> usize {
        self.blobs.sessions()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::clock::SystemClock;
    use crate::registry::Counted;

    #[test]
    fn a_run_is_told_while_it_goes_on_and_afterwards() {
        let activities = Activities::default();
        let run = activities.begin(Work::Backup, &SystemClock);
        run.tell(&Progress::start("copying", Counted::Bytes, 7));
        let of = |work: Work| activities.all().swap_remove(work as usize);
        let running = of(Work::Backup).running.expect("it runs");
        assert_eq!(running.progress.total, 7);
        assert_eq!(of(Work::Check).running, None);
        run.end(Ok(&[("blobs", 3)]));
        let after = of(Work::Backup);
        assert_eq!((after.running, after.runs, after.failed), (None, 1, 0));
        let last = after.last.expect("it has ended");
        assert_eq!(last.figures, [("blobs".to_owned(), 3)]);
        assert_eq!(last.error, None);
    }

    #[test]
    fn a_run_that_fails_or_panics_has_ended_too() {
        let activities = Activities::default();
        let begin = || activities.begin(Work::Check, &SystemClock);
        begin().end(Err("no room".to_owned()));
        let of = || activities.all().swap_remove(Work::Check as usize);
        assert_eq!(of().last.expect("ended").error.as_deref(), Some("no room"));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _run = begin();
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        let after = of();
        assert_eq!((after.running, after.runs, after.failed), (None, 0, 2));
    }
}
