//! What the store, a repository or an image takes: from sums that are kept, or from a walk through
//! one image.

use super::image::{Extent, Image};
use super::reply::{Reply, StoreUsage, Usage};
use super::{AdminError, PAGE, Target};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::registry::{Page, Registry};
use crate::store::Error;
use crate::store::catalog::{ReadTx, RepositoryRow};

/// The most manifests of one image that are walked through.
const MANIFESTS_MAX: usize = 10_000;

impl Registry {
    pub(super) fn store_usage(&self) -> Result<Reply, AdminError> {
        let (totals, last) = self
            .catalog
            .read(|tx| Ok::<_, Error>((tx.totals()?, tx.last_removed_at()?)))?;
        let held = totals.blob_bytes.saturating_sub(totals.past_bytes);
        Ok(Reply::StoreUsage(StoreUsage {
            repositories: totals.repositories,
            tags: totals.tags,
            manifests: totals.manifests,
            manifest_bytes: totals.manifest_bytes,
            blobs: totals.blobs,
            blob_bytes: totals.blob_bytes,
            saved_bytes: totals.linked_bytes.saturating_sub(held),
            past_bytes: totals.past_bytes,
            past_until: last.and_then(|at| self.until(at)),
        }))
    }

    pub(super) fn repository_usages(&self, after: Option<&str>) -> Result<Reply, AdminError> {
        self.catalog.read(|tx| {
            let page = Page::of(tx.repository_rows(after, PAGE + 1)?, PAGE);
            let rows = page.items.into_iter();
            let usages = rows.map(|row| self.repository_usage(tx, &row));
            Ok(Reply::RepositoryUsages {
                repositories: usages.collect::<Result<_, _>>()?,
                more: page.more,
            })
        })
    }

    pub(super) fn usage(&self, target: &Target) -> Result<Reply, AdminError> {
        let unknown = || AdminError::Unknown(target.clone());
        self.catalog.read(|tx| {
            let usage = match target {
                Target::Repository(name) => {
                    let row = tx.repository_row(name)?.ok_or_else(unknown)?;
                    self.repository_usage(tx, &row)?
                }
                Target::Tag(name, tag) => {
                    let row = tx.tag_row(name, tag)?.ok_or_else(unknown)?;
                    image_usage(tx, name, row.digest, Some(tag), target)?
                }
                Target::Manifest(name, digest) => {
                    tx.manifest_facts(name, digest)?.ok_or_else(unknown)?;
                    image_usage(tx, name, *digest, None, target)?
                }
            };
            Ok(Reply::Usage(usage))
        })
    }

    fn repository_usage(&self, tx: &ReadTx<'_>, row: &RepositoryRow) -> Result<Usage, Error> {
        let past = tx.past_row(&row.name)?;
        Ok(Usage {
            name: row.name.to_string(),
            alone_bytes: row.alone_bytes,
            shared_bytes: row.blob_bytes.saturating_sub(row.alone_bytes),
            manifest_bytes: row.manifest_bytes,
            past_bytes: Some(past.map_or(0, |past| past.alone_bytes)),
            past_until: past
                .and_then(|past| past.last_at)
                .and_then(|at| self.until(at)),
        })
    }
}

fn image_usage(
    tx: &ReadTx<'_>,
    name: &RepositoryName,
    digest: Digest,
    tag: Option<&Tag>,
    target: &Target,
) -> Result<Usage, AdminError> {
    let image = Image::of(tx, name, digest, Extent::Referrers, MANIFESTS_MAX)?;
    let image = image.ok_or(AdminError::TooMany {
        what: "manifests, children and referrers in this image",
        limit: MANIFESTS_MAX,
    })?;
    let takes = image.takes(tx, tag)?;
    Ok(Usage {
        name: target.to_string(),
        alone_bytes: takes.alone,
        shared_bytes: takes.shared,
        manifest_bytes: takes.manifests,
        past_bytes: None,
        past_until: None,
    })
}
