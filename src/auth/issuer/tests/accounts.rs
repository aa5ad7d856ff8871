//! Accounts that a test changes as it goes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::auth::{Accounts, Actions, Identity, Limit, LoginRefusal, Principal, User, Who};
use crate::oci::Glob;
use crate::store::{Error, ErrorKind};

/// Users with passwords that are their names backwards, and a machine's token.
#[derive(Default)]
pub struct FakeAccounts {
    /// Who there is, with the version of their credential.
    known: Mutex<HashMap<Principal, (Identity, u64)>>,
    generation: AtomicU64,
    /// How often somebody was looked up.
    pub resolved: AtomicUsize,
    /// The accounts are changed during each of the next so many logins.
    pub disturbed: AtomicUsize,
}

pub fn user(name: &str) -> Principal {
    Principal::User(name.to_owned())
}

pub fn machine(name: &str) -> Principal {
    Principal::Token(name.to_owned())
}

impl FakeAccounts {
    /// `ada`, and the token `ci` for pulling from `team/*`.
    pub fn new() -> Self {
        let accounts = Self::default();
        accounts.put(&user("ada"), 1);
        accounts.put(&machine("ci"), 2);
        accounts
    }

    /// Makes or changes somebody.
    pub fn put(&self, principal: &Principal, version: u64) {
        let identity = match principal {
            Principal::Anonymous => Identity::ANONYMOUS,
            Principal::User(name) => Identity::user(User {
                name: name.clone(),
                groups: vec![format!("group-{version}")],
            }),
            Principal::Token(name) => Identity {
                who: Who::Token {
                    name: name.clone(),
                    owner: None,
                },
                limit: Some(Limit::Repositories {
                    globs: vec![Glob::parse("team/*").unwrap()],
                    actions: Actions::of_names(["pull"]),
                }),
            },
        };
        self.known
            .lock()
            .unwrap()
            .insert(principal.clone(), (identity, version));
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Removes or disables somebody.
    pub fn remove(&self, principal: &Principal) {
        self.known.lock().unwrap().remove(principal);
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl Accounts for FakeAccounts {
    fn verify(
        &self,
        user: &str,
        password: &str,
        _client: Option<IpAddr>,
    ) -> Result<Identity, LoginRefusal> {
        let retry_after = Duration::from_millis(1500);
        match user {
            "throttled" => return Err(LoginRefusal::Throttled { retry_after }),
            "busy" => return Err(LoginRefusal::Busy { retry_after }),
            "broken" => {
                let error = Error::new(ErrorKind::Io, "looking up the user", user);
                return Err(LoginRefusal::Store(error));
            }
            _ => {}
        }
        let is_right = password.chars().rev().eq(user.chars());
        let known = self.known.lock().unwrap();
        let principals = [
            Principal::User(user.to_owned()),
            Principal::Token(user.to_owned()),
        ];
        let found = principals.iter().find_map(|principal| known.get(principal));
        let (identity, _) = found.filter(|_| is_right).ok_or(LoginRefusal::Wrong)?;
        let left = self.disturbed.load(Ordering::SeqCst);
        if left > 0 {
            self.disturbed.store(left - 1, Ordering::SeqCst);
            self.generation.fetch_add(1, Ordering::SeqCst);
        }
        Ok(identity.clone())
    }

    fn resolve(&self, principal: &Principal) -> Result<Option<(Identity, u64)>, Error> {
        self.resolved.fetch_add(1, Ordering::SeqCst);
        if *principal == user("broken") {
            return Err(Error::new(ErrorKind::Io, "looking up the user", "broken"));
        }
        Ok(self.known.lock().unwrap().get(principal).cloned())
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}
