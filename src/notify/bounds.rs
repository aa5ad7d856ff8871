//! What waits for a webhook: counted, and kept within its bounds.

use std::time::Duration;

use super::envelope::count;
use super::state::as_signed;
use super::worker::{Active, Worker};
use crate::store::Error;
use crate::store::catalog::Cursor;

/// The age that is asked about before events are dropped for theirs.
const AGE: Duration = Duration::from_secs(86_400);

impl Worker {
    /// Counts what is new in the outbox.
    pub(super) fn take_stock(&self, active: &Active) -> Result<(), Error> {
        loop {
            let counted_to = self.state().counted_to;
            if counted_to >= self.last() {
                return Ok(());
            }
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
                    state.waiting += as_signed(events);
                    state.oldest_ms.get_or_insert(row.change.at_ms);
                }
            }
            state.counted_to = last;
        }
    }

    /// Drops what is too old, or more than may wait.
    pub(super) fn enforce_bounds(&self, active: &Active) -> Result<(), Error> {
        let endpoint = &active.endpoint;
        let (position, oldest_ms) = {
            let state = self.state();
            (state.row.cursor.position, state.oldest_ms)
        };
        let last = self.last();
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
        let untold = state.told_of_drops.add(dropped);
        drop(state);
        if let Some(untold) = untold {
            let name = &active.endpoint.name;
            log::warn!("{untold} events for the webhook {name} were dropped: {why}");
        }
        Ok(dropped)
    }
}
