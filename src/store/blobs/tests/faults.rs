//! Every call of the disk fails once, and then every n-th: what was acknowledged stays, and each
//! error says what kind it is.

use super::super::crash_disk::{EIO, ENOSPC, Faults};
use super::*;
use crate::store::ErrorKind;

/// What the requests below were told.
struct Client<'a> {
    store: &'a dyn BlobStore,
    key: UploadKey,
    acknowledged: Vec<u8>,
    blobs: Vec<Vec<u8>>,
    errors: Vec<Error>,
}

impl Client<'_> {
    fn failed(&mut self, error: impl Into<UploadError>) {
        match error.into() {
            UploadError::Store(error) => self.errors.push(error),
            other => panic!("{other:?}"),
        }
    }

    fn push(&mut self, content: &[u8]) {
        match push_blob(self.store, content) {
            Ok(_) => self.blobs.push(content.to_vec()),
            Err(error) => self.failed(error),
        }
    }

    fn chunk(&mut self, chunk: &[u8]) {
        let mut upload = match self.store.claim_upload(&self.key) {
            Ok(upload) => upload,
            Err(error) => return self.failed(error),
        };
        assert_eq!(upload.offset(), self.acknowledged.len() as u64);
        let taken = upload
            .reserve(2 << 20)
            .and_then(|()| upload.append(chunk))
            .and_then(|()| upload.checkpoint());
        match taken {
            Ok(()) => self.acknowledged.extend_from_slice(chunk),
            Err(error) => self.failed(error),
        }
    }

    fn cancelled(&mut self) {
        let key = key("cancelled");
        let started = self.store.start_upload(&key, Algorithm::Sha512);
        let cancelled = started
            .and_then(|()| self.store.claim_upload(&key))
            .and_then(|upload| Ok(upload.cancel()?));
        if let Err(error) = cancelled {
            self.failed(error);
        }
    }

    fn work(&mut self) {
        self.push(&bytes(1, 2000));
        self.chunk(&bytes(2, 1000));
        self.cancelled();
        self.chunk(&bytes(3, 1000));
        self.push(&bytes(1, 2000));
        self.push(&bytes(4, 100));
        // More sessions than are kept open, so that ours is opened again.
        for _ in 0..2 {
            let key = key("other");
            if let Err(error) = self.store.start_upload(&key, Algorithm::Sha256) {
                self.failed(error);
            }
        }
        self.chunk(&bytes(5, 1000));
        if let Err(error) = self.store.probe() {
            self.failed(error);
        }
    }

    /// All that was acknowledged is there, and the session goes on.
    fn check(&mut self, store: &dyn BlobStore, what: &str) {
        for content in &self.blobs {
            let found = read(store, &sha256(content), content.len() as u64);
            assert_eq!(found.as_ref(), Some(content), "{what}");
        }
        self.store.probe().ok();
        self.store.probe().unwrap();
        let mut upload = store.claim_upload(&self.key).unwrap();
        let offset = upload.offset();
        assert_eq!(offset, self.acknowledged.len() as u64, "{what}");
        upload.append(b"!").unwrap();
        let content = [&self.acknowledged[..], b"!"].concat();
        let staged = upload.finish(&sha256(&content)).unwrap();
        let stored = store.publish(staged).unwrap();
        assert_eq!(
            read(store, stored.digest(), offset + 1),
            Some(content),
            "{what}"
        );
    }
}

/// Bounds of inline blobs: none is inline, some are.
const BOUNDS: [u64; 2] = [0, 1500];

/// Works on a disk with these faults; then checks in this process and in the next.
fn fail_and_check(bound: u64, faults: Faults) -> Vec<Error> {
    let (disk, rows) = (crash_disk(), Rows::default());
    let store = open_with_rows(&disk, bound, &rows);
    let mut client = Client {
        store: &store,
        key: started(&store, "a"),
        acknowledged: Vec::new(),
        blobs: Vec::new(),
        errors: Vec::new(),
    };
    disk.set_faults(faults);
    client.work();
    let next = disk.kill();
    disk.set_faults(Faults::default());
    let restarted = open_with_rows(&next, bound, &rows);
    client.check(&restarted, &format!("restarted, {faults:?}"));
    client.check(&store, &format!("{faults:?}"));
    client.errors
}

/// How many calls the work makes.
fn calls(bound: u64) -> u64 {
    let disk = crash_disk();
    let store = open_with_rows(&disk, bound, &Rows::default());
    let mut client = Client {
        store: &store,
        key: started(&store, "a"),
        acknowledged: Vec::new(),
        blobs: Vec::new(),
        errors: Vec::new(),
    };
    disk.set_faults(Faults::default());
    client.work();
    assert!(client.errors.is_empty());
    assert_eq!((client.blobs.len(), client.acknowledged.len()), (3, 3000));
    disk.calls()
}

#[test]
fn each_call_may_fail_once() {
    let kinds = [(EIO, ErrorKind::Io), (ENOSPC, ErrorKind::Full)];
    for (bound, (number, kind)) in BOUNDS.into_iter().flat_map(|b| kinds.map(|kind| (b, kind))) {
        let (calls, mut told) = (calls(bound), 0);
        for at in 1..=calls {
            let faults = Faults {
                fail_at_call: Some((at, number)),
                ..Faults::default()
            };
            let errors = fail_and_check(bound, faults);
            told += u64::from(!errors.is_empty());
            // A failed sync is told once more, by the probe.
            let mut errors = errors.iter().map(Error::kind);
            assert!(errors.all(|found| found == kind || found == ErrorKind::Io));
        }
        // All but hints, and removals that a sweep makes good, reach the client.
        assert!(told * 10 >= calls * 7, "{told} of {calls}");
    }
}

#[test]
fn every_nth_call_may_fail() {
    for (bound, every) in BOUNDS
        .into_iter()
        .flat_map(|b| (2..20).map(move |n| (b, n)))
    {
        let disk = crash_disk();
        let store = open_with_rows(&disk, bound, &Rows::default());
        let mut client = Client {
            store: &store,
            key: started(&store, "a"),
            acknowledged: Vec::new(),
            blobs: Vec::new(),
            errors: Vec::new(),
        };
        disk.set_faults(Faults {
            fail_every: Some((every, EIO)),
            ..Faults::default()
        });
        client.work();
        disk.set_faults(Faults::default());
        for content in &client.blobs {
            let found = read(&store, &sha256(content), content.len() as u64);
            assert_eq!(found.as_ref(), Some(content), "{every}");
        }
        assert!(!client.errors.is_empty());
    }
}
