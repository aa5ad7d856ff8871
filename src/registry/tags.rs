//! Lists: the tags of a repository, the repositories of the registry.

use super::{Error, Page, Registry};
use crate::oci::RepositoryName;

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
        let tags = self.catalog.read(|tx| {
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

    /// Up to `limit` repository names after `last` in byte order; `last` need not exist.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn repositories(&self, last: Option<&str>, limit: usize) -> Result<Page<String>, Error> {
        let names = self
            .catalog
            .read(|tx| tx.repositories(last, limit.saturating_add(1)))?;
        Ok(Page::of(names, limit))
    }
}
