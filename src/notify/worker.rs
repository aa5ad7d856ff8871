//! The thread of one webhook: takes what comes next, delivers it, waits where it must, writes down
//! how far it has come.
//!
//! How far it has come is written at most once a second, so that deliveries cost few commits; what
//! was delivered since then is delivered once more after a crash.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::bell::{Bell, For};
use super::client::Client;
use super::endpoint::Endpoint;
use super::envelope::Source;
use super::feed::{self, Kind, Next, Prepared};
use super::state::{Remark, State, left};
use crate::clock::unix_ms;
use crate::registry::Registry;
use crate::registry::events::{PullQueue, Trim};
use crate::store::Error;
use crate::store::catalog::{Change, Cursor, EndpointRow};

/// How long what is delivered may wait to be written down.
const SAVE_AFTER: Duration = Duration::from_secs(1);
/// How often changes are removed that everybody has got.
const TRIM_EVERY: Duration = Duration::from_secs(10);
/// How long it rests where nothing happens: then it is time to look at ages.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How often what waits is counted while a webhook is left alone.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How long it rests when the catalog cannot be read or written.
const TROUBLE: Duration = Duration::from_secs(5);

/// What a webhook is at this moment; another one after the configuration was read again.
pub(super) struct Active {
    pub(super) endpoint: Endpoint,
    pub(super) client: Client,
    pub(super) pulls: Option<Arc<PullQueue>>,
}

/// One webhook's thread, as those see it who share it.
pub(super) struct Worker {
    pub(super) registry: Arc<Registry>,
    pub(super) bell: Arc<Bell>,
    pub(super) source: Arc<Source>,
    pub(super) trim: Trim,
    pub(super) active: RwLock<Arc<Active>>,
    pub(super) state: Mutex<State>,
    /// The last row of the outbox when it began.
    pub(super) first_last: i64,
    /// Set when it is to end.
    pub(super) over: AtomicBool,
}

impl Worker {
    /// Delivers until it is over.
    pub(super) fn run(&self) {
        // Only here: what could not be delivered and is in no outbox.
        let mut held: Option<Prepared> = None;
        loop {
            let heard = self.bell.heard();
            if self.over.load(Ordering::Acquire) {
                return;
            }
            let active = self.active();
            match self.turn(&active, &mut held) {
                Ok(None) => {}
                Ok(Some((what, rest))) => self.bell.wait(heard, what, rest),
                Err(error) => {
                    let name = &active.endpoint.name;
                    log::warn!("the webhook {name} waits for the catalog: {error}");
                    self.rest();
                }
            }
        }
    }

    /// Rests after something went wrong here, unless it is called.
    pub(super) fn rest(&self) {
        self.bell.wait(self.bell.heard(), For::Calls, TROUBLE);
    }

    /// Does what is to be done now; what it waits for then, and how long at most.
    fn turn(
        &self,
        active: &Active,
        held: &mut Option<Prepared>,
    ) -> Result<Option<(For, Duration)>, Error> {
        self.take_stock(active)?;
        self.enforce_bounds(active)?;
        let until_saved = self.save_if_due()?;
        let rest = until_saved.min(IDLE_MAX);
        if let Some(at) = self.state().retry_at.filter(|at| !left(*at).is_zero()) {
            // News are of no use now. What waits is counted now and then.
            return Ok(Some((For::Calls, rest.min(left(at)).min(COUNT_EVERY))));
        }
        let next = match held.take() {
            Some(prepared) if self.is_still_next(&prepared) => Some(prepared),
            _ => match self.next(active)? {
                Next::Deliver(prepared) => Some(prepared),
                Next::Wait(time) => return Ok(Some((For::News, rest.min(time)))),
                Next::Nothing(_) => None,
            },
        };
        let Some(prepared) = next else {
            return Ok(Some((For::News, rest)));
        };
        self.deliver(active, prepared, held);
        Ok(None)
    }

    fn deliver(&self, active: &Active, prepared: Prepared, held: &mut Option<Prepared>) {
        let begun = Instant::now();
        let outcome = active.client.deliver(&prepared.body, &prepared.id);
        let took = begun.elapsed();
        let backoff = active.endpoint.backoff;
        let now_ms = self.now_ms();
        let mut state = self.state();
        state.took += took;
        let remark = state.note(&prepared, &outcome, now_ms, backoff.threshold);
        if state.failures > 0 {
            let chance = getrandom::u32().unwrap_or(u32::MAX / 2);
            let pause = backoff.pause(state.failures, chance);
            state.retry_at = Some(Instant::now() + pause);
            if prepared.kind == Kind::Pulls && state.failures >= backoff.threshold {
                // Best effort: they make room for what must not be lost.
                state.pulls_dropped += prepared.events;
            } else {
                *held = Some(prepared);
            }
        }
        drop(state);
        tell(&active.endpoint, remark);
    }

    /// Whether a delivery that failed is still what comes next.
    fn is_still_next(&self, prepared: &Prepared) -> bool {
        let state = self.state();
        let replaying = state.row.replay.map(|replay| replay.cursor);
        match prepared.kind {
            Kind::Waiting => replaying.is_none() && state.row.cursor == prepared.from,
            Kind::Replayed => replaying == Some(prepared.from),
            Kind::Pulls => true,
        }
    }

    /// What comes next: what is sent once more, what waits, then pulls.
    fn next(&self, active: &Active) -> Result<Next, Error> {
        let (cursor, replay) = {
            let state = self.state();
            (state.row.cursor, state.row.replay)
        };
        if let Some(replay) = replay {
            let until = Some(replay.until);
            match self.out_of(active, Kind::Replayed, replay.cursor, until)? {
                Next::Nothing(_) => {
                    let end = Cursor {
                        position: replay.until,
                        part: 0,
                    };
                    self.state().replayed_to(replay.cursor, end);
                }
                next => return Ok(next),
            }
        }
        let next = self.out_of(active, Kind::Waiting, cursor, None)?;
        if let Next::Nothing(to) = next {
            // Past what it does not want.
            let mut state = self.state();
            if state.row.cursor == cursor {
                state.move_to(to, 0);
            }
        }
        if matches!(next, Next::Deliver(_)) {
            return Ok(next);
        }
        Ok(self.pulls(active).map_or(next, Next::Deliver))
    }

    fn out_of(
        &self,
        active: &Active,
        kind: Kind,
        from: Cursor,
        until: Option<i64>,
    ) -> Result<Next, Error> {
        if from.position >= self.last() {
            return Ok(Next::Nothing(from));
        }
        let (endpoint, now_ms) = (&active.endpoint, self.now_ms());
        feed::next(
            &self.registry,
            endpoint,
            &self.source,
            kind,
            from,
            until,
            now_ms,
        )
    }

    fn pulls(&self, active: &Active) -> Option<Prepared> {
        let queue = active.pulls.as_ref()?;
        let dropped = queue.take_dropped();
        let untold = {
            let mut state = self.state();
            state.pulls_dropped += dropped;
            state.told_of_pulls.add(dropped)
        };
        if let Some(untold) = untold {
            let name = &active.endpoint.name;
            log::warn!("the webhook {name} misses {untold} pulls: its queue was full");
        }
        let most = active.endpoint.batch_max;
        let pulls: Vec<Change> = std::iter::from_fn(|| queue.take()).take(most).collect();
        if pulls.is_empty() {
            return None;
        }
        self.state().events += pulls.len() as u64;
        Some(feed::pulls(&active.endpoint, &self.source, &pulls))
    }

    /// The last row of the outbox.
    pub(super) fn last(&self) -> i64 {
        self.registry.events().last().max(self.first_last)
    }

    /// Writes down how far it has come, when that has waited long enough; how long it may still.
    fn save_if_due(&self) -> Result<Duration, Error> {
        let Some(since) = self.state().unsaved else {
            return Ok(IDLE_MAX);
        };
        let wait = left(since + SAVE_AFTER);
        if wait.is_zero() {
            self.save()?;
            return Ok(IDLE_MAX);
        }
        Ok(wait)
    }

    /// Writes down how far it has come, and now and then removes what everybody has got.
    pub(super) fn save(&self) -> Result<(), Error> {
        let (row, trim) = {
            let mut state = self.state();
            state.unsaved = None;
            let is_due = state.trimmed.is_none_or(|at| at.elapsed() >= TRIM_EVERY);
            if is_due {
                state.trimmed = Some(Instant::now());
            }
            (state.row.clone(), is_due.then_some(self.trim))
        };
        let saved = self.registry.save_endpoint(row, trim);
        if saved.is_err() {
            self.state().changed();
        }
        saved
    }

    /// Counts what is new in the outbox, for whoever is about to give it up.
    pub(super) fn count_now(&self) -> Result<(), Error> {
        self.take_stock(&self.active())
    }

    /// Its row as it is now.
    pub(super) fn row(&self) -> EndpointRow {
        self.state().row.clone()
    }

    pub(super) fn active(&self) -> Arc<Active> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&active)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Counts and positions are whole after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> i64 {
        unix_ms(self.registry.catalog().now())
    }
}

fn tell(endpoint: &Endpoint, remark: Option<Remark>) {
    let (name, at) = (&endpoint.name, endpoint.url.origin());
    match remark {
        None => {}
        Some(Remark::Fails(why)) => {
            log::warn!("the webhook {name} at {at} fails: {why}; it is tried again");
        }
        Some(Remark::Pauses(why)) => {
            let failures = endpoint.backoff.threshold;
            log::warn!(
                "the webhook {name} at {at} has failed {failures} times in a row ({why}); what is \
                 for it waits, and it is tried again with pauses of up to {:?}",
                endpoint.backoff.longest
            );
        }
        Some(Remark::TakesAgain(failures)) => {
            log::info!("the webhook {name} takes events again, after {failures} failures");
        }
    }
}
