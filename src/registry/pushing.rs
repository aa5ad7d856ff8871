//! Which repositories have an upload in progress: what they hold and nothing uses yet is kept, also
//! from a collection that does not wait.
//!
//! In memory, within a bound. A session that nobody touches is forgotten after the grace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::oci::RepositoryName;
use crate::store::blobs::UploadId;

/// The most sessions that are remembered. Past it every repository counts as pushed to.
const SESSIONS_MAX: usize = 50_000;

/// The uploads in progress of one registry.
pub struct Pushing {
    grace: Duration,
    state: Mutex<State>,
    overflow_told: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Sessions and when each was last touched.
    repositories: HashMap<RepositoryName, HashMap<UploadId, Duration>>,
    sessions: usize,
    /// Until then every repository counts.
    all_until: Duration,
}

impl Pushing {
    /// Nothing is in progress. Sessions are forgotten `grace` after their last touch.
    pub fn new(grace: Duration) -> Self {
        Self {
            grace,
            state: Mutex::default(),
            overflow_told: AtomicBool::new(false),
        }
    }

    /// Notes that a session was started or used.
    pub fn note(&self, repository: &RepositoryName, id: &UploadId, now: Duration) {
        let mut state = self.state();
        if state.sessions >= SESSIONS_MAX {
            state.forget_until(now.saturating_sub(self.grace));
        }
        if state.sessions >= SESSIONS_MAX {
            if !self.overflow_told.swap(true, Ordering::Relaxed) {
                log::warn!(
                    "more than {SESSIONS_MAX} uploads are in progress: collection keeps what \
                     nothing refers to in all repositories meanwhile; this is said once"
                );
            }
            state.all_until = now + self.grace;
            return;
        }
        let sessions = match state.repositories.get_mut(repository) {
            Some(sessions) => sessions,
            None => state.repositories.entry(repository.clone()).or_default(),
        };
        if sessions.insert(id.clone(), now).is_none() {
            state.sessions += 1;
        }
    }

    /// Notes that a session has ended, in whichever way.
    pub fn end(&self, repository: &RepositoryName, id: &UploadId) {
        let mut state = self.state();
        let Some(sessions) = state.repositories.get_mut(repository) else {
            return;
        };
        let ended = sessions.remove(id).is_some();
        if sessions.is_empty() {
            state.repositories.remove(repository);
        }
        state.sessions -= usize::from(ended);
    }

    /// Whether an upload to the repository is in progress.
    pub fn is_pushed_to(&self, repository: &RepositoryName, now: Duration) -> bool {
        let state = self.state();
        let is_recent = |touched: &Duration| now.saturating_sub(*touched) <= self.grace;
        now < state.all_until
            || state
                .repositories
                .get(repository)
                .is_some_and(|sessions| sessions.values().any(is_recent))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under it can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets the sessions that were last touched before `time`.
    fn forget_until(&mut self, time: Duration) {
        self.repositories.retain(|_, sessions| {
            sessions.retain(|_, touched| *touched >= time);
            !sessions.is_empty()
        });
        self.sessions = self.repositories.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> UploadId {
        UploadId::random().expect("an id")
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_repository_counts_until_its_last_session_ends_or_is_left() {
        let pushing = Pushing::new(s(10));
        let (a, b): (RepositoryName, RepositoryName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (one, two) = (id(), id());
        pushing.note(&a, &one, s(1));
        pushing.note(&a, &one, s(2));
        pushing.note(&a, &two, s(2));
        assert!(pushing.is_pushed_to(&a, s(3)));
        assert!(!pushing.is_pushed_to(&b, s(3)));
        pushing.end(&a, &one);
        pushing.end(&b, &one);
        assert!(pushing.is_pushed_to(&a, s(12)));
        assert!(!pushing.is_pushed_to(&a, s(13)));
        pushing.end(&a, &two);
        assert!(!pushing.is_pushed_to(&a, s(3)));
        assert_eq!(pushing.state().sessions, 0);
        assert!(pushing.state().repositories.is_empty());
    }

    #[test]
    fn past_the_bound_every_repository_counts_and_nothing_grows() {
        let pushing = Pushing::new(s(10));
        let (a, b): (RepositoryName, RepositoryName) = ("a".parse().unwrap(), "b".parse().unwrap());
        for _ in 0..SESSIONS_MAX {
            pushing.note(&a, &id(), s(1));
        }
        assert!(!pushing.is_pushed_to(&b, s(1)));
        pushing.note(&a, &id(), s(2));
        assert_eq!(pushing.state().sessions, SESSIONS_MAX);
        assert!(pushing.is_pushed_to(&b, s(3)));
        // All of them are left, so there is room again.
        pushing.note(&a, &id(), s(20));
        assert_eq!(pushing.state().sessions, 1);
        assert!(!pushing.is_pushed_to(&b, s(20)));
    }
}
