//! What is kept of the outbox, and how far webhooks have come, for whoever delivers.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::unix_ms;
use crate::registry::Registry;
use crate::store::Error;
use crate::store::catalog::{Cursor, EndpointRow, OutboxRow, WriteTx};

/// Rows of the outbox that are read at once, and the bytes of their texts.
const PAGE_ROWS: usize = 200;
const PAGE_BYTES: usize = 1 << 20;

/// Rows that are removed in one write, so that nobody who writes waits long.
const TRIMMED_AT_ONCE: usize = 1000;

/// What is kept of changes that everybody has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// For how long.
    pub keep: Duration,
    /// How many changes.
    pub keep_max: u64,
}

impl Registry {
    /// The next changes behind row `after`, in their order; none at the end.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn outbox_page(&self, after: i64) -> Result<Vec<OutboxRow>, Error> {
        self.outbox_part(after, PAGE_ROWS)
    }

    /// As [`outbox_page`](Self::outbox_page), at most so many.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn outbox_part(&self, after: i64, rows: usize) -> Result<Vec<OutboxRow>, Error> {
        let rows = rows.min(PAGE_ROWS);
        self.catalog.read(|tx| tx.outbox(after, rows, PAGE_BYTES))
    }

    /// The first and the last change that is kept.
    ///
    /// # Errors
    /// The catalog cannot be read.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's own lifetime does not fit where the closure's does"
    )]
    pub fn outbox_span(&self) -> Result<Option<(i64, i64)>, Error> {
        self.catalog.read(|tx| tx.outbox_span())
    }

    /// The first change that is kept and happened at `ms` (since 1970) or later, among those behind
    /// row `after`.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn outbox_since(&self, mut after: i64, ms: i64) -> Result<Option<i64>, Error> {
        loop {
            let times = self
                .catalog
                .read(|tx| tx.outbox_times(after, TRIMMED_AT_ONCE))?;
            if let Some((id, _)) = times.iter().find(|(_, at)| *at >= ms) {
                return Ok(Some(*id));
            }
            let Some((last, _)) = times.last() else {
                return Ok(None);
            };
            after = *last;
        }
    }

    /// How far each webhook has come, by name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's own lifetime does not fit where the closure's does"
    )]
    pub fn outbox_endpoints(&self) -> Result<Vec<EndpointRow>, Error> {
        self.catalog.read(|tx| tx.outbox_endpoints())
    }

    /// Makes the webhooks of these names known, each new one from now on, and forgets all others;
    /// how far they have come, and the names that were forgotten. Where none is left, the outbox is
    /// emptied.
    ///
    /// # Errors
    /// The catalog cannot be read or written.
    pub fn set_outbox_endpoints(
        &self,
        names: BTreeSet<String>,
    ) -> Result<(Vec<EndpointRow>, Vec<String>), Error> {
        let known = self.outbox_endpoints()?;
        let is_same =
            known.len() == names.len() && known.iter().all(|row| names.contains(&row.name));
        if is_same && (!known.is_empty() || self.outbox_span()?.is_none()) {
            return Ok((known, Vec::new()));
        }
        let changed = self.catalog.write(move |tx| {
            let mut gone = Vec::new();
            for row in tx.outbox_endpoints()? {
                if !names.contains(&row.name) {
                    tx.remove_outbox_endpoint(&row.name)?;
                    gone.push(row.name);
                }
            }
            let end = tx.outbox_span()?.map_or(0, |(_, last)| last);
            for name in &names {
                if tx.outbox_endpoint(name)?.is_none() {
                    tx.put_outbox_endpoint(&EndpointRow {
                        name: name.clone(),
                        cursor: Cursor {
                            position: end,
                            part: 0,
                        },
                        ..EndpointRow::default()
                    })?;
                }
            }
            Ok::<_, Error>((tx.outbox_endpoints()?, gone))
        })?;
        if changed.0.is_empty() {
            while self.trim_outbox(Trim {
                keep: Duration::ZERO,
                keep_max: 0,
            })? {}
        }
        Ok(changed)
    }

    /// Writes how far a webhook has come, and perhaps removes a few of the changes that everybody
    /// has got. A webhook that was forgotten meanwhile stays so.
    ///
    /// # Errors
    /// The catalog cannot be written.
    pub fn save_endpoint(&self, row: EndpointRow, trim: Option<Trim>) -> Result<(), Error> {
        self.catalog.write(move |tx| {
            if tx.outbox_endpoint(&row.name)?.is_some() {
                tx.put_outbox_endpoint(&row)?;
            }
            if let Some(trim) = trim {
                trim_in(tx, trim)?;
            }
            Ok(())
        })
    }

    /// Removes a few of the changes that everybody has got; whether there may be more.
    ///
    /// # Errors
    /// The catalog cannot be written.
    pub fn trim_outbox(&self, trim: Trim) -> Result<bool, Error> {
        self.catalog.write(move |tx| trim_in(tx, trim))
    }
}

fn trim_in(tx: &mut WriteTx<'_>, trim: Trim) -> Result<bool, Error> {
    let Some((_, last)) = tx.outbox_span()? else {
        return Ok(false);
    };
    let over = tx.outbox_endpoints()?.iter().map(EndpointRow::over).min();
    let over = over.unwrap_or(last);
    let oldest = unix_ms(tx.now()).saturating_sub_unsigned(as_ms(trim.keep));
    let times = tx.outbox_times(0, TRIMMED_AT_ONCE)?;
    let is_old = |(_, at): &&(i64, i64)| *at < oldest || trim.keep.is_zero();
    let old = times
        .iter()
        .take_while(is_old)
        .last()
        .map_or(0, |(id, _)| *id);
    let many = last.saturating_sub_unsigned(trim.keep_max);
    let until = over.min(old.max(many));
    Ok(tx.trim_outbox(until, TRIMMED_AT_ONCE)? == TRIMMED_AT_ONCE)
}

fn as_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
