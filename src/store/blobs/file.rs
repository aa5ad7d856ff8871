//! The blob store in a folder: one file a blob, one file an upload session. Short blobs are left to
//! the catalog, whose commit makes their bytes durable together with their row.
//!
//! The order of effects is what makes a row mean that its file is there: bytes are synced before
//! or right after they take their final name, names are synced shard by shard, and only then may
//! a row be committed. The effects themselves are below, in [`Disk`]; what an upload does is in
//! `upload`; who may do it, in `sessions`.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind as Io};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::checkpoint::Checkpoint;
use super::disk::{Access, Disk, RealDisk};
use super::health::Health;
use super::session::Session;
use super::sessions::Sessions;
use super::spares::Spares;
use super::staged::Staged;
use super::upload::FileUpload;
use super::{BlobStore, Entry, Opened, Upload, UploadError, UploadId, UploadKey};
use super::{resume, session};
use crate::oci::{Algorithm, Digest};
use crate::store::layout::Layout;
use crate::store::space::{self, Space};
use crate::store::{Error, ErrorKind, Shard, StagedBlob, StoredBlob};

/// How a [`FileBlobStore`] behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Leaves out every sync: what is acknowledged survives the end of the process, not a power
    /// cut. For fixtures.
    pub relaxed: bool,
    /// The longest blob that is kept inline, in bytes; 0 keeps every blob as a file. A request
    /// that brings one holds as much in memory.
    pub inline_bytes_max: u64,
    /// How many upload sessions may exist.
    pub upload_sessions_max: usize,
    /// How many sessions between two requests keep their file open.
    pub open_sessions_max: usize,
    /// A probe that succeeded is not repeated within this time, so that asking often costs the
    /// device nothing.
    pub probe_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            relaxed: false,
            inline_bytes_max: 64 << 10,
            upload_sessions_max: 10_000,
            open_sessions_max: 256,
            probe_interval: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// Whether a blob of this length is kept inline where there is room for it.
    pub(super) const fn may_be_inline(&self, length: u64) -> bool {
        self.inline_bytes_max > 0 && length <= self.inline_bytes_max
    }
}

/// The blob store in a folder.
pub struct FileBlobStore<D: Disk = RealDisk> {
    shared: Arc<Shared<D>>,
}

/// What the store and its uploads have in common.
pub(super) struct Shared<D: Disk> {
    pub disk: D,
    pub layout: Layout,
    pub options: Options,
    pub space: Arc<Space>,
    pub uploads: PathBuf,
    pub boot: [u8; 16],
    pub sessions: Arc<Sessions<Session<D::File>>>,
    pub spares: Spares<D::File>,
    pub health: Health,
    /// Shards made when they were needed whose own names were made durable by this process. One
    /// that is there may have been made by a process that ended before it came to that.
    parents_synced: Mutex<BTreeSet<Shard>>,
}

impl<D: Disk> Shared<D> {
    /// Whether the name of the shard's folder itself may not be durable yet.
    pub fn must_sync_parent(&self, shard: Shard) -> bool {
        !super::shards::made_at_start(shard) && !self.parents().contains(&shard)
    }

    /// The shard's folder was synced, and before it the one that holds it.
    pub fn parent_synced(&self, shard: Shard) {
        if !super::shards::made_at_start(shard) {
            self.parents().insert(shard);
        }
    }

    fn parents(&self) -> MutexGuard<'_, BTreeSet<Shard>> {
        // An insertion that panicked left the set as it was.
        self.parents_synced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> FileBlobStore<D> {
    /// As [`open_in`](Self::open_in), with nothing kept free.
    ///
    /// # Errors
    /// A folder that cannot be made or read.
    pub fn open(layout: Layout, options: Options, disk: D) -> Result<Self, Error> {
        let space = Space::open(disk.clone(), &layout, space::Options::NONE)?;
        Self::open_in(layout, options, disk, space)
    }

    /// Opens the store, making its folders at the first start; uploads take their room from
    /// `space`. The caller holds the folder's lock. The work is proportional to the number of
    /// upload sessions, not to the store.
    ///
    /// # Errors
    /// A folder that cannot be made or read.
    pub fn open_in(
        layout: Layout,
        options: Options,
        disk: D,
        space: Arc<Space>,
    ) -> Result<Self, Error> {
        super::shards::make_folders(&disk, &layout, options.relaxed)?;
        let boot = match disk.boot_id() {
            Some(boot) => boot,
            // Unlike every other, so each session that is picked up is read and compared.
            None => random_bytes()?,
        };
        let count = resume::count_sessions(&disk, &layout)?;
        let sessions = Sessions::new(
            count,
            options.upload_sessions_max,
            options.open_sessions_max,
        );
        Ok(Self {
            shared: Arc::new(Shared {
                uploads: layout.uploads(),
                disk,
                layout,
                options,
                space,
                boot,
                sessions: Arc::new(sessions),
                spares: Spares::new(),
                health: Health::default(),
                parents_synced: Mutex::default(),
            }),
        })
    }

    /// Takes what [`Upload::finish`] made out of its proof and publishes it: as a file with
    /// `publish`, which tells whether the name is durable, or by leaving its bytes to the catalog.
    fn publish_by(
        &self,
        blob: StagedBlob,
        publish: fn(&Self, &mut Staged<D>, &Digest) -> Result<bool, Error>,
    ) -> Result<StoredBlob, Error> {
        let (digest, size) = (blob.digest, blob.size);
        let mut staged = match blob.holder.downcast::<Staged<D>>() {
            Ok(staged) if staged.belongs_to(&self.shared) => staged,
            _ => {
                return Err(Error::new(ErrorKind::Io, "publishing blob", digest)
                    .because("it was staged by another store"));
            }
        };
        if let Some(bytes) = staged.take_bytes() {
            return Ok(StoredBlob::in_row(digest, bytes, staged));
        }
        let named = publish(self, &mut staged, &digest)?;
        staged.keep();
        Ok(StoredBlob::in_file(digest, size, named))
    }

    /// Bytes first, then the name, which is left to be synced.
    fn publish_file(&self, staged: &mut Staged<D>, digest: &Digest) -> Result<bool, Error> {
        staged.sync(digest)?;
        self.rename_into_place(staged, digest)
            .map_err(|error| Error::io("publishing blob", digest, error))?;
        Ok(false)
    }

    /// The name first, where nothing has it.
    fn publish_new_file(&self, staged: &mut Staged<D>, digest: &Digest) -> Result<bool, Error> {
        let renamed = self
            .rename_if_new(staged, digest)
            .map_err(|error| Error::io("publishing blob", digest, error))?;
        if !renamed {
            return self.publish_file(staged, digest);
        }
        staged.sync(digest)?;
        // The name went before the bytes, so on a journalling file system the sync of the bytes
        // took it along and this finds nothing left to do. Here, many requests do it at once; in
        // the catalog's writer they would wait for one another.
        self.sync_shards(&[Shard::of(digest)])?;
        Ok(true)
    }

    fn rename_into_place(&self, staged: &mut Staged<D>, digest: &Digest) -> io::Result<()> {
        let disk = &self.shared.disk;
        let path = self.shared.layout.blob(digest);
        match disk.rename(staged.path(), &path) {
            // The shard's folder is gone, as after a restore that left out empty folders.
            Err(error) if error.kind() == Io::NotFound => {
                super::shards::make_shard(&self.shared, Shard::of(digest))?;
                disk.rename(staged.path(), &path)?;
            }
            result => result?,
        }
        staged.moved(path);
        Ok(())
    }

    /// Renames if nothing stands under the final name; `false` if something does.
    fn rename_if_new(&self, staged: &mut Staged<D>, digest: &Digest) -> io::Result<bool> {
        let path = self.shared.layout.blob(digest);
        match self.shared.disk.rename_new(staged.path(), &path) {
            Ok(true) => {
                staged.moved(path);
                Ok(true)
            }
            // A missing folder is made by the other way of publishing.
            Err(error) if error.kind() == Io::NotFound => Ok(false),
            result => result,
        }
    }
}

/// Random bytes, straight from the kernel.
pub(super) fn random_bytes() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Io, "reading", "random bytes").because(error.to_string())
    })?;
    Ok(bytes)
}

impl<D: Disk> BlobStore for FileBlobStore<D> {
    fn start_upload(&self, key: &UploadKey, algorithm: Algorithm) -> Result<(), UploadError> {
        let ticket = self.shared.sessions.start(session::session_name(key))?;
        session::create(&self.shared, ticket, algorithm).map(|(ticket, session)| {
            ticket.park(session, 0);
        })
    }

    fn claim_upload(&self, key: &UploadKey) -> Result<Box<dyn Upload>, UploadError> {
        let (ticket, kept) = self.shared.sessions.claim(session::session_name(key))?;
        let (ticket, session) = match kept {
            Some(session) => (ticket, session),
            None => resume::resume(&self.shared, ticket)?,
        };
        ticket.acknowledge(session.acknowledged.offset);
        let upload = FileUpload::new(Arc::clone(&self.shared), ticket, session, true);
        Ok(Box::new(upload))
    }

    fn upload_offset(&self, key: &UploadKey) -> Result<u64, UploadError> {
        match self
            .shared
            .sessions
            .acknowledged(&session::session_name(key))
        {
            Some(offset) => Ok(offset),
            None => Ok(self.claim_upload(key)?.offset()),
        }
    }

    fn start_anonymous_upload(&self, algorithm: Algorithm) -> Result<Box<dyn Upload>, UploadError> {
        let name = format!("{}{}", resume::ANONYMOUS, UploadId::random()?);
        let ticket = self.shared.sessions.start(name)?;
        let session = Session::new(None, Checkpoint::empty(algorithm), None);
        let upload = FileUpload::new(Arc::clone(&self.shared), ticket, session, false);
        Ok(Box::new(upload))
    }

    fn publish(&self, staged: StagedBlob) -> Result<StoredBlob, Error> {
        self.publish_by(staged, Self::publish_file)
    }

    fn publish_new(&self, staged: StagedBlob) -> Result<StoredBlob, Error> {
        self.publish_by(staged, Self::publish_new_file)
    }

    fn sync_shards(&self, shards: &[Shard]) -> Result<(), Error> {
        super::shards::sync(&self.shared, shards)
    }

    fn open(&self, digest: &Digest, size: u64) -> Result<Opened, Error> {
        let opening = |error| Error::io("opening blob", digest, error);
        let disk = &self.shared.disk;
        let file = match disk.open(&self.shared.layout.blob(digest), Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == Io::NotFound => return Ok(Opened::Missing),
            Err(error) => return Err(opening(error)),
        };
        let metadata = disk.metadata(&file).map_err(opening)?;
        if !metadata.is_file {
            return Err(Error::new(ErrorKind::Corrupt, "opening blob", digest)
                .because("something else than a file stands in its place"));
        }
        if metadata.length != size {
            let found = metadata.length;
            return Ok(Opened::WrongSize { found });
        }
        disk.reader(file).map(Opened::Blob).map_err(opening)
    }

    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let path = self.shared.layout.blob(digest);
        match self.shared.disk.lookup(&path) {
            Ok(found) => Ok(found
                .filter(|metadata| metadata.is_file)
                .map(|metadata| metadata.length)),
            Err(error) => Err(Error::io("looking up blob", digest, error)),
        }
    }

    fn remove(&self, digest: &Digest) -> Result<(), Error> {
        match self.shared.disk.remove(&self.shared.layout.blob(digest)) {
            Err(error) if error.kind() != Io::NotFound => {
                Err(Error::io("removing blob", digest, error))
            }
            _ => Ok(()),
        }
    }

    fn quarantine(&self, digest: &Digest) -> Result<(), Error> {
        let layout = &self.shared.layout;
        let renamed = self
            .shared
            .disk
            .rename(&layout.blob(digest), &layout.quarantined(digest));
        match renamed {
            Err(error) if error.kind() != Io::NotFound => {
                Err(Error::io("quarantining blob", digest, error))
            }
            _ => Ok(()),
        }
    }

    fn walk_shard(&self, shard: Shard, each: &mut dyn FnMut(Entry) -> bool) -> Result<(), Error> {
        super::shards::walk_shard(&self.shared, shard, each)
    }

    fn layout(&self) -> Option<&Layout> {
        Some(&self.shared.layout)
    }

    fn expire_uploads(&self, before: SystemTime) -> Result<usize, Error> {
        resume::expire(&self.shared, before)
    }

    fn expire_oldest_uploads(
        &self,
        before: SystemTime,
        enough: &mut dyn FnMut() -> bool,
    ) -> Result<usize, Error> {
        resume::expire_oldest(&self.shared, before, enough)
    }

    fn sessions(&self) -> usize {
        self.shared.sessions.count()
    }

    fn probe(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let interval = shared.options.probe_interval;
        shared.health.probe(interval, || {
            super::health::write_and_remove(
                &shared.disk,
                &shared.uploads.join("probe"),
                shared.options.relaxed,
            )
        })
    }
}
