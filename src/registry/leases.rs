//! Which content a client was told of lately, so that the collection leaves it: who sent, mounted
//! or found a blob will not send it again before the manifest that needs it.
//!
//! A lease is taken before the look-up that answers the client, and the collection condemns a
//! digest, in the writer, only while there is none. Both happen under one lock, so either the
//! collection sees the lease, or the client sees that the digest is condemned, waits for the end of
//! that one transaction and then looks. All is in memory and by steady time: a clock that is set
//! ends no lease, and after a start everything counts as touched for a while.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::oci::Digest;

/// Parts of the table, so that those who read seldom meet at the same one.
const PARTS: usize = 64;

/// The most leases of one part, of both generations. Past it the whole part counts as touched.
const LEASES_MAX: usize = 500_000 / PARTS;

/// The leases of one registry.
pub struct Leases {
    grace: Duration,
    parts: Vec<Mutex<Part>>,
    /// How often manifests were taken.
    taken: AtomicU64,
    overflow_told: AtomicBool,
}

/// Digests by eight of their bytes: two that agree in these only keep each other a bit longer.
#[derive(Default)]
struct Part {
    /// Which grace since the start `recent` belongs to.
    period: u64,
    recent: HashSet<u64>,
    earlier: HashSet<u64>,
    /// What the collection is removing at this moment.
    condemned: HashSet<u64>,
    /// Until then everything counts as touched.
    all_until: Duration,
}

/// Digests that the collection is removing, until this is dropped.
pub struct Condemned<'l> {
    leases: &'l Leases,
    digests: Vec<Digest>,
}

impl Leases {
    /// Leases of this length. Everything counts as touched until `all_until`, by steady time.
    pub fn new(grace: Duration, all_until: Duration) -> Self {
        let part = || {
            Mutex::new(Part {
                all_until,
                ..Part::default()
            })
        };
        Self {
            grace: grace.max(Duration::from_millis(1)),
            parts: (0..PARTS).map(|_| part()).collect(),
            taken: AtomicU64::new(0),
            overflow_told: AtomicBool::new(false),
        }
    }

    /// Keeps the digest for at least the grace. True when it is condemned: the caller waits for its
    /// lock before it looks.
    pub fn touch(&self, digest: &Digest, now: Duration) -> bool {
        let key = key(digest);
        let mut part = self.part(key, now);
        if !part.recent.contains(&key) {
            if part.recent.len() + part.earlier.len() >= LEASES_MAX {
                self.tell_of_overflow();
                part.all_until = now + self.grace;
                (part.recent, part.earlier) = Default::default();
            }
            part.recent.insert(key);
        }
        part.condemned.contains(&key)
    }

    /// Whether a client was told of it within the grace.
    pub fn is_touched(&self, digest: &Digest, now: Duration) -> bool {
        let key = key(digest);
        self.part(key, now).is_touched(key, now)
    }

    /// Condemns the digest, in the catalog's writer, unless it is touched and not `forced`. What
    /// was condemned must be among `digests` of a [`Condemned`].
    pub fn condemn(&self, digest: &Digest, now: Duration, forced: bool) -> bool {
        let key = key(digest);
        let mut part = self.part(key, now);
        let may = forced || !part.is_touched(key, now);
        if may {
            part.condemned.insert(key);
        }
        may
    }

    /// For these digests, some of which will be condemned.
    pub fn condemned(&self, digests: Vec<Digest>) -> Condemned<'_> {
        Condemned {
            leases: self,
            digests,
        }
    }

    /// How often manifests were taken so far: who looked one up, and took its lease only then,
    /// looks again when this has changed.
    pub fn manifests_taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    /// Manifests are being taken.
    pub fn note_manifests_taken(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    /// When the youngest lease that there can be ends.
    pub fn end(&self, now: Duration) -> Duration {
        let periods = u32::try_from(self.period(now) + 2).unwrap_or(u32::MAX);
        self.grace.saturating_mul(periods)
    }

    fn period(&self, now: Duration) -> u64 {
        let period = now.as_nanos() / self.grace.as_nanos();
        u64::try_from(period).unwrap_or(u64::MAX)
    }

    fn part(&self, key: u64, now: Duration) -> MutexGuard<'_, Part> {
        let at = usize::from(key.to_le_bytes()[0]) % PARTS;
        // Nothing that is done under it can panic half-way.
        let mut part = self.parts[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let period = self.period(now);
        if period > part.period {
            let recent = std::mem::take(&mut part.recent);
            let is_next = period == part.period + 1;
            part.earlier = if is_next { recent } else { HashSet::new() };
            part.period = period;
        }
        part
    }

    fn tell_of_overflow(&self) {
        if !self.overflow_told.swap(true, Ordering::Relaxed) {
            log::warn!(
                "clients were told of more than {} blobs and manifests within {} s \
                 (gc.grace_seconds): collection also keeps others for that long; this is said once",
                LEASES_MAX * PARTS,
                self.grace.as_secs()
            );
        }
    }
}

impl Part {
    fn is_touched(&self, key: u64, now: Duration) -> bool {
        now < self.all_until || self.recent.contains(&key) || self.earlier.contains(&key)
    }
}

impl Drop for Condemned<'_> {
    fn drop(&mut self) {
        for digest in &self.digests {
            let key = key(digest);
            // The time does not matter here.
            self.leases.part(key, Duration::ZERO).condemned.remove(&key);
        }
    }
}

fn key(digest: &Digest) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.raw()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    const GRACE: Duration = Duration::from_secs(10);

    fn digest(number: usize) -> Digest {
        Digest::of(Algorithm::Sha256, &number.to_be_bytes())
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_lasts_for_one_to_two_graces_from_whenever_it_began() {
        for start in 0..25 {
            let leases = Leases::new(GRACE, Duration::ZERO);
            assert!(!leases.touch(&digest(1), s(start)));
            for age in 0..=10 {
                assert!(
                    leases.is_touched(&digest(1), s(start + age)),
                    "{start} {age}"
                );
            }
            assert!(!leases.is_touched(&digest(2), s(start)));
            assert!(!leases.is_touched(&digest(1), s(start + 20)), "{start}");
            assert!(leases.end(s(start)) <= s(start + 20));
        }
    }

    #[test]
    fn it_begins_anew_with_each_touch() {
        let leases = Leases::new(GRACE, Duration::ZERO);
        for now in (0..100).step_by(9) {
            leases.touch(&digest(1), s(now));
            assert!(leases.is_touched(&digest(1), s(now + 9)));
        }
    }

    #[test]
    fn after_a_start_everything_counts_as_touched() {
        let leases = Leases::new(GRACE, s(7));
        assert!(leases.is_touched(&digest(1), s(6)));
        assert!(!leases.is_touched(&digest(1), s(7)));
    }

    #[test]
    fn what_is_touched_is_not_condemned_and_what_is_condemned_is_told() {
        let leases = Leases::new(GRACE, Duration::ZERO);
        leases.touch(&digest(1), s(1));
        let condemned = leases.condemned(vec![digest(1), digest(2)]);
        assert!(!leases.condemn(&digest(1), s(2), false));
        assert!(leases.condemn(&digest(2), s(2), false));
        assert!(leases.touch(&digest(2), s(2)));
        assert!(!leases.touch(&digest(1), s(2)));
        assert!(leases.condemn(&digest(1), s(2), true));
        drop(condemned);
        assert!(!leases.touch(&digest(1), s(2)));
        assert!(!leases.touch(&digest(2), s(2)));
    }

    #[test]
    fn past_the_bound_everything_is_kept_and_nothing_grows() {
        let leases = Leases::new(GRACE, Duration::ZERO);
        let many = LEASES_MAX * PARTS * 2;
        for number in 0..many {
            leases.touch(&digest(number), s(1));
        }
        let mut kept = 0;
        for part in &leases.parts {
            let part = part.lock().unwrap();
            assert!(part.recent.len() + part.earlier.len() <= LEASES_MAX);
            kept += part.recent.len();
        }
        assert!(kept <= LEASES_MAX * PARTS);
        assert!((0..many).all(|number| leases.is_touched(&digest(number), s(10))));
        assert!((0..many).all(|number| !leases.is_touched(&digest(number), s(31))));
    }
}
