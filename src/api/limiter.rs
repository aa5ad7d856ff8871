//! What one client address and one identity may ask for: requests a second, requests at a time.
//! Everything is in memory and bounded; a restart forgets it.
//!
//! Requests at a time of a client address are bounded below, by the HTTP server; unfinished uploads
//! in `owners`.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::refused::Refused;

/// The most clients or identities that are remembered. One that has been quiet for a second is
/// forgotten first; where all are busy a new one is let through uncounted, since the bounds of the
/// whole server hold all the same.
const REMEMBERED_MAX: usize = 16_384;

/// The bounds; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Requests a second of one client address.
    pub client_rate: usize,
    /// Requests a second of one identity.
    pub identity_rate: usize,
    /// Requests at a time of one identity.
    pub identity_running: usize,
}

/// Counts what is asked for.
pub struct Limiter {
    bounds: Bounds,
    clients: Rates<IpAddr>,
    identities: Rates<String>,
    running: Arc<Mutex<HashMap<String, usize>>>,
}

/// A running request of an identity, until it is dropped.
pub struct Running {
    running: Arc<Mutex<HashMap<String, usize>>>,
    identity: String,
}

impl Limiter {
    /// Counts against these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            clients: Rates::new(bounds.client_rate),
            identities: Rates::new(bounds.identity_rate),
            running: Arc::default(),
        }
    }

    /// One more request of a client address.
    pub fn client(&self, client: Option<IpAddr>) -> Result<(), Refused> {
        let Some(client) = client else { return Ok(()) };
        self.clients
            .enter(&client, Instant::now(), IpAddr::clone)
            .map_err(|wait| {
                let rate = self.bounds.client_rate;
                too_much(
                    format!("more than {rate} requests a second from one client"),
                    wait,
                )
            })
    }

    /// One more request of an identity: it counts until what is returned is dropped.
    pub fn identity(&self, identity: &str) -> Result<Option<Running>, Refused> {
        let entered = self
            .identities
            .enter(identity, Instant::now(), str::to_owned);
        entered.map_err(|wait| {
            let rate = self.bounds.identity_rate;
            too_much(
                format!("more than {rate} requests a second from one account"),
                wait,
            )
        })?;
        let bound = self.bounds.identity_running;
        if bound == 0 {
            return Ok(None);
        }
        let mut running = lock(&self.running);
        let count = running.entry(identity.to_owned()).or_default();
        if *count >= bound {
            let why = format!("this account has {bound} requests running, the most it may");
            return Err(too_much(why, Duration::from_secs(1)));
        }
        *count += 1;
        Ok(Some(Running {
            running: Arc::clone(&self.running),
            identity: identity.to_owned(),
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        if let Some(count) = running.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.identity);
            }
        }
    }
}

pub(super) fn too_much(why: String, retry_after: Duration) -> Refused {
    Refused::LimitReached { why, retry_after }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between two steps of the counting panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests a second by key: each moves its key's clock on by one request's share of a second, and
/// may not move it further ahead than one second.
struct Rates<K> {
    /// One request's share of a second; zero for no bound.
    share: Duration,
    clocks: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq> Rates<K> {
    fn new(per_second: usize) -> Self {
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
        let share = Duration::from_secs(1).checked_div(per_second);
        Self {
            share: share.unwrap_or_default(),
            clocks: Mutex::default(),
        }
    }

    /// Counts one in, or says how long to wait.
    fn enter<Q>(&self, key: &Q, now: Instant, own: impl FnOnce(&Q) -> K) -> Result<(), Duration>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.share.is_zero() {
            return Ok(());
        }
        let mut clocks = lock(&self.clocks);
        if let Some(clock) = clocks.get_mut(key) {
            let next = (*clock).max(now) + self.share;
            let ahead = next.saturating_duration_since(now);
            let too_far = ahead.saturating_sub(Duration::from_secs(1));
            if !too_far.is_zero() {
                return Err(too_far);
            }
            *clock = next;
            return Ok(());
        }
        if clocks.len() >= REMEMBERED_MAX {
            clocks.retain(|_, clock| *clock > now);
        }
        if clocks.len() < REMEMBERED_MAX {
            clocks.insert(own(key), now + self.share);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_requests() {
        let rates: Rates<String> = Rates::new(4);
        let start = Instant::now();
        for _ in 0..4 {
            assert_eq!(rates.enter("a", start, str::to_owned), Ok(()));
        }
        assert_eq!(
            rates.enter("a", start, str::to_owned),
            Err(Duration::from_millis(250))
        );
        assert_eq!(
            rates.enter("b", start, str::to_owned),
            Ok(()),
            "others are counted apart"
        );
        let later = start + Duration::from_millis(250);
        assert_eq!(rates.enter("a", later, str::to_owned), Ok(()));
        assert!(rates.enter("a", later, str::to_owned).is_err());
        let much_later = start + Duration::from_secs(60);
        for _ in 0..4 {
            assert_eq!(rates.enter("a", much_later, str::to_owned), Ok(()));
        }
        assert!(
            rates.enter("a", much_later, str::to_owned).is_err(),
            "rest is not saved up"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rates = Rates::new(1);
        let start = Instant::now();
        for number in 0..REMEMBERED_MAX + 10 {
            assert_eq!(rates.enter(&number, start, usize::clone), Ok(()));
        }
        assert_eq!(lock(&rates.clocks).len(), REMEMBERED_MAX);
        let later = start + Duration::from_secs(5);
        assert_eq!(rates.enter(&usize::MAX, later, usize::clone), Ok(()));
        assert_eq!(
            lock(&rates.clocks).len(),
            1,
            "the quiet ones were forgotten"
        );
    }

    #[test]
    fn an_account_has_so_many_requests_at_a_time() {
        let limiter = Limiter::new(Bounds {
            identity_running: 2,
            ..Bounds::default()
        });
        let first = limiter.identity("user:ada").unwrap();
        let _second = limiter.identity("user:ada").unwrap();
        assert!(limiter.identity("user:ada").is_err());
        assert!(limiter.identity("user:bob").is_ok());
        drop(first);
        assert!(limiter.identity("user:ada").is_ok());
    }
}
