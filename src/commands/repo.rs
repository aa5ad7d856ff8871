//! `coracle repo`: lists, shows, renames and removes repositories.

use std::io::{self, Write};

use serde_json::json;

use super::admin::{Admin, Folder};
use super::table::{Align, Column, count, mib, next, print_pages, unexpected};
use super::tag;
use crate::cli::RepoCommand;
use crate::config::Settings;
use crate::registry::admin::{
    Command, PastView, Reply, RepositoryDetail, RepositoryRemoved, RepositoryView,
};
use crate::serve::Error;

const COLUMNS: &[Column] = &[
    ("REPOSITORY", Align::Left),
    ("TAGS", Align::Right),
    ("MANIFESTS", Align::Right),
    ("SIZE", Align::Right),
    ("ALONE", Align::Right),
    ("SINCE", Align::Left),
];

/// Does what was typed, and prints what came of it.
///
/// # Errors
/// It could not be done.
pub fn run(settings: Settings, command: &RepoCommand) -> Result<(), Error> {
    let admin = Admin::open(settings, Folder::MustExist)?;
    let outcome = carry_out(&admin, command);
    admin.close()?;
    outcome
}

fn carry_out(admin: &Admin, command: &RepoCommand) -> Result<(), Error> {
    let json = command.common().json;
    let command = match command.clone() {
        RepoCommand::List(_) => return list(admin, json),
        RepoCommand::Show { repository, .. } => Command::RepositoryShow { repository },
        RepoCommand::Rename { repository, to, .. } => Command::RepositoryRename { repository, to },
        RepoCommand::Remove {
            repository, now, ..
        } => Command::RepositoryRemove { repository, now },
    };
    let mut out = io::stdout().lock();
    match admin.registry(command)? {
        Reply::Repository(detail) if json => writeln!(out, "{}", json!(detail))?,
        Reply::Repository(detail) => show(&mut out, &detail)?,
        Reply::Renamed(repository) if json => writeln!(out, "{}", json!(repository))?,
        Reply::Renamed(repository) => {
            writeln!(out, "the repository is called {} now", repository.name)?;
        }
        Reply::RepositoryRemoved(removed) if json => writeln!(out, "{}", json!(removed))?,
        Reply::RepositoryRemoved(removed) => tell_removed(&mut out, &removed)?,
        _ => return Err(unexpected()),
    }
    Ok(())
}

/// Prints all repositories, page by page.
fn list(admin: &Admin, json: bool) -> Result<(), Error> {
    let page = |after| match admin.registry(Command::Repositories { after })? {
        Reply::Repositories { repositories, more } => {
            let next = next(&repositories, more, |own| &own.name);
            Ok((repositories, next))
        }
        _ => Err(unexpected()),
    };
    let row = |own: &RepositoryView| {
        vec![
            own.name.clone(),
            own.tags.to_string(),
            own.manifests.to_string(),
            mib(own.bytes),
            mib(own.alone_bytes),
            own.created_at.clone(),
        ]
    };
    print_pages(json, "repositories", COLUMNS, page, row)
}

fn show(out: &mut impl Write, detail: &RepositoryDetail) -> io::Result<()> {
    let own = &detail.repository;
    writeln!(out, "{}, since {}", own.name, own.created_at)?;
    writeln!(
        out,
        "{}, {}, {}",
        count(own.tags, "tag"),
        count(own.manifests, "manifest"),
        count(detail.blobs, "blob")
    )?;
    writeln!(
        out,
        "{}, of which {} are in no other repository",
        mib(own.bytes),
        mib(own.alone_bytes)
    )?;
    if let Some(past) = &detail.removed {
        show_past(out, past)?;
    }
    if !detail.newest_tags.is_empty() {
        writeln!(out, "the tags that were set last:")?;
        tag::write_rows(out, &detail.newest_tags)?;
    }
    Ok(())
}

fn show_past(out: &mut impl Write, past: &PastView) -> io::Result<()> {
    write!(
        out,
        "removed: {}, for which {} are kept",
        count(past.manifests, "manifest"),
        mib(past.alone_bytes)
    )?;
    match &past.until {
        Some(until) => writeln!(out, "; the last can be brought back until {until}"),
        None => writeln!(out),
    }
}

fn tell_removed(out: &mut impl Write, removed: &RepositoryRemoved) -> io::Result<()> {
    let own = &removed.repository;
    writeln!(
        out,
        "repository {} was removed with {} and {}",
        own.name,
        count(own.tags, "tag"),
        count(own.manifests, "manifest")
    )?;
    match &removed.until {
        Some(until) => writeln!(
            out,
            "`coracle undelete {}` brings it back until {until}",
            own.name
        ),
        None => writeln!(
            out,
            "the room of what nothing else uses is free with the next collection"
        ),
    }
}
