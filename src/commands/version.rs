//! `coracle version`: what this program is made of.

use std::io::{self, Write};

use serde_json::json;

use crate::store::catalog;

/// Prints the version of the program and of its parts.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(as_json: bool) -> io::Result<()> {
    let (version, sqlite) = (env!("CARGO_PKG_VERSION"), catalog::sqlite_version());
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let mut out = io::stdout().lock();
    if as_json {
        let facts = json!({ "version": version, "sqlite": sqlite, "target": target });
        writeln!(out, "{facts}")
    } else {
        writeln!(out, "coracle {version} ({target}, SQLite {sqlite})")
    }
}
