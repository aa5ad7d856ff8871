//! Who may do what: credentials in, a verified identity out, and a decision about it.
//!
//! It knows no word of HTTP: no header, no status, no query. What a request needs comes in as
//! [`Scope`]s.
//!
//! - [`action`], [`scope`], [`glob`], [`identity`], [`policy`]: words and one pure decision.

pub mod action;
pub mod glob;
pub mod identity;
pub mod policy;
pub mod scope;

pub use action::{Action, Actions};
pub use glob::Glob;
pub use identity::{Identity, Limit, User, Who};
pub use policy::{Basis, Decision, Policy, Rule, Subject, WithoutRules};
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
