//! The one entry for whoever has a credential to verify: passwords of accounts and of the htpasswd
//! file, and tokens of machines.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::identity::Identity;
use super::principal::{Accounts, LoginRefusal, Principal};
use crate::clock::Clock;
use crate::store;
use crate::store::catalog::Catalog;

/// How logins are verified.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The htpasswd file.
    pub htpasswd: Option<PathBuf>,
}

/// Why logins cannot be verified at all: what is wrong with the htpasswd file.
#[derive(Debug)]
pub struct OpenError;

/// Verifies logins. Share it behind an `Arc`.
pub struct Logins {
    generation: AtomicU64,
}

impl Logins {
    /// Opens the htpasswd file and looks for accounts.
    ///
    /// # Errors
    /// The htpasswd file is missing, unreadable or malformed, or the catalog cannot be read.
    pub fn open(
        _catalog: Arc<Catalog>,
        _clock: Arc<dyn Clock>,
        _options: Options,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            generation: AtomicU64::new(1),
        })
    }

    /// Verifies a name and a password; the password may also be a machine's token, with any name.
    /// May wait some seconds for its turn; never longer.
    ///
    /// # Errors
    /// [`LoginRefusal`].
    pub fn verify(
        &self,
        _user: &str,
        _password: &str,
        _client: Option<IpAddr>,
    ) -> Result<Identity, LoginRefusal> {
        Err(LoginRefusal::Wrong)
    }

    /// Verifies a machine's token, shown as a Bearer token. `None` when it is none, or none that is
    /// good any more.
    ///
    /// # Errors
    /// The accounts could not be read.
    pub fn machine_token(&self, _secret: &str) -> Result<Option<Identity>, store::Error> {
        Ok(None)
    }

    /// Looks somebody up who was verified before: who they are now, and their credential version,
    /// which must be the one of then. `None` when they are not let in any more.
    ///
    /// # Errors
    /// The accounts could not be read.
    pub fn resolve(&self, _who: &Principal) -> Result<Option<(Identity, u64)>, store::Error> {
        Ok(None)
    }

    /// Changes with every change of accounts or of the htpasswd file.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether there is any user, token or htpasswd file.
    pub fn has_accounts(&self) -> bool {
        false
    }

    /// Whether an htpasswd file is all there is: no user and no token of the catalog.
    pub fn is_htpasswd_alone(&self) -> bool {
        false
    }

    /// What is wrong with the htpasswd file at this moment, for health: an edit that was not taken.
    pub fn htpasswd_problem(&self) -> Option<String> {
        None
    }

    /// Reads the htpasswd file again now.
    pub fn reload(&self) {}
}

impl Accounts for Logins {
    fn verify(
        &self,
        user: &str,
        password: &str,
        client: Option<IpAddr>,
    ) -> Result<Identity, LoginRefusal> {
        Self::verify(self, user, password, client)
    }

    fn resolve(&self, principal: &Principal) -> Result<Option<(Identity, u64)>, store::Error> {
        Self::resolve(self, principal)
    }

    fn generation(&self) -> u64 {
        Self::generation(self)
    }
}
