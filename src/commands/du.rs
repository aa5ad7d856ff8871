//! `coracle du`: how much room the store, a repository or an image takes.

use std::io::{self, Write};

use serde_json::json;

use super::admin::{Admin, Folder};
use super::table::{Align, Column, Table, all, count, mib, next, rows, unexpected};
use crate::cli::DuArgs;
use crate::config::Settings;
use crate::registry::admin::{Command, Reply, StoreUsage, Target, Usage};
use crate::serve::Error;

const COLUMNS: &[Column] = &[
    ("REPOSITORY", Align::Left),
    ("ALONE", Align::Right),
    ("SHARED", Align::Right),
    ("MANIFESTS", Align::Right),
    ("REMOVED", Align::Right),
];

/// Prints what is asked for.
///
/// # Errors
/// It could not be told.
pub fn run(settings: Settings, args: &DuArgs) -> Result<(), Error> {
    let admin = Admin::open(settings, Folder::MustExist)?;
    let outcome = match args.target.clone() {
        Some(target) => of_target(&admin, target, args.common.json),
        None => of_store(&admin, args.common.json),
    };
    admin.close()?;
    outcome
}

fn of_target(admin: &Admin, target: Target, json: bool) -> Result<(), Error> {
    let Reply::Usage(usage) = admin.registry(Command::Usage { target })? else {
        return Err(unexpected());
    };
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!(usage))?;
    } else {
        tell(&mut out, &usage)?;
    }
    Ok(())
}

fn tell(out: &mut impl Write, usage: &Usage) -> io::Result<()> {
    writeln!(out, "{}", usage.name)?;
    writeln!(
        out,
        "alone      {}: what its removal would free",
        mib(usage.alone_bytes)
    )?;
    writeln!(
        out,
        "shared     {}: what deduplication saves",
        mib(usage.shared_bytes)
    )?;
    writeln!(out, "manifests  {}", mib(usage.manifest_bytes))?;
    match usage.past_bytes {
        Some(past) if past > 0 => tell_past(out, past, usage.past_until.as_ref()),
        _ => Ok(()),
    }
}

fn tell_past(out: &mut impl Write, bytes: u64, until: Option<&String>) -> io::Result<()> {
    let bytes = mib(bytes);
    match until {
        Some(until) => writeln!(
            out,
            "removed    {bytes}: kept to be brought back, the last of it until {until}"
        ),
        None => writeln!(out, "removed    {bytes}: free with the next collection"),
    }
}

fn of_store(admin: &Admin, json: bool) -> Result<(), Error> {
    let Reply::StoreUsage(store) = admin.registry(Command::StoreUsage)? else {
        return Err(unexpected());
    };
    let page = |after| match admin.registry(Command::RepositoryUsages { after })? {
        Reply::RepositoryUsages { repositories, more } => {
            let next = next(&repositories, more, |own| &own.name);
            Ok((repositories, next))
        }
        _ => Err(unexpected()),
    };
    let mut out = io::stdout().lock();
    if json {
        let repositories = all(page)?;
        let object = json!({ "store": store, "repositories": repositories });
        writeln!(out, "{object}")?;
        return Ok(());
    }
    tell_store(&mut out, &store)?;
    rows(&mut out, &mut Table::new(COLUMNS), page, row)
}

fn tell_store(out: &mut impl Write, store: &StoreUsage) -> io::Result<()> {
    writeln!(
        out,
        "blobs      {} in {}",
        mib(store.blob_bytes),
        count(store.blobs, "blob")
    )?;
    writeln!(
        out,
        "saved      {} by deduplication",
        mib(store.saved_bytes)
    )?;
    writeln!(
        out,
        "manifests  {} in {}",
        mib(store.manifest_bytes),
        count(store.manifests, "manifest")
    )?;
    if store.past_bytes > 0 {
        tell_past(out, store.past_bytes, store.past_until.as_ref())?;
    }
    Ok(())
}

fn row(usage: &Usage) -> Vec<String> {
    vec![
        usage.name.clone(),
        mib(usage.alone_bytes),
        mib(usage.shared_bytes),
        mib(usage.manifest_bytes),
        mib(usage.past_bytes.unwrap_or(0)),
    ]
}
