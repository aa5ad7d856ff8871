//! Who may do what: credentials in, a verified identity out, and a decision about it.
//!
//! It knows no word of HTTP: no header, no status, no query. What a request needs comes in as
//! [`Scope`]s.
//!
//! - [`action`], [`scope`], [`identity`], [`policy`]: words and one pure decision;
//! - [`accounts`]: users, groups and tokens of machines, and what they may be called;
//! - [`logins`]: passwords and machines' tokens; behind it [`password`] (hashes, the threads that
//!   verify them), [`htpasswd`], [`throttle`];
//! - [`jwt`]: tokens of an external token server;
//! - [`issuer`], [`principal`]: tokens of our own, and whose they are;
//! - [`authenticator`]: the one door for whoever asks.

pub mod accounts;
pub mod action;
pub mod authenticator;
mod cache;
pub mod explain;
pub mod htpasswd;
pub mod identity;
pub mod issuer;
pub mod jwt;
pub mod logins;
pub mod name;
pub mod password;
pub mod policy;
pub mod principal;
pub mod scope;
pub mod secret;
pub mod throttle;

pub use action::{Action, Actions};
pub use authenticator::{Asked, Authenticator, Credentials, Realm, Refusal, TOKEN_PATH, Verifiers};
pub use identity::{Identity, Limit, User, Who};
pub use issuer::{Holder, Issued, Issuer, Lifetimes};
pub use jwt::TokenError;
pub use logins::Logins;
pub use policy::{Basis, Decision, Policy, Rule, Subject, WithoutRules};
pub use principal::{Accounts, LoginRefusal, Principal};
pub use scope::{Resource, Scope};

/// How clients are asked to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// By what fits the accounts and rules.
    Auto,
    /// For a password with each request (RFC 7617).
    Basic,
    /// For a token of the registry's own token endpoint (RFC 6750).
    Bearer,
}

/// Which part of a verified client certificate names a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateUser {
    /// None: certificates decide who may connect, and name nobody.
    None,
    /// The common name of its subject.
    CommonName,
    /// The first DNS name among its alternative names.
    Dns,
    /// The first mail address among them.
    Email,
    /// The first URI among them.
    Uri,
}
