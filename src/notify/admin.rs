//! What the command line asks of webhooks: how it stands with them, what happened, to send some of
//! it once more, to give up what waits.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::envelope::{self, Source, count};
use super::notifier::Notifier;
use super::state::EndpointFigures;
use crate::registry::Registry;
use crate::registry::events::Filter;
use crate::store::Error;
use crate::store::catalog::{Cursor, Replay};

/// The most events of one page.
const EVENTS_MAX: usize = 500;

/// Something to be told about webhooks, or to be done to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Tell how it stands with each, or with one.
    List {
        /// Its name.
        endpoint: Option<String>,
    },
    /// Tell of events that are kept, a page at a time.
    Events {
        /// Only those that this one gets.
        endpoint: Option<String>,
        /// Behind this change; from the first without.
        after: Option<i64>,
        /// The last so many changes instead.
        last: Option<u64>,
    },
    /// Send one of them what is kept once more.
    Replay {
        /// Its name.
        endpoint: String,
        /// From this change on.
        from: Option<i64>,
        /// From this time on, in milliseconds since 1970.
        since: Option<i64>,
        /// Up to this change.
        to: Option<i64>,
    },
    /// Give up what waits for one of them.
    Purge {
        /// Its name.
        endpoint: String,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// How it stands.
    Endpoints(Vec<EndpointFigures>),
    /// Events.
    Events(EventsPage),
    /// What is sent once more.
    Replayed(Replayed),
    /// What was given up.
    Purged(Purged),
}

/// A part of what is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventsPage {
    /// The events, each with the change that it is of.
    pub events: Vec<EventView>,
    /// The last change that was looked at: the next page is behind it.
    pub last: i64,
    /// Whether that was the end.
    pub is_end: bool,
}

/// An event that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// The number of its change.
    pub change: i64,
    /// The event as it is delivered.
    pub event: Value,
}

/// Changes that are sent once more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// To whom.
    pub endpoint: String,
    /// The first of them; `None` when none of them is kept.
    pub from: Option<i64>,
    /// The last of them.
    pub to: Option<i64>,
}

/// What was given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// For whom it was.
    pub endpoint: String,
    /// Events.
    pub events: u64,
}

/// Why it could not be done.
#[derive(Debug)]
pub enum AdminError {
    /// There is no webhook of this name.
    Unknown(String),
    /// What was asked for contradicts itself.
    Range,
    /// It takes a server.
    NoServer,
    /// The catalog fails.
    Store(Error),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(
                f,
                "there is no webhook {name:?}; `coracle events list` names all of them"
            ),
            Self::Range => f.write_str("the first change must not be behind the last"),
            Self::NoServer => f.write_str(
                "no server runs on this folder, so nothing is sent; start it and say it again",
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AdminError {}

impl From<Error> for AdminError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Notifier {
    /// Does what an operator asks.
    ///
    /// # Errors
    /// [`AdminError`]; nothing was changed then.
    pub fn administer(&self, command: Command) -> Result<Reply, AdminError> {
        match command {
            Command::List { endpoint } => {
                let all = self.figures();
                Ok(Reply::Endpoints(one_of(all, endpoint)?))
            }
            Command::Events {
                endpoint,
                after,
                last,
            } => {
                let filter = match endpoint {
                    Some(name) => Some(self.named(&name)?.active().endpoint.filter.clone()),
                    None => None,
                };
                let after = place(&self.registry, after, last)?;
                let page = page(&self.registry, filter.as_ref(), after, &self.source)?;
                Ok(Reply::Events(page))
            }
            Command::Replay {
                endpoint,
                from,
                since,
                to,
            } => Ok(Reply::Replayed(self.replay(endpoint, from, since, to)?)),
            Command::Purge { endpoint } => {
                let worker = self.named(&endpoint)?;
                let end = self.registry.outbox_span()?.map_or(0, |(_, last)| last);
                worker.count_now()?;
                worker.state().row.replay = None;
                let events = worker.drop_until(&worker.active(), end, "they were purged")?;
                worker.save()?;
                self.wake();
                Ok(Reply::Purged(Purged { endpoint, events }))
            }
        }
    }

    fn named(&self, name: &str) -> Result<std::sync::Arc<super::worker::Worker>, AdminError> {
        let found = self.worker(name);
        found.ok_or_else(|| AdminError::Unknown(name.to_owned()))
    }

    fn replay(
        &self,
        endpoint: String,
        from: Option<i64>,
        since: Option<i64>,
        to: Option<i64>,
    ) -> Result<Replayed, AdminError> {
        let worker = self.named(&endpoint)?;
        let none = Replayed {
            endpoint: endpoint.clone(),
            ..Replayed::default()
        };
        let Some((first, _)) = self.registry.outbox_span()? else {
            return Ok(none);
        };
        let first = match since {
            None => first,
            Some(ms) => match self.registry.outbox_since(first - 1, ms)? {
                Some(first) => first,
                None => return Ok(none),
            },
        };
        let from = from.unwrap_or(first).max(first);
        if to.is_some_and(|to| to < from) {
            return Err(AdminError::Range);
        }
        let mut state = worker.state();
        // What waits comes by itself.
        let until = state.row.cursor.position.min(to.unwrap_or(i64::MAX));
        if until < from {
            return Ok(none);
        }
        state.row.replay = Some(Replay {
            cursor: Cursor {
                position: from - 1,
                part: 0,
            },
            until,
        });
        drop(state);
        worker.save()?;
        self.wake();
        Ok(Replayed {
            endpoint,
            from: Some(from),
            to: Some(until),
        })
    }
}

/// The same in a folder that no server has: how far webhooks had come when one had it, what is
/// kept, giving up what waits.
///
/// # Errors
/// [`AdminError`]; nothing was changed then.
pub fn administer_folder(registry: &Registry, command: Command) -> Result<Reply, AdminError> {
    let end = registry.outbox_span()?.map_or(0, |(_, last)| last);
    match command {
        Command::List { endpoint } => {
            let rows = registry.outbox_endpoints()?;
            let figures = rows.iter().map(|row| {
                let waiting = end.saturating_sub(row.cursor.position);
                EndpointFigures {
                    // Changes here, because nobody knows which of them it wants.
                    pending: waiting.max(0).unsigned_abs(),
                    ..EndpointFigures::of_row(row)
                }
            });
            Ok(Reply::Endpoints(one_of(figures.collect(), endpoint)?))
        }
        Command::Events {
            endpoint: _,
            after,
            last,
        } => {
            let after = place(registry, after, last)?;
            let page = page(registry, None, after, &Source::default())?;
            Ok(Reply::Events(page))
        }
        Command::Replay { .. } => Err(AdminError::NoServer),
        Command::Purge { endpoint } => {
            let rows = registry.outbox_endpoints()?;
            let found = rows.into_iter().find(|row| row.name == endpoint);
            let mut row = found.ok_or_else(|| AdminError::Unknown(endpoint.clone()))?;
            let waiting = end.saturating_sub(row.cursor.position);
            let events = waiting.max(0).unsigned_abs();
            row.cursor = Cursor {
                position: end.max(row.cursor.position),
                part: 0,
            };
            row.replay = None;
            row.dropped += events;
            registry.save_endpoint(row, None)?;
            Ok(Reply::Purged(Purged { endpoint, events }))
        }
    }
}

fn one_of(
    all: Vec<EndpointFigures>,
    name: Option<String>,
) -> Result<Vec<EndpointFigures>, AdminError> {
    let Some(name) = name else {
        return Ok(all);
    };
    let found = all.into_iter().find(|own| own.name == name);
    Ok(vec![found.ok_or(AdminError::Unknown(name))?])
}

/// Behind which change a page begins.
fn place(registry: &Registry, after: Option<i64>, last: Option<u64>) -> Result<i64, Error> {
    Ok(match (after, last) {
        (Some(after), _) => after,
        (None, Some(count)) => {
            let end = registry.outbox_span()?.map_or(0, |(_, last)| last);
            end.saturating_sub_unsigned(count).max(0)
        }
        (None, None) => 0,
    })
}

/// The events behind a change, up to about a page of them: those of one change stay together.
fn page(
    registry: &Registry,
    filter: Option<&Filter>,
    after: i64,
    source: &Source,
) -> Result<EventsPage, Error> {
    let mut page = EventsPage {
        last: after,
        ..EventsPage::default()
    };
    loop {
        let rows = registry.outbox_page(page.last)?;
        if rows.is_empty() {
            page.is_end = true;
            return Ok(page);
        }
        for row in rows {
            page.last = row.id;
            if filter.is_some_and(|filter| !filter.wants(&row.change)) {
                continue;
            }
            let events = (0..count(&row.change)).map(|part| EventView {
                change: row.id,
                event: envelope::event(&row.change, part, source),
            });
            page.events.extend(events);
            if page.events.len() >= EVENTS_MAX {
                return Ok(page);
            }
        }
    }
}
