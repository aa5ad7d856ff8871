//! Fills stores with long lists, fast: through the protocol where the server writes rows of its
//! own making, straight into the catalog of a stopped server where only their number matters.

use std::path::Path;

use rusqlite::Connection as Database;

use crate::Outcome;
use crate::client::expect;
use crate::content::{Blob, INDEX, INDEX_EMPTY};
use crate::load::share;
use crate::peers::Server;

/// The repository that has many tags.
pub const TAGGED: &str = "bench/tagged";
/// Tags that one request sets.
const TAGS_AT_ONCE: usize = 100;
const CLIENTS: usize = 8;

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

/// Writes `count` blob rows into the catalog of the stopped server whose data is in `data`.
pub fn blob_rows(data: &Path, count: usize) -> Outcome<()> {
    let _ = (Database::open(data.join("coracle.db"))?, count);
    Err("the catalog has no blob table yet".into())
}
