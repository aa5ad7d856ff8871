//! Tags that never move, against what the repository holds: decided inside the write that would
//! move or remove one.

use super::Error;
use super::policy::{Immutable, Rules};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::catalog::ReadTx;

/// Whether the tag may be set to the manifest: it is free, or there already, or may move.
///
/// # Errors
/// [`Error::TagImmutable`], [`Error::Store`].
pub(super) fn may_set(
    tx: &ReadTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
) -> Result<(), Error> {
    match refusal(tx, rules, repository, tag)? {
        Some((current, error)) if current != *digest => Err(error),
        _ => Ok(()),
    }
}

/// Whether the tag may be removed.
///
/// # Errors
/// [`Error::TagImmutable`], [`Error::Store`].
pub(super) fn may_remove(
    tx: &ReadTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<(), Error> {
    match refusal(tx, rules, repository, tag)? {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Whether the manifest may be removed, with all tags on it.
///
/// # Errors
/// [`Error::TagImmutable`] for the first tag that may not be, [`Error::Store`].
pub(super) fn may_remove_manifest(
    tx: &ReadTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<(), Error> {
    if rules.immutable.is_empty() {
        return Ok(());
    }
    for tag in tx.tags_on(repository, digest)? {
        may_remove(tx, rules, repository, &tag)?;
    }
    Ok(())
}

/// Whether the repository may be removed, with all its tags.
///
/// # Errors
/// [`Error::TagImmutable`] for the first tag that may not be, [`Error::Store`].
pub(super) fn may_remove_repository(
    tx: &ReadTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
) -> Result<(), Error> {
    let fixed: Vec<&Immutable> = rules.immutable_of(repository).collect();
    if fixed.is_empty() {
        return Ok(());
    }
    let mut found = None;
    tx.each_dated_tag(repository, |row| {
        if fixed.iter().any(|rule| rule.holds(&row.name)) {
            found = Some(row.name);
        }
        found.is_none()
    })?;
    found.map_or(Ok(()), |tag| may_remove(tx, rules, repository, &tag))
}

/// What the tag stays on and what is said to whoever would change that; `None` when it may move or
/// is not there.
fn refusal(
    tx: &ReadTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Option<(Digest, Error)>, Error> {
    let Some(rule) = rules.immutable(repository, tag) else {
        return Ok(None);
    };
    let Some(current) = tx.manifest_facts_by_tag(repository, tag)? else {
        return Ok(None);
    };
    let error = Error::TagImmutable {
        tag: tag.clone(),
        digest: current.digest,
        origin: rule.origin.clone(),
    };
    Ok(Some((current.digest, error)))
}
