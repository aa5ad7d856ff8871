//! Who began which upload: how many unfinished ones a client address and an identity have, so that
//! none takes all the room there is for them.
//!
//! A restart forgets the owners; those uploads then count for nobody.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::limiter::{lock, too_much};
use super::refused::Refused;
use crate::store::blobs::UploadId;

/// Fewer uploads are not looked through for those that were removed for their age. Later it is done
/// at twice what was left, so that it costs each upload a constant part.
const LOOKED_THROUGH_MIN: usize = 1024;

/// The bounds; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Unfinished uploads of one client address.
    pub of_client: usize,
    /// Unfinished uploads of one identity.
    pub of_identity: usize,
    /// The age at which an unfinished upload is removed by others, and counts no more.
    pub upload_age: Duration,
}

/// Who asks: their address, and their name where they were verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The client's address; none over a UNIX socket.
    pub client: Option<IpAddr>,
    /// The name.
    pub identity: Option<String>,
}

/// The owners of unfinished uploads.
pub struct Owners {
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    uploads: HashMap<UploadId, (Owner, Instant)>,
    /// So many uploads are looked through for those that were removed for their age.
    look_at: usize,
    clients: HashMap<IpAddr, usize>,
    identities: HashMap<String, usize>,
}

impl Owners {
    /// Counts against these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
        }
    }

    /// Whether `owner` may begin one more.
    ///
    /// # Errors
    /// [`Refused::LimitReached`].
    pub fn may_begin(&self, owner: &Owner) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        if self.excess(&state, owner).is_some() {
            state.forget_before(Instant::now(), self.bounds.upload_age);
        }
        let Some((who, bound)) = self.excess(&state, owner) else {
            return Ok(());
        };
        let why = format!(
            "this {who} has {bound} unfinished uploads, the most it may; finish or cancel some"
        );
        Err(too_much(why, Duration::from_secs(30)))
    }

    /// What there is too much of, and its bound.
    fn excess(&self, state: &State, owner: &Owner) -> Option<(&'static str, usize)> {
        let Bounds {
            of_client,
            of_identity,
            ..
        } = self.bounds;
        let client = owner.client.and_then(|own| state.clients.get(&own));
        let identity = owner
            .identity
            .as_ref()
            .and_then(|own| state.identities.get(own));
        let is_over = |bound: usize, count: Option<&usize>| bound > 0 && count >= Some(&bound);
        if is_over(of_client, client) {
            Some(("client", of_client))
        } else if is_over(of_identity, identity) {
            Some(("account", of_identity))
        } else {
            None
        }
    }

    /// An upload has begun.
    pub fn began(&self, id: &UploadId, owner: Owner) {
        if self.bounds.of_client > 0 || self.bounds.of_identity > 0 {
            let mut state = lock(&self.state);
            // Whoever stays below the bounds is never asked, and what they left behind adds up.
            if state.uploads.len() >= state.look_at.max(LOOKED_THROUGH_MIN) {
                state.forget_before(Instant::now(), self.bounds.upload_age);
                state.look_at = 2 * state.uploads.len();
            }
            state.add(id.clone(), owner);
        }
    }

    /// An upload was heard of again, and will not be removed for its age for a while.
    pub fn seen(&self, id: &UploadId) {
        if let Some((_, seen)) = lock(&self.state).uploads.get_mut(id) {
            *seen = Instant::now();
        }
    }

    /// An upload has ended, one way or the other.
    pub fn ended(&self, id: &UploadId) {
        lock(&self.state).remove(id);
    }
}

impl State {
    fn add(&mut self, id: UploadId, owner: Owner) {
        if let Some(client) = owner.client {
            *self.clients.entry(client).or_default() += 1;
        }
        if let Some(identity) = &owner.identity {
            *self.identities.entry(identity.clone()).or_default() += 1;
        }
        self.uploads.insert(id, (owner, Instant::now()));
    }

    fn remove(&mut self, id: &UploadId) {
        let Some((owner, _)) = self.uploads.remove(id) else {
            return;
        };
        if let Some(client) = owner.client {
            one_less(&mut self.clients, &client);
        }
        if let Some(identity) = owner.identity {
            one_less(&mut self.identities, &identity);
        }
    }

    /// Forgets those that were removed because nobody went on with them.
    fn forget_before(&mut self, now: Instant, age: Duration) {
        let is_old = |seen: Instant| now.saturating_duration_since(seen) >= age;
        let uploads = self.uploads.iter();
        let old: Vec<UploadId> = uploads
            .filter(|(_, (_, seen))| is_old(*seen))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &old {
            self.remove(id);
        }
    }
}

fn one_less<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> UploadId {
        format!("{number:08x}-0123-4abc-8abc-0123456789ab")
            .parse()
            .unwrap()
    }

    fn owner(last: u8, identity: Option<&str>) -> Owner {
        Owner {
            client: Some(IpAddr::from([192, 0, 2, last])),
            identity: identity.map(str::to_owned),
        }
    }

    #[test]
    fn uploads_count_until_they_end() {
        let owners = Owners::new(Bounds {
            of_client: 2,
            of_identity: 3,
            upload_age: Duration::from_secs(3600),
        });
        let may = |last, who| owners.may_begin(&owner(last, who)).is_ok();
        for number in 0..2 {
            assert!(may(1, Some("user:ada")));
            owners.began(&id(number), owner(1, Some("user:ada")));
        }
        assert!(!may(1, Some("user:ada")), "of the client");
        assert!(may(2, Some("user:ada")));
        owners.began(&id(2), owner(2, Some("user:ada")));
        assert!(!may(3, Some("user:ada")), "of the account");
        assert!(may(3, Some("user:bob")) && may(3, None));
        assert!(owners.may_begin(&Owner::default()).is_ok());
        owners.ended(&id(2));
        owners.ended(&id(2));
        assert!(may(3, Some("user:ada")));
        for number in 0..2 {
            owners.ended(&id(number));
        }
        let state = lock(&owners.state);
        assert!(state.clients.is_empty() && state.identities.is_empty());
    }

    #[test]
    fn what_many_owners_left_behind_is_forgotten() {
        let owners = Owners::new(Bounds {
            of_client: 1000,
            of_identity: 0,
            upload_age: Duration::ZERO,
        });
        for number in 0..10_000_u32 {
            let id = format!("{number:08x}-0123-4abc-8abc-0123456789ab");
            let client = IpAddr::from(number.to_be_bytes());
            let owner = Owner {
                client: Some(client),
                identity: None,
            };
            owners.began(&id.parse().unwrap(), owner);
        }
        let state = lock(&owners.state);
        assert!(state.uploads.len() <= LOOKED_THROUGH_MIN);
        assert_eq!(state.clients.len(), state.uploads.len());
    }

    #[test]
    fn what_was_removed_for_its_age_counts_no_more() {
        let owners = Owners::new(Bounds {
            of_client: 1,
            of_identity: 0,
            upload_age: Duration::ZERO,
        });
        owners.began(&id(1), owner(1, None));
        assert!(owners.may_begin(&owner(1, None)).is_ok());
    }
}
