//! Events: what changes, told to webhooks. Here is decided which change is which event, and written
//! down with the change; `notify` delivers.
//!
//! Where no webhook wants an event, none is made: a push then costs what it costs without all this.
//! No secret, no address of a webhook is known here.

mod filter;
mod origin;
mod outbox;
mod record;
mod references;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub use filter::{Filter, media_type};
pub use origin::{Answering, Origin, RequestFacts};
pub use outbox::Trim;
pub use record::Recorder;
pub use references::{Descriptor, Platform};

use super::Registry;
use crate::store::catalog::Change;

/// A webhook, as far as it matters to what is written down.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Which changes it wants.
    pub filter: Filter,
    /// Whether it wants to know what a manifest refers to.
    pub references: bool,
    /// Whether pulls by `HEAD`, which fetch nothing, count as such.
    pub pull_head: bool,
    /// Where pulls go, where it wants them.
    pub pulls: Option<Arc<PullQueue>>,
}

/// Pulls on their way to one webhook: in memory, bounded, and lost with the process.
#[derive(Debug)]
pub struct PullQueue {
    sender: Sender<Change>,
    receiver: Receiver<Change>,
    dropped: AtomicU64,
}

impl PullQueue {
    /// An empty queue of so many places.
    pub fn new(places: usize) -> Self {
        let (sender, receiver) = bounded(places.max(1));
        Self {
            sender,
            receiver,
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds a pull, or counts that there was no room.
    pub fn add(&self, pull: Change) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(pull) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The oldest, if there is one.
    pub fn take(&self) -> Option<Change> {
        self.receiver.try_recv().ok()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// How many found no room since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// Who listens.
#[derive(Default)]
pub struct Events {
    listeners: RwLock<Arc<[Listener]>>,
    /// Whether there is a listener, and whether one of them wants pulls: asked by each request.
    is_heard: AtomicBool,
    hears_pulls: AtomicBool,
    /// The last row of the outbox that was committed since the registry was opened.
    last: AtomicI64,
    /// Wakes whoever delivers.
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Events {
    /// Has changes written down for these from now on.
    pub fn listen(&self, listeners: Vec<Listener>) {
        let pulls = listeners.iter().any(|own| own.pulls.is_some());
        let mut all = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.is_heard
            .store(!listeners.is_empty(), Ordering::Release);
        self.hears_pulls.store(pulls, Ordering::Release);
        *all = listeners.into();
    }

    /// Whether anybody listens at all.
    pub fn are_heard(&self) -> bool {
        self.is_heard.load(Ordering::Acquire)
    }

    /// Whether anybody wants to hear of pulls.
    pub fn hear_pulls(&self) -> bool {
        self.hears_pulls.load(Ordering::Acquire)
    }

    /// Has `bell` called when there is something new to deliver: once it is committed, or fetched.
    /// Only the first one is.
    pub fn wake_by(&self, bell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.bell.set(bell);
    }

    /// The last row of the outbox that was committed since the registry was opened; 0 for none. It
    /// spares a question to the catalog.
    pub fn last(&self) -> i64 {
        self.last.load(Ordering::Acquire)
    }

    pub(super) fn added(&self, row: i64) {
        self.last.fetch_max(row, Ordering::AcqRel);
        self.ring();
    }

    pub(super) fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell();
        }
    }

    fn listeners(&self) -> Arc<[Listener]> {
        let all = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&all)
    }
}

impl Registry {
    /// Who is told of changes.
    pub const fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// What writes down the changes that the request of this thread makes.
    pub(super) fn recorder(&self) -> Recorder {
        if !self.events.are_heard() {
            return Recorder::default();
        }
        Recorder::new(self.events.listeners(), Origin::current())
    }
}
