//! `coracle undelete`: brings back what was removed, and tells what can be.

use std::io::{self, Write};

use serde_json::json;

use super::admin::{Admin, Folder};
use super::table::{Align, Column, Table, all, count, or_dash, rows, unexpected};
use crate::cli::UndeleteArgs;
use crate::config::Settings;
use crate::registry::admin::{Command, RemovedView, Reply, Restored, Target};
use crate::serve::Error;
use crate::store::catalog::RemovedPlace;

const COLUMNS: &[Column] = &[
    ("WHAT", Align::Left),
    ("REMOVED", Align::Left),
    ("BY", Align::Left),
    ("UNTIL", Align::Left),
];

/// Does what was typed, and prints what came of it.
///
/// # Errors
/// It could not be done.
pub fn run(settings: Settings, args: &UndeleteArgs) -> Result<(), Error> {
    let repository = match &args.target {
        Some(Target::Repository(name)) => Some(name.to_string()),
        Some(_) if args.list => {
            let why = "--list takes a repository, or nothing for all of them";
            return Err(Error::Io(io::Error::other(why)));
        }
        _ => None,
    };
    let admin = Admin::open(settings, Folder::MustExist)?;
    let outcome = match args.target.clone().filter(|_| !args.list) {
        Some(target) => bring_back(&admin, target, args.common.json),
        None => list(&admin, repository.as_deref(), args.common.json),
    };
    admin.close()?;
    outcome
}

fn bring_back(admin: &Admin, target: Target, json: bool) -> Result<(), Error> {
    let what = target.to_string();
    let Reply::Restored(restored) = admin.registry(Command::Undelete { target })? else {
        return Err(unexpected());
    };
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!(restored))?;
    } else {
        tell(&mut out, &what, &restored)?;
    }
    Ok(())
}

fn tell(out: &mut impl Write, what: &str, restored: &Restored) -> io::Result<()> {
    write!(
        out,
        "{what} was brought back: {}, {}",
        count(restored.manifests, "manifest"),
        count(restored.tags, "tag")
    )?;
    if restored.first_tags.is_empty() {
        return writeln!(out);
    }
    let named = restored.first_tags.join(", ");
    let is_all = restored.first_tags.len() as u64 == restored.tags;
    writeln!(out, " ({named}{})", if is_all { "" } else { ", …" })
}

/// Prints what can be brought back: tags, then manifests.
fn list(admin: &Admin, repository: Option<&str>, json: bool) -> Result<(), Error> {
    let of = || repository.map(str::to_owned);
    let tags = |after: Option<RemovedPlace>| {
        let repository = of();
        match admin.registry(Command::RemovedTags { repository, after })? {
            Reply::RemovedTags { tags, next } => Ok((tags, next)),
            _ => Err(unexpected()),
        }
    };
    let manifests = |after: Option<RemovedPlace>| {
        let repository = of();
        match admin.registry(Command::RemovedManifests { repository, after })? {
            Reply::RemovedManifests { manifests, next } => Ok((manifests, next)),
            _ => Err(unexpected()),
        }
    };
    let mut out = io::stdout().lock();
    if json {
        let (tags, manifests) = (all(tags)?, all(manifests)?);
        writeln!(out, "{}", json!({ "tags": tags, "manifests": manifests }))?;
        return Ok(());
    }
    let mut table = Table::new(COLUMNS);
    rows(&mut out, &mut table, tags, row)?;
    rows(&mut out, &mut table, manifests, row)
}

fn row(removed: &RemovedView) -> Vec<String> {
    let RemovedView {
        repository, digest, ..
    } = removed;
    let what = match &removed.tag {
        Some(tag) => format!("{repository}:{tag}"),
        None => format!("{repository}@{digest}"),
    };
    vec![
        what,
        removed.removed_at.clone(),
        or_dash(removed.removed_by.as_ref()),
        removed.until.clone(),
    ]
}
