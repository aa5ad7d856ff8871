//! The manifests that are about another one (OCI Distribution Specification, "Listing Referrers").

use super::{Error, Page, Registry};
use crate::oci::{Digest, RepositoryName};
use crate::store::catalog::Referrer;

impl Registry {
    /// Up to `limit` referrers of `subject` after `last`, by digest, with one of `artifact_types`
    /// (none means any). A subject or repository that is not known has none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_types: &[String],
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Referrer>, Error> {
        let bytes_max = self.options.referrers_bytes_max;
        let (items, more) = self.catalog.read_at_once(|tx| {
            tx.referrers(repository, subject, artifact_types, last, limit, bytes_max)
        })?;
        Ok(Page { items, more })
    }
}
