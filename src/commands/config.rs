//! `coracle config`: what is configured, where it comes from, and what is wrong with it.

use std::io::{self, Write};

use serde_json::json;

use crate::config::{Effective, Sources, default_toml};
use crate::exit::Exit;

/// Prints a configuration file with every key at its default.
///
/// # Errors
/// Standard output cannot be written.
pub fn default() -> io::Result<()> {
    io::stdout().lock().write_all(default_toml().as_bytes())
}

/// Reads all sources and prints everything that is wrong; [`Exit::Configuration`] when something
/// is.
///
/// # Errors
/// Standard output cannot be written.
pub fn check(sources: &Sources, as_json: bool) -> io::Result<Exit> {
    let outcome = Effective::load(sources);
    let mut out = io::stdout().lock();
    match (outcome, as_json) {
        (Ok(_), true) => writeln!(out, "{}", json!({ "ok": true, "problems": [] }))?,
        (Ok(effective), false) => match &effective.file {
            Some(file) => writeln!(out, "the configuration in {} is sound", file.display())?,
            None => writeln!(out, "the configuration is sound; no file is used")?,
        },
        (Err(error), true) => {
            let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
            writeln!(out, "{}", json!({ "ok": false, "problems": problems }))?;
            return Ok(Exit::Configuration);
        }
        (Err(error), false) => {
            writeln!(out, "{error}")?;
            return Ok(Exit::Configuration);
        }
    }
    Ok(Exit::Ok)
}

/// Prints every key with its effective value and where that comes from.
///
/// # Errors
/// Standard output cannot be written.
pub fn show(effective: &Effective, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{}", effective.to_json())
    } else {
        out.write_all(effective.to_toml().as_bytes())
    }
}
