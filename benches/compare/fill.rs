//! Fills stores with long lists, fast: through the protocol where the server writes rows of its
//! own making, straight into the catalog of a stopped server where only their number matters.

use std::fs::File;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection as Database, params_from_iter};

use crate::Outcome;
use crate::client::expect;
use crate::content::{Blob, INDEX, INDEX_EMPTY, Random};
use crate::load::share;
use crate::peers::Server;

/// The repository that has many tags.
pub const TAGGED: &str = "bench/tagged";
/// Tags that one request sets.
const TAGS_AT_ONCE: usize = 100;
const CLIENTS: usize = 8;
/// Bytes of a sha256 hash.
const HASH_BYTES: usize = 32;

/// Gives [`TAGGED`] this many tags, all of one manifest.
pub fn tags(server: &Server, count: usize) -> Outcome<()> {
    let digest = Blob::new(INDEX_EMPTY.into()).digest;
    let numbers: Vec<usize> = (0..count).collect();
    let batches: Vec<&[usize]> = numbers.chunks(TAGS_AT_ONCE).collect();
    share(server.address, CLIENTS, &batches, |connection, batch| {
        let tags: Vec<String> = batch
            .iter()
            .map(|number| format!("tag=t{number:07}"))
            .collect();
        let target = format!("/v2/{TAGGED}/manifests/{digest}?{}", tags.join("&"));
        let head = connection.send("PUT", &target, INDEX, &[INDEX_EMPTY.as_bytes()])?;
        expect(head, 201, "PUT", &target)?;
        Ok(())
    })?;
    Ok(())
}

/// Gives [`TAGGED`] this many tags, each of a manifest of its own.
pub fn tagged_manifests(server: &Server, count: usize) -> Outcome<()> {
    let numbers: Vec<usize> = (0..count).collect();
    share(server.address, CLIENTS, &numbers, |connection, number| {
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": [],
            "annotations": { "number": number.to_string() },
        });
        let target = format!("/v2/{TAGGED}/manifests/t{number:07}");
        let bytes = manifest.to_string().into_bytes();
        let head = connection.send("PUT", &target, INDEX, &[&bytes])?;
        expect(head, 201, "PUT", &target)?;
        Ok(())
    })?;
    Ok(())
}

/// Makes repositories, each with one manifest, until the server has `count` beside [`TAGGED`].
pub fn repositories(server: &Server, count: usize) -> Outcome<()> {
    let numbers: Vec<usize> = (0..count).collect();
    share(server.address, CLIENTS, &numbers, |connection, number| {
        let target = format!("/v2/listed/r{number:07}/manifests/v1");
        let head = connection.send("PUT", &target, INDEX, &[INDEX_EMPTY.as_bytes()])?;
        expect(head, 201, "PUT", &target)?;
        Ok(())
    })?;
    Ok(())
}

/// Writes blob rows into the catalog of the stopped server whose data is in `data`, until it has
/// `count` of them. They are copies of a row that the server has written itself, each with a
/// digest of its own, so that this knows no more of the schema than the table's name.
pub fn blob_rows(data: &Path, count: usize) -> Outcome<()> {
    let mut database = Database::open(data.join("coracle.db"))?;
    database.execute_batch("PRAGMA synchronous = OFF")?;
    let (columns, row) = template(&database)?;
    let marks = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT INTO blob ({}) VALUES ({marks})", columns.join(", "));
    let mut random = Random::new(9_000);
    let transaction = database.transaction()?;
    {
        let mut statement = transaction.prepare(&insert)?;
        for _ in 1..count {
            statement.execute(params_from_iter(with_new_digest(&row, &mut random)))?;
        }
    }
    transaction.commit()?;
    let rows: i64 = database.query_row("SELECT count(*) FROM blob", [], |row| row.get(0))?;
    if usize::try_from(rows)? < count {
        return Err(format!("the catalog has {rows} blob rows instead of {count}").into());
    }
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// Bytes of an inline blob of a removed image.
const INLINE_BYTES: usize = 1 << 10;
/// Bytes of its one blob that is a file; nothing is written to it, but its length.
const FILE_BYTES: u64 = 100_000;
/// Blobs of a removed image.
const BLOBS_EACH: usize = 5;
/// Removed images of one repository.
const IMAGES_EACH: usize = 100;

/// Writes `count` manifests that were removed in 1970 into the catalog of the stopped server whose
/// data is in `data`, each with blobs of its own: most inline, one a file. The schema's triggers
/// count them as they do for the server.
pub fn removed_images(data: &Path, count: usize) -> Outcome<()> {
    let mut database = Database::open(data.join("coracle.db"))?;
    database.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON")?;
    let mut random = Random::new(31_000);
    for first in (0..count).step_by(IMAGES_EACH) {
        let transaction = database.transaction()?;
        transaction.execute(
            "INSERT INTO repository (name, created_at, is_past) VALUES (?1, 1, 1)",
            [format!("~filled/r{first}")],
        )?;
        let repository = transaction.last_insert_rowid();
        for _ in first..count.min(first + IMAGES_EACH) {
            removed_image(&transaction, repository, data, &mut random)?;
        }
        transaction.commit()?;
    }
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

fn removed_image(
    database: &Database,
    repository: i64,
    data: &Path,
    random: &mut Random,
) -> Outcome<()> {
    let mut column = || [&[1_u8][..], &random.bytes(HASH_BYTES)].concat();
    let manifest = column();
    let blobs: Vec<Vec<u8>> = (0..BLOBS_EACH).map(|_| column()).collect();
    let bytes = vec![b' '; INLINE_BYTES];
    database
        .prepare_cached(
            "INSERT INTO manifest (repository_id, digest, media_type, size, pushed_at, bytes, \
             removed_at) VALUES (?1, ?2, 'application/json', ?3, 1, ?4, 1)",
        )?
        .execute((repository, &manifest, i64::try_from(INLINE_BYTES)?, &bytes))?;
    let id = database.last_insert_rowid();
    for (position, blob) in blobs.iter().enumerate() {
        let is_file = position == BLOBS_EACH - 1;
        let size = if is_file {
            FILE_BYTES
        } else {
            INLINE_BYTES as u64
        };
        database
            .prepare_cached("INSERT INTO blob (digest, size, created_at) VALUES (?1, ?2, 1)")?
            .execute((blob, i64::try_from(size)?))?;
        database
            .prepare_cached(
                "INSERT INTO repository_blob (repository_id, digest, uses) VALUES (?1, ?2, 1)",
            )?
            .execute((repository, blob))?;
        database
            .prepare_cached("INSERT INTO manifest_reference VALUES (?1, ?2, 2, ?3)")?
            .execute((id, i64::try_from(position)?, blob))?;
        if is_file {
            let hash = crate::content::digest(&blob[1..]).replace("sha256:", "");
            let folder = data.join("blobs/sha256").join(&hash[..2]);
            File::create(folder.join(hash))?.set_len(FILE_BYTES)?;
        } else {
            database
                .prepare_cached("INSERT INTO inline_blob (digest, bytes) VALUES (?1, ?2)")?
                .execute((blob, &bytes))?;
        }
    }
    Ok(())
}

/// The columns of `blob`, without a number that `SQLite` hands out by itself, and one row of them.
fn template(database: &Database) -> Outcome<(Vec<String>, Vec<Value>)> {
    let mut columns = Vec::new();
    let mut statement = database.prepare(
        "SELECT name FROM pragma_table_info('blob') WHERE NOT (pk = 1 AND type = 'INTEGER' \
         AND (SELECT max(pk) FROM pragma_table_info('blob')) = 1)",
    )?;
    for name in statement.query_map([], |row| row.get::<_, String>(0))? {
        columns.push(name?);
    }
    if columns.is_empty() {
        return Err("the catalog has no table called blob".into());
    }
    let select = format!("SELECT {} FROM blob LIMIT 1", columns.join(", "));
    let row = database.query_row(&select, [], |row| {
        (0..columns.len())
            .map(|index| row.get(index))
            .collect::<Result<Vec<Value>, _>>()
    })?;
    let has_digest = |value: &Value| matches!(value, Value::Blob(it) if it.len() >= HASH_BYTES);
    if !row.iter().any(has_digest) {
        return Err("the table blob has no column that holds a digest".into());
    }
    Ok((columns, row))
}

/// The row with its digest's hash replaced; an algorithm in front of the hash stays.
fn with_new_digest(row: &[Value], random: &mut Random) -> Vec<Value> {
    let mut row = row.to_vec();
    for value in &mut row {
        if let Value::Blob(bytes) = value
            && let Some(start) = bytes.len().checked_sub(HASH_BYTES)
        {
            bytes[start..].copy_from_slice(&random.bytes(HASH_BYTES));
        }
    }
    row
}
