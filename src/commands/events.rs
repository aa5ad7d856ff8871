//! `coracle events`: how it stands with webhooks, what they are told, sending it once more.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::admin::{Admin, Folder};
use super::table::{Align, Column, Table, count, unexpected};
use crate::cli::{EventsCommand, TailArgs};
use crate::clock::rfc3339;
use crate::config::Settings;
use crate::notify::EndpointFigures;
use crate::notify::admin::{Command, EventView, Reply};
use crate::serve::Error;

/// How often a server is asked what is new.
const POLL: Duration = Duration::from_millis(500);

const COLUMNS: &[Column] = &[
    ("NAME", Align::Left),
    ("PENDING", Align::Right),
    ("OLDEST", Align::Right),
    ("DELIVERED", Align::Right),
    ("FAILED", Align::Right),
    ("DROPPED", Align::Right),
    ("LAST", Align::Left),
    ("STATE", Align::Left),
];

/// Does what was typed, and prints what came of it.
///
/// # Errors
/// It could not be done.
pub fn run(settings: Settings, command: &EventsCommand) -> Result<(), Error> {
    let admin = Admin::open(settings, Folder::MustExist)?;
    let json = command.common().json;
    let outcome = match command {
        EventsCommand::List { endpoint, .. } => list(&admin, endpoint.clone(), json),
        EventsCommand::Tail(args) => tail(&admin, args),
        EventsCommand::Replay {
            endpoint,
            from,
            since,
            to,
            ..
        } => {
            let command = Command::Replay {
                endpoint: endpoint.clone(),
                from: *from,
                since: *since,
                to: *to,
            };
            replay(&admin, command, json)
        }
        EventsCommand::Purge { endpoint, .. } => purge(&admin, endpoint.clone(), json),
    };
    admin.close()?;
    outcome
}

fn list(admin: &Admin, endpoint: Option<String>, json: bool) -> Result<(), Error> {
    let Reply::Endpoints(all) = admin.events(Command::List { endpoint })? else {
        return Err(unexpected());
    };
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({ "webhooks": all }))?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    Table::new(COLUMNS).write(&mut out, &rows)?;
    Ok(())
}

fn row(own: &EndpointFigures) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        own.name.clone(),
        own.pending.to_string(),
        or_dash(own.oldest_seconds.map(|seconds| format!("{seconds}s"))),
        own.delivered.to_string(),
        own.failed.to_string(),
        own.dropped.to_string(),
        or_dash(own.delivered_ms.map(rfc3339)),
        state(own),
    ]
}

/// How it goes, in a sentence.
fn state(own: &EndpointFigures) -> String {
    if !own.active {
        return "no server runs".to_owned();
    }
    match (&own.last_error, own.retry_seconds) {
        (Some(why), Some(seconds)) if seconds > 0 => format!("{why}; tried again in {seconds}s"),
        (Some(why), _) => format!("{why}; tried again now"),
        (None, _) if own.replaying > 0 => {
            let changes = count(own.replaying, "change");
            format!("sends {changes} once more")
        }
        (None, _) => "ok".to_owned(),
    }
}

fn tail(admin: &Admin, args: &TailArgs) -> Result<(), Error> {
    let (mut after, mut last) = (None, Some(args.last));
    loop {
        let command = Command::Events {
            endpoint: args.endpoint.clone(),
            after,
            last: last.take(),
        };
        let Reply::Events(page) = admin.events(command)? else {
            return Err(unexpected());
        };
        let mut out = io::stdout().lock();
        for view in &page.events {
            if args.common.json {
                writeln!(out, "{}", json!(view))?;
            } else {
                writeln!(out, "{}", line(view))?;
            }
        }
        out.flush()?;
        drop(out);
        after = Some(page.last);
        if page.is_end {
            // A folder without a server stays as it is.
            if args.no_follow || !admin.is_server() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
    }
}

/// An event as a line for people: number, time, what happened to what, by whom.
fn line(view: &EventView) -> String {
    let event = &view.event;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let target = &event["target"];
    let (tag, digest) = (text(&target["tag"]), text(&target["digest"]));
    let mut what = text(&target["repository"]);
    if !tag.is_empty() {
        what = format!("{what}:{tag}");
    }
    if !digest.is_empty() {
        what = format!("{what}@{digest}");
    }
    let from = text(&target["fromRepository"]);
    if !from.is_empty() {
        what = format!("{what} from {from}");
    }
    let actor = text(&event["actor"]["name"]);
    let by = if actor.is_empty() {
        String::new()
    } else {
        format!(" by {actor}")
    };
    let (change, at) = (view.change, text(&event["timestamp"]));
    format!("{change} {at} {} {what}{by}", text(&event["action"]))
}

fn replay(admin: &Admin, command: Command, json: bool) -> Result<(), Error> {
    let Reply::Replayed(replayed) = admin.events(command)? else {
        return Err(unexpected());
    };
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!(replayed))?;
        return Ok(());
    }
    let name = &replayed.endpoint;
    match replayed.from.zip(replayed.to) {
        Some((from, to)) => writeln!(out, "{name}: changes {from} to {to} are sent once more")?,
        None => writeln!(
            out,
            "{name}: nothing of that is kept that it has got already"
        )?,
    }
    Ok(())
}

fn purge(admin: &Admin, endpoint: String, json: bool) -> Result<(), Error> {
    let Reply::Purged(purged) = admin.events(Command::Purge { endpoint })? else {
        return Err(unexpected());
    };
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!(purged))?;
    } else {
        let events = count(purged.events, "event");
        writeln!(out, "{}: {events} will not be delivered", purged.endpoint)?;
    }
    Ok(())
}
