//! Users and their groups.

use rusqlite::Row;

use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, limit};
use crate::store::Error;

statements! {
    BY_NAME = "SELECT id, name, password_hash, disabled, version, created_at FROM user
        WHERE name = ?1";
    BY_ID = "SELECT id, name, password_hash, disabled, version, created_at FROM user
        WHERE id = ?1";
    LIST = "SELECT id, name, password_hash, disabled, version, created_at FROM user
        WHERE name > ?1 ORDER BY name LIMIT ?2";
    GROUPS = "SELECT name FROM user_group WHERE user_id = ?1 ORDER BY name";
    NEXT_VERSION = "UPDATE credential_version SET last = last + 1 WHERE id = 1 RETURNING last";
    INSERT = "INSERT INTO user (name, password_hash, version, created_at)
        VALUES (?1, ?2, ?3, ?4) RETURNING id";
    SET_PASSWORD = "UPDATE user SET password_hash = ?2, version = ?3 WHERE id = ?1";
    SET_DISABLED = "UPDATE user SET disabled = ?2, version = ?3 WHERE id = ?1";
    CLEAR_GROUPS = "DELETE FROM user_group WHERE user_id = ?1";
    ADD_GROUP = "INSERT INTO user_group (user_id, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    DELETE = "DELETE FROM user WHERE id = ?1";
    ANY_USER = "SELECT 1 FROM user WHERE name > '' LIMIT 1";
    ANY_TOKEN = "SELECT 1 FROM token WHERE name > '' LIMIT 1";
}

/// A user's row, with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Never used twice.
    pub id: i64,
    /// The name.
    pub name: String,
    /// The hash of the password; none for who cannot log in by one.
    pub password_hash: Option<String>,
    /// Not let in.
    pub disabled: bool,
    /// Changes with everything that must end what was granted before.
    pub version: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// The groups, in byte order.
    pub groups: Vec<String>,
}

fn user_row(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        id: row.get(0)?,
        name: row.get(1)?,
        password_hash: row.get(2)?,
        disabled: row.get(3)?,
        version: row.get::<_, Count>(4)?.0,
        created_at: row.get(5)?,
        groups: Vec::new(),
    })
}

impl ReadTx<'_> {
    /// The user of this name.
    pub fn user(&self, name: &str) -> Result<Option<UserRow>, Error> {
        let user = self.one(BY_NAME, (name,), user_row);
        user.and_then(|user| user.map(|user| self.with_groups(user)).transpose())
            .map_err(|error| self.failed(&error, "looking up the user", name))
    }

    pub(super) fn user_by_id(&self, id: i64) -> rusqlite::Result<Option<UserRow>> {
        let user = self.one(BY_ID, (id,), user_row)?;
        user.map(|user| self.with_groups(user)).transpose()
    }

    /// Up to `limit` users after `last`, by name.
    pub fn users(&self, last: Option<&str>, limit: usize) -> Result<Vec<UserRow>, Error> {
        // No name is empty, so every name sorts after the empty text.
        let params = (last.unwrap_or_default(), self::limit(limit));
        let users = self.all(LIST, params, user_row);
        users
            .and_then(|users| {
                let users = users.into_iter();
                users.map(|user| self.with_groups(user)).collect()
            })
            .map_err(|error| self.failed(&error, "listing", "users"))
    }

    /// Whether there is a user or a token.
    pub fn has_accounts(&self) -> Result<bool, Error> {
        let any = |sql| self.one(sql, [], |row| row.get::<_, i64>(0));
        any(ANY_USER)
            .and_then(|user| Ok(user.is_some() || any(ANY_TOKEN)?.is_some()))
            .map_err(|error| self.failed(&error, "looking for", "accounts"))
    }

    fn with_groups(&self, mut user: UserRow) -> rusqlite::Result<UserRow> {
        user.groups = self.all(GROUPS, (user.id,), |row| row.get(0))?;
        Ok(user)
    }
}

impl WriteTx<'_> {
    /// Makes a user. False, and nothing is changed, when the name is taken.
    pub fn insert_user(
        &mut self,
        name: &str,
        password_hash: Option<&str>,
        groups: &[String],
    ) -> Result<bool, Error> {
        if self.user(name)?.is_some() {
            return Ok(false);
        }
        let insert = || {
            let params = (
                name,
                password_hash,
                Count(self.next_version()?),
                self.now_ms(),
            );
            let id = self.one(INSERT, params, |row| row.get(0))?;
            let id = id.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            self.put_groups(id, groups)
        };
        insert()
            .map(|()| true)
            .map_err(|error| self.failed(&error, "making the user", name))
    }

    /// Sets the hash of a user's password. False when there is no such user.
    pub fn set_password(&mut self, name: &str, hash: &str) -> Result<bool, Error> {
        self.change_user(name, |tx, id| {
            let params = (id, hash, Count(tx.next_version()?));
            tx.execute(SET_PASSWORD, params).map(|_| ())
        })
    }

    /// Lets a user in no more, or again. False when there is no such user.
    pub fn set_disabled(&mut self, name: &str, disabled: bool) -> Result<bool, Error> {
        self.change_user(name, |tx, id| {
            let params = (id, disabled, Count(tx.next_version()?));
            tx.execute(SET_DISABLED, params).map(|_| ())
        })
    }

    /// Sets the groups of a user, all of them. False when there is no such user.
    pub fn set_groups(&mut self, name: &str, groups: &[String]) -> Result<bool, Error> {
        self.change_user(name, |tx, id| {
            tx.execute(CLEAR_GROUPS, (id,))?;
            tx.put_groups(id, groups)
        })
    }

    /// Removes a user, their groups and their tokens. False when there is no such user.
    pub fn delete_user(&mut self, name: &str) -> Result<bool, Error> {
        self.change_user(name, |tx, id| tx.execute(DELETE, (id,)).map(|_| ()))
    }

    fn change_user(
        &mut self,
        name: &str,
        change: impl FnOnce(&Self, i64) -> rusqlite::Result<()>,
    ) -> Result<bool, Error> {
        let Some(user) = self.user(name)? else {
            return Ok(false);
        };
        change(self, user.id)
            .map(|()| true)
            .map_err(|error| self.failed(&error, "changing the user", name))
    }

    fn put_groups(&self, id: i64, groups: &[String]) -> rusqlite::Result<()> {
        for group in groups {
            self.execute(ADD_GROUP, (id, group))?;
        }
        Ok(())
    }

    /// A credential version that was never given out.
    pub(super) fn next_version(&self) -> rusqlite::Result<u64> {
        let version = self.one(NEXT_VERSION, [], |row| row.get::<_, Count>(0))?;
        version
            .map(|version| version.0)
            .ok_or(rusqlite::Error::QueryReturnedNoRows)
    }
}
