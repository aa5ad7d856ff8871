//! Lists: the tags of a repository, the repositories of the registry.

use super::{Error, Page, Registry};
use crate::oci::RepositoryName;

/// Names that are read at once.
const REPOSITORIES_AT_ONCE: usize = 1000;

impl Registry {
    /// Up to `limit` tags after `last` in byte order; `last` need not exist.
    ///
    /// # Errors
    /// [`Error::NameUnknown`], [`Error::Store`].
    pub fn tags(
        &self,
        repository: &RepositoryName,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        let tags = self.catalog.read_at_once(|tx| {
            let tags = tx.tags(repository, last, limit.saturating_add(1))?;
            if tags.is_empty() && !tx.repository_exists(repository)? {
                return Err(Error::NameUnknown {
                    name: repository.clone(),
                });
            }
            Ok(tags)
        })?;
        Ok(Page::of(tags, limit))
    }

    /// Up to `limit` repository names after `last` in byte order that `is_listed` lets pass;
    /// `last` need not exist.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn repositories(
        &self,
        last: Option<&str>,
        limit: usize,
        is_listed: impl Fn(&RepositoryName) -> bool,
    ) -> Result<Page<String>, Error> {
        let wanted = limit.saturating_add(1);
        let mut last = last.map(str::to_owned);
        let mut names: Vec<String> = Vec::new();
        while names.len() < wanted {
            // A part at a time: where much is passed over, one reader is not held for all of it.
            let part = wanted.min(REPOSITORIES_AT_ONCE);
            let read = self
                .catalog
                .read(|tx| tx.repositories(last.as_deref(), part))?;
            let is_end = read.len() < part;
            last = read.last().cloned().or(last);
            let listed = |name: &String| name.parse().is_ok_and(|name| is_listed(&name));
            names.extend(read.into_iter().filter(listed));
            if is_end {
                break;
            }
        }
        names.truncate(wanted);
        Ok(Page::of(names, limit))
    }
}
