//! Logins by name and password: remembered, throttled, or verified.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Logins;
use super::candidate::Candidate;
use crate::auth::identity::Identity;
use crate::auth::password::known::Memory;
use crate::auth::password::pool::{Attempt, Busy, Verdict};
use crate::auth::principal::LoginRefusal;
use crate::auth::secret::{Secret, is_machine_secret};
use crate::auth::throttle::Network;
use crate::logging::{AuditRecord, Event, audit};
use crate::store;

/// When it is worth coming back where there was no room.
const BUSY_FOR: Duration = Duration::from_secs(2);

/// Where a login comes from.
struct Origin<'a> {
    user: &'a str,
    client: Option<IpAddr>,
    now: Instant,
}

impl Logins {
    pub(super) fn verify_at(
        &self,
        user: &str,
        password: &str,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<Identity, LoginRefusal> {
        self.refresh(now);
        if is_machine_secret(password) {
            let identity = self.verify_machine(password, user, client, now)?;
            return identity.ok_or(LoginRefusal::Wrong);
        }
        let candidate = self.candidate(user)?;
        let hash = candidate.hash.as_str();
        let parts = [
            b"password",
            user.as_bytes(),
            hash.as_bytes(),
            password.as_bytes(),
        ];
        let key = self.key.hash(&parts);
        let memory = match candidate.user {
            Some(_) => self.known.look_up(&key, now),
            // What was known of somebody who is let in no more counts no more.
            None => Memory::None,
        };
        if let (Memory::Fresh, Some(user)) = (memory, &candidate.user) {
            return Ok(Identity::user(user.clone()));
        }
        let is_known = memory == Memory::Known;
        let from = Origin { user, client, now };
        if !is_known {
            self.throttle(&from)?;
        }
        let attempt = Attempt {
            key,
            hash: candidate.hash.clone(),
            password: Secret::new(password),
            client: client.map(Network::of),
            is_known,
            now,
        };
        let verdict = self.pool.verify(attempt).map_err(|Busy| {
            let retry_after = BUSY_FOR;
            LoginRefusal::Busy { retry_after }
        })?;
        self.conclude(&from, &candidate, verdict)
    }

    /// What follows from a verdict: who it is, or a failure that counts.
    fn conclude(
        &self,
        from: &Origin<'_>,
        candidate: &Candidate,
        verdict: Verdict,
    ) -> Result<Identity, LoginRefusal> {
        // The account may have changed while its password was verified.
        let is_same = || -> Result<bool, store::Error> {
            let again = self.candidate(from.user)?;
            Ok(again.user.is_some() && again.hash == candidate.hash)
        };
        let client = from.client.map(|client| client.to_string());
        let client = client.as_deref().unwrap_or_default();
        if let Some(user) = &candidate.user
            && verdict.fits
            && is_same()?
        {
            let identity = Identity::user(user.clone());
            if verdict.is_first {
                audit(&AuditRecord {
                    actor: &identity.who.to_string(),
                    client,
                    ..AuditRecord::new(Event::Login)
                });
            }
            return Ok(identity);
        }
        if verdict.is_first {
            let network = from.client.map(Network::of);
            self.throttle
                .failed(network, self.name_hash(from.user), from.now);
            audit(&AuditRecord {
                attempted: from.user,
                client,
                outcome: "refused",
                reason: if candidate.barrier.is_empty() {
                    "wrong password"
                } else {
                    candidate.barrier
                },
                ..AuditRecord::new(Event::LoginFailed)
            });
        }
        Err(LoginRefusal::Wrong)
    }

    /// Refuses who failed too often a moment ago.
    fn throttle(&self, from: &Origin<'_>) -> Result<(), LoginRefusal> {
        let network = from.client.map(Network::of);
        let checked = self
            .throttle
            .check(network, self.name_hash(from.user), from.now);
        let Err(early) = checked else {
            return Ok(());
        };
        if early.is_first {
            let client = from.client.map(|client| client.to_string());
            audit(&AuditRecord {
                attempted: from.user,
                client: client.as_deref().unwrap_or_default(),
                outcome: "throttled",
                reason: "too many failures",
                ..AuditRecord::new(Event::LoginFailed)
            });
        }
        let seconds = early.retry_after.as_secs_f64().ceil();
        Err(LoginRefusal::Throttled {
            retry_after: Duration::from_secs_f64(seconds.max(1.0)),
        })
    }

    fn name_hash(&self, user: &str) -> [u8; 32] {
        self.key.hash(&[b"name", user.as_bytes()])
    }
}
