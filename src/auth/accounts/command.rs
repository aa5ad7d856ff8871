//! What can be asked about accounts, and what is answered: the same values for the control socket
//! and for a folder that no server runs on.

use serde::{Deserialize, Serialize};

use super::super::secret::Secret;
use crate::clock::rfc3339;
use crate::store::catalog::{TokenRow, UserRow};

/// Something to be done to accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Make a user.
    UserAdd {
        /// The name.
        name: String,
        /// The password; none for who cannot log in by one.
        password: Option<Secret>,
        /// The groups.
        groups: Vec<String>,
    },
    /// Set a user's password.
    UserPassword {
        /// The user.
        name: String,
        /// The new one.
        password: Secret,
    },
    /// Let a user in no more.
    UserDisable {
        /// The user.
        name: String,
    },
    /// Let a user in again.
    UserEnable {
        /// The user.
        name: String,
    },
    /// Remove a user and the tokens that act for them.
    UserRemove {
        /// The user.
        name: String,
    },
    /// Look a user's groups up.
    UserShow {
        /// The user.
        name: String,
    },
    /// Set a user's groups, all of them.
    UserGroups {
        /// The user.
        name: String,
        /// The groups.
        groups: Vec<String>,
    },
    /// List users, a page at a time.
    Users {
        /// The last name of the page before.
        after: Option<String>,
    },
    /// Make a token.
    TokenCreate {
        /// The name.
        name: String,
        /// The user on whose behalf it acts.
        owner: Option<String>,
        /// Patterns of repositories.
        repositories: Vec<String>,
        /// Names of actions.
        actions: Vec<String>,
        /// How long it is good; for ever without.
        expires_seconds: Option<u64>,
    },
    /// Remove a token.
    TokenRevoke {
        /// The token.
        name: String,
    },
    /// List tokens, a page at a time.
    Tokens {
        /// The last name of the page before.
        after: Option<String>,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Reply {
    /// A user as it is now, or as it was when it was removed.
    User {
        /// The user.
        user: UserView,
        /// Whether it made the difference between a registry for everybody and one for accounts.
        turned: Option<Turned>,
    },
    /// A page of users, by name.
    Users {
        /// The users.
        users: Vec<UserView>,
        /// Whether more follow.
        more: bool,
    },
    /// A token.
    Token {
        /// The token.
        token: TokenView,
        /// Its secret, which is shown this one time.
        secret: Option<Secret>,
        /// Whether it made the difference between a registry for everybody and one for accounts.
        turned: Option<Turned>,
    },
    /// A page of tokens, by name.
    Tokens {
        /// The tokens.
        tokens: Vec<TokenView>,
        /// Whether more follow.
        more: bool,
    },
}

/// What a change of accounts made of the whole registry, where no access rule says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turned {
    /// It was the first account: clients must log in now.
    Closed,
    /// It was the last account: everybody may do everything now.
    Open,
}

impl Reply {
    /// The same, of a registry that something else keeps closed if `is_closed`.
    #[must_use]
    pub fn unless_closed(mut self, is_closed: bool) -> Self {
        if let Self::User { turned, .. } | Self::Token { turned, .. } = &mut self
            && is_closed
        {
            *turned = None;
        }
        self
    }
}

/// A user as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// The name.
    pub name: String,
    /// Not let in.
    pub disabled: bool,
    /// Whether there is a password.
    pub password: bool,
    /// The groups, in byte order.
    pub groups: Vec<String>,
    /// When it was made (RFC 3339).
    pub created_at: String,
}

/// A token as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// The name.
    pub name: String,
    /// The user on whose behalf it acts.
    pub owner: Option<String>,
    /// Patterns of repositories.
    pub repositories: Vec<String>,
    /// Names of actions; `*` for all.
    pub actions: Vec<String>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it ends (RFC 3339); never without.
    pub expires_at: Option<String>,
    /// Whether it ended.
    pub expired: bool,
}

impl From<UserRow> for UserView {
    fn from(row: UserRow) -> Self {
        Self {
            name: row.name,
            disabled: row.disabled,
            password: row.password_hash.is_some(),
            groups: row.groups,
            created_at: rfc3339(row.created_at),
        }
    }
}

impl TokenView {
    /// The view of a row at `now_ms`.
    pub(super) fn at(row: TokenRow, now_ms: i64) -> Self {
        Self {
            name: row.name,
            owner: row.owner.map(|owner| owner.name),
            repositories: row.repositories,
            actions: row.actions.split(',').map(str::to_owned).collect(),
            created_at: rfc3339(row.created_at),
            expires_at: row.expires_at.map(rfc3339),
            expired: row.expires_at.is_some_and(|end| end <= now_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_travel_as_json_and_show_no_password() {
        let command = Command::UserAdd {
            name: "ada".to_owned(),
            password: Some(Secret::new("hunter22")),
            groups: vec!["dev".to_owned()],
        };
        let json = serde_json::to_string(&command).unwrap();
        assert_eq!(
            json,
            r#"{"do":"user_add","name":"ada","password":"hunter22","groups":["dev"]}"#
        );
        assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command);
        assert!(!format!("{command:?}").contains("hunter22"));
        let unknown = r#"{"do":"user_disable","name":"ada","why":"x"}"#;
        assert!(serde_json::from_str::<Command>(unknown).is_err());
    }
}
