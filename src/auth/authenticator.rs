//! The one door: what a request shows goes in, a verified identity comes out, or why not; and what
//! to tell whoever has none.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::identity::Identity;
use super::issuer::Issuer;
use super::jwt::{TokenError, Verifier};
use super::logins::Logins;
use super::policy::{Policy, Rule, WithoutRules};
use super::principal::LoginRefusal;
use super::{CertificateUser, Challenge};
use crate::metrics::LoginMetrics;
use crate::metrics::labels::{LoginKind, LoginOutcome};
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
    /// At this path of the host that the client asked, over TLS unless a proxy says otherwise:
    /// Distribution's `autoredirect`.
    Autoredirect(&'a str),
}

/// Who verifies what is shown.
pub enum Verifiers {
    /// The registry itself, by its accounts and its own tokens.
    Own {
        /// Verifies passwords and machines' tokens.
        logins: Arc<Logins>,
        /// Issues Bearer tokens and verifies them.
        issuer: Arc<Issuer>,
    },
    /// An external token server, which knows the accounts and decides who may do what.
    TokenServer {
        /// Verifies its tokens.
        verifier: Box<Verifier>,
        /// Where clients get them; `None` at a path of the host that they asked.
        realm: Option<String>,
        /// That path.
        path: String,
        /// What it knows this registry by.
        service: String,
    },
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
    /// Which part of a client certificate names a user.
    pub certificate_user: CertificateUser,
    /// Where logins are counted.
    pub metrics: Arc<LoginMetrics>,
}

/// Verifies credentials, and holds the rules.
pub struct Authenticator {
    options: Options,
    verifiers: Verifiers,
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
    pub fn new(options: Options, rules: Vec<Rule>, verifiers: Verifiers) -> Self {
        Self {
            options,
            verifiers,
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

    /// Passwords and machines' tokens; `None` where a token server knows the accounts.
    pub const fn logins(&self) -> Option<&Arc<Logins>> {
        match &self.verifiers {
            Verifiers::Own { logins, .. } => Some(logins),
            Verifiers::TokenServer { .. } => None,
        }
    }

    /// What issues the registry's own tokens; `None` where a token server does.
    pub const fn issuer(&self) -> Option<&Arc<Issuer>> {
        match &self.verifiers {
            Verifiers::Own { issuer, .. } => Some(issuer),
            Verifiers::TokenServer { .. } => None,
        }
    }

    /// What is wrong with the files of accounts and keys at this moment, so that what was last good
    /// in them is in use.
    pub fn notes(&self) -> Vec<String> {
        let note = match &self.verifiers {
            Verifiers::Own { logins, .. } => logins.htpasswd_problem(),
            Verifiers::TokenServer { verifier, .. } => {
                let fault = verifier.fault();
                fault.map(|error| format!("the token server's keys: {}", error.why()))
            }
        };
        note.into_iter().collect()
    }

    /// Reads the files of accounts and keys again. What is wrong with them is logged, and what was
    /// last good in them stays in use.
    pub fn reload(&self) {
        match &self.verifiers {
            Verifiers::Own { logins, .. } => logins.reload(),
            // It has logged why not.
            Verifiers::TokenServer { verifier, .. } => drop(verifier.reload()),
        }
    }

    /// What the registry calls itself.
    pub fn realm(&self) -> &str {
        &self.options.realm
    }

    /// How a client is asked to log in.
    pub fn asks(&self) -> Asked<'_> {
        let own = self.options.realm.as_str();
        match &self.verifiers {
            Verifiers::TokenServer {
                realm,
                path,
                service,
                ..
            } => Asked::Bearer {
                realm: realm
                    .as_deref()
                    .map_or(Realm::Autoredirect(path), Realm::Address),
                service,
            },
            Verifiers::Own { logins, .. } if self.asks_for_passwords(logins) => {
                Asked::Basic { realm: own }
            }
            Verifiers::Own { .. } => Asked::Bearer {
                realm: Realm::Path(TOKEN_PATH),
                service: own,
            },
        }
    }

    /// With an htpasswd file alone the registry asks just as Distribution does. In all other cases
    /// a token is better: docker learns from a challenge for passwords that nothing can be had
    /// without one.
    fn asks_for_passwords(&self, logins: &Logins) -> bool {
        match self.options.challenge {
            Challenge::Basic => true,
            Challenge::Bearer => false,
            Challenge::Auto => logins.is_htpasswd_alone() && self.policy().rules.is_empty(),
        }
    }

    /// Which part of a client certificate names a user.
    pub const fn certificate_user(&self) -> CertificateUser {
        self.options.certificate_user
    }

    /// Verifies a credential. Without one, `certified` is whom a verified certificate names.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn identify(
        &self,
        credentials: &Credentials<'_>,
        certified: Option<&str>,
        client: Option<IpAddr>,
    ) -> Result<Arc<Identity>, Refusal> {
        let identified = self.verify(credentials, certified, client);
        // Passwords are counted where they are verified, for the token endpoint as well.
        if let Credentials::Bearer(_) = credentials {
            let outcome = match &identified {
                Ok(_) => LoginOutcome::Accepted,
                Err(Refusal::Wrong | Refusal::Token(_)) => LoginOutcome::Refused,
                Err(Refusal::Throttled { .. }) => LoginOutcome::Throttled,
                Err(Refusal::Busy { .. }) => LoginOutcome::Busy,
                Err(Refusal::Store(_)) => LoginOutcome::Failed,
            };
            self.options.metrics.of(LoginKind::Token, outcome).add_one();
        }
        identified
    }

    fn verify(
        &self,
        credentials: &Credentials<'_>,
        certified: Option<&str>,
        client: Option<IpAddr>,
    ) -> Result<Arc<Identity>, Refusal> {
        match (&self.verifiers, credentials) {
            (Verifiers::Own { logins, .. }, Credentials::None) if certified.is_some() => {
                let found = logins.certified(certified.unwrap_or_default());
                let identity = found.map_err(Refusal::Store)?;
                identity.map(Arc::new).ok_or(Refusal::Wrong)
            }
            (_, Credentials::None) => Ok(Arc::new(Identity::ANONYMOUS)),
            (Verifiers::TokenServer { verifier, .. }, Credentials::Bearer(token)) => {
                Ok(verifier.verify(token)?)
            }
            (Verifiers::Own { logins, issuer }, Credentials::Bearer(token)) => {
                match logins.machine_token(token).map_err(Refusal::Store)? {
                    Some(identity) => Ok(Arc::new(identity)),
                    None => Ok(issuer.verify(token)?),
                }
            }
            (Verifiers::Own { logins, .. }, Credentials::Basic { user, password }) => {
                Ok(Arc::new(logins.verify(user, password, client)?))
            }
            (Verifiers::TokenServer { .. }, Credentials::Basic { .. })
            | (_, Credentials::Unreadable) => Err(Refusal::Wrong),
        }
    }

    fn is_closed(&self) -> bool {
        match &self.verifiers {
            Verifiers::Own { logins, .. } => {
                logins.has_accounts() || self.options.certificate_user != CertificateUser::None
            }
            Verifiers::TokenServer { .. } => true,
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Store(error) => Self::Store(error),
            error => {
                log::debug!("{error}");
                Self::Token(error.code())
            }
        }
    }
}

impl From<LoginRefusal> for Refusal {
    fn from(refusal: LoginRefusal) -> Self {
        match refusal {
            LoginRefusal::Wrong => Self::Wrong,
            LoginRefusal::Throttled { retry_after } => Self::Throttled { retry_after },
            LoginRefusal::Busy { retry_after } => Self::Busy { retry_after },
            LoginRefusal::Store(error) => Self::Store(error),
        }
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
