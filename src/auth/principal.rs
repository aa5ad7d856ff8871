//! Whose a token is that the registry issued, and what it asks the accounts about them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::identity::{Identity, Who};
use crate::store;

/// Whoever a token was issued to, by name: what is known of them is looked up when it is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
    /// The user of this name.
    User(String),
    /// The machine's token of this name.
    Token(String),
}

impl Principal {
    /// Whoever `who` is; `None` for whom only an external token server knows.
    pub fn of(who: &Who) -> Option<Self> {
        match who {
            Who::Anonymous => Some(Self::Anonymous),
            Who::User(user) => Some(Self::User(user.name.clone())),
            Who::Token { name, .. } => Some(Self::Token(name.clone())),
            Who::Subject { .. } => None,
        }
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "anyone" => Some(Self::Anonymous),
            Some(("user", name)) => Some(Self::User(name.to_owned())),
            Some(("token", name)) => Some(Self::Token(name.to_owned())),
            _ => None,
        }
    }
}

/// As rules and logs write it: `anyone`, `user:ada`, `token:ci`.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anyone"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
        }
    }
}

/// What the token endpoint and the tokens it issued need to know of accounts.
pub trait Accounts: Send + Sync {
    /// Who logs in with this name and password, from this address (none over a UNIX socket).
    ///
    /// # Errors
    /// [`LoginRefusal`].
    fn verify(
        &self,
        user: &str,
        password: &str,
        client: Option<IpAddr>,
    ) -> Result<Identity, LoginRefusal>;

    /// Who the principal is today, and the version of their credential: a number that is another
    /// one after each change that must end what was granted before. `None` for whom there is not,
    /// or who is let in no more.
    ///
    /// # Errors
    /// The catalog failed.
    fn resolve(&self, principal: &Principal) -> Result<Option<(Identity, u64)>, store::Error>;

    /// A number that is another one after each change of an account: while it stays the same, so
    /// does each answer of [`resolve`](Accounts::resolve), but for what ends by the clock.
    fn generation(&self) -> u64;
}

/// Why somebody is not logged in.
#[derive(Debug)]
pub enum LoginRefusal {
    /// No such user, or not that password, or let in no more: which of them, nobody is told.
    Wrong,
    /// Too many failures.
    Throttled {
        /// When to come back.
        retry_after: Duration,
    },
    /// Too many logins at this moment.
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// The catalog failed.
    Store(store::Error),
}

impl From<store::Error> for LoginRefusal {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_written_and_read_back() {
        for (principal, text) in [
            (Principal::Anonymous, "anyone"),
            (Principal::User("ada".to_owned()), "user:ada"),
            (Principal::User("a:b".to_owned()), "user:a:b"),
            (Principal::Token("ci".to_owned()), "token:ci"),
        ] {
            assert_eq!(principal.to_string(), text);
            assert_eq!(Principal::parse(text), Some(principal));
        }
        for text in ["", "Anyone", "anyone:", "ada", "group:dev", "subject:x"] {
            assert_eq!(Principal::parse(text), None, "{text}");
        }
    }
}
