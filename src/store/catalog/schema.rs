//! Recognising a file as a catalog of ours, and bringing its schema up to date.
//!
//! `PRAGMA application_id` marks the file, `PRAGMA user_version` counts the schema files that were
//! applied to it. What is missing is applied in one transaction, so a file has either the schema it
//! had or the newest.

use rusqlite::{Connection, Result as SqliteResult, TransactionBehavior};

use super::connection::{Place, opening};
use super::failure::damaged;
use crate::store::{Error, ErrorKind};

/// Marks a file as a catalog of Coracle: "Corc".
pub(super) const APPLICATION_ID: i64 = 0x436f_7263;

/// Every schema file in order; the n-th brings a catalog to version n. Only ever added to.
pub(super) const FILES: &[(&str, &str)] = &[
    (
        "0001_catalog.sql",
        include_str!("../../../schema/0001_catalog.sql"),
    ),
    (
        "0002_inline_blob.sql",
        include_str!("../../../schema/0002_inline_blob.sql"),
    ),
    (
        "0003_accounts.sql",
        include_str!("../../../schema/0003_accounts.sql"),
    ),
    (
        "0004_housekeeping.sql",
        include_str!("../../../schema/0004_housekeeping.sql"),
    ),
    (
        "0005_scrub.sql",
        include_str!("../../../schema/0005_scrub.sql"),
    ),
    (
        "0006_outbox.sql",
        include_str!("../../../schema/0006_outbox.sql"),
    ),
];

/// The version of the newest schema.
#[expect(clippy::cast_possible_wrap, reason = "there are few files")]
const NEWEST: i64 = FILES.len() as i64;

/// Reads the schema version of a file; 0 for a new one. Writes nothing.
///
/// # Errors
/// Kind `Corrupt` when the file is not a catalog of ours, `Newer` when a newer version wrote it.
pub(super) fn recognise(connection: &Connection, place: &Place) -> Result<i64, Error> {
    let number = |pragma| -> Result<i64, Error> {
        connection
            .pragma_query_value(None, pragma, |row| row.get(0))
            .map_err(|error| opening(place, &error))
    };
    let version = number("user_version")?;
    let application_id = number("application_id")?;
    if application_id == APPLICATION_ID && (1..=NEWEST).contains(&version) {
        return Ok(version);
    }
    if application_id == APPLICATION_ID && version > NEWEST {
        return Err(
            Error::new(ErrorKind::Newer, "opening", place).because(format!(
                "the catalog has schema version {version}, this program knows versions up to \
                 {NEWEST}; run the newer program, or restore a backup from before the update"
            )),
        );
    }
    let is_empty: bool = connection
        .query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| row.get(0),
        )
        .map_err(|error| opening(place, &error))?;
    if application_id == 0 && version == 0 && is_empty {
        return Ok(0);
    }
    let what = "the file is a database, but not a catalog of Coracle";
    Err(damaged("opening", place, what))
}

/// Applies every schema file after `version`, all or none.
pub(super) fn bring_up_to_date(connection: &mut Connection, version: i64) -> SqliteResult<()> {
    if version == NEWEST {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (_, sql) in FILES.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(sql)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", NEWEST)?;
    transaction.commit()
}
