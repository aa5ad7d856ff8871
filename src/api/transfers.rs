//! Uploads whose bytes are arriving at this moment: how far each is and how fast. Bounded, so that
//! past [`LISTED_MAX`] further ones are only counted.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::oci::RepositoryName;

/// The most uploads that are told of one by one.
pub const LISTED_MAX: usize = 1024;

/// The uploads of one registry.
#[derive(Debug, Default)]
pub struct Transfers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listed: HashMap<u64, Arc<Upload>>,
    next: u64,
    /// Those that are not listed.
    more: usize,
}

#[derive(Debug)]
struct Upload {
    repository: RepositoryName,
    client: Option<IpAddr>,
    /// Bytes that were there before.
    offset: u64,
    /// Bytes that this request brings, where it has said so.
    declared: Option<u64>,
    received: AtomicU64,
    begun: Instant,
}

/// One upload while its request is being read.
pub struct Transfer<'t> {
    transfers: &'t Transfers,
    /// `None` for one that is only counted.
    listed: Option<(u64, Arc<Upload>)>,
}

/// Reads a body and tells how far it is.
pub struct Counted<'t, R> {
    body: R,
    upload: Option<&'t Upload>,
}

/// How it stands with an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadState {
    /// The repository.
    pub repository: String,
    /// Whose it is: the client's address.
    pub client: Option<String>,
    /// Bytes that are there.
    pub bytes: u64,
    /// Bytes that there will be when the request ends, where it has said so.
    pub bytes_total: Option<u64>,
    /// Bytes a second, on the average of this request.
    pub bytes_per_second: u64,
    /// How long the request has been going on, in milliseconds.
    pub for_ms: u64,
}

impl Transfers {
    /// A request has begun to bring bytes: so many as it has declared, behind `offset`.
    pub fn begin(
        &self,
        repository: &RepositoryName,
        client: Option<IpAddr>,
        offset: u64,
        declared: Option<u64>,
    ) -> Transfer<'_> {
        let mut state = self.lock();
        if state.listed.len() >= LISTED_MAX {
            state.more += 1;
            drop(state);
            return Transfer {
                transfers: self,
                listed: None,
            };
        }
        let upload = Arc::new(Upload {
            repository: repository.clone(),
            client,
            offset,
            declared,
            received: AtomicU64::new(0),
            begun: Instant::now(),
        });
        let number = state.next;
        state.next += 1;
        state.listed.insert(number, Arc::clone(&upload));
        drop(state);
        Transfer {
            transfers: self,
            listed: Some((number, upload)),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let state = self.lock();
        state.listed.len() + state.more
    }

    /// How it stands with up to `limit` of them, the oldest first.
    pub fn list(&self, limit: usize) -> Vec<UploadState> {
        let mut listed: Vec<(u64, Arc<Upload>)> = {
            let state = self.lock();
            let pairs = state.listed.iter();
            pairs.map(|(at, own)| (*at, Arc::clone(own))).collect()
        };
        listed.sort_unstable_by_key(|(number, _)| *number);
        listed.truncate(limit);
        listed.iter().map(|(_, upload)| upload.state()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    fn state(&self) -> UploadState {
        let received = self.received.load(Ordering::Relaxed);
        let for_ms = self.begun.elapsed().as_millis();
        let rate = u128::from(received) * 1000 / for_ms.max(1);
        UploadState {
            repository: self.repository.to_string(),
            client: self.client.map(|client| client.to_string()),
            bytes: self.offset + received,
            bytes_total: self.declared.map(|own| self.offset.saturating_add(own)),
            bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
            for_ms: u64::try_from(for_ms).unwrap_or(u64::MAX),
        }
    }
}

impl Transfer<'_> {
    /// The same body, counted as it is read.
    pub fn counted<R>(&self, body: R) -> Counted<'_, R> {
        Counted {
            body,
            upload: self.listed.as_ref().map(|(_, upload)| &**upload),
        }
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        let mut state = self.transfers.lock();
        match &self.listed {
            Some((number, _)) => drop(state.listed.remove(number)),
            None => state.more -= 1,
        }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        if let Some(upload) = self.upload {
            upload.received.fetch_add(count as u64, Ordering::Relaxed);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_told_of_while_it_is_read() {
        let transfers = Transfers::default();
        let name: RepositoryName = "a/b".parse().expect("a name");
        let transfer = transfers.begin(&name, None, 100, Some(7));
        let mut body = transfer.counted(&b"1234567"[..]);
        body.read_exact(&mut [0; 3]).expect("bytes");
        let listed = transfers.list(10);
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].bytes, 103);
        assert_eq!(listed[0].bytes_total, Some(107));
        drop(transfer);
        assert_eq!((transfers.count(), transfers.list(10).len()), (0, 0));
    }

    #[test]
    fn more_uploads_than_are_listed_are_counted() {
        let transfers = Transfers::default();
        let name: RepositoryName = "a".parse().expect("a name");
        let begin = || transfers.begin(&name, None, 0, None);
        let all: Vec<Transfer<'_>> = (0..LISTED_MAX + 5).map(|_| begin()).collect();
        assert_eq!(transfers.count(), LISTED_MAX + 5);
        assert_eq!(transfers.list(usize::MAX).len(), LISTED_MAX);
        assert_eq!(transfers.list(3).len(), 3);
        drop(all);
        assert_eq!(transfers.count(), 0);
    }
}
