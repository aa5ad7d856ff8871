//! The one door: what a request shows goes in, a verified identity comes out, or why not; and what
//! to tell whoever has none.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::Challenge;
use super::identity::Identity;
use super::policy::{Policy, Rule, WithoutRules};
use crate::store;

/// A credential as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials<'r> {
    /// None.
    None,
    /// A name and a password, which may also be a machine's token.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(&'r str),
    /// Something that is none of these.
    Unreadable,
}

/// Why a credential was not taken.
#[derive(Debug)]
pub enum Refusal {
    /// It is wrong, or of a kind that is not taken here.
    Wrong,
    /// The token is not good; what to tell the client, where there is something to tell.
    Token(Option<&'static str>),
    /// It failed too often.
    Throttled {
        /// When to come back.
        retry_after: Duration,
    },
    /// Too many passwords are being verified.
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// The accounts could not be read.
    Store(store::Error),
}

/// How a client is asked to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// With a password in each request.
    Basic {
        /// What the registry calls itself.
        realm: &'a str,
    },
    /// By a token.
    Bearer {
        /// Where to get it.
        realm: Realm<'a>,
        /// What the token server knows the registry by.
        service: &'a str,
    },
}

/// Where tokens are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm<'a> {
    /// At this address.
    Address(&'a str),
    /// At this path of the registry, by whichever address the client reached it.
    Path(&'a str),
}

/// What an operator decides about logins.
#[derive(Clone, Debug)]
pub struct Options {
    /// How clients are asked.
    pub challenge: Challenge,
    /// What the registry calls itself.
    pub realm: String,
    /// The address by which clients reach the registry, where it is not what they write.
    pub url: Option<String>,
}

/// Verifies credentials, and holds the rules.
pub struct Authenticator {
    options: Options,
    /// The rules as they hold with accounts, and as they hold without.
    policies: RwLock<Policies>,
}

struct Policies {
    open: Arc<Policy>,
    closed: Arc<Policy>,
}

/// The path of the registry's own token endpoint.
pub const TOKEN_PATH: &str = "/v2/token";

impl Authenticator {
    /// The door with these rules.
    pub fn new(options: Options, rules: Vec<Rule>) -> Self {
        Self {
            options,
            policies: RwLock::new(Policies::of(rules)),
        }
    }

    /// Puts other rules in force, from the next request on.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        let policies = Policies::of(rules);
        *self
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner) = policies;
    }

    /// The rules as they hold now.
    pub fn policy(&self) -> Arc<Policy> {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(if self.is_closed() {
            &policies.closed
        } else {
            &policies.open
        })
    }

    /// The address by which clients reach the registry, where an operator said so.
    pub fn url(&self) -> Option<&str> {
        self.options.url.as_deref()
    }

    /// How a client is asked to log in.
    pub fn asks(&self) -> Asked<'_> {
        let realm = self.options.realm.as_str();
        match self.options.challenge {
            Challenge::Basic => Asked::Basic { realm },
            Challenge::Auto | Challenge::Bearer => Asked::Bearer {
                realm: Realm::Path(TOKEN_PATH),
                service: realm,
            },
        }
    }

    /// Verifies a credential.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn identify(
        &self,
        credentials: &Credentials<'_>,
        _client: Option<IpAddr>,
    ) -> Result<Identity, Refusal> {
        match credentials {
            Credentials::None => Ok(Identity::ANONYMOUS),
            _ => Err(Refusal::Wrong),
        }
    }

    const fn is_closed(&self) -> bool {
        false
    }
}

impl Policies {
    fn of(rules: Vec<Rule>) -> Self {
        let with = |rules, without_rules| {
            Arc::new(Policy {
                rules,
                without_rules,
            })
        };
        Self {
            open: with(rules.clone(), WithoutRules::Open),
            closed: with(rules, WithoutRules::Authenticated),
        }
    }
}
