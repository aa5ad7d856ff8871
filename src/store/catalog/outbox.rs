//! The outbox: changes that are still to be told to webhooks, written with the change itself, and
//! how far each webhook has come.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, limit};
use crate::oci::{Digest, MediaType, RepositoryName};
use crate::store::Error;

// A row is read by position, in the order of `COLUMNS`.
statements! {
    ADD = "INSERT INTO outbox (at, salt, action, target, repository, from_repository, digest, size,
            media_type, tags, refers_to, actor, request)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) RETURNING id";
    AFTER = "SELECT id, at, salt, action, target, repository, from_repository, digest, size,
            media_type, tags, refers_to, actor, request
        FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2";
    FIRST = "SELECT min(id) FROM outbox";
    LAST = "SELECT max(id) FROM outbox";
    TIMES = "SELECT id, at FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2";
    TRIM = "DELETE FROM outbox WHERE id <= ?1
        AND id IN (SELECT id FROM outbox WHERE id > 0 ORDER BY id LIMIT ?2)";
    ENDPOINTS = "SELECT name, position, part, replay_position, replay_part, replay_until, delivered,
            dropped, failed, delivered_at
        FROM outbox_endpoint WHERE name > ?1 ORDER BY name";
    ENDPOINT = "SELECT name, position, part, replay_position, replay_part, replay_until, delivered,
            dropped, failed, delivered_at
        FROM outbox_endpoint WHERE name = ?1";
    PUT = "INSERT INTO outbox_endpoint (name, position, part, replay_position, replay_part,
            replay_until, delivered, dropped, failed, delivered_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT (name) DO UPDATE SET position = excluded.position, part = excluded.part,
            replay_position = excluded.replay_position, replay_part = excluded.replay_part,
            replay_until = excluded.replay_until, delivered = excluded.delivered,
            dropped = excluded.dropped, failed = excluded.failed,
            delivered_at = excluded.delivered_at";
    REMOVE = "DELETE FROM outbox_endpoint WHERE name = ?1";
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeAction {
    /// Content was fetched. It is never in the outbox: a pull writes nothing.
    Pull,
    /// Content or a tag arrived.
    Push,
    /// A blob came from another repository.
    Mount,
    /// Content or a tag went.
    Delete,
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeTarget {
    /// A blob.
    Blob(Digest),
    /// A manifest, and the tags of the change.
    Manifest(Digest),
    /// The tags alone.
    Tags,
    /// The repository as a whole.
    Repository,
}

/// One change, which can be several events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Random: what the ids of its events are made of, beside the time.
    pub salt: u64,
    /// What was done.
    pub action: ChangeAction,
    /// What it was done to.
    pub target: ChangeTarget,
    /// Where.
    pub repository: RepositoryName,
    /// Where a blob was mounted from.
    pub from: Option<RepositoryName>,
    /// Length of the content in bytes; 0 where it went.
    pub size: u64,
    /// The manifest's media type.
    pub media_type: Option<MediaType>,
    /// The tags that were set, asked for, or that went.
    pub tags: Vec<String>,
    /// What the manifest refers to: a list of descriptors in JSON.
    pub refers_to: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// The request that did it: an object in JSON.
    pub request: Option<String>,
}

/// A change in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Counts up.
    pub id: i64,
    /// The change.
    pub change: Change,
}

/// A place between the events of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The last row that is over.
    pub position: i64,
    /// How many events of the row behind it are over as well.
    pub part: u64,
}

/// Rows that are sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// How far that has come.
    pub cursor: Cursor,
    /// The last of these rows.
    pub until: i64,
}

/// How far a webhook has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointRow {
    /// Its name in the configuration.
    pub name: String,
    /// What it is done with.
    pub cursor: Cursor,
    /// What it gets once more.
    pub replay: Option<Replay>,
    /// Events that it has got.
    pub delivered: u64,
    /// Events that it will never get.
    pub dropped: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// When it last got something, in milliseconds since 1970.
    pub delivered_ms: Option<i64>,
}

impl EndpointRow {
    /// The last row that it needs no more.
    pub fn over(&self) -> i64 {
        let replayed = self.replay.map(|replay| replay.cursor.position);
        replayed.map_or(self.cursor.position, |own| own.min(self.cursor.position))
    }
}

fn outbox_row(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    let digest = |column| row.get::<_, Digest>(column);
    let target = match row.get::<_, i64>(4)? {
        1 => ChangeTarget::Blob(digest(7)?),
        2 => ChangeTarget::Manifest(digest(7)?),
        3 => ChangeTarget::Tags,
        _ => ChangeTarget::Repository,
    };
    let tags: Option<String> = row.get(10)?;
    let change = Change {
        at_ms: row.get(1)?,
        salt: row.get::<_, i64>(2)?.cast_unsigned(),
        action: row.get(3)?,
        target,
        repository: row.get(5)?,
        from: row.get(6)?,
        size: row.get::<_, Option<Count>>(8)?.map_or(0, |count| count.0),
        media_type: row.get(9)?,
        tags: tags.map_or_else(Vec::new, |tags| tags.lines().map(str::to_owned).collect()),
        refers_to: row.get(11)?,
        actor: row.get(12)?,
        request: row.get(13)?,
    };
    let id = row.get(0)?;
    Ok(OutboxRow { id, change })
}

fn endpoint_row(row: &Row<'_>) -> rusqlite::Result<EndpointRow> {
    let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, Count>(column)?.0);
    let replayed: Option<i64> = row.get(3)?;
    let until: Option<i64> = row.get(5)?;
    let part = count(4)?;
    Ok(EndpointRow {
        name: row.get(0)?,
        cursor: Cursor {
            position: row.get(1)?,
            part: count(2)?,
        },
        replay: replayed.zip(until).map(|(position, until)| Replay {
            cursor: Cursor { position, part },
            until,
        }),
        delivered: count(6)?,
        dropped: count(7)?,
        failed: count(8)?,
        delivered_ms: row.get(9)?,
    })
}

impl ReadTx<'_> {
    /// Changes behind row `after`, in their order: up to `rows` of them, and fewer where their
    /// texts are longer than `bytes` together; at least one, if there is one.
    pub fn outbox(&self, after: i64, rows: usize, bytes: usize) -> Result<Vec<OutboxRow>, Error> {
        let mut all = Vec::new();
        let mut held = 0;
        let read = self.each(AFTER, (after, limit(rows)), |row| {
            let row = outbox_row(row)?;
            held += length(&row.change);
            all.push(row);
            Ok(held < bytes)
        });
        read.map(|()| all)
            .map_err(|error| self.failed(&error, READING, OUTBOX))
    }

    /// The first and the last row of the outbox; `None` when it is empty.
    pub fn outbox_span(&self) -> Result<Option<(i64, i64)>, Error> {
        let end = |sql| self.one(sql, [], |row| row.get::<_, Option<i64>>(0));
        let span = || Ok((end(FIRST)?.flatten(), end(LAST)?.flatten()));
        span()
            .map(|(first, last)| first.zip(last))
            .map_err(|error| self.failed(&error, READING, OUTBOX))
    }

    /// Rows behind `after` with their times, in milliseconds since 1970.
    pub fn outbox_times(&self, after: i64, rows: usize) -> Result<Vec<(i64, i64)>, Error> {
        self.all(TIMES, (after, limit(rows)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(|error| self.failed(&error, READING, OUTBOX))
    }

    /// How far each webhook has come, by name.
    pub fn outbox_endpoints(&self) -> Result<Vec<EndpointRow>, Error> {
        self.all(ENDPOINTS, ("",), endpoint_row)
            .map_err(|error| self.failed(&error, READING, "the state of webhooks"))
    }

    /// How far the webhook of this name has come, if it is known.
    pub fn outbox_endpoint(&self, name: &str) -> Result<Option<EndpointRow>, Error> {
        self.one(ENDPOINT, (name,), endpoint_row)
            .map_err(|error| self.failed(&error, READING, format_args!("the webhook {name}")))
    }
}

impl WriteTx<'_> {
    /// Adds a change, to be told with what else this transaction does.
    pub fn add_to_outbox(&mut self, change: &Change) -> Result<(), Error> {
        let digest = match &change.target {
            ChangeTarget::Blob(digest) | ChangeTarget::Manifest(digest) => {
                Some(DigestColumn::from(digest))
            }
            ChangeTarget::Tags | ChangeTarget::Repository => None,
        };
        let params = (
            change.at_ms,
            change.salt.cast_signed(),
            change.action,
            &change.target,
            change.repository.as_str(),
            change.from.as_ref().map(RepositoryName::as_str),
            digest,
            (change.action != ChangeAction::Delete).then_some(Count(change.size)),
            change.media_type.as_ref().map(MediaType::as_str),
            (!change.tags.is_empty()).then(|| change.tags.join("\n")),
            change.refers_to.as_deref(),
            change.actor.as_deref(),
            change.request.as_deref(),
        );
        let added = self.one(ADD, params, |row| row.get(0));
        let added: Option<i64> = added.map_err(|error| self.failed(&error, "adding to", OUTBOX))?;
        self.outbox = self.outbox.max(added.unwrap_or_default());
        self.bytes += length(change);
        Ok(())
    }

    /// Writes how far a webhook has come; makes it known.
    pub fn put_outbox_endpoint(&mut self, row: &EndpointRow) -> Result<(), Error> {
        let params = (
            row.name.as_str(),
            row.cursor.position,
            Count(row.cursor.part),
            row.replay.map(|replay| replay.cursor.position),
            Count(row.replay.map_or(0, |replay| replay.cursor.part)),
            row.replay.map(|replay| replay.until),
            Count(row.delivered),
            Count(row.dropped),
            Count(row.failed),
            row.delivered_ms,
        );
        self.execute(PUT, params)
            .map(|_| ())
            .map_err(|error| self.failed(&error, "writing the state of the webhook", &row.name))
    }

    /// Forgets a webhook, with what it was still to get. False when it was not known.
    pub fn remove_outbox_endpoint(&mut self, name: &str) -> Result<bool, Error> {
        self.execute(REMOVE, (name,))
            .map(|rows| rows > 0)
            .map_err(|error| self.failed(&error, "removing the webhook", name))
    }

    /// Removes the oldest rows up to `until`, at most `rows` of them; how many went.
    pub fn trim_outbox(&mut self, until: i64, rows: usize) -> Result<usize, Error> {
        self.execute(TRIM, (until, limit(rows)))
            .map_err(|error| self.failed(&error, "removing old rows of", OUTBOX))
    }
}

const READING: &str = "reading";
const OUTBOX: &str = "the outbox";

/// Bytes of the texts of a change, about.
fn length(change: &Change) -> usize {
    let tags: usize = change.tags.iter().map(|tag| tag.len() + 1).sum();
    let texts = [&change.refers_to, &change.request];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    tags + texts + 200
}

impl ToSql for ChangeAction {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let code: i64 = match self {
            // The column refuses it.
            Self::Pull => 0,
            Self::Push => 1,
            Self::Mount => 2,
            Self::Delete => 3,
        };
        Ok(code.into())
    }
}

impl FromSql for ChangeAction {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            1 => Ok(Self::Push),
            2 => Ok(Self::Mount),
            3 => Ok(Self::Delete),
            _ => Err(FromSqlError::Other("an unknown action".into())),
        }
    }
}

impl ToSql for ChangeTarget {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let code: i64 = match self {
            Self::Blob(_) => 1,
            Self::Manifest(_) => 2,
            Self::Tags => 3,
            Self::Repository => 4,
        };
        Ok(code.into())
    }
}
