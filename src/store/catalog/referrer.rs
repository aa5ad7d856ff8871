//! Referrers: the manifests that name another one as their subject (OCI Distribution
//! Specification, "Listing Referrers").

use rusqlite::{Row, types::Type};

use super::rows::Referrer;
use super::transaction::{ReadTx, statements};
use super::values::{Count, DigestColumn, limit};
use crate::oci::{Digest, RepositoryName};
use crate::store::Error;

statements! {
    ALL = "SELECT m.digest, m.media_type, m.size, m.artifact_type, m.annotations
        FROM repository r JOIN manifest m ON m.repository_id = r.id
        WHERE r.name = ?1 AND m.subject = ?2 AND m.digest > ?3
        ORDER BY m.digest LIMIT ?4";
    OF_TYPES = "SELECT m.digest, m.media_type, m.size, m.artifact_type, m.annotations
        FROM repository r JOIN manifest m ON m.repository_id = r.id
        WHERE r.name = ?1 AND m.subject = ?2 AND m.digest > ?3
            AND +m.artifact_type IN (SELECT value FROM json_each(?5))
        ORDER BY m.digest LIMIT ?4";
}

/// What a descriptor costs beside its media type, artifact type and annotations: an estimate from
/// above of its digest, its size and the JSON around them.
const DESCRIPTOR_BYTES: usize = 256;

impl ReadTx<'_> {
    /// Referrers of `subject` after `last`, by digest; at most `limit`, and no more than fit in
    /// about `bytes_max` bytes of descriptors (always at least one). `artifact_types` empty means
    /// all. The flag tells whether more would follow.
    pub fn referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        artifact_types: &[String],
        last: Option<&Digest>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<(Vec<Referrer>, bool), Error> {
        let mut page = Page {
            referrers: Vec::new(),
            bytes: 0,
            more: false,
        };
        let key = (name.as_str(), DigestColumn::from(subject));
        // One row past the limit tells whether there is more.
        let range = (
            DigestColumn::after(last),
            self::limit(limit.saturating_add(1)),
        );
        let each = |row: &Row<'_>| page.take(row, limit, bytes_max);
        let result = if artifact_types.is_empty() {
            self.each(ALL, (key.0, key.1, range.0, range.1), each)
        } else {
            let types = serde_json::Value::from(artifact_types).to_string();
            self.each(OF_TYPES, (key.0, key.1, range.0, range.1, types), each)
        };
        result.map_err(|error| {
            let subject = format_args!("{name}@{subject}");
            self.failed(&error, "listing the referrers of", subject)
        })?;
        Ok((page.referrers, page.more))
    }
}

struct Page {
    referrers: Vec<Referrer>,
    bytes: usize,
    more: bool,
}

impl Page {
    /// Takes a row while there is room; whether to go on.
    fn take(&mut self, row: &Row<'_>, limit: usize, bytes_max: usize) -> rusqlite::Result<bool> {
        let length = |column| -> rusqlite::Result<usize> {
            Ok(row.get_ref(column)?.as_str_or_null()?.map_or(0, str::len))
        };
        let bytes = DESCRIPTOR_BYTES + length(1)? + length(3)? + length(4)?;
        let full = self.bytes.saturating_add(bytes) > bytes_max && !self.referrers.is_empty();
        if full || self.referrers.len() == limit {
            self.more = true;
            return Ok(false);
        }
        self.bytes += bytes;
        self.referrers.push(referrer_row(row)?);
        Ok(true)
    }
}

fn referrer_row(row: &Row<'_>) -> rusqlite::Result<Referrer> {
    let annotations = match row.get_ref(4)?.as_str_or_null()? {
        None => Ok(std::collections::BTreeMap::new()),
        Some(json) => serde_json::from_str(json),
    };
    Ok(Referrer {
        digest: row.get(0)?,
        media_type: row.get(1)?,
        size: row.get::<_, Count>(2)?.0,
        artifact_type: row.get(3)?,
        annotations: annotations.map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(4, Type::Text, error.into())
        })?,
    })
}
