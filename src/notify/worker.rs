//! The thread of one webhook: takes what comes next, delivers it, waits where it must, writes down
//! how far it has come.
//!
//! How far it has come is written at most once a second, so that deliveries cost few commits; what
//! was delivered since then is delivered once more after a crash.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::client::Client;
use super::endpoint::Endpoint;
use super::envelope::{Source, count};
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
/// How long it rests when the catalog cannot be read or written.
const TROUBLE: Duration = Duration::from_secs(5);
/// The age that is asked about before events are dropped for theirs.
const AGE: Duration = Duration::from_secs(86_400);

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
                Ok(Some(rest)) => self.bell.wait(heard, rest),
                Err(error) => {
                    let name = &active.endpoint.name;
                    log::warn!("the webhook {name} waits for the catalog: {error}");
                    self.bell.wait(self.bell.heard(), TROUBLE);
                }
            }
        }
    }

    /// Does what is to be done now; how long it may rest then.
    fn turn(
        &self,
        active: &Active,
        held: &mut Option<Prepared>,
    ) -> Result<Option<Duration>, Error> {
        self.take_stock(active)?;
        self.enforce_bounds(active)?;
        let until_saved = self.save_if_due()?;
        let rest = until_saved.min(IDLE_MAX);
        if let Some(at) = self.state().retry_at.filter(|at| !left(*at).is_zero()) {
            return Ok(Some(rest.min(left(at))));
        }
        let next = match held.take() {
            Some(prepared) if self.is_still_next(&prepared) => Some(prepared),
            _ => match self.next(active)? {
                Next::Deliver(prepared) => Some(prepared),
                Next::Wait(time) => return Ok(Some(rest.min(time))),
                Next::Nothing(_) => None,
            },
        };
        let Some(prepared) = next else {
            return Ok(Some(rest));
        };
        self.deliver(active, prepared, held);
        Ok(None)
    }

    fn deliver(&self, active: &Active, prepared: Prepared, held: &mut Option<Prepared>) {
        let outcome = active.client.deliver(&prepared.body, &prepared.id);
        let backoff = active.endpoint.backoff;
        let now_ms = self.now_ms();
        let mut state = self.state();
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
        if dropped > 0 {
            self.state().pulls_dropped += dropped;
            let name = &active.endpoint.name;
            log::warn!("the webhook {name} misses {dropped} pulls: its queue was full");
        }
        let most = active.endpoint.batch_max;
        let pulls: Vec<Change> = std::iter::from_fn(|| queue.take()).take(most).collect();
        if pulls.is_empty() {
            return None;
        }
        self.state().events += pulls.len() as u64;
        Some(feed::pulls(&active.endpoint, &self.source, &pulls))
    }

    /// Counts what is new in the outbox.
    fn take_stock(&self, active: &Active) -> Result<(), Error> {
        loop {
            let counted_to = self.state().counted_to;
            let rows = self.registry.outbox_page(counted_to)?;
            let Some(last) = rows.last().map(|row| row.id) else {
                return Ok(());
            };
            let mut state = self.state();
            if state.counted_to != counted_to {
                continue;
            }
            for row in &rows {
                if active.endpoint.filter.wants(&row.change) {
                    let events = count(&row.change);
                    state.events += events;
                    state.waiting += super::state::as_signed(events);
                    state.oldest_ms.get_or_insert(row.change.at_ms);
                }
            }
            state.counted_to = last;
        }
    }

    /// Drops what is too old, or more than may wait.
    fn enforce_bounds(&self, active: &Active) -> Result<(), Error> {
        let endpoint = &active.endpoint;
        let (position, oldest_ms) = {
            let state = self.state();
            (state.row.cursor.position, state.oldest_ms)
        };
        let last = self.registry.outbox_span()?.map_or(0, |(_, last)| last);
        let many = last.saturating_sub_unsigned(endpoint.pending_max);
        if position < many {
            let why = format!("more than {} changes waited", endpoint.pending_max);
            self.drop_until(active, many, &why)?;
        }
        let age_max = i64::try_from(endpoint.age_max.as_millis()).unwrap_or(i64::MAX);
        let oldest_allowed = self.now_ms().saturating_sub(age_max);
        if oldest_ms.is_some_and(|oldest| oldest < oldest_allowed)
            // A clock that is wrong makes nothing old.
            && matches!(self.registry.doubt_about_ages(AGE), Ok(None))
        {
            let young = self.registry.outbox_since(position, oldest_allowed)?;
            let until = young.map_or(last, |id| id - 1);
            let why = format!("they waited longer than {:?}", endpoint.age_max);
            self.drop_until(active, until, &why)?;
        }
        Ok(())
    }

    /// Gives up what waits up to a row of the outbox.
    pub(super) fn drop_until(&self, active: &Active, until: i64, why: &str) -> Result<u64, Error> {
        let from = self.state().row.cursor;
        let mut dropped = 0;
        let (mut read_to, mut part, mut next_ms) = (from.position, from.part, None);
        'reading: while read_to < until {
            let rows = self.registry.outbox_page(read_to)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                if row.id > until {
                    next_ms = Some(row.change.at_ms);
                    break 'reading;
                }
                if active.endpoint.filter.wants(&row.change) {
                    dropped += count(&row.change).saturating_sub(part);
                }
                (read_to, part) = (row.id, 0);
            }
        }
        let mut state = self.state();
        if state.row.cursor != from {
            return Ok(0);
        }
        let to = Cursor {
            position: until.max(from.position),
            part: 0,
        };
        state.move_to(to, dropped);
        state.row.dropped += dropped;
        if state.waiting > 0 {
            state.oldest_ms = next_ms.or(state.oldest_ms);
        }
        drop(state);
        if dropped > 0 {
            let name = &active.endpoint.name;
            log::warn!("{dropped} events for the webhook {name} were dropped: {why}");
        }
        Ok(dropped)
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
