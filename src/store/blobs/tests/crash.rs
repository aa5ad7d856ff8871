//! A power cut at every sync and at every call, for every way the disk may come back.

use std::collections::BTreeMap;

use super::super::crash_disk::{Faults, Names, Tail};
use super::*;

/// What a catalog would hold: the content of every blob whose push was acknowledged.
#[derive(Default)]
struct Ledger {
    /// Whether the file must be there; one that was put aside may be missing, never wrong.
    rows: BTreeMap<Digest, (Vec<u8>, bool)>,
    /// The session that stays open: all that was ever appended to it.
    session: Option<(UploadKey, Vec<u8>)>,
}

/// Any failure ends the work, as the end of the machine would.
struct Stopped;

impl<E> From<E> for Stopped
where
    E: std::fmt::Debug,
{
    fn from(_: E) -> Self {
        Self
    }
}

impl Ledger {
    fn push(&mut self, store: &dyn BlobStore, content: &[u8]) -> Result<(), Stopped> {
        let known = self.rows.contains_key(&sha256(content));
        let publish: Publish = if known {
            |store, staged| store.publish(staged)
        } else {
            |store, staged| store.publish_new(staged)
        };
        let digest = push_blob_by(store, content, publish)?;
        self.rows.insert(digest, (content.to_vec(), true));
        Ok(())
    }

    fn chunk(&mut self, store: &dyn BlobStore, chunk: &[u8]) -> Result<(), Stopped> {
        let (key, appended) = self.session.as_mut().unwrap();
        let mut upload = store.claim_upload(key)?;
        appended.extend_from_slice(chunk);
        upload.append(chunk)?;
        upload.checkpoint()?;
        Ok(())
    }

    /// Everything that changes the disk, in an order that crosses the paths of each.
    fn work(&mut self, store: &dyn BlobStore) -> Result<(), Stopped> {
        self.push(store, &bytes(1, 3000))?;
        let key = key("open");
        store.start_upload(&key, Algorithm::Sha256)?;
        self.session = Some((key, Vec::new()));
        self.chunk(store, &bytes(2, 2000))?;
        self.push(store, &bytes(1, 3000))?;
        self.push(store, &bytes(3, 10))?;
        self.chunk(store, &bytes(4, 500))?;
        let digest = sha256(&bytes(3, 10));
        self.rows.get_mut(&digest).unwrap().1 = false;
        store.quarantine(&digest)?;
        self.push(store, &bytes(3, 10))?;
        // A session of several chunks becomes a blob.
        let (content, key) = (bytes(5, 4000), super::key("closed"));
        store.start_upload(&key, Algorithm::Sha256)?;
        for chunk in content.chunks(1500) {
            let mut upload = store.claim_upload(&key)?;
            upload.append(chunk)?;
            upload.checkpoint()?;
        }
        let staged = store.claim_upload(&key)?.finish(&sha256(&content))?;
        let digest = *store.publish_new(staged)?.digest();
        store.sync_shards(&[Shard::of(&digest), Shard::of(&digest)])?;
        self.rows.insert(digest, (content, true));
        self.chunk(store, &bytes(6, 700))?;
        Ok(())
    }

    fn check(&self, store: &dyn BlobStore, what: &str) {
        for (digest, (content, stored)) in &self.rows {
            match store.open(digest, content.len() as u64).unwrap() {
                Opened::Blob(_) => {
                    let found = read(store, digest, content.len() as u64).unwrap();
                    assert_eq!(&found, content, "{what}");
                }
                Opened::Missing => assert!(!stored, "{what}: {digest} is missing"),
                Opened::WrongSize { found } => panic!("{what}: {digest} has {found} bytes"),
            }
        }
        self.resume(store, what);
    }

    /// The session is gone, or goes on with a part of what was appended, and can be finished as
    /// nothing else.
    fn resume(&self, store: &dyn BlobStore, what: &str) {
        let Some((key, appended)) = &self.session else {
            return;
        };
        let mut upload = match store.claim_upload(key) {
            Ok(upload) => upload,
            Err(UploadError::Unknown) => return,
            Err(other) => panic!("{what}: {other:?}"),
        };
        let offset = usize::try_from(upload.offset()).unwrap();
        assert!([0, 2000, 2500, 3200].contains(&offset), "{what}: {offset}");
        upload.append(b"the rest").unwrap();
        let content = [&appended[..offset], b"the rest"].concat();
        let staged = upload.finish(&sha256(&content)).unwrap();
        let stored = store.publish(staged).unwrap();
        let found = read(store, stored.digest(), content.len() as u64);
        assert_eq!(found.unwrap(), content, "{what}");
    }
}

/// Bounds of inline blobs: none is inline, some are.
const BOUNDS: [u64; 2] = [0, 3500];

/// Runs the work with these faults, then checks every disk that may come back; `states` are the
/// ways of the checkpoints.
fn stop_and_check(bound: u64, faults: Faults, states: &[Tail]) {
    let disk = crash_disk();
    let rows = Rows::default();
    let store = open_with_rows(&disk, bound, &rows);
    disk.set_faults(faults);
    let mut ledger = Ledger::default();
    let _ = ledger.work(&store);
    let killed = open_with_rows(&disk.kill(), bound, &rows_of(&rows));
    ledger.check(&killed, &format!("killed {faults:?}"));
    for names in Names::ALL {
        for data in Tail::ALL {
            for &state in states {
                let tail = |path: &Path| if is_state(path) { state } else { data };
                let disk = disk.crash_with(names, tail);
                let store = open_with_rows(&disk, bound, &rows_of(&rows));
                let what = format!("{bound} {faults:?} {names:?} {data:?} {state:?}");
                ledger.check(&store, &what);
            }
        }
    }
}

/// The same rows for one of several disks that may come back.
fn rows_of(rows: &Rows) -> Rows {
    let rows = rows.lock().unwrap().clone();
    std::sync::Arc::new(std::sync::Mutex::new(rows))
}

/// Calls and syncs of the work when nothing fails.
fn undisturbed(bound: u64) -> (u64, u64) {
    let disk = crash_disk();
    let store = open_with_rows(&disk, bound, &Rows::default());
    disk.set_faults(Faults::default());
    let mut ledger = Ledger::default();
    assert!(ledger.work(&store).is_ok());
    assert_eq!(ledger.rows.len(), 3);
    (disk.calls(), disk.syncs())
}

#[test]
fn a_cut_at_any_sync_loses_nothing() {
    for bound in BOUNDS {
        let (_, syncs) = undisturbed(bound);
        assert!(bound > 0 || syncs >= 10, "{syncs}");
        for at in 1..=syncs + 1 {
            stop_and_check(
                bound,
                Faults {
                    freeze_at_sync: Some(at),
                    ..Faults::default()
                },
                &Tail::ALL,
            );
        }
    }
}

#[test]
fn a_cut_at_any_call_loses_nothing() {
    for bound in BOUNDS {
        let (calls, _) = undisturbed(bound);
        assert!(calls > 20, "{calls}");
        for at in 1..=calls {
            stop_and_check(
                bound,
                Faults {
                    freeze_at_call: Some(at),
                    ..Faults::default()
                },
                &[Tail::Lost, Tail::Kept],
            );
        }
    }
}

/// The first start, cut anywhere, leaves a folder that the next start completes.
#[test]
fn a_cut_during_the_first_start_is_no_matter() {
    let disk = crash_disk();
    drop(open_on(&disk));
    let calls = disk.calls();
    let near_the_end = calls - 6..=calls + 1;
    for at in (1..=calls).step_by(37).chain(near_the_end) {
        let disk = crash_disk();
        disk.set_faults(Faults {
            freeze_at_call: Some(at),
            ..Faults::default()
        });
        let _ = FileBlobStore::open(layout(), options(), disk.clone());
        // The process ends, starts again, works, and then the power goes.
        let disk = disk.kill();
        let store = open_on(&disk);
        let digest = push_blob(&store, b"acknowledged").unwrap();
        let store = open_on(&disk.crash(Names::Synced, Tail::Lost));
        assert_eq!(read(&store, &digest, 12).unwrap(), b"acknowledged");
    }
}
