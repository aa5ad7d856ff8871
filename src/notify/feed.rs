//! What a webhook gets next: events out of the outbox, from where it has come to, in one body.

use std::time::Duration;

use super::endpoint::Endpoint;
use super::envelope::{self, Source, count};
use super::sign::random_id;
use crate::registry::Registry;
use crate::store::Error;
use crate::store::catalog::{Change, Cursor, OutboxRow};

/// Bytes of events after which a body takes no more.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Which events a delivery has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those that wait in the outbox.
    Waiting,
    /// Those that are sent once more.
    Replayed,
    /// Pulls, which are nowhere else.
    Pulls,
}

/// A delivery that is ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) kind: Kind,
    /// Where it begins in the outbox, and where it ends.
    pub(super) from: Cursor,
    pub(super) to: Cursor,
    /// How many events it has.
    pub(super) events: u64,
    pub(super) body: Vec<u8>,
    /// The id of the delivery.
    pub(super) id: String,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This.
    Deliver(Prepared),
    /// Nothing yet; what has come may wait so long for company.
    Wait(Duration),
    /// Nothing up to here.
    Nothing(Cursor),
}

/// The next delivery out of the outbox behind `from`, up to row `until`. `now_ms` is the time, by
/// which events that may wait for company do.
pub(super) fn next(
    registry: &Registry,
    endpoint: &Endpoint,
    source: &Source,
    kind: Kind,
    from: Cursor,
    until: Option<i64>,
    now_ms: i64,
) -> Result<Next, Error> {
    let mut batch = Batch::new(endpoint, from);
    // Many are read only where many are passed over.
    let mut at_once = endpoint.batch_max;
    while !batch.is_full() {
        let rows = registry.outbox_part(batch.read_to, at_once)?;
        at_once = at_once.saturating_mul(4);
        let is_end = rows.is_empty();
        for row in rows {
            if batch.is_full() || until.is_some_and(|until| row.id > until) {
                return Ok(batch.end(kind, source, None));
            }
            batch.add(row);
        }
        if is_end {
            let now_ms = (kind == Kind::Waiting).then_some(now_ms);
            return Ok(batch.end(kind, source, now_ms));
        }
    }
    Ok(batch.end(kind, source, None))
}

/// A delivery of pulls.
pub(super) fn pulls(endpoint: &Endpoint, source: &Source, pulls: &[Change]) -> Prepared {
    let events: Vec<(&Change, u64)> = pulls.iter().map(|pull| (pull, 0)).collect();
    Prepared {
        kind: Kind::Pulls,
        from: Cursor::default(),
        to: Cursor::default(),
        events: events.len() as u64,
        body: envelope::body(&events, endpoint.media_type, source),
        id: random_id(),
    }
}

/// Events that are gathered for one body.
struct Batch<'e> {
    endpoint: &'e Endpoint,
    from: Cursor,
    to: Cursor,
    /// The last row that was looked at.
    read_to: i64,
    rows: Vec<(Change, u64, u64)>,
    events: usize,
    bytes: usize,
}

impl<'e> Batch<'e> {
    const fn new(endpoint: &'e Endpoint, from: Cursor) -> Self {
        Self {
            endpoint,
            from,
            to: from,
            read_to: from.position,
            rows: Vec::new(),
            events: 0,
            bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.events >= self.endpoint.batch_max || self.bytes >= BODY_BYTES_MAX
    }

    /// Adds as many of the events of the next row as there is room for.
    fn add(&mut self, row: OutboxRow) {
        let before = Cursor {
            position: self.read_to,
            part: 0,
        };
        self.read_to = row.id;
        let over = Cursor {
            position: row.id,
            part: 0,
        };
        if !self.endpoint.filter.wants(&row.change) {
            self.to = over;
            return;
        }
        // Only the first row can have been begun before.
        let first = if self.to.position == self.from.position {
            self.from.part
        } else {
            0
        };
        let all = count(&row.change);
        let each = weight(&row.change);
        let mut last = first;
        while last < all && !self.is_full() {
            last += 1;
            self.events += 1;
            self.bytes += each;
        }
        self.to = if last >= all {
            over
        } else {
            Cursor {
                part: last,
                ..before
            }
        };
        if first < last {
            self.rows.push((row.change, first, last));
        }
    }

    fn end(self, kind: Kind, source: &Source, now_ms: Option<i64>) -> Next {
        let Some((first, ..)) = self.rows.first() else {
            return Next::Nothing(self.to);
        };
        if let Some(now_ms) = now_ms {
            let waited = now_ms.saturating_sub(first.at_ms);
            let waited = Duration::from_millis(waited.max(0).unsigned_abs());
            let left = self.endpoint.batch_wait.saturating_sub(waited);
            if !self.is_full() && !left.is_zero() {
                return Next::Wait(left);
            }
        }
        let rows = self.rows.iter();
        let events: Vec<(&Change, u64)> = rows
            .flat_map(|(change, first, last)| (*first..*last).map(move |part| (change, part)))
            .collect();
        Next::Deliver(Prepared {
            kind,
            from: self.from,
            to: self.to,
            events: events.len() as u64,
            body: envelope::body(&events, self.endpoint.media_type, source),
            id: random_id(),
        })
    }
}

/// Bytes of one event in a body, about.
fn weight(change: &Change) -> usize {
    let texts = [&change.refers_to, &change.request];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    700 + texts + texts / 2
}
