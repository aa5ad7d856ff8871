//! Who owns which upload session, and which sessions are kept open between requests.
//!
//! A session that exists only on disk is not in the table: the table holds those that a request
//! owns at this moment, those on their way out, and a bounded number of idle ones whose file and
//! running hash are kept, so that the usual start, append, finish reads nothing again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::UploadError;

enum Slot<S> {
    /// One request has it; the length that is acknowledged, once that is known.
    Owned { acknowledged: Option<u64> },
    /// It was finished or is being removed; its file may still have the session's name.
    Leaving,
    /// Nobody has it; `used` orders the idle ones by age.
    Idle {
        session: S,
        acknowledged: u64,
        used: u64,
    },
}

struct State<S> {
    slots: HashMap<String, Slot<S>>,
    idle: usize,
    uses: u64,
    /// Sessions that exist, in the table or only on disk.
    count: usize,
}

/// The table of one store. `S` is what is kept of an idle session.
pub(super) struct Sessions<S> {
    state: Mutex<State<S>>,
    count_max: usize,
    idle_max: usize,
}

/// The right to one session. Dropping it gives the session back as one that exists only on disk.
pub(super) struct Ticket<S> {
    table: Arc<Sessions<S>>,
    name: String,
    parked: bool,
}

impl<S> Sessions<S> {
    /// A table for a store that already holds `count` sessions.
    pub fn new(count: usize, count_max: usize, idle_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                slots: HashMap::new(),
                idle: 0,
                uses: 0,
                count,
            }),
            count_max,
            idle_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        // Every change below is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions that exist, in the table or only on disk.
    pub fn count(&self) -> usize {
        self.lock().count
    }

    /// Counts a new session and gives it to the caller, who makes its file.
    pub fn start(self: &Arc<Self>, name: String) -> Result<Ticket<S>, UploadError> {
        let mut state = self.lock();
        if state.count >= self.count_max {
            return Err(UploadError::TooMany {
                limit: self.count_max,
            });
        }
        if state.slots.contains_key(&name) {
            return Err(UploadError::Busy);
        }
        state.count += 1;
        let slot = Slot::Owned {
            acknowledged: Some(0),
        };
        state.slots.insert(name.clone(), slot);
        drop(state);
        Ok(self.ticket(name))
    }

    /// What a session in the table has acknowledged, in bytes; `None` when it is not in the table
    /// or not known yet.
    pub fn acknowledged(&self, name: &str) -> Option<u64> {
        self.lock().slots.get(name)?.acknowledged()
    }

    /// Takes a session: with what was kept of it, or with nothing when it may exist on disk.
    pub fn claim(self: &Arc<Self>, name: String) -> Result<(Ticket<S>, Option<S>), UploadError> {
        let mut state = self.lock();
        let kept = match state.slots.get_mut(&name) {
            Some(Slot::Owned { .. }) => return Err(UploadError::Busy),
            Some(Slot::Leaving) => return Err(UploadError::Unknown),
            Some(slot) => {
                let acknowledged = slot.acknowledged();
                std::mem::replace(slot, Slot::Owned { acknowledged }).into_idle()
            }
            None => {
                let slot = Slot::Owned { acknowledged: None };
                state.slots.insert(name.clone(), slot);
                None
            }
        };
        state.idle -= usize::from(kept.is_some());
        drop(state);
        Ok((self.ticket(name), kept))
    }

    /// Takes a session to remove it; `None` when a request has it.
    pub fn evict(self: &Arc<Self>, name: &str) -> Option<Ticket<S>> {
        let (ticket, kept) = self.claim(name.to_owned()).ok()?;
        drop(kept);
        ticket.leaving();
        Some(ticket)
    }

    fn ticket(self: &Arc<Self>, name: String) -> Ticket<S> {
        Ticket {
            table: Arc::clone(self),
            name,
            parked: false,
        }
    }
}

impl<S> Slot<S> {
    fn into_idle(self) -> Option<S> {
        match self {
            Self::Idle { session, .. } => Some(session),
            Self::Owned { .. } | Self::Leaving => None,
        }
    }

    fn acknowledged(&self) -> Option<u64> {
        match self {
            Self::Owned { acknowledged } => *acknowledged,
            Self::Idle { acknowledged, .. } => Some(*acknowledged),
            Self::Leaving => None,
        }
    }
}

impl<S> Ticket<S> {
    /// The session's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// So many bytes are acknowledged now.
    pub fn acknowledge(&self, bytes: u64) {
        if let Some(Slot::Owned { acknowledged }) = self.table.lock().slots.get_mut(&self.name) {
            *acknowledged = Some(bytes);
        }
    }

    /// From now on others are told that there is no such session.
    pub fn leaving(&self) {
        let mut state = self.table.lock();
        state.slots.insert(self.name.clone(), Slot::Leaving);
    }

    /// Gives the session back and keeps it open, closing the one that was idle for longest when
    /// there are too many.
    pub fn park(mut self, session: S, acknowledged: u64) {
        self.parked = true;
        let mut state = self.table.lock();
        state.uses += 1;
        state.idle += 1;
        let used = state.uses;
        let slot = Slot::Idle {
            session,
            acknowledged,
            used,
        };
        state.slots.insert(self.name.clone(), slot);
        let closed = if state.idle > self.table.idle_max {
            state.close_oldest()
        } else {
            None
        };
        drop(state);
        // The file is closed here, outside the lock.
        drop(closed);
    }

    /// The session is no more: its file has another name or none.
    pub fn gone(self) {
        let mut state = self.table.lock();
        state.count = state.count.saturating_sub(1);
    }
}

impl<S> State<S> {
    fn close_oldest(&mut self) -> Option<Slot<S>> {
        let age = |slot: &Slot<S>| match slot {
            Slot::Idle { used, .. } => Some(*used),
            Slot::Owned { .. } | Slot::Leaving => None,
        };
        let (_, name) = self
            .slots
            .iter()
            .filter_map(|(name, slot)| Some((age(slot)?, name)))
            .min()?;
        let name = name.clone();
        self.idle -= 1;
        self.slots.remove(&name)
    }
}

impl<S> Drop for Ticket<S> {
    fn drop(&mut self) {
        // A parked session may already belong to somebody else.
        if !self.parked {
            self.table.lock().slots.remove(&self.name);
        }
    }
}
