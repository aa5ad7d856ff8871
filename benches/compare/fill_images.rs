//! Fills stores with many images that are going to be deleted: straight into the catalog of a
//! stopped server, and into the folders of docker-registry, because to push them takes longer than
//! to measure what becomes of them.
//!
//! Their digests are random and match no bytes: neither server hashes what it removes. Apart from
//! that each image is as a push leaves it.

use std::fs;
use std::path::Path;

use rusqlite::{Connection as Database, params};

use crate::Outcome;
use crate::content::{MANIFEST, Random};

/// Blobs of each image: a configuration and four layers.
pub const BLOBS: usize = 5;
/// Bytes of each blob.
const BLOB_BYTES: u16 = 100;
/// Bytes of each manifest.
const MANIFEST_BYTES: u16 = 1_000;
/// Images of one repository.
const IN_REPOSITORY: usize = 1_000;
/// Images that are written at once.
const AT_ONCE: usize = 1_000;
/// The catalog's code of sha256.
const SHA256: u8 = 1;

/// An image that was written.
pub struct Filled {
    /// Its repository.
    pub repository: String,
    /// The digest of its manifest.
    pub digest: String,
}

/// Writes `count` images with a tag each into the stopped server's `data`. Of the blobs of each
/// the last one is a file, the others are inline.
pub fn catalog(data: &Path, count: usize) -> Outcome<Vec<Filled>> {
    let mut database = Database::open(data.join("coracle.db"))?;
    database.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000")?;
    let mut random = Random::new(31_000);
    let mut filled = Vec::with_capacity(count);
    while filled.len() < count {
        let transaction = database.transaction()?;
        for number in filled.len()..(filled.len() + AT_ONCE).min(count) {
            filled.push(image(&transaction, data, &mut random, number)?);
        }
        transaction.commit()?;
    }
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(filled)
}

fn image(database: &Database, data: &Path, random: &mut Random, number: usize) -> Outcome<Filled> {
    let repository = format!("bench/deleted{}", number / IN_REPOSITORY);
    let run =
        |sql: &str, params: &[&dyn rusqlite::ToSql]| database.prepare_cached(sql)?.execute(params);
    run(
        "INSERT INTO repository (name, created_at) VALUES (?1, 0) ON CONFLICT DO NOTHING",
        &[&repository],
    )?;
    let digest = random.bytes(32);
    let column = |raw: &[u8]| [&[SHA256], raw].concat();
    run(
        "INSERT INTO manifest (repository_id, digest, media_type, size, pushed_at, bytes)
            SELECT id, ?2, ?3, ?4, 0, ?5 FROM repository WHERE name = ?1",
        params![
            repository,
            column(&digest),
            MANIFEST,
            MANIFEST_BYTES,
            random.bytes(MANIFEST_BYTES.into())
        ],
    )?;
    let manifest = database.last_insert_rowid();
    for position in 0..BLOBS {
        let raw = random.bytes(32);
        let own = column(&raw);
        run(
            "INSERT INTO blob (digest, size, created_at) VALUES (?1, ?2, 0)",
            params![own, BLOB_BYTES],
        )?;
        if position + 1 < BLOBS {
            run(
                "INSERT INTO inline_blob (digest, bytes) VALUES (?1, ?2)",
                params![own, random.bytes(BLOB_BYTES.into())],
            )?;
        } else {
            let name = hex(&raw);
            let folder = data.join("blobs/sha256").join(&name[..2]);
            fs::write(folder.join(name), random.bytes(BLOB_BYTES.into()))?;
        }
        run(
            "INSERT INTO repository_blob (repository_id, digest, uses)
                SELECT id, ?2, 1 FROM repository WHERE name = ?1",
            params![repository, own],
        )?;
        run(
            "INSERT INTO manifest_reference (manifest_id, position, kind, digest)
                VALUES (?1, ?2, ?3, ?4)",
            params![
                manifest,
                i64::try_from(position)?,
                if position == 0 { 1 } else { 2 },
                own
            ],
        )?;
    }
    run(
        "INSERT INTO tag (repository_id, name, manifest_id, updated_at)
            SELECT id, ?2, ?3, 0 FROM repository WHERE name = ?1",
        params![repository, format!("t{number}"), manifest],
    )?;
    Ok(Filled {
        repository,
        digest: format!("sha256:{}", hex(&digest)),
    })
}

/// Writes what `count` images leave in the folders of docker-registry once they were deleted: their
/// blobs and manifests, and the links of a repository to its layers.
pub fn folders(data: &Path, count: usize) -> Outcome<()> {
    let root = data.join("docker/registry/v2");
    let mut random = Random::new(32_000);
    for number in 0..count {
        let repository = root.join(format!(
            "repositories/bench/deleted{}",
            number / IN_REPOSITORY
        ));
        fs::create_dir_all(repository.join("_manifests/revisions/sha256"))?;
        fs::create_dir_all(repository.join("_manifests/tags"))?;
        for position in 0..=BLOBS {
            let name = hex(&random.bytes(32));
            let blob = root.join("blobs/sha256").join(&name[..2]).join(&name);
            fs::create_dir_all(&blob)?;
            let is_manifest = position == BLOBS;
            let length = if is_manifest {
                MANIFEST_BYTES
            } else {
                BLOB_BYTES
            };
            fs::write(blob.join("data"), random.bytes(length.into()))?;
            if !is_manifest {
                let link = repository.join("_layers/sha256").join(&name);
                fs::create_dir_all(&link)?;
                fs::write(link.join("link"), format!("sha256:{name}"))?;
            }
        }
    }
    Ok(())
}

fn hex(raw: &[u8]) -> String {
    crate::content::digest(raw).split_off("sha256:".len())
}
