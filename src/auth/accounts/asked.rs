//! What is asked for, held to its bounds before anything is written.

use std::time::{Duration, SystemTime};

use super::super::action::{Action, Actions};
use super::super::name;
use super::{AccountError, EXPIRES_MAX, GROUPS_MAX, PATTERNS_MAX};
use crate::clock::{MADE_AFTER, unix_ms};
use crate::oci::Glob;
use crate::store::catalog::NewToken;

/// Names of groups, sorted, each once.
pub(super) fn groups(mut groups: Vec<String>) -> Result<Vec<String>, AccountError> {
    groups.sort();
    groups.dedup();
    if groups.len() > GROUPS_MAX {
        return Err(AccountError::Bounds(
            "a user is in at most 64 groups; name fewer",
        ));
    }
    for group in &groups {
        name::check("group", group)?;
    }
    Ok(groups)
}

/// A token as it is asked for, still without a secret.
pub(super) fn token(
    name: String,
    owner: Option<String>,
    repositories: Vec<String>,
    actions: &[String],
) -> Result<NewToken, AccountError> {
    name::check("token", &name)?;
    if repositories.is_empty() || repositories.len() > PATTERNS_MAX {
        return Err(AccountError::Bounds(
            "a token has 1 to 64 patterns of repositories; ** matches every repository",
        ));
    }
    for pattern in &repositories {
        if let Err(error) = Glob::parse(pattern) {
            return Err(AccountError::Pattern(pattern.clone(), error));
        }
    }
    let mut set = Actions::NONE;
    for text in actions {
        set = set.union(match text.as_str() {
            "*" => Actions::ALL,
            text => text
                .parse::<Action>()
                .map(Actions::of)
                .map_err(|_| AccountError::Action(text.chars().take(64).collect()))?,
        });
    }
    if set.is_empty() {
        return Err(AccountError::Bounds(
            "a token needs an action: pull, push, delete or admin, or * for all of them",
        ));
    }
    Ok(NewToken {
        name,
        secret_hash: [0; 32],
        owner,
        repositories,
        actions: set.to_string(),
        expires_at: None,
    })
}

/// When something ends that is made now, in milliseconds since 1970.
pub(super) fn expires_at(
    now: SystemTime,
    expires_seconds: Option<u64>,
) -> Result<Option<i64>, AccountError> {
    let Some(seconds) = expires_seconds else {
        return Ok(None);
    };
    let life = Duration::from_secs(seconds);
    if life.is_zero() || life > EXPIRES_MAX {
        return Err(AccountError::Bounds(
            "a token that ends is good for 1 second to 3650 days",
        ));
    }
    if now < SystemTime::UNIX_EPOCH + MADE_AFTER {
        return Err(AccountError::Clock);
    }
    Ok(Some(unix_ms(now + life)))
}
