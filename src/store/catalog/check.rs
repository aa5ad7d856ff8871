//! Whether the catalog is sound: SQLite's own checks, then what the rows must agree on.
//!
//! Whether the blobs are there is not asked here; the registry's check does that.

use rusqlite::{Connection, Result};

use super::failure::{failed, kind_of};
use super::readers::Readers;
use crate::store::{Error, ErrorKind};

/// Most sentences of one kind: enough to see what is wrong.
const FINDINGS_MAX: usize = 100;

/// What must find nothing, and what it means when it does. Each answers with a text a row.
const RULES: &[(&str, &str)] = &[
    (
        "SELECT t.name FROM tag t JOIN manifest m ON m.id = t.manifest_id
            WHERE m.repository_id <> t.repository_id",
        "a tag points to a manifest of another repository",
    ),
    (
        "SELECT hex(digest) FROM manifest WHERE size <> length(bytes)",
        "a manifest has another length than its row says",
    ),
    (
        "SELECT name FROM repository r
            WHERE NOT EXISTS (SELECT 1 FROM manifest WHERE repository_id = r.id)
            AND NOT EXISTS (SELECT 1 FROM repository_blob WHERE repository_id = r.id)",
        "a repository holds nothing",
    ),
    (
        "SELECT 'one row expected' WHERE (SELECT count(*) FROM total) <> 1
            UNION ALL SELECT 'repositories' FROM total
                WHERE repositories <> (SELECT count(*) FROM repository)
            UNION ALL SELECT 'blobs' FROM total WHERE blobs <> (SELECT count(*) FROM blob)
            UNION ALL SELECT 'blob_bytes' FROM total
                WHERE blob_bytes <> (SELECT ifnull(sum(size), 0) FROM blob)
            UNION ALL SELECT 'manifests' FROM total
                WHERE manifests <> (SELECT count(*) FROM manifest)
            UNION ALL SELECT 'tags' FROM total WHERE tags <> (SELECT count(*) FROM tag)",
        "a total is not what counting gives",
    ),
];

/// Everything that is wrong, a sentence each.
pub(super) fn integrity(readers: &Readers) -> std::result::Result<Vec<String>, Error> {
    let checked = readers.read_apart(|connection| {
        // One snapshot for all of it.
        connection.execute_batch("BEGIN")?;
        Ok(of(connection))
    });
    checked?.unwrap_or_else(|error| Err(failed(&error, "checking", "the catalog")))
}

/// The same for one connection.
pub(super) fn of(connection: &Connection) -> std::result::Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    match check_all(connection, &mut findings) {
        Ok(()) => {}
        Err(error) if kind_of(&error) == ErrorKind::Corrupt => {
            findings.push(format!("the check itself met damage: {error}"));
        }
        Err(error) => return Err(failed(&error, "checking", "the catalog")),
    }
    Ok(findings)
}

fn check_all(connection: &Connection, findings: &mut Vec<String>) -> Result<()> {
    check_file(connection, findings)?;
    check_foreign_keys(connection, findings)?;
    if findings.is_empty() {
        check_rules(connection, findings)?;
    }
    Ok(())
}

fn check_file(connection: &Connection, findings: &mut Vec<String>) -> Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let finding: String = row.get(0)?;
        if finding != "ok" {
            findings.push(finding);
        }
    }
    Ok(())
}

fn check_foreign_keys(connection: &Connection, findings: &mut Vec<String>) -> Result<()> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut left = FINDINGS_MAX;
    while let Some(row) = rows.next()? {
        let (child, parent): (String, String) = (row.get(0)?, row.get(2)?);
        findings.push(format!(
            "a row of {child} refers to a row of {parent} that is missing"
        ));
        left -= 1;
        if left == 0 {
            break;
        }
    }
    Ok(())
}

fn check_rules(connection: &Connection, findings: &mut Vec<String>) -> Result<()> {
    for (sql, meaning) in RULES {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        for subject in rows.take(FINDINGS_MAX) {
            findings.push(format!("{meaning}: {}", subject?));
        }
    }
    Ok(())
}
