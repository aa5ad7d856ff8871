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
        // But those that the writer takes away first: a copy may have been made just before.
        "SELECT t.name FROM tag t JOIN manifest m ON m.id = t.manifest_id
            WHERE m.repository_id <> t.repository_id
            AND m.id NOT IN (SELECT manifest_id FROM ending_tags)",
        "a tag points to a manifest of another repository",
    ),
    (
        "SELECT hex(digest) FROM manifest WHERE size <> length(bytes)",
        "a manifest has another length than its row says",
    ),
    (
        "SELECT name FROM repository r
            WHERE NOT EXISTS (SELECT 1 FROM manifest WHERE repository_id = r.id)
            AND NOT EXISTS (SELECT 1 FROM repository_blob WHERE repository_id = r.id)
            AND id NOT IN (SELECT repository_id FROM ending_tags)",
        "a repository holds nothing",
    ),
    (
        "SELECT r.name || ' ' || hex(rb.digest) FROM repository_blob rb
            JOIN repository r ON r.id = rb.repository_id
            LEFT JOIN (
                SELECT m.repository_id, f.digest, count(*) AS uses
                FROM manifest_reference f JOIN manifest m ON m.id = f.manifest_id
                GROUP BY m.repository_id, f.digest
            ) AS u ON u.repository_id = rb.repository_id AND u.digest = rb.digest
            WHERE rb.uses <> ifnull(u.uses, 0)
            OR (rb.uses = 0) <> (rb.collect_after IS NOT NULL)",
        "a blob is not used as often as its row says",
    ),
    (
        "SELECT r.name FROM repository r WHERE
            blobs <> (SELECT count(*) FROM repository_blob WHERE repository_id = r.id)
            OR manifests <> (SELECT count(*) FROM manifest WHERE repository_id = r.id)
            OR tags <> (SELECT count(*) FROM tag WHERE repository_id = r.id
                AND manifest_id NOT IN (SELECT manifest_id FROM ending_tags))
            OR manifest_bytes <>
                (SELECT ifnull(sum(size), 0) FROM manifest WHERE repository_id = r.id)
            OR blob_bytes <> (SELECT ifnull(sum(b.size), 0) FROM repository_blob rb
                JOIN blob b ON b.digest = rb.digest WHERE rb.repository_id = r.id)
            OR alone_bytes <> (SELECT ifnull(sum(b.size), 0)
                FROM repository_blob rb JOIN blob b ON b.digest = rb.digest
                WHERE rb.repository_id = r.id
                AND iif(r.is_past = 0, b.holders = 1, b.holders = 0 AND b.pasts = 1))
            OR is_past <> (substr(name, 1, 1) = '~')",
        "a repository does not hold what its row says",
    ),
    (
        "SELECT hex(digest) FROM blob b WHERE
            holders <> (SELECT count(*) FROM repository_blob rb
                JOIN repository r ON r.id = rb.repository_id
                WHERE rb.digest = b.digest AND r.is_past = 0)
            OR pasts <> (SELECT count(*) FROM repository_blob rb
                JOIN repository r ON r.id = rb.repository_id
                WHERE rb.digest = b.digest AND r.is_past = 1)",
        "a blob is not held by as many repositories as its row says",
    ),
    (
        "SELECT hex(m.digest) FROM manifest m JOIN repository r ON r.id = m.repository_id
            WHERE r.is_past <> (m.removed_at IS NOT NULL)
            OR r.is_past = 0 AND (m.id IN (SELECT manifest_id FROM loose_manifest)) <> (
                NOT EXISTS (SELECT 1 FROM tag WHERE manifest_id = m.id)
                AND NOT EXISTS (SELECT 1 FROM manifest_reference f
                    JOIN manifest a ON a.id = f.manifest_id WHERE f.kind = 3
                    AND f.digest = m.digest AND a.repository_id = m.repository_id)
                AND NOT EXISTS (SELECT 1 FROM manifest s
                    WHERE s.repository_id = m.repository_id AND s.digest = m.subject))
            OR r.is_past = 1 AND m.id IN (SELECT manifest_id FROM loose_manifest)",
        "a manifest is held where its row says that nothing holds it, or the reverse",
    ),
    (
        "SELECT pattern FROM quota_group g WHERE (bytes, tags) <> (
            SELECT ifnull(sum(r.blob_bytes + r.manifest_bytes), 0), ifnull(sum(r.tags), 0)
            FROM quota_member q JOIN repository r ON r.id = q.repository_id
            WHERE q.group_id = g.id)",
        "the repositories of a quota do not hold what its row says",
    ),
    (
        "SELECT 'one row expected' WHERE (SELECT count(*) FROM total) <> 1
            UNION ALL SELECT 'repositories' FROM total
                WHERE repositories <> (SELECT count(*) FROM repository WHERE is_past = 0)
            UNION ALL SELECT 'blobs' FROM total WHERE blobs <> (SELECT count(*) FROM blob)
            UNION ALL SELECT 'blob_bytes' FROM total
                WHERE blob_bytes <> (SELECT ifnull(sum(size), 0) FROM blob)
            UNION ALL SELECT 'manifests' FROM total
                WHERE manifests <> (SELECT count(*) FROM manifest)
            UNION ALL SELECT 'tags' FROM total WHERE tags <> (SELECT count(*) FROM tag
                WHERE manifest_id NOT IN (SELECT manifest_id FROM ending_tags))
            UNION ALL SELECT 'linked_bytes' FROM total WHERE linked_bytes <>
                (SELECT ifnull(sum(blob_bytes), 0) FROM repository WHERE is_past = 0)
            UNION ALL SELECT 'past_bytes' FROM total WHERE past_bytes <>
                (SELECT ifnull(sum(size), 0) FROM blob WHERE holders = 0 AND pasts > 0)
            UNION ALL SELECT 'manifest_bytes' FROM total WHERE manifest_bytes <>
                (SELECT ifnull(sum(size), 0) FROM manifest)",
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
