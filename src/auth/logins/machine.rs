//! Tokens of machines: looked up by the hash of their secret, which nobody can guess, so that
//! neither bcrypt nor the throttle has to do with them.

use std::net::IpAddr;
use std::time::Instant;

use subtle::ConstantTimeEq;

use super::Logins;
use crate::auth::action::Actions;
use crate::auth::identity::{Identity, Limit, User, Who};
use crate::auth::password::known::Memory;
use crate::auth::secret::{is_machine_secret, machine_secret_hash};
use crate::clock::unix_ms;
use crate::logging::{AuditRecord, Event, audit};
use crate::oci::Glob;
use crate::store;
use crate::store::catalog::TokenRow;

impl Logins {
    /// Verifies a machine's token, shown as a Bearer token. `None` when it is none, or none that is
    /// good any more.
    ///
    /// # Errors
    /// The accounts could not be read.
    pub fn machine_token(&self, secret: &str) -> Result<Option<Identity>, store::Error> {
        if !is_machine_secret(secret) {
            return Ok(None);
        }
        self.verify_machine(secret, "", None, Instant::now())
    }

    /// As [`machine_token`](Self::machine_token), for a secret that came with a name from a client.
    pub(super) fn verify_machine(
        &self,
        secret: &str,
        user: &str,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<Option<Identity>, store::Error> {
        let hash = machine_secret_hash(secret);
        let row = self
            .accounts
            .catalog()
            .read_at_once(|tx| tx.token_by_secret(&hash))?;
        // The index has compared them already, though not in constant time.
        let row = row.filter(|row| bool::from(row.secret_hash.ct_eq(&hash)));
        let refused = match &row {
            Some(row) => self.barrier(row),
            None => Some("unknown token"),
        };
        let client = client.map(|client| client.to_string());
        let client = client.as_deref().unwrap_or_default();
        if let Some(reason) = refused {
            let name = row.map(|row| format!("token:{}", row.name));
            audit(&AuditRecord {
                attempted: name.as_deref().unwrap_or(user),
                client,
                outcome: "refused",
                reason,
                ..AuditRecord::new(Event::LoginFailed)
            });
            return Ok(None);
        }
        let identity = row.map(identity);
        let key = self.key.hash(&[b"token", &hash]);
        if let Some(identity) = &identity
            && self.known.look_up(&key, now) != Memory::Fresh
        {
            // So that the log has a line a minute and not one a request.
            self.known.remember(key, now);
            audit(&AuditRecord {
                actor: &identity.who.to_string(),
                client,
                ..AuditRecord::new(Event::Login)
            });
        }
        Ok(identity)
    }

    pub(super) fn resolve_machine(
        &self,
        name: &str,
    ) -> Result<Option<(Identity, u64)>, store::Error> {
        let row = self.accounts.catalog().read_at_once(|tx| tx.token(name))?;
        let good = row.filter(|row| self.barrier(row).is_none());
        Ok(good.map(|row| {
            let version = row.version;
            (identity(row), version)
        }))
    }

    /// Why a token is not good any more.
    fn barrier(&self, row: &TokenRow) -> Option<&'static str> {
        let now_ms = unix_ms(self.clock.now());
        if row.expires_at.is_some_and(|end| end <= now_ms) {
            Some("expired token")
        } else if row.owner.as_ref().is_some_and(|owner| owner.disabled) {
            Some("token of a disabled user")
        } else {
            None
        }
    }
}

fn identity(row: TokenRow) -> Identity {
    // Patterns were read before they were written; one that cannot be read now grants nothing.
    let globs = row.repositories.iter();
    let globs = globs.filter_map(|text| Glob::parse(text).ok()).collect();
    let actions = Actions::of_names(row.actions.split(','));
    Identity {
        who: Who::Token {
            name: row.name,
            owner: row.owner.map(|owner| User {
                name: owner.name,
                groups: owner.groups,
            }),
        },
        limit: Some(Limit::Repositories { globs, actions }),
    }
}
