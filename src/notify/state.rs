//! How it stands with one webhook: where it has come to, how its last attempts went, what waits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::client::Outcome;
use super::feed::{Kind, Prepared};
use crate::store::catalog::{Cursor, EndpointRow};

/// How it stands with one webhook, for metrics and people. Counts without another word are since
/// the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointFigures {
    /// Its name.
    pub name: String,
    /// Where it is: scheme, host and port.
    pub address: String,
    /// Whether it is delivered to by this process.
    pub active: bool,
    /// Events that wait.
    pub pending: u64,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_seconds: Option<u64>,
    /// Changes that are still to be sent once more.
    pub replaying: u64,
    /// Events that it has got, ever.
    pub delivered: u64,
    /// Attempts that failed, ever.
    pub failed: u64,
    /// Events that it will never get, ever: too old, too many, or purged.
    pub dropped: u64,
    /// Events that were meant for it.
    pub events: u64,
    /// Events that it took.
    pub successes: u64,
    /// Events whose delivery was answered with a status that means it was not taken, each attempt.
    pub failures: u64,
    /// Events whose delivery was not answered, each attempt.
    pub errors: u64,
    /// Requests that were taken.
    pub requests_taken: u64,
    /// Requests that were not.
    pub requests_failed: u64,
    /// How long all requests took, in milliseconds.
    pub took_ms: u64,
    /// How often each status was answered.
    pub statuses: BTreeMap<u16, u64>,
    /// Pulls that found no room in the queue or could not be delivered.
    pub pulls_dropped: u64,
    /// Attempts that have failed since the last that did not.
    pub failures_in_a_row: u32,
    /// What went wrong the last time; `None` since an attempt went well.
    pub last_error: Option<String>,
    /// In how many seconds it is tried again; `None` while it need not wait.
    pub retry_seconds: Option<u64>,
    /// When it last got something, in milliseconds since 1970.
    pub delivered_ms: Option<i64>,
}

/// How much later than others the catalog learns what it need not know.
const LATE_AFTER: Duration = Duration::from_secs(20);

/// What is said in the log about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// It fails from now on.
    Fails(String),
    /// It has failed as often as the threshold says, and is left alone for a time.
    Pauses(String),
    /// It takes events again, after so many failures.
    TakesAgain(u32),
}

/// Something that is counted whenever it happens and told now and then.
#[derive(Debug, Default)]
pub(super) struct Tally {
    untold: u64,
    told: Option<Instant>,
}

impl Tally {
    /// Counts; how many are to be told of now.
    pub(super) fn add(&mut self, count: u64) -> Option<u64> {
        self.untold += count;
        let is_time = self.told.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if self.untold == 0 || !is_time {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.untold))
    }
}

/// How often the log tells of what happens again and again.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The state, behind a lock.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What is kept in the catalog.
    pub(super) row: EndpointRow,
    /// Since when the catalog does not know it.
    pub(super) unsaved: Option<Instant>,
    /// When old changes were last removed.
    pub(super) trimmed: Option<Instant>,
    pub(super) failures: u32,
    pub(super) last_error: Option<String>,
    pub(super) retry_at: Option<Instant>,
    /// The last row that `waiting` counts.
    pub(super) counted_to: i64,
    /// Events behind the cursor up to that row. Less than none while one row is begun.
    pub(super) waiting: i64,
    /// When the first of them happened, in milliseconds since 1970.
    pub(super) oldest_ms: Option<i64>,
    pub(super) events: u64,
    pub(super) successes: u64,
    pub(super) refusals: u64,
    pub(super) errors: u64,
    pub(super) requests_taken: u64,
    pub(super) requests_failed: u64,
    pub(super) took: Duration,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) pulls_dropped: u64,
    pub(super) told_of_drops: Tally,
    pub(super) told_of_pulls: Tally,
}

impl State {
    /// A webhook that has come to where the catalog says.
    pub(super) fn new(row: EndpointRow) -> Self {
        let mut state = Self {
            row,
            ..Self::default()
        };
        state.count_anew();
        state
    }

    /// Counts what waits from the beginning: it was filtered otherwise before.
    pub(super) fn count_anew(&mut self) {
        self.counted_to = self.row.cursor.position;
        self.waiting = -as_signed(self.row.cursor.part);
        self.oldest_ms = None;
    }

    /// What is in the catalog is no more how it stands.
    pub(super) fn changed(&mut self) {
        let now = Instant::now();
        self.unsaved = Some(self.unsaved.map_or(now, |since| since.min(now)));
    }

    /// The same, where nothing comes of it if the catalog learns it late.
    fn changed_a_little(&mut self) {
        self.unsaved
            .get_or_insert_with(|| Instant::now() + LATE_AFTER);
    }

    /// Moves on to `to`, past so many events.
    pub(super) fn move_to(&mut self, to: Cursor, events: u64) {
        if to != self.row.cursor {
            self.row.cursor = to;
            self.waiting -= as_signed(events);
            if events > 0 {
                self.changed();
            } else {
                self.changed_a_little();
            }
        }
        // What is not counted yet is behind it for good.
        if self.counted_to < to.position {
            self.counted_to = to.position;
            self.waiting = -as_signed(to.part);
        }
        if self.waiting <= 0 {
            self.oldest_ms = None;
        }
    }

    /// Takes note of what came of a delivery; what is to be said about it.
    pub(super) fn note(
        &mut self,
        prepared: &Prepared,
        outcome: &Outcome,
        now_ms: i64,
        threshold: u32,
    ) -> Option<Remark> {
        let why = match outcome {
            Outcome::Taken(status) => {
                *self.statuses.entry(*status).or_default() += 1;
                return self.taken(prepared, now_ms);
            }
            Outcome::Refused(status) => {
                *self.statuses.entry(*status).or_default() += 1;
                self.refusals += prepared.events;
                format!("it answered with status {status}")
            }
            Outcome::Failed(why) => {
                self.errors += prepared.events;
                why.clone()
            }
        };
        self.failures = self.failures.saturating_add(1);
        self.row.failed += 1;
        self.requests_failed += 1;
        self.changed_a_little();
        self.last_error = Some(why.clone());
        match self.failures {
            1 => Some(Remark::Fails(why)),
            failures if failures == threshold => Some(Remark::Pauses(why)),
            _ => None,
        }
    }

    fn taken(&mut self, prepared: &Prepared, now_ms: i64) -> Option<Remark> {
        self.successes += prepared.events;
        self.requests_taken += 1;
        let failures = std::mem::take(&mut self.failures);
        self.last_error = None;
        self.retry_at = None;
        self.row.delivered += prepared.events;
        self.row.delivered_ms = Some(now_ms);
        self.changed();
        match prepared.kind {
            // Unless it was moved meanwhile, because what waited was purged.
            Kind::Waiting if self.row.cursor == prepared.from => {
                self.move_to(prepared.to, prepared.events);
            }
            Kind::Replayed => self.replayed_to(prepared.from, prepared.to),
            Kind::Waiting | Kind::Pulls => {}
        }
        (failures > 0).then_some(Remark::TakesAgain(failures))
    }

    /// Moves on with what is sent once more, if it is still at `from`.
    pub(super) fn replayed_to(&mut self, from: Cursor, to: Cursor) {
        if let Some(replay) = self.row.replay.as_mut().filter(|own| own.cursor == from) {
            replay.cursor = to;
            if to.position >= replay.until {
                self.row.replay = None;
            }
            self.changed();
        }
    }

    /// How it stands at this time.
    pub(super) fn figures(&self, now_ms: i64) -> EndpointFigures {
        let age = |at: i64| now_ms.saturating_sub(at).max(0).unsigned_abs() / 1000;
        let row = &self.row;
        EndpointFigures {
            name: row.name.clone(),
            active: true,
            pending: self.waiting.max(0).unsigned_abs(),
            oldest_seconds: self.oldest_ms.map(age),
            delivered_ms: row.delivered_ms,
            events: self.events,
            successes: self.successes,
            failures: self.refusals,
            errors: self.errors,
            requests_taken: self.requests_taken,
            requests_failed: self.requests_failed,
            took_ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            statuses: self.statuses.clone(),
            pulls_dropped: self.pulls_dropped,
            failures_in_a_row: self.failures,
            last_error: self.last_error.clone(),
            retry_seconds: self.retry_at.map(|at| left(at).as_secs()),
            ..EndpointFigures::of_row(row)
        }
    }
}

impl EndpointFigures {
    /// What the catalog alone knows of a webhook.
    pub fn of_row(row: &EndpointRow) -> Self {
        let replaying = row.replay.map_or(0, |replay| {
            let rows = replay.until.saturating_sub(replay.cursor.position);
            rows.max(0).unsigned_abs()
        });
        Self {
            name: row.name.clone(),
            replaying,
            delivered: row.delivered,
            failed: row.failed,
            dropped: row.dropped,
            delivered_ms: row.delivered_ms,
            ..Self::default()
        }
    }
}

/// The time until then; none when it is over.
pub(super) fn left(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}

/// A count of events as it is calculated with: there are never so many.
pub(super) fn as_signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64, part: u64) -> Cursor {
        Cursor { position, part }
    }

    fn prepared(from: Cursor, to: Cursor, events: u64) -> Prepared {
        Prepared {
            kind: Kind::Waiting,
            from,
            to,
            events,
            body: Vec::new(),
            id: String::new(),
        }
    }

    fn state() -> State {
        let mut state = State::new(EndpointRow {
            cursor: at(10, 2),
            ..EndpointRow::default()
        });
        // Two rows of five events each.
        (state.counted_to, state.waiting) = (12, state.waiting + 10);
        state
    }

    #[test]
    fn what_was_taken_is_over_and_what_was_not_is_tried_again() {
        let mut state = state();
        assert_eq!(state.figures(0).pending, 8);
        let next = prepared(at(10, 2), at(11, 0), 3);
        let refused = Outcome::Refused(503);
        assert_eq!(
            state.note(&next, &refused, 5, 2),
            Some(Remark::Fails("it answered with status 503".to_owned()))
        );
        let failed = Outcome::Failed("no answer".to_owned());
        assert_eq!(
            state.note(&next, &failed, 5, 2),
            Some(Remark::Pauses("no answer".to_owned()))
        );
        assert_eq!(state.note(&next, &failed, 5, 2), None);
        let figures = state.figures(0);
        assert_eq!(
            (figures.failures, figures.errors, figures.failed),
            (3, 6, 3)
        );
        assert_eq!(figures.last_error.as_deref(), Some("no answer"));
        assert_eq!(
            state.note(&next, &Outcome::Taken(200), 7, 2),
            Some(Remark::TakesAgain(3))
        );
        let figures = state.figures(0);
        assert_eq!((figures.pending, figures.delivered), (5, 3));
        assert_eq!(state.row.cursor, at(11, 0));
        assert_eq!((figures.last_error, figures.delivered_ms), (None, Some(7)));
        assert_eq!(figures.statuses, [(200, 1), (503, 1)].into());
    }

    #[test]
    fn what_was_purged_meanwhile_stays_so() {
        let mut state = state();
        let next = prepared(at(10, 2), at(11, 0), 3);
        state.move_to(at(12, 0), 8);
        assert_eq!(state.note(&next, &Outcome::Taken(200), 7, 2), None);
        assert_eq!(state.row.cursor, at(12, 0));
        assert_eq!(state.figures(0).pending, 0);
    }

    #[test]
    fn a_replay_ends_with_its_last_row() {
        use crate::store::catalog::Replay;
        let mut state = state();
        state.row.replay = Some(Replay {
            cursor: at(3, 0),
            until: 5,
        });
        assert_eq!(state.figures(0).replaying, 2);
        state.replayed_to(at(2, 0), at(4, 0));
        assert_eq!(state.figures(0).replaying, 2);
        state.replayed_to(at(3, 0), at(4, 1));
        assert_eq!(state.figures(0).replaying, 1);
        state.replayed_to(at(4, 1), at(5, 0));
        assert_eq!(state.row.replay, None);
        assert_eq!(state.row.cursor, at(10, 2));
    }
}
