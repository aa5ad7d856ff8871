//! The one entry for whoever has a credential to verify: passwords of accounts and of the htpasswd
//! file, and tokens of machines.
//!
//! A name in the catalog is the catalog's alone; the htpasswd file is asked for all others. A name
//! that does not exist, or is not let in, costs the same bcrypt as one that is: neither the answer
//! nor its time tells them apart.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::accounts::{AccountError, Administration, Command, Reply};
use super::htpasswd::{FileError, Htpasswd};
use super::identity::Identity;
use super::password::hash::{COST, PasswordHash};
use super::password::known::{self, Known};
use super::password::pool::{self, Pool};
use super::principal::{Accounts, LoginRefusal, Principal};
use super::secret::{ProcessKey, Secret};
use super::throttle::{self, Throttle};
use crate::clock::Clock;
use crate::logging::{AuditRecord, Event, audit};
use crate::metrics::LoginMetrics;
use crate::metrics::labels::{LoginKind, LoginOutcome};
use crate::store;
use crate::store::catalog::Catalog;

mod candidate;
mod machine;
mod password;
#[cfg(test)]
mod tests;

/// How logins are verified.
#[derive(Clone, Debug)]
pub struct Options {
    /// The htpasswd file.
    pub htpasswd: Option<PathBuf>,
    /// The bcrypt cost of new passwords.
    pub cost: u32,
    /// Bounds on verifying at a time.
    pub pool: pool::Options,
    /// Where logins are counted.
    pub metrics: Arc<LoginMetrics>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            htpasswd: None,
            cost: COST,
            pool: pool::Options::default(),
            metrics: Arc::default(),
        }
    }
}

impl Options {
    /// These options for a server with so many threads that answer requests: logins keep at most
    /// half of them waiting.
    #[must_use]
    pub fn for_workers(mut self, workers_max: usize) -> Self {
        let share = (workers_max / 4).max(1);
        self.pool.waiting_max = self.pool.waiting_max.min(share);
        self.pool.waiting_known_max = self.pool.waiting_known_max.min(share);
        self.pool.waiting_per_client_max = self
            .pool
            .waiting_per_client_max
            .min((self.pool.waiting_max / 2).max(1));
        self
    }
}

/// Why logins cannot be verified at all.
#[derive(Debug)]
pub enum OpenError {
    /// The htpasswd file is missing, unreadable or malformed.
    Htpasswd(FileError),
    /// The system gives no random bytes.
    Random(io::Error),
    /// The catalog cannot be read.
    Store(store::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Htpasswd(error) => write!(f, "the htpasswd file cannot be used: {error}"),
            Self::Random(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// Verifies logins. Share it behind an `Arc`.
pub struct Logins {
    accounts: Administration,
    clock: Arc<dyn Clock>,
    htpasswd: Option<Htpasswd>,
    /// Counts the versions of the htpasswd file.
    htpasswd_changes: AtomicU64,
    key: ProcessKey,
    known: Arc<Known>,
    pool: Pool,
    throttle: Throttle,
    metrics: Arc<LoginMetrics>,
}

impl Logins {
    /// Reads the htpasswd file and looks for accounts.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let htpasswd = options
            .htpasswd
            .map(|path| Htpasswd::open(path, Instant::now()));
        let htpasswd = htpasswd.transpose().map_err(OpenError::Htpasswd)?;
        let accounts = Administration::open(catalog, Arc::clone(&clock), options.cost);
        let known = Arc::new(Known::new(known::ENTRIES_MAX));
        let verify =
            |hash: &PasswordHash, password: &Secret| hash.fits(password.reveal().as_bytes());
        Ok(Self {
            accounts: accounts.map_err(OpenError::Store)?,
            clock,
            htpasswd,
            htpasswd_changes: AtomicU64::new(0),
            key: ProcessKey::new().map_err(OpenError::Random)?,
            known: Arc::clone(&known),
            pool: Pool::new(options.pool, known, Box::new(verify)),
            throttle: Throttle::new(throttle::ENTRIES_MAX),
            metrics: options.metrics,
        })
    }

    /// Does something to accounts; what was changed holds from the next login on.
    ///
    /// # Errors
    /// [`AccountError`]; nothing was changed then.
    pub fn administer(&self, command: Command) -> Result<Reply, AccountError> {
        let reply = self.accounts.run(command)?;
        Ok(reply.unless_closed(self.htpasswd.is_some()))
    }

    /// Verifies a name and a password; the password may also be a machine's token, with any name.
    /// May wait some seconds for its turn; never longer than [`pool::Options::patience`].
    ///
    /// # Errors
    /// [`LoginRefusal`].
    pub fn verify(
        &self,
        user: &str,
        password: &str,
        client: Option<IpAddr>,
    ) -> Result<Identity, LoginRefusal> {
        let verified = self.verify_at(user, password, client, Instant::now());
        let outcome = match &verified {
            Ok(_) => LoginOutcome::Accepted,
            Err(LoginRefusal::Wrong) => LoginOutcome::Refused,
            Err(LoginRefusal::Throttled { .. }) => LoginOutcome::Throttled,
            Err(LoginRefusal::Busy { .. }) => LoginOutcome::Busy,
            Err(LoginRefusal::Store(_)) => LoginOutcome::Failed,
        };
        self.metrics.of(LoginKind::Password, outcome).add_one();
        verified
    }

    /// Clients and names whose failures are remembered.
    pub fn failures_remembered(&self) -> usize {
        self.throttle.remembered()
    }

    /// Looks somebody up who was verified before: who they are now, and their credential version,
    /// which must be the one of then. `None` when they are not let in any more.
    ///
    /// # Errors
    /// The accounts could not be read.
    pub fn resolve(&self, who: &Principal) -> Result<Option<(Identity, u64)>, store::Error> {
        self.refresh(Instant::now());
        match who {
            Principal::Anonymous => Ok(Some((Identity::ANONYMOUS, 0))),
            Principal::User(name) => self.resolve_user(name),
            Principal::Token(name) => self.resolve_machine(name),
        }
    }

    /// Changes with every change of accounts or of the htpasswd file.
    pub fn generation(&self) -> u64 {
        self.refresh(Instant::now());
        // Both only ever grow, so their sum never comes back to what it was.
        self.accounts.generation() + self.htpasswd_changes.load(Ordering::Acquire)
    }

    /// Whether there is any user, token or htpasswd file. It is known without looking.
    pub fn has_accounts(&self) -> bool {
        self.htpasswd.is_some() || self.accounts.any()
    }

    /// Whether an htpasswd file is all there is: no user and no token of the catalog.
    pub fn is_htpasswd_alone(&self) -> bool {
        self.htpasswd.is_some() && !self.accounts.any()
    }

    /// What is wrong with the htpasswd file at this moment, so that its last good version is in
    /// use: `coracle.htpasswd:3: …`. For health.
    pub fn htpasswd_problem(&self) -> Option<String> {
        self.htpasswd.as_ref().and_then(Htpasswd::problem)
    }

    /// Reads the htpasswd file again now.
    pub fn reload(&self) {
        if let Some(htpasswd) = &self.htpasswd
            && htpasswd.reload()
        {
            self.htpasswd_changed();
        }
    }

    fn refresh(&self, now: Instant) {
        if let Some(htpasswd) = &self.htpasswd
            && htpasswd.look(now)
        {
            self.htpasswd_changed();
        }
    }

    fn htpasswd_changed(&self) {
        self.htpasswd_changes.fetch_add(1, Ordering::AcqRel);
        audit(&AuditRecord {
            actor: "local",
            ..AuditRecord::new(Event::HtpasswdRead)
        });
    }
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
