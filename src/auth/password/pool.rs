//! Who verifies passwords: a few threads of their own, because bcrypt is slow on purpose.
//!
//! Whoever asks waits for the answer, but only so many may wait, of one client address only a few,
//! and none for long: past that the answer is [`Busy`]. So a flood of logins takes neither the
//! processor nor the threads that answer requests. Logins that were verified before have a queue
//! and places of their own. The same login, asked many times at once, is verified once; where it
//! was verified before, only the first one waits for that.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::secret::Secret;
use super::super::throttle::Network;
use super::hash::PasswordHash;
use super::known::{Key, Known};

/// How the pool is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that verify; started when they are needed.
    pub threads_max: usize,
    /// Callers that wait at a time, for logins that were not verified before.
    pub waiting_max: usize,
    /// How many of these may have one client address.
    pub waiting_per_client_max: usize,
    /// Callers that wait at a time, for logins that were verified before.
    pub waiting_known_max: usize,
    /// How long one waits.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            // Blobs are to be served meanwhile.
            threads_max: (cores - 1).clamp(1, 2),
            waiting_max: 32,
            waiting_per_client_max: 8,
            waiting_known_max: 16,
            patience: Duration::from_secs(10),
        }
    }
}

/// There is no room for another login at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// A login to be verified.
#[derive(Debug)]
pub struct Attempt {
    /// What it is remembered by.
    pub key: Key,
    /// What the password must fit.
    pub hash: PasswordHash,
    /// The password.
    pub password: Secret,
    /// Who asks.
    pub client: Option<Network>,
    /// Whether it was verified before.
    pub is_known: bool,
    /// When it was made.
    pub now: Instant,
}

/// What verifying came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the password fits.
    pub fits: bool,
    /// False for whoever only waited for the outcome of the same login of somebody else.
    pub is_first: bool,
}

/// How a password is compared with a hash.
pub type Verify = dyn Fn(&PasswordHash, &Secret) -> bool + Send + Sync;

/// The threads, and who waits for them. Dropping it ends the threads.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when there is work, or no more will come.
    work: Condvar,
    known: Arc<Known>,
    verify: Box<Verify>,
    options: Options,
}

#[derive(Default)]
struct State {
    queue_known: VecDeque<Attempt>,
    queue: VecDeque<Attempt>,
    /// Every login in a queue or in the hands of a thread.
    in_flight: HashMap<Key, Arc<Flight>>,
    waiting_known: usize,
    waiting: usize,
    waiting_by_client: HashMap<Network, usize>,
    threads: usize,
    idle: usize,
    closed: bool,
}

/// One login on its way, for all who wait for it.
#[derive(Default)]
struct Flight {
    fits: Mutex<Option<bool>>,
    landed: Condvar,
}

impl Pool {
    /// A pool without a thread yet. What fits is remembered in `known`.
    pub fn new(options: Options, known: Arc<Known>, verify: Box<Verify>) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::default()),
                work: Condvar::new(),
                known,
                verify,
                options,
            }),
            threads: Mutex::new(Vec::new()),
        }
    }

    /// Verifies a login, or waits for somebody who does.
    ///
    /// # Errors
    /// There is no room, or it took too long; the login goes on then, and may be remembered.
    pub fn verify(&self, attempt: Attempt) -> Result<Verdict, Busy> {
        // It fitted this very hash before, and somebody has it verified again already. Nobody else
        // waits for that: else a client with many requests at a time would now and then be told
        // that there is no room for what is known to be right.
        if attempt.is_known && self.shared.lock().in_flight.contains_key(&attempt.key) {
            return Ok(Verdict {
                fits: true,
                is_first: false,
            });
        }
        let deadline = Instant::now() + self.shared.options.patience;
        let (place, flight, is_first) = self.begin(attempt)?;
        let fits = flight.wait(deadline);
        drop(place);
        let fits = fits.ok_or(Busy)?;
        Ok(Verdict { fits, is_first })
    }

    /// Takes a place, and puts the login into its queue unless the same is under way.
    fn begin(&self, attempt: Attempt) -> Result<(Place<'_>, Arc<Flight>, bool), Busy> {
        let (client, is_known) = (attempt.client, attempt.is_known);
        let mut state = self.shared.lock();
        state.has_room(&self.shared.options, client, is_known)?;
        let under_way = state.in_flight.get(&attempt.key).map(Arc::clone);
        let is_first = under_way.is_none();
        let flight = match under_way {
            Some(flight) => flight,
            None => self.enqueue(&mut state, attempt)?,
        };
        state.take_place(client, is_known);
        let place = Place {
            shared: &self.shared,
            client,
            is_known,
        };
        Ok((place, flight, is_first))
    }

    fn enqueue(&self, state: &mut State, attempt: Attempt) -> Result<Arc<Flight>, Busy> {
        let options = &self.shared.options;
        // Those who lost patience left their logins behind, so the queue is bounded by itself.
        let (queue, length_max) = if attempt.is_known {
            (&mut state.queue_known, options.waiting_known_max)
        } else {
            (&mut state.queue, options.waiting_max)
        };
        if queue.len() >= length_max {
            return Err(Busy);
        }
        let flight = Arc::new(Flight::default());
        state.in_flight.insert(attempt.key, Arc::clone(&flight));
        queue.push_back(attempt);
        // One that is idle may be on its way to the login before this one.
        let queued = state.queue.len() + state.queue_known.len();
        if state.idle < queued && state.threads < options.threads_max {
            match self.start_thread() {
                Ok(()) => state.threads += 1,
                Err(error) => log::warn!("no thread could be started for logins: {error}"),
            }
        }
        self.shared.work.notify_one();
        Ok(flight)
    }

    fn start_thread(&self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name("logins".to_owned())
            .stack_size(256 << 10)
            .spawn(move || shared.work_off())?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.push(thread);
        Ok(())
    }

    /// How many callers wait at this moment.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        let state = self.shared.lock();
        state.waiting + state.waiting_known
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        let threads = self.threads.get_mut();
        for thread in threads.unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    // Counters, queues and a map are changed by single calls, so a panic leaves them whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of a thread.
    fn work_off(&self) {
        while let Some(attempt) = self.next() {
            let fits = catch_unwind(AssertUnwindSafe(|| {
                (self.verify)(&attempt.hash, &attempt.password)
            }));
            // What panics does not let anybody in.
            let fits = fits.unwrap_or(false);
            if fits {
                self.known.remember(attempt.key, attempt.now);
            }
            let flight = self.lock().in_flight.remove(&attempt.key);
            if let Some(flight) = flight {
                flight.land(fits);
            }
        }
    }

    /// The next login, those that were verified before first; none at the end.
    fn next(&self) -> Option<Attempt> {
        let mut state = self.lock();
        loop {
            let known = state.queue_known.pop_front();
            if let Some(attempt) = known.or_else(|| state.queue.pop_front()) {
                return Some(attempt);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

impl Flight {
    fn land(&self, fits: bool) {
        *self.fits.lock().unwrap_or_else(PoisonError::into_inner) = Some(fits);
        self.landed.notify_all();
    }

    fn wait(&self, deadline: Instant) -> Option<bool> {
        let mut fits = self.fits.lock().unwrap_or_else(PoisonError::into_inner);
        while fits.is_none() {
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.landed.wait_timeout(fits, left);
            fits = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *fits
    }
}

/// One caller's place among those who wait; given back when dropped.
struct Place<'p> {
    shared: &'p Shared,
    client: Option<Network>,
    is_known: bool,
}

impl State {
    fn has_room(
        &self,
        options: &Options,
        client: Option<Network>,
        is_known: bool,
    ) -> Result<(), Busy> {
        let own = client.and_then(|client| self.waiting_by_client.get(&client));
        let has_room = if is_known {
            self.waiting_known < options.waiting_known_max
        } else {
            self.waiting < options.waiting_max
                && own.is_none_or(|own| *own < options.waiting_per_client_max)
        };
        if has_room { Ok(()) } else { Err(Busy) }
    }

    fn take_place(&mut self, client: Option<Network>, is_known: bool) {
        if is_known {
            self.waiting_known += 1;
            return;
        }
        self.waiting += 1;
        if let Some(client) = client {
            *self.waiting_by_client.entry(client).or_default() += 1;
        }
    }

    fn give_place_back(&mut self, client: Option<Network>, is_known: bool) {
        if is_known {
            self.waiting_known -= 1;
            return;
        }
        self.waiting -= 1;
        let Some(client) = client else { return };
        if let Some(own) = self.waiting_by_client.get_mut(&client) {
            *own -= 1;
            if *own == 0 {
                self.waiting_by_client.remove(&client);
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.give_place_back(self.client, self.is_known);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn attempt(password: &str, client: u8, is_known: bool) -> Attempt {
        let mut key = [0; 32];
        key[..password.len()].copy_from_slice(password.as_bytes());
        Attempt {
            key,
            hash: PasswordHash::dummy(4),
            password: Secret::new(password),
            client: Some(Network::V4([192, 0, 2, client])),
            is_known,
            now: Instant::now(),
        }
    }

    fn options() -> Options {
        Options {
            threads_max: 1,
            waiting_max: 6,
            waiting_per_client_max: 2,
            waiting_known_max: 2,
            patience: Duration::from_secs(3600),
        }
    }

    /// A pool that verifies only as told: each word sent lets one login through. "right" fits.
    /// With it, how many were verified.
    fn gated(options: Options) -> (Arc<Pool>, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (go, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let verify = move |_: &PasswordHash, password: &Secret| {
            gate.lock().unwrap().recv().unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            password.reveal().starts_with("right")
        };
        let known = Arc::new(Known::new(10));
        let pool = Pool::new(options, known, Box::new(verify));
        (Arc::new(pool), go, count)
    }

    fn until(what: impl Fn() -> bool) {
        while !what() {
            thread::yield_now();
        }
    }

    #[test]
    fn the_same_login_is_verified_once_for_all_who_ask() {
        let (pool, go, count) = gated(Options {
            waiting_max: 100,
            waiting_per_client_max: 100,
            ..options()
        });
        let callers: Vec<_> = (0..20)
            .map(|client| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || pool.verify(attempt("right", client, false)).unwrap())
            })
            .collect();
        until(|| pool.waiting() == 20);
        go.send(()).unwrap();
        let verdicts: Vec<Verdict> = callers.into_iter().map(|c| c.join().unwrap()).collect();
        assert!(verdicts.iter().all(|verdict| verdict.fits));
        assert_eq!(verdicts.iter().filter(|v| v.is_first).count(), 1);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert_eq!(pool.waiting(), 0);
    }

    #[test]
    fn who_is_known_does_not_wait_for_the_same_login_of_another_request() {
        let (pool, go, count) = gated(options());
        let first = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.verify(attempt("right", 1, true)))
        };
        until(|| pool.waiting() == 1);
        for _ in 0..100 {
            let verdict = pool.verify(attempt("right", 1, true)).unwrap();
            assert!(verdict.fits && !verdict.is_first);
        }
        go.send(()).unwrap();
        assert!(first.join().unwrap().unwrap().is_first);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_flood_is_refused_and_others_are_served_meanwhile() {
        let (pool, go, count) = gated(options());
        let ask = |password: &str, client: u8, is_known: bool| {
            let (pool, attempt) = (Arc::clone(&pool), attempt(password, client, is_known));
            thread::spawn(move || pool.verify(attempt))
        };
        // One client has two places, however often it asks.
        let mut callers = vec![ask("wrong1", 1, false), ask("wrong2", 1, false)];
        until(|| pool.waiting() == 2);
        for _ in 0..100 {
            assert_eq!(pool.verify(attempt("wrong3", 1, false)), Err(Busy));
        }
        // Somebody else is let in beside it.
        let right = ask("right", 2, false);
        until(|| pool.waiting() == 3);
        // Many clients together have six.
        callers.extend([
            ask("wrong4", 3, false),
            ask("wrong5", 4, false),
            ask("wrong6", 5, false),
        ]);
        until(|| pool.waiting() == 6);
        assert_eq!(pool.verify(attempt("wrong7", 6, false)), Err(Busy));
        // Who was verified before has a place all the same, and the first turn.
        let known = ask("right-again", 6, true);
        until(|| pool.waiting() == 7);
        // One is in the hands of the thread; the known one is next.
        go.send(()).unwrap();
        go.send(()).unwrap();
        let verdict = known.join().unwrap().unwrap();
        assert!(verdict.fits && verdict.is_first);
        assert!(count.load(Ordering::SeqCst) <= 2);
        for _ in 0..5 {
            go.send(()).unwrap();
        }
        assert!(right.join().unwrap().unwrap().fits);
        for caller in callers {
            assert!(!caller.join().unwrap().unwrap().fits);
        }
        assert_eq!(count.load(Ordering::SeqCst), 7);
        assert_eq!(pool.waiting(), 0);
        assert!(pool.shared.lock().waiting_by_client.is_empty());
    }

    #[test]
    fn who_loses_patience_is_told_to_come_back_and_finds_it_remembered() {
        let (pool, go, _) = gated(Options {
            patience: Duration::ZERO,
            ..options()
        });
        assert_eq!(pool.verify(attempt("right", 1, false)), Err(Busy));
        assert_eq!(pool.waiting(), 0);
        go.send(()).unwrap();
        let key = attempt("right", 1, false).key;
        let known = &pool.shared.known;
        until(|| known.look_up(&key, Instant::now()) != super::super::known::Memory::None);
    }

    #[test]
    fn what_panics_lets_nobody_in_and_stops_nothing() {
        let verify = |_: &PasswordHash, password: &Secret| {
            assert!(password.reveal() != "panic", "as the test wants it");
            true
        };
        let pool = Pool::new(options(), Arc::new(Known::new(10)), Box::new(verify));
        assert!(!pool.verify(attempt("panic", 1, false)).unwrap().fits);
        assert!(pool.verify(attempt("right", 1, false)).unwrap().fits);
    }
}
