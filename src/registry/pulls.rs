//! How often and when content was last pulled, gathered in memory: a pull takes one short lock and
//! writes nothing. Whoever flushes takes all of it at once and puts back what could not be kept.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Error, Registry};
use crate::clock::{Clock, unix_ms};
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// The most different things whose pulls are remembered between two flushes.
pub const ENTRIES_MAX: usize = 16_384;

/// Parts with a lock each, so that pulls of different things rarely meet.
const SHARDS: usize = 16;

/// Entries that are written in one go, so that nobody who writes waits long.
const FLUSHED_AT_ONCE: usize = 500;

/// What was pulled: a manifest, and the tag by which it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    repository: RepositoryName,
    digest: Digest,
    tag: Option<Tag>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    pulls: u64,
    last_at: i64,
}

/// The pulls of one manifest by one tag, or by its digest, since the last flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Where.
    pub repository: RepositoryName,
    /// The manifest.
    pub digest: Digest,
    /// The tag that was asked for; `None` when it was the digest.
    pub tag: Option<Tag>,
    /// How often; at least 1.
    pub pulls: u64,
    /// When last, in milliseconds since 1970.
    pub last_at: i64,
}

/// The pulls since the last flush.
pub struct Pulls {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    shards: [Mutex<HashMap<Key, Count>>; SHARDS],
    entries_max: usize,
    /// Entries in all shards.
    held: AtomicUsize,
    /// Pulls that found no room.
    dropped: AtomicU64,
    wanted: (Sender<()>, Receiver<()>),
    /// Held by whoever writes: when another one has written, all that was counted before is there.
    flushing: Mutex<()>,
}

impl Registry {
    /// Counts a pull of the manifest `digest`, which was asked for as `reference`.
    pub fn pulled(&self, repository: &RepositoryName, reference: &Reference, digest: &Digest) {
        self.pulls.record(repository, reference, digest);
    }

    /// Writes the pulls that were counted, so many entries in one write.
    ///
    /// # Errors
    /// [`Error::Store`]; what was not written is counted again.
    pub fn flush_pulls(&self) -> Result<(), Error> {
        let _alone = self
            .pulls
            .flushing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let dropped = self.pulls.take_dropped();
        if dropped > 0 {
            log::warn!(
                "{dropped} pulls were not counted: more than {ENTRIES_MAX} different things were \
                 pulled since the last time they were written"
            );
        }
        let mut rest = self.pulls.take();
        while !rest.is_empty() {
            let part: Arc<[Pulled]> = rest.drain(..rest.len().min(FLUSHED_AT_ONCE)).collect();
            let own = Arc::clone(&part);
            let written = self.catalog.write(move |tx| {
                own.iter().try_for_each(|one| {
                    let (name, digest, tag) = (&one.repository, &one.digest, one.tag.as_ref());
                    tx.add_pulls(name, digest, tag, one.pulls, one.last_at)
                })
            });
            if let Err(error) = written {
                rest.extend(part.iter().cloned());
                self.pulls.put_back(rest);
                return Err(Error::Store(error));
            }
        }
        Ok(())
    }
}

impl Pulls {
    /// None so far; times come from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_bound(clock, ENTRIES_MAX)
    }

    fn with_bound(clock: Arc<dyn Clock>, entries_max: usize) -> Self {
        Self {
            clock,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            entries_max,
            held: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            wanted: bounded(1),
            flushing: Mutex::default(),
        }
    }

    /// Counts a pull of the manifest `digest`, which was asked for as `reference`.
    pub fn record(&self, repository: &RepositoryName, reference: &Reference, digest: &Digest) {
        let tag = match reference {
            Reference::Tag(tag) => Some(tag.clone()),
            Reference::Digest(_) => None,
        };
        let key = Key {
            repository: repository.clone(),
            digest: *digest,
            tag,
        };
        let count = Count {
            pulls: 1,
            last_at: unix_ms(self.clock.now()),
        };
        self.add(key, count);
    }

    /// Hears when it is time to flush before there is no room: three quarters are in use.
    pub const fn wanted(&self) -> &Receiver<()> {
        &self.wanted.1
    }

    /// Takes everything that was counted.
    pub fn take(&self) -> Vec<Pulled> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let taken = std::mem::take(&mut *lock(shard));
            self.held.fetch_sub(taken.len(), Ordering::Relaxed);
            all.extend(taken.into_iter().map(|(key, count)| Pulled {
                repository: key.repository,
                digest: key.digest,
                tag: key.tag,
                pulls: count.pulls,
                last_at: count.last_at,
            }));
        }
        all
    }

    /// Counts again what was taken and could not be kept.
    pub fn put_back(&self, all: Vec<Pulled>) {
        for pulled in all {
            let key = Key {
                repository: pulled.repository,
                digest: pulled.digest,
                tag: pulled.tag,
            };
            let count = Count {
                pulls: pulled.pulls,
                last_at: pulled.last_at,
            };
            self.add(key, count);
        }
    }

    /// Pulls that found no room since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    fn add(&self, key: Key, count: Count) {
        let index = self.hasher.hash_one(&key) % SHARDS as u64;
        // Below the number of shards, so it fits.
        let Some(shard) = self.shards.get(usize::try_from(index).unwrap_or_default()) else {
            return;
        };
        match lock(shard).entry(key) {
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.pulls = known.pulls.saturating_add(count.pulls);
                known.last_at = known.last_at.max(count.last_at);
            }
            Entry::Vacant(entry) => {
                let before = self.held.fetch_add(1, Ordering::Relaxed);
                if before >= self.entries_max {
                    self.held.fetch_sub(1, Ordering::Relaxed);
                    self.dropped.fetch_add(count.pulls, Ordering::Relaxed);
                    return;
                }
                entry.insert(count);
                if before + 1 == self.entries_max - self.entries_max / 4 {
                    // A full channel means that somebody has been told.
                    let _ = self.wanted.0.try_send(());
                }
            }
        }
    }
}

fn lock(shard: &Mutex<HashMap<Key, Count>>) -> MutexGuard<'_, HashMap<Key, Count>> {
    // A count is whole after each statement.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::clock::ManualClock;
    use crate::oci::Algorithm;

    fn digest(text: &str) -> Digest {
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }

    fn by_tag(tag: &str) -> Reference {
        Reference::Tag(tag.parse().unwrap())
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH))
    }

    fn pulls(pulls: &Pulls) -> Vec<(Option<String>, u64, i64)> {
        let mut all: Vec<_> = pulls
            .take()
            .into_iter()
            .map(|one| (one.tag.map(|tag| tag.to_string()), one.pulls, one.last_at))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn pulls_are_counted_by_what_was_asked_for() {
        let clock = clock();
        let counted = Pulls::new(Arc::<ManualClock>::clone(&clock));
        let (name, digest) = ("team/app".parse().unwrap(), digest("a"));
        counted.record(&name, &by_tag("v1"), &digest);
        clock.advance(Duration::from_secs(1));
        counted.record(&name, &by_tag("v1"), &digest);
        counted.record(&name, &Reference::Digest(digest), &digest);
        let expected = [(None, 1, 1000), (Some("v1".to_owned()), 2, 1000)];
        assert_eq!(pulls(&counted), expected);
        assert_eq!(pulls(&counted), []);
    }

    #[test]
    fn what_could_not_be_kept_counts_again_and_the_latest_time_stays() {
        let clock = clock();
        let counted = Pulls::new(Arc::<ManualClock>::clone(&clock));
        let (name, digest) = ("app".parse().unwrap(), digest("a"));
        clock.advance(Duration::from_secs(9));
        counted.record(&name, &by_tag("v1"), &digest);
        let taken = counted.take();
        clock.set(SystemTime::UNIX_EPOCH);
        counted.record(&name, &by_tag("v1"), &digest);
        counted.put_back(taken);
        assert_eq!(pulls(&counted), [(Some("v1".to_owned()), 2, 9000)]);
    }

    #[test]
    fn past_the_bound_pulls_are_dropped_and_somebody_was_told_before() {
        let counted = Pulls::with_bound(clock(), 8);
        let (name, digest) = ("app".parse().unwrap(), digest("a"));
        for number in 0..10 {
            assert_eq!(counted.wanted().is_empty(), number < 6, "{number}");
            counted.record(&name, &by_tag(&format!("v{number}")), &digest);
        }
        // What is known still counts.
        counted.record(&name, &by_tag("v0"), &digest);
        assert_eq!(counted.take_dropped(), 2);
        assert_eq!(counted.take_dropped(), 0);
        let taken = pulls(&counted);
        assert_eq!(taken.len(), 8);
        assert_eq!(taken[0], (Some("v0".to_owned()), 2, 0));
        // There is room again, and the next call comes as early.
        counted.wanted().try_recv().unwrap();
        for number in 0..6 {
            counted.record(&name, &by_tag(&format!("w{number}")), &digest);
        }
        assert!(!counted.wanted().is_empty());
        assert_eq!(counted.take_dropped(), 0);
    }

    #[test]
    fn no_pull_is_lost_between_threads_and_flushes() {
        let counted = Pulls::new(clock());
        let (name, digest) = ("app".parse().unwrap(), digest("a"));
        let total: u64 = thread::scope(|scope| {
            let pullers: Vec<_> = (0..4)
                .map(|own: u8| {
                    let (counted, name, digest) = (&counted, &name, &digest);
                    scope.spawn(move || {
                        for number in 0..2000 {
                            let tag = format!("v{}", (number + usize::from(own)) % 50);
                            counted.record(name, &by_tag(&tag), digest);
                        }
                    })
                })
                .collect();
            let mut sum = 0;
            while !pullers.iter().all(thread::ScopedJoinHandle::is_finished) {
                sum += counted.take().iter().map(|one| one.pulls).sum::<u64>();
            }
            sum
        });
        let rest: u64 = counted.take().iter().map(|one| one.pulls).sum();
        assert_eq!(total + rest, 8000);
        assert_eq!(counted.held.load(Ordering::Relaxed), 0);
    }
}
