//! Random requests to a few sessions, beside a plain model of what must come of them.

use proptest::prelude::*;

use super::super::crash_disk::{Names, Tail};
use super::super::{MemoryBlobStore, Upload};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Start(usize, Algorithm),
    Claim(usize),
    Append(usize, u8, usize),
    Checkpoint(usize),
    Drop(usize),
    FinishRight(usize, Algorithm),
    FinishWrong(usize),
    Cancel(usize),
    Expire,
    /// The process ends; only files survive it.
    Kill,
    /// The power goes, and the disk comes back in one of its ways.
    PowerCut(Names, Tail, Tail),
}

const SESSIONS: usize = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = 0..SESSIONS;
    let algorithm = prop::sample::select(Algorithm::ALL.to_vec());
    let tail = prop::sample::select(Tail::ALL.to_vec());
    let names = prop::sample::select(Names::ALL.to_vec());
    let step = prop_oneof![
        3 => (which.clone(), algorithm.clone()).prop_map(|(at, alg)| Step::Start(at, alg)),
        6 => which.clone().prop_map(Step::Claim),
        6 => (which.clone(), any::<u8>(), 0..2000usize)
            .prop_map(|(at, seed, length)| Step::Append(at, seed, length)),
        4 => which.clone().prop_map(Step::Checkpoint),
        4 => which.clone().prop_map(Step::Drop),
        1 => (which.clone(), algorithm).prop_map(|(at, alg)| Step::FinishRight(at, alg)),
        1 => which.clone().prop_map(Step::FinishWrong),
        1 => which.prop_map(Step::Cancel),
        1 => Just(Step::Expire),
        1 => Just(Step::Kill),
        1 => (names, tail.clone(), tail)
            .prop_map(|(names, data, state)| Step::PowerCut(names, data, state)),
    ];
    prop::collection::vec(step, 1..60)
}

/// What is true of one session.
#[derive(Default)]
struct Session {
    key: Option<UploadKey>,
    upload: Option<Box<dyn Upload>>,
    content: Vec<u8>,
    /// Lengths that were acknowledged, the last one current; never empty while there is a key.
    acknowledged: Vec<usize>,
}

impl Session {
    fn current(&self) -> usize {
        self.acknowledged.last().copied().unwrap_or(0)
    }

    /// The session ended.
    fn end(&mut self) {
        *self = Self::default();
    }
}

struct Model {
    disk: Option<CrashDisk>,
    /// The longest inline blob, and those there are.
    bound: u64,
    rows: Rows,
    store: Box<dyn BlobStore>,
    sessions: [Session; SESSIONS],
    /// Whether a power cut since the last look may have taken something.
    cut: bool,
}

impl Model {
    fn on_files(bound: u64) -> Self {
        let (disk, rows) = (crash_disk(), Rows::default());
        Self {
            store: Box::new(open_with_rows(&disk, bound, &rows)),
            disk: Some(disk),
            bound,
            rows,
            sessions: Default::default(),
            cut: false,
        }
    }

    fn in_memory() -> Self {
        Self {
            store: Box::new(MemoryBlobStore::new(1 << 30, 4)),
            disk: None,
            bound: 0,
            rows: Rows::default(),
            sessions: Default::default(),
            cut: false,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Start(at, algorithm) => self.start(at, algorithm),
            Step::Claim(at) => self.claim(at),
            Step::Append(at, seed, length) => {
                let session = &mut self.sessions[at];
                if let Some(upload) = &mut session.upload {
                    upload.append(&bytes(seed, length)).unwrap();
                    session.content.extend(bytes(seed, length));
                    assert_eq!(upload.length(), session.content.len() as u64);
                }
            }
            Step::Checkpoint(at) => {
                let session = &mut self.sessions[at];
                if let Some(upload) = &mut session.upload {
                    upload.checkpoint().unwrap();
                    session.acknowledged.push(session.content.len());
                    assert_eq!(upload.offset(), session.content.len() as u64);
                }
            }
            Step::Drop(at) => self.release(at),
            Step::FinishRight(at, algorithm) => self.finish_right(at, algorithm),
            Step::FinishWrong(at) => self.finish_wrong(at),
            Step::Cancel(at) => {
                if let Some(upload) = self.sessions[at].upload.take() {
                    upload.cancel().unwrap();
                    self.ended(at);
                }
            }
            Step::Expire => self.expire(),
            Step::Kill => self.restart(CrashDisk::kill),
            Step::PowerCut(names, data, state) => {
                self.cut = self.disk.is_some();
                self.restart(|disk| {
                    let tail = |path: &Path| if is_state(path) { state } else { data };
                    disk.crash_with(names, tail)
                });
            }
        }
    }

    fn start(&mut self, at: usize, algorithm: Algorithm) {
        if self.sessions[at].key.is_none() {
            let key = key("a/model");
            match self.store.start_upload(&key, algorithm) {
                Ok(()) => {
                    self.sessions[at].key = Some(key);
                    self.sessions[at].acknowledged = vec![0];
                }
                // What a power cut brought back counts until it expires.
                Err(UploadError::TooMany { .. }) => assert!(self.cut),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    fn claim(&mut self, at: usize) {
        let session = &mut self.sessions[at];
        let Some(key) = session.key.clone() else {
            return;
        };
        let claimed = self.store.claim_upload(&key);
        if session.upload.is_some() {
            assert!(is_busy(claimed));
            return;
        }
        match claimed {
            Err(UploadError::Unknown) if self.cut => session.end(),
            Err(other) => panic!("{other:?}"),
            Ok(upload) => {
                let offset = usize::try_from(upload.offset()).unwrap();
                assert_eq!(upload.length(), upload.offset());
                if self.cut {
                    let known = session.acknowledged.iter().position(|at| *at == offset);
                    session.acknowledged.truncate(known.unwrap() + 1);
                }
                assert_eq!(offset, session.current());
                session.content.truncate(offset);
                session.upload = Some(upload);
            }
        }
    }

    fn release(&mut self, at: usize) {
        let session = &mut self.sessions[at];
        if session.upload.take().is_some() {
            session.content.truncate(session.current());
        }
    }

    fn ended(&mut self, at: usize) {
        let key = self.sessions[at].key.clone().unwrap();
        assert!(is_unknown(self.store.claim_upload(&key)));
        self.sessions[at].end();
    }

    fn finish_right(&mut self, at: usize, algorithm: Algorithm) {
        let Some(upload) = self.sessions[at].upload.take() else {
            return;
        };
        let content = std::mem::take(&mut self.sessions[at].content);
        let digest = Digest::of(algorithm, &content);
        let staged = upload.finish(&digest).unwrap();
        self.ended(at);
        let stored = self.store.publish(staged).unwrap();
        let shards: Vec<Shard> = stored.shard_to_sync().into_iter().collect();
        self.store.sync_shards(&shards).unwrap();
        let found = read(&*self.store, &digest, content.len() as u64);
        assert_eq!(found, Some(content));
    }

    fn finish_wrong(&mut self, at: usize) {
        let Some(upload) = self.sessions[at].upload.take() else {
            return;
        };
        match upload.finish(&sha256(b"what nobody appended")) {
            Err(FinishError::DigestMismatch { actual }) => {
                assert_eq!(actual, sha256(&self.sessions[at].content));
            }
            other => panic!("{other:?}"),
        }
        self.ended(at);
    }

    fn expire(&mut self) {
        let future = std::time::SystemTime::now() + Duration::from_secs(1 << 32);
        let removed = self.store.expire_uploads(future).unwrap();
        let mut free = 0;
        for session in &mut self.sessions {
            if session.key.is_some() && session.upload.is_none() {
                free += 1;
                session.end();
            }
        }
        assert!(removed == free || self.cut, "{removed} {free}");
    }

    fn restart(&mut self, next: impl Fn(&CrashDisk) -> CrashDisk) {
        let Some(disk) = &self.disk else { return };
        let disk = next(disk);
        for at in 0..SESSIONS {
            self.release(at);
        }
        self.store = Box::new(open_with_rows(&disk, self.bound, &self.rows));
        self.disk = Some(disk);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn sessions_do_what_the_model_says(steps in steps(), bound in 0..4000u64) {
        // Half of the time every blob is a file.
        let mut model = Model::on_files(if bound < 2000 { 0 } else { bound });
        for step in &steps {
            model.step(step);
        }
    }

    #[test]
    fn sessions_in_memory_do_what_the_model_says(steps in steps()) {
        let mut model = Model::in_memory();
        for step in &steps {
            model.step(step);
        }
    }
}
