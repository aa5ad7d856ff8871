//! Totals over the catalog: one row, kept by triggers in the schema.

use super::rows::Totals;
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::Count;
use crate::store::Error;

statements! {
    TOTAL = "SELECT repositories, blobs, blob_bytes, manifests, tags, linked_bytes, past_bytes,
        manifest_bytes, newest_at FROM total WHERE id = 1";
    NOTE_TIME = "UPDATE total SET newest_at = ?1 WHERE id = 1";
}

impl ReadTx<'_> {
    /// Totals; kept current by every write, not counted.
    pub fn totals(&self) -> Result<Totals, Error> {
        let totals = self.one(TOTAL, [], |row| {
            let count = |column: usize| row.get::<_, Count>(column).map(|count| count.0);
            Ok(Totals {
                repositories: count(0)?,
                blobs: count(1)?,
                blob_bytes: count(2)?,
                manifests: count(3)?,
                tags: count(4)?,
                linked_bytes: count(5)?,
                past_bytes: count(6)?,
                manifest_bytes: count(7)?,
                newest_at: row.get(8)?,
            })
        });
        totals
            .and_then(|totals| totals.ok_or(rusqlite::Error::QueryReturnedNoRows))
            .map_err(|error| self.failed(&error, "reading", "the totals"))
    }
}

impl WriteTx<'_> {
    /// Makes the time of this transaction the newest that is known, also when it is an earlier one.
    pub fn note_time(&mut self) -> Result<(), Error> {
        self.execute(NOTE_TIME, (self.now_ms(),))
            .map(|_| ())
            .map_err(|error| self.failed(&error, "noting the time in", "the catalog"))
    }
}
