//! Whom a name means: a user of the catalog, one of the htpasswd file, or nobody, who costs as
//! much.

use sha2::{Digest as _, Sha256};

use super::Logins;
use crate::auth::htpasswd::Htpasswd;
use crate::auth::identity::{Identity, User};
use crate::auth::password::hash::PasswordHash;
use crate::store;
use crate::store::catalog::UserRow;

/// Whom a name may mean, and what a password for it must fit.
pub(super) struct Candidate {
    /// Nobody where the name does not exist or is not let in.
    pub(super) user: Option<User>,
    pub(super) hash: PasswordHash,
    /// For the audit log: why it will be refused even if the password fits.
    pub(super) barrier: &'static str,
}

impl Logins {
    /// Whom a name means.
    pub(super) fn candidate(&self, name: &str) -> Result<Candidate, store::Error> {
        if let Some(row) = self.row(name)? {
            return Ok(self.of_row(row));
        }
        let users = self.htpasswd.as_ref().map(Htpasswd::users);
        let hash = users.as_ref().and_then(|users| users.get(name));
        Ok(match hash {
            Some(hash) => Candidate {
                user: Some(in_no_group(name)),
                hash: hash.clone(),
                barrier: "",
            },
            None => Candidate {
                user: None,
                hash: self.dummy(name, users.as_ref().map_or(&[], |users| users.costs())),
                barrier: "unknown user",
            },
        })
    }

    fn row(&self, name: &str) -> Result<Option<UserRow>, store::Error> {
        if !self.accounts.any() {
            return Ok(None);
        }
        self.accounts.catalog().read_at_once(|tx| tx.user(name))
    }

    fn of_row(&self, row: UserRow) -> Candidate {
        let hash = row.password_hash.as_deref().map(PasswordHash::parse);
        let (hash, barrier) = match hash {
            Some(Ok(hash)) if !row.disabled => (hash, ""),
            Some(Ok(hash)) => (hash, "disabled user"),
            Some(Err(error)) => {
                let name = &row.name;
                log::error!(
                    "the stored hash of user {name} {error}; set it again with `coracle user \
                     passwd`"
                );
                (PasswordHash::dummy(self.accounts.cost()), "damaged hash")
            }
            None => (
                PasswordHash::dummy(self.accounts.cost()),
                "user without a password",
            ),
        };
        let user = User {
            name: row.name,
            groups: row.groups,
        };
        Candidate {
            user: barrier.is_empty().then_some(user),
            hash,
            barrier,
        }
    }

    /// A hash that nothing fits, for a name that does not exist. Where hashes have several costs,
    /// each such name has one of them, always the same, as if it existed.
    fn dummy(&self, name: &str, htpasswd_costs: &[u32]) -> PasswordHash {
        let mut costs = htpasswd_costs.to_vec();
        if costs.is_empty() || self.accounts.any() {
            costs.push(self.accounts.cost());
        }
        let [first, ..] = self.key.hash(&[b"cost", name.as_bytes()]);
        PasswordHash::dummy(costs[usize::from(first) % costs.len()])
    }

    /// Whom a verified certificate names: the user of the catalog, with their groups, or a user of
    /// whom nothing else is known. `None` for who is not let in.
    ///
    /// # Errors
    /// The accounts could not be read.
    pub fn certified(&self, name: &str) -> Result<Option<Identity>, store::Error> {
        let Some(row) = self.row(name)? else {
            return Ok(Some(Identity::user(in_no_group(name))));
        };
        let user = User {
            name: row.name,
            groups: row.groups,
        };
        Ok((!row.disabled).then(|| Identity::user(user)))
    }

    /// Who a user is now, and their credential version.
    pub(super) fn resolve_user(&self, name: &str) -> Result<Option<(Identity, u64)>, store::Error> {
        if let Some(row) = self.row(name)? {
            let user = User {
                name: row.name,
                groups: row.groups,
            };
            return Ok((!row.disabled).then(|| (Identity::user(user), row.version)));
        }
        let users = self.htpasswd.as_ref().map(Htpasswd::users);
        let hash = users.as_ref().and_then(|users| users.get(name));
        Ok(hash.map(|hash| (Identity::user(in_no_group(name)), version_of(hash))))
    }
}

fn in_no_group(name: &str) -> User {
    User {
        name: name.to_owned(),
        groups: Vec::new(),
    }
}

/// The credential version of a user in an htpasswd file: it changes with the hash. It is never one
/// of the catalog's, which count from 1, and fits into what JSON can hold exactly.
fn version_of(hash: &PasswordHash) -> u64 {
    let digest = Sha256::new_with_prefix(b"credential version of ")
        .chain_update(hash.as_str())
        .finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    (u64::from_le_bytes(bytes) >> 12) | (1 << 52)
}
