//! `coracle tag`: lists, sets and removes tags, tells their history and goes back in it.

use std::io::{self, Write};

use serde_json::json;

use super::admin::{Admin, Folder};
use super::table::{Align, Column, Table, count, mib, next, or_dash, print_pages, unexpected};
use crate::cli::TagCommand;
use crate::config::Settings;
use crate::oci::RepositoryName;
use crate::registry::admin::{
    Command, Earlier, HistoryView, Reply, TagView, TagsRemoved, TimeView,
};
use crate::serve::Error;

const COLUMNS: &[Column] = &[
    ("TAG", Align::Left),
    ("SIZE", Align::Right),
    ("SET", Align::Left),
    ("BY", Align::Left),
    ("EXPIRES", Align::Left),
    ("PULLS", Align::Right),
    ("DIGEST", Align::Left),
];

const HISTORY: &[Column] = &[
    ("SET", Align::Left),
    ("BY", Align::Left),
    ("ENDED", Align::Left),
    ("BY", Align::Left),
    ("HOW", Align::Left),
    ("MANIFEST", Align::Left),
    ("DIGEST", Align::Left),
];

/// Does what was typed, and prints what came of it.
///
/// # Errors
/// It could not be done.
pub fn run(settings: Settings, command: &TagCommand) -> Result<(), Error> {
    let admin = Admin::open(settings, Folder::MustExist)?;
    let outcome = carry_out(&admin, command);
    admin.close()?;
    outcome
}

fn carry_out(admin: &Admin, command: &TagCommand) -> Result<(), Error> {
    let json = command.common().json;
    let (command, repository) = match command.clone() {
        TagCommand::List { repository, .. } => return list(admin, &repository, json),
        other => asked(other),
    };
    let mut out = io::stdout().lock();
    match admin.registry(command)? {
        Reply::Tag {
            tag,
            moved,
            restored,
        } if json => {
            let mut object = json!(tag);
            object["moved"] = json!(moved);
            object["restored"] = json!(restored);
            writeln!(out, "{object}")?;
        }
        Reply::Tag { tag, moved, .. } => tell(&mut out, &repository, &tag, moved)?,
        Reply::TagsRemoved(removed) if json => writeln!(out, "{}", json!(removed))?,
        Reply::TagsRemoved(removed) => tell_removed(&mut out, &removed)?,
        Reply::History(history) if json => writeln!(out, "{}", json!(history))?,
        Reply::History(history) => tell_history(&mut out, &history)?,
        _ => return Err(unexpected()),
    }
    Ok(())
}

/// What is asked for, and of which repository.
fn asked(command: TagCommand) -> (Command, RepositoryName) {
    match command {
        TagCommand::List { repository, .. } => {
            let of = repository.clone();
            let after = None;
            (Command::Tags { repository, after }, of)
        }
        TagCommand::Remove {
            repository,
            tags,
            now,
            ..
        } => {
            let of = repository.clone();
            let command = Command::TagRemove {
                repository,
                tags,
                now,
            };
            (command, of)
        }
        TagCommand::Set {
            repository,
            tag,
            to,
            expires,
            ..
        } => {
            let of = repository.clone();
            let command = Command::TagSet {
                repository,
                tag,
                to,
                expires_seconds: expires.map(|life| life.as_secs()),
            };
            (command, of)
        }
        TagCommand::History {
            repository, tag, ..
        } => {
            let of = repository.clone();
            (Command::TagHistory { repository, tag }, of)
        }
        TagCommand::Rollback {
            repository,
            tag,
            to,
            at,
            ..
        } => {
            let of = repository.clone();
            let to = match (to, at) {
                (Some(digest), _) => Earlier::Digest(digest),
                (None, Some(at)) => Earlier::At(at),
                (None, None) => Earlier::Before,
            };
            let command = Command::TagRollback {
                repository,
                tag,
                to,
            };
            (command, of)
        }
    }
}

/// Prints all tags, page by page.
fn list(admin: &Admin, repository: &RepositoryName, json: bool) -> Result<(), Error> {
    let page = |after| {
        let repository = repository.clone();
        match admin.registry(Command::Tags { repository, after })? {
            Reply::Tags { tags, more } => {
                let next = next(&tags, more, |tag| &tag.name);
                Ok((tags, next))
            }
            _ => Err(unexpected()),
        }
    };
    print_pages(json, "tags", COLUMNS, page, row)
}

fn row(tag: &TagView) -> Vec<String> {
    vec![
        tag.name.clone(),
        tag.bytes.map_or_else(|| "-".to_owned(), mib),
        tag.set_at.clone(),
        or_dash(tag.set_by.as_ref()),
        or_dash(tag.expires_at.as_ref()),
        tag.pulls.to_string(),
        tag.digest.clone(),
    ]
}

/// Writes tags as a table.
pub(super) fn write_rows(out: &mut impl Write, tags: &[TagView]) -> io::Result<()> {
    let rows: Vec<Vec<String>> = tags.iter().map(row).collect();
    Table::new(COLUMNS).write(out, &rows)
}

fn tell(
    out: &mut impl Write,
    repository: &RepositoryName,
    tag: &TagView,
    moved: bool,
) -> io::Result<()> {
    let verb = if moved { "points" } else { "pointed already" };
    write!(
        out,
        "tag {repository}:{} {verb} to {}",
        tag.name, tag.digest
    )?;
    match &tag.expires_at {
        Some(end) => writeln!(out, " and expires {end}"),
        None => writeln!(out),
    }
}

fn tell_removed(out: &mut impl Write, removed: &TagsRemoved) -> io::Result<()> {
    let TagsRemoved {
        repository,
        tags,
        manifests,
        until,
    } = removed;
    for tag in tags {
        writeln!(out, "tag {repository}:{tag} was removed")?;
    }
    if *manifests > 0 {
        let manifests = count(*manifests, "manifest");
        writeln!(
            out,
            "{manifests} that nothing else holds went too, for good"
        )?;
    }
    if let (Some(until), [tag, ..]) = (until, &tags[..]) {
        writeln!(
            out,
            "`coracle undelete {repository}:{tag}` brings it back until {until}"
        )?;
    }
    Ok(())
}

fn tell_history(out: &mut impl Write, history: &HistoryView) -> io::Result<()> {
    let row = |time: &TimeView| {
        vec![
            time.set_at.clone(),
            or_dash(time.set_by.as_ref()),
            or_dash(time.ended_at.as_ref()),
            or_dash(time.ended_by.as_ref()),
            time.how.replace('_', " "),
            time.manifest.clone(),
            time.digest.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = history.history.iter().map(row).collect();
    Table::new(HISTORY).write(out, &rows)
}
