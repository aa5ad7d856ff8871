//! `coracle tag`: lists, sets and removes tags, tells their history and goes back in it.

use std::io::{self, Write};

use serde_json::json;

use super::admin::{Admin, Folder};
use super::table::{Align, Column, Table, count, mib, next, or_dash, print_pages, unexpected};
use crate::cli::TagCommand;
use crate::config::Settings;
use crate::oci::{Digest, RepositoryName};
use crate::registry::admin::{
    Command, Earlier, HistoryView, Reply, TagSet, TagView, TagsRemoved, TimeView,
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
    let command = match command.clone() {
        TagCommand::List { repository, .. } => return list(admin, &repository, json),
        TagCommand::Remove {
            repository,
            tags,
            now,
            ..
        } => Command::TagRemove {
            repository,
            tags,
            now,
        },
        TagCommand::Set {
            repository,
            tag,
            to,
            expires,
            ..
        } => Command::TagSet {
            repository,
            tag,
            to,
            expires_seconds: expires.map(|life| life.as_secs()),
        },
        TagCommand::History {
            repository, tag, ..
        } => Command::TagHistory { repository, tag },
        TagCommand::Rollback {
            repository,
            tag,
            to,
            at,
            ..
        } => Command::TagRollback {
            repository,
            tag,
            to: earlier(to, at),
        },
    };
    tell(admin.registry(command)?, json)
}

fn earlier(to: Option<Digest>, at: Option<i64>) -> Earlier {
    match (to, at) {
        (Some(digest), _) => Earlier::Digest(digest),
        (None, Some(at)) => Earlier::At(at),
        (None, None) => Earlier::Before,
    }
}

fn tell(reply: Reply, json: bool) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match reply {
        Reply::TagSet(set) if json => writeln!(out, "{}", json!(set))?,
        Reply::TagSet(set) => tell_set(&mut out, &set)?,
        Reply::TagsRemoved(removed) if json => writeln!(out, "{}", json!(removed))?,
        Reply::TagsRemoved(removed) => tell_removed(&mut out, &removed)?,
        Reply::History(history) if json => writeln!(out, "{}", json!(history))?,
        Reply::History(history) => tell_history(&mut out, &history)?,
        _ => return Err(unexpected()),
    }
    Ok(())
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

fn tell_set(out: &mut impl Write, set: &TagSet) -> io::Result<()> {
    let TagSet {
        repository,
        tag,
        moved,
        restored,
    } = set;
    let verb = if *moved { "points" } else { "pointed already" };
    write!(
        out,
        "tag {repository}:{} {verb} to {}",
        tag.name, tag.digest
    )?;
    if *restored > 0 {
        let manifests = count(*restored, "manifest");
        write!(out, ", for which {manifests} came back")?;
    }
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
