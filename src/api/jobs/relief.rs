//! Relief: looks how much room there is on the disk, and makes some while there is little.
//!
//! What nobody will miss goes first: expired uploads, then those that rest, the oldest first, and
//! with them what the collection has waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sweep::{are_ages_believed, expire_uploads};
use super::{Job, Waker};
use crate::clock::Clock;
use crate::registry::Registry;

/// How old uploads must be to go.
#[derive(Clone, Copy, Debug)]
pub struct ReliefOptions {
    /// Age at which an upload session that nobody touches is removed.
    pub upload_age: Duration,
    /// The same when there is little room.
    pub idle_age: Duration,
}

/// How often somebody looks how much room there is: others use the disk as well.
const LOOK: Duration = Duration::from_secs(10);
/// The same while there is little.
const LOOK_CLOSELY: Duration = Duration::from_secs(1);
/// Time between two attempts to make room, while there is little.
const RELIEF_AGAIN: Duration = Duration::from_secs(30);

/// The job. It wakes the collection, where there is one.
pub fn job(
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    options: ReliefOptions,
    collection: Option<Waker>,
) -> Job {
    let pressure = registry.space().pressure().clone();
    let mut due = Due {
        relief: Instant::now(),
    };
    let job = Job::new(Duration::ZERO, move |turn| {
        let is_low = is_room_low(&registry);
        if due.relieve(Instant::now(), is_low, turn.woken)
            && are_ages_believed(&registry, options.upload_age)
        {
            relieve(&registry, clock.as_ref(), options);
            if let Some(collection) = &collection {
                collection.wake();
            }
        }
        if is_low { LOOK_CLOSELY } else { LOOK }
    });
    job.woken_by(pressure)
}

/// When room is made next.
struct Due {
    relief: Instant,
}

impl Due {
    /// Whether room is to be made now: when it runs short, and again as long as it is, because
    /// uploads come to rest meanwhile.
    fn relieve(&mut self, now: Instant, is_low: bool, is_pressed: bool) -> bool {
        let relieve = is_low && (is_pressed || now >= self.relief);
        if relieve {
            self.relief = now + RELIEF_AGAIN;
        }
        relieve
    }
}

/// Whether there is little room; sees to the ballast on the way.
fn is_room_low(registry: &Registry) -> bool {
    let space = registry.space();
    space.keep_ballast();
    match space.standing() {
        Ok(standing) => standing.is_some_and(|now| now.is_low || now.is_full),
        Err(error) => {
            log::warn!("{error}");
            false
        }
    }
}

fn relieve(registry: &Registry, clock: &dyn Clock, options: ReliefOptions) {
    let now = clock.now();
    expire_uploads(registry, now, options.upload_age);
    if let Some(before) = now.checked_sub(options.idle_age) {
        match registry.expire_idle_uploads(before) {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} resting upload sessions to make room"),
            Err(error) => log::warn!("resting uploads could not be removed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_when_it_runs_short_and_again_while_it_is() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut due = Due { relief: begin };
        assert!(!due.relieve(begin, false, false));
        assert!(due.relieve(at(4), true, true));
        assert!(!due.relieve(at(5), true, false));
        assert!(due.relieve(at(34), true, false));
        assert!(due.relieve(at(35), true, true), "it got worse");
        assert!(!due.relieve(at(36), false, true), "others made room");
        assert!(due.relieve(at(100), true, false));
    }
}
