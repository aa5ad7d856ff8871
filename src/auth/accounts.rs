//! Accounts as decisions: who may be made, changed and removed, and under what name.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::name;
use super::password::hash::{self, PasswordHash};
use super::secret::{Secret, machine_secret_hash, new_machine_secret};
use crate::clock::{Clock, Life, unix_ms};
use crate::logging::{AuditRecord, Event, audit};
use crate::store;
use crate::store::catalog::{Catalog, NewToken, ReadTx, TokenInserted, TokenRow, UserRow, WriteTx};

mod asked;
mod command;
mod error;
#[cfg(test)]
mod tests;

pub use command::{Command, Reply, TokenView, Turned, UserView};
pub use error::AccountError;

/// The most groups of one user.
pub const GROUPS_MAX: usize = 64;
/// The most patterns of one token.
pub const PATTERNS_MAX: usize = 64;
/// The longest life of a token that ends at all.
pub const EXPIRES_MAX: Duration = Life::MAX;
/// Accounts in a page of a list.
const PAGE: usize = 500;

/// The accounts of a catalog. Every change of them goes through here.
pub struct Administration {
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    /// The bcrypt cost of new passwords.
    cost: u32,
    /// Counts the changes.
    generation: AtomicU64,
    /// Whether there is any user or token.
    any: AtomicBool,
    /// Held over a change and what is remembered of it, so that the last change is the last word.
    changing: Mutex<()>,
}

impl Administration {
    /// The accounts in `catalog`; new passwords are hashed at this bcrypt cost.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn open(
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        cost: u32,
    ) -> Result<Self, store::Error> {
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method's own lifetime does not fit where the closure's does"
        )]
        let any = catalog.read(|tx| tx.has_accounts())?;
        Ok(Self {
            catalog,
            clock,
            cost,
            generation: AtomicU64::new(1),
            any: AtomicBool::new(any),
            changing: Mutex::new(()),
        })
    }

    /// Whether there is any user or token.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Changes with every change.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The bcrypt cost of new passwords.
    pub(super) const fn cost(&self) -> u32 {
        self.cost
    }

    /// Does what is asked. What was changed holds from the next login on.
    ///
    /// # Errors
    /// [`AccountError`]; nothing was changed then.
    pub fn run(&self, command: Command) -> Result<Reply, AccountError> {
        match command {
            Command::UserAdd {
                name,
                password,
                groups,
            } => self.add_user(name, password.as_ref(), groups),
            Command::UserPassword { name, password } => {
                let hash = self.hash(&password)?;
                self.change_user(name, Event::UserPassword, move |tx, name| {
                    tx.set_password(name, hash.as_str())
                })
            }
            Command::UserDisable { name } => {
                self.change_user(name, Event::UserDisabled, |tx, name| {
                    tx.set_disabled(name, true)
                })
            }
            Command::UserEnable { name } => {
                self.change_user(name, Event::UserEnabled, |tx, name| {
                    tx.set_disabled(name, false)
                })
            }
            Command::UserGroups { name, groups } => {
                let groups = asked::groups(groups)?;
                self.change_user(name, Event::UserGroups, move |tx, name| {
                    tx.set_groups(name, &groups)
                })
            }
            Command::UserRemove { name } => self.remove_user(name),
            Command::UserShow { name } => {
                let user = self.catalog.read(|tx| tx.user(&name))?;
                user.map(|user| user_reply(user, None))
                    .ok_or_else(|| AccountError::unknown("user", &name))
            }
            Command::Users { after } => self.users(after.as_deref()),
            Command::TokenCreate {
                name,
                owner,
                repositories,
                actions,
                expires_seconds,
            } => {
                let token = asked::token(name, owner, repositories, &actions)?;
                self.create_token(token, expires_seconds)
            }
            Command::TokenRevoke { name } => self.revoke_token(name),
            Command::Tokens { after } => self.tokens(after.as_deref()),
        }
    }

    fn hash(&self, password: &Secret) -> Result<PasswordHash, AccountError> {
        hash::check(password.reveal())?;
        PasswordHash::of(password.reveal(), self.cost).map_err(AccountError::Random)
    }

    fn add_user(
        &self,
        name: String,
        password: Option<&Secret>,
        groups: Vec<String>,
    ) -> Result<Reply, AccountError> {
        name::check("user", &name)?;
        let groups = asked::groups(groups)?;
        let hash = password.map(|password| self.hash(password)).transpose()?;
        let account = format!("user:{name}");
        let (user, turned) = self.write(Event::UserAdded, &account, move |tx| {
            let hash = hash.as_ref().map(PasswordHash::as_str);
            if !tx.insert_user(&name, hash, &groups)? {
                return Err(AccountError::taken("user", &name));
            }
            existing_user(tx, &name)
        })?;
        Ok(user_reply(user, turned))
    }

    /// Changes a user who must exist.
    fn change_user(
        &self,
        name: String,
        event: Event,
        change: impl FnOnce(&mut WriteTx<'_>, &str) -> Result<bool, store::Error> + Send + 'static,
    ) -> Result<Reply, AccountError> {
        let account = format!("user:{name}");
        let (user, turned) = self.write(event, &account, move |tx| {
            change(tx, &name)?;
            existing_user(tx, &name)
        })?;
        Ok(user_reply(user, turned))
    }

    fn remove_user(&self, name: String) -> Result<Reply, AccountError> {
        let account = format!("user:{name}");
        let (user, turned) = self.write(Event::UserRemoved, &account, move |tx| {
            let user = existing_user(tx, &name)?;
            tx.delete_user(&name)?;
            Ok(user)
        })?;
        Ok(user_reply(user, turned))
    }

    fn users(&self, after: Option<&str>) -> Result<Reply, AccountError> {
        let mut users = self.catalog.read(|tx| tx.users(after, PAGE + 1))?;
        let more = users.len() > PAGE;
        users.truncate(PAGE);
        let users = users.into_iter().map(UserView::from).collect();
        Ok(Reply::Users { users, more })
    }

    fn create_token(
        &self,
        mut token: NewToken,
        expires_seconds: Option<u64>,
    ) -> Result<Reply, AccountError> {
        let now = self.clock.now();
        token.expires_at = asked::expires_at(now, expires_seconds)?;
        let secret = new_machine_secret().map_err(AccountError::Random)?;
        token.secret_hash = machine_secret_hash(secret.reveal());
        let account = format!("token:{}", token.name);
        let (row, turned) = self.write(Event::TokenCreated, &account, move |tx| {
            let owner = token.owner.as_deref().unwrap_or_default();
            match tx.insert_token(&token)? {
                TokenInserted::Yes => existing_token(tx, &token.name),
                TokenInserted::NameTaken => Err(AccountError::taken("token", &token.name)),
                TokenInserted::NoOwner => Err(AccountError::unknown("user", owner)),
            }
        })?;
        Ok(Reply::Token {
            token: TokenView::at(row, unix_ms(now)),
            secret: Some(secret),
            turned,
        })
    }

    fn revoke_token(&self, name: String) -> Result<Reply, AccountError> {
        let account = format!("token:{name}");
        let (token, turned) = self.write(Event::TokenRevoked, &account, move |tx| {
            let token = existing_token(tx, &name)?;
            tx.delete_token(&name)?;
            Ok(token)
        })?;
        Ok(Reply::Token {
            token: TokenView::at(token, unix_ms(self.clock.now())),
            secret: None,
            turned,
        })
    }

    fn tokens(&self, after: Option<&str>) -> Result<Reply, AccountError> {
        let now_ms = unix_ms(self.clock.now());
        let mut tokens = self.catalog.read(|tx| tx.tokens(after, PAGE + 1))?;
        let more = tokens.len() > PAGE;
        tokens.truncate(PAGE);
        let tokens = tokens.into_iter();
        let tokens = tokens.map(|row| TokenView::at(row, now_ms)).collect();
        Ok(Reply::Tokens { tokens, more })
    }

    /// Writes, and makes what was written hold: what `work` returns, and whether these are the
    /// first accounts, or were the last.
    fn write<T: Send + 'static>(
        &self,
        event: Event,
        account: &str,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<(T, Option<Turned>), AccountError> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, before, after) = self.catalog.write(move |tx| {
            let before = tx.has_accounts()?;
            let value = work(tx)?;
            Ok::<_, AccountError>((value, before, tx.has_accounts()?))
        })?;
        self.any.store(after, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
        drop(changing);
        audit(&AuditRecord {
            // The permissions of the control socket and of the folder are what let somebody in.
            actor: "local",
            account,
            ..AuditRecord::new(event)
        });
        let turned = match (before, after) {
            (false, true) => Some(Turned::Closed),
            (true, false) => Some(Turned::Open),
            _ => None,
        };
        Ok((value, turned))
    }
}

fn user_reply(user: UserRow, turned: Option<Turned>) -> Reply {
    let user = user.into();
    Reply::User { user, turned }
}

fn existing_user(tx: &ReadTx<'_>, name: &str) -> Result<UserRow, AccountError> {
    tx.user(name)?
        .ok_or_else(|| AccountError::unknown("user", name))
}

fn existing_token(tx: &ReadTx<'_>, name: &str) -> Result<TokenRow, AccountError> {
    tx.token(name)?
        .ok_or_else(|| AccountError::unknown("token", name))
}
