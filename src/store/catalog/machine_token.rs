//! Tokens of machines: what is kept of them, which never is their secret.

use rusqlite::{Row, types::Type};

use super::account::UserRow;
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, limit};
use crate::store::Error;

statements! {
    BY_SECRET = "SELECT name, secret_hash, owner_id, repositories, actions, version, created_at,
        expires_at FROM token WHERE secret_hash = ?1";
    BY_NAME = "SELECT name, secret_hash, owner_id, repositories, actions, version, created_at,
        expires_at FROM token WHERE name = ?1";
    LIST = "SELECT name, secret_hash, owner_id, repositories, actions, version, created_at,
        expires_at FROM token WHERE name > ?1 ORDER BY name LIMIT ?2";
    INSERT = "INSERT INTO token (name, secret_hash, owner_id, repositories, actions, version,
        created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    DELETE = "DELETE FROM token WHERE name = ?1";
}

/// A token's row, with its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// The name.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// On whose behalf it acts.
    pub owner: Option<UserRow>,
    /// Patterns of repositories.
    pub repositories: Vec<String>,
    /// Names of actions, with commas.
    pub actions: String,
    /// The credential version, which no other account ever has.
    pub version: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

/// A token about to be written.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The name.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// The user on whose behalf it acts.
    pub owner: Option<String>,
    /// Patterns of repositories.
    pub repositories: Vec<String>,
    /// Names of actions, with commas.
    pub actions: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

/// What came of writing a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenInserted {
    /// It is there.
    Yes,
    /// Another one has the name.
    NameTaken,
    /// There is no such user.
    NoOwner,
}

/// A row as it stands, and the id of its owner.
fn token_row(row: &Row<'_>) -> rusqlite::Result<(TokenRow, Option<i64>)> {
    let repositories: String = row.get(3)?;
    let repositories = serde_json::from_str(&repositories)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, error.into()))?;
    let token = TokenRow {
        name: row.get(0)?,
        secret_hash: row.get(1)?,
        owner: None,
        repositories,
        actions: row.get(4)?,
        version: row.get::<_, Count>(5)?.0,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
    };
    Ok((token, row.get(2)?))
}

impl ReadTx<'_> {
    /// The token whose secret has this SHA-256.
    pub fn token_by_secret(&self, secret_hash: &[u8; 32]) -> Result<Option<TokenRow>, Error> {
        let token = self.one(BY_SECRET, (secret_hash,), token_row);
        token
            .and_then(|token| token.map(|token| self.with_owner(token)).transpose())
            // Not even the hash of a secret belongs into a message.
            .map_err(|error| self.failed(&error, "looking up", "a token"))
    }

    /// The token of this name.
    pub fn token(&self, name: &str) -> Result<Option<TokenRow>, Error> {
        let token = self.one(BY_NAME, (name,), token_row);
        token
            .and_then(|token| token.map(|token| self.with_owner(token)).transpose())
            .map_err(|error| self.failed(&error, "looking up the token", name))
    }

    /// Up to `limit` tokens after `last`, by name.
    pub fn tokens(&self, last: Option<&str>, limit: usize) -> Result<Vec<TokenRow>, Error> {
        // No name is empty, so every name sorts after the empty text.
        let params = (last.unwrap_or_default(), self::limit(limit));
        let tokens = self.all(LIST, params, token_row);
        tokens
            .and_then(|tokens| {
                let tokens = tokens.into_iter();
                tokens.map(|token| self.with_owner(token)).collect()
            })
            .map_err(|error| self.failed(&error, "listing", "tokens"))
    }

    fn with_owner(
        &self,
        (mut token, owner): (TokenRow, Option<i64>),
    ) -> rusqlite::Result<TokenRow> {
        if let Some(owner) = owner {
            token.owner = self.user_by_id(owner)?;
        }
        Ok(token)
    }
}

impl WriteTx<'_> {
    /// Writes a token; nothing is changed unless the answer is [`TokenInserted::Yes`].
    pub fn insert_token(&mut self, token: &NewToken) -> Result<TokenInserted, Error> {
        let name = &token.name;
        if self.token(name)?.is_some() {
            return Ok(TokenInserted::NameTaken);
        }
        let owner = match &token.owner {
            None => None,
            Some(owner) => match self.user(owner)? {
                Some(user) => Some(user.id),
                None => return Ok(TokenInserted::NoOwner),
            },
        };
        let repositories = serde_json::Value::from(token.repositories.as_slice()).to_string();
        let insert = || {
            let params = (
                name,
                token.secret_hash,
                owner,
                repositories,
                &token.actions,
                Count(self.next_version()?),
                self.now_ms(),
                token.expires_at,
            );
            self.execute(INSERT, params)
        };
        insert()
            .map(|_| TokenInserted::Yes)
            .map_err(|error| self.failed(&error, "making the token", name))
    }

    /// Removes a token. False when there is none of this name.
    pub fn delete_token(&mut self, name: &str) -> Result<bool, Error> {
        self.execute(DELETE, (name,))
            .map(|rows| rows > 0)
            .map_err(|error| self.failed(&error, "removing the token", name))
    }
}
