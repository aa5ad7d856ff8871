//! Failed logins cost time: after a burst of them, whoever fails waits, longer each time.
//!
//! It counts by the client's address (IPv6: by its /64, which one customer has) and by the name
//! that was tried, because one password can be tried from many addresses. The wait of a name is
//! short: it makes guessing slow, and must not keep the name's owner out for long. An attempt that
//! is refused for being too early does not count, so whoever waits gets through.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most addresses and names that are counted. Past it, the one that failed longest ago is
/// forgotten.
pub const ENTRIES_MAX: usize = 8192;
/// After this time without another one, a failure is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// The first wait; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// Failures of a client address that cost nothing, and its longest wait.
const CLIENT: Rule = Rule {
    burst: 10,
    wait_max: Duration::from_secs(300),
};
/// Failures with a name that cost nothing, and its longest wait.
const NAME: Rule = Rule {
    burst: 20,
    wait_max: Duration::from_secs(15),
};

struct Rule {
    burst: u32,
    wait_max: Duration,
}

/// The network that counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first half of an IPv6 address.
    V6([u8; 8]),
}

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let octets = address.octets();
                let mut network = [0; 8];
                network.copy_from_slice(&octets[..8]);
                Self::V6(network)
            }
        }
    }
}

/// Whom failures are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Client(Network),
    /// The name's hash, so that long names take no room.
    Name([u8; 32]),
}

impl Subject {
    const fn rule(&self) -> &'static Rule {
        match self {
            Self::Client(_) => &CLIENT,
            Self::Name(_) => &NAME,
        }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    failures: u32,
    last: Instant,
    /// No attempt before this.
    until: Instant,
    /// Whether somebody was told about this wait.
    told: bool,
}

/// A login that comes too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooEarly {
    /// How long to wait.
    pub retry_after: Duration,
    /// Whether this wait was met for the first time, so that logs need one line a wait.
    pub is_first: bool,
}

/// The failures of all clients and names.
pub struct Throttle {
    entries: Mutex<HashMap<Subject, Entry>>,
    entries_max: usize,
}

impl Throttle {
    /// Counts up to `entries_max` clients and names.
    pub fn new(entries_max: usize) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
            entries_max: entries_max.max(2),
        }
    }

    /// Whether a login may be verified at `now`. `name` is the name's hash.
    ///
    /// # Errors
    /// It comes too early.
    pub fn check(
        &self,
        client: Option<Network>,
        name: [u8; 32],
        now: Instant,
    ) -> Result<(), TooEarly> {
        let mut entries = self.lock();
        let mut longest: Option<TooEarly> = None;
        for subject in subjects(client, name) {
            let Some(entry) = entries.get_mut(&subject).filter(|entry| now < entry.until) else {
                continue;
            };
            let early = TooEarly {
                retry_after: entry.until - now,
                is_first: !entry.told,
            };
            entry.told = true;
            longest = Some(match longest {
                Some(other) if other.retry_after >= early.retry_after => other,
                _ => early,
            });
        }
        longest.map_or(Ok(()), Err)
    }

    /// Counts a failure at `now`.
    pub fn failed(&self, client: Option<Network>, name: [u8; 32], now: Instant) {
        let mut entries = self.lock();
        for subject in subjects(client, name) {
            if entries.len() >= self.entries_max && !entries.contains_key(&subject) {
                make_room(&mut entries, now);
            }
            let before = entries.get(&subject).copied();
            entries.insert(subject, next(subject.rule(), before, now));
        }
    }

    /// Clients and names that are counted for.
    pub fn remembered(&self) -> usize {
        self.lock().len()
    }

    // Each change is one call on the map, so a panic leaves a whole map behind.
    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subjects(client: Option<Network>, name: [u8; 32]) -> impl Iterator<Item = Subject> {
    let client = client.map(Subject::Client);
    client.into_iter().chain([Subject::Name(name)])
}

/// What is left of the failures at `now`.
fn left(entry: &Entry, now: Instant) -> u32 {
    // The wait itself forgives nothing, or the longest would undo itself.
    let quiet = now.saturating_duration_since(entry.until.max(entry.last));
    let forgiven = quiet.as_secs() / FORGIVEN_AFTER.as_secs();
    entry
        .failures
        .saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
}

fn next(rule: &Rule, before: Option<Entry>, now: Instant) -> Entry {
    let failures = before.map_or(0, |entry| left(&entry, now)) + 1;
    let doublings = failures.saturating_sub(rule.burst);
    // Past the longest wait more failures say nothing more, and would take longer to forgive.
    let failures = failures.min(rule.burst + 16);
    let wait = match doublings {
        0 => Duration::ZERO,
        n => WAIT_FIRST
            .saturating_mul(1 << (n - 1).min(16))
            .min(rule.wait_max),
    };
    Entry {
        failures,
        last: now,
        until: now + wait,
        told: false,
    }
}

/// Forgets what is forgiven; if that is nothing, the one that failed longest ago.
fn make_room(entries: &mut HashMap<Subject, Entry>, now: Instant) {
    let before = entries.len();
    entries.retain(|_, entry| left(entry, now) > 0);
    if entries.len() == before {
        let oldest = entries
            .iter()
            .min_by_key(|(_, entry)| entry.until.max(entry.last));
        if let Some(oldest) = oldest.map(|(subject, _)| *subject) {
            entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: [u8; 32] = [1; 32];
    const BOB: [u8; 32] = [2; 32];

    fn network(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    fn wait(throttle: &Throttle, client: Option<Network>, name: [u8; 32], at: Instant) -> u64 {
        let result = throttle.check(client, name, at);
        result.map_or_else(|early| early.retry_after.as_secs(), |()| 0)
    }

    #[test]
    fn a_burst_is_free_then_waits_double_up_to_a_bound() {
        let throttle = Throttle::new(100);
        let client = Some(network("192.0.2.1"));
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for attempt in 0..22_u8 {
            // Another name each time: this is about the client.
            throttle.failed(client, [attempt; 32], now);
            let seconds = wait(&throttle, client, BOB, now);
            waits.push(seconds);
            now += Duration::from_secs(seconds);
        }
        assert_eq!(waits[..10], [0; 10]);
        assert_eq!(
            waits[10..],
            [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
        );
        assert_eq!(wait(&throttle, Some(network("192.0.2.2")), BOB, now), 0);
        assert_eq!(wait(&throttle, None, BOB, now), 0);
    }

    #[test]
    fn a_name_is_slowed_down_from_everywhere_and_never_for_long() {
        let throttle = Throttle::new(1000);
        let now = Instant::now();
        for host in 0..200 {
            throttle.failed(Some(network(&format!("192.0.2.{host}"))), ADA, now);
        }
        assert_eq!(wait(&throttle, Some(network("198.51.100.1")), ADA, now), 15);
        assert_eq!(wait(&throttle, None, ADA, now), 15);
        assert_eq!(wait(&throttle, Some(network("198.51.100.1")), BOB, now), 0);
    }

    #[test]
    fn whoever_waits_gets_through_and_is_forgiven_in_time() {
        let throttle = Throttle::new(100);
        let client = Some(network("192.0.2.1"));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..12 {
            throttle.failed(client, ADA, start);
        }
        let early = throttle.check(client, BOB, start).unwrap_err();
        assert_eq!((early.retry_after.as_secs(), early.is_first), (2, true));
        let again = throttle.check(client, BOB, after(1)).unwrap_err();
        assert_eq!((again.retry_after.as_secs(), again.is_first), (1, false));
        assert_eq!(wait(&throttle, client, BOB, after(2)), 0);
        // Ten minutes later all but two are forgiven.
        throttle.failed(client, BOB, after(602));
        assert_eq!(wait(&throttle, client, BOB, after(602)), 0);
    }

    #[test]
    fn one_customer_of_ipv6_is_one_client() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let throttle = Throttle::new(40);
        let start = Instant::now();
        let attacker = Some(network("192.0.2.1"));
        for _ in 0..15 {
            throttle.failed(attacker, ADA, start + Duration::from_secs(30));
        }
        for at in 0..200_u8 {
            let client = Some(network(&format!("2001:db8:0:{at:x}::1")));
            throttle.failed(client, [at; 32], start);
        }
        assert!(throttle.lock().len() <= 40);
        let now = start + Duration::from_secs(31);
        assert!(wait(&throttle, attacker, BOB, now) > 0, "still counted");
    }
}
