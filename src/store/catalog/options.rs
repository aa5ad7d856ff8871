//! How a catalog is opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::metrics::CatalogMetrics;
use crate::store::space::Space;
use crate::store::{Error, Shard};

/// How much a commit may lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `synchronous=FULL`: what was answered survives a power cut.
    #[default]
    Full,
    /// Survives the end of the process, not a power cut: for fixtures.
    Relaxed,
}

/// What the writer calls, with every shard touched by the transaction, just before it commits. An
/// error rolls the transaction back and fails everyone in it.
pub type SyncShards = Box<dyn Fn(&[Shard]) -> Result<(), Error> + Send>;

/// What the writer calls after a commit that added to the outbox, with the last row of it. It must
/// not wait.
pub type Bell = Box<dyn Fn(i64) + Send + Sync>;

/// Where the catalog lives.
#[derive(Clone, Copy, Debug)]
pub enum Location<'a> {
    /// A file, made when it is missing; its folder must exist.
    File(&'a Path),
    /// Memory, gone with the catalog; at most 1 GiB.
    Memory,
}

/// How a catalog is opened.
pub struct Options<'a> {
    /// Where it is.
    pub location: Location<'a>,
    /// What a commit may lose.
    pub durability: Durability,
    /// What time rows are written with.
    pub clock: Arc<dyn Clock>,
    /// How many writes may wait for the writer; a caller past it waits before it is queued.
    pub queue_max: usize,
    /// How many writes share one commit at most.
    pub batch_max: usize,
    /// The room of the file system, whose ballast is given up when a commit finds none.
    pub space: Arc<Space>,
    /// How long a blob that nothing uses yet is kept from the collection.
    pub blob_grace: Duration,
    /// Where reads and commits are counted.
    pub metrics: Arc<CatalogMetrics>,
}

impl<'a> Options<'a> {
    /// Default of [`queue_max`](Options::queue_max).
    pub const QUEUE_MAX: usize = 1024;
    /// Default of [`batch_max`](Options::batch_max).
    pub const BATCH_MAX: usize = 256;

    /// Default of [`blob_grace`](Options::blob_grace).
    pub const BLOB_GRACE: Duration = Duration::from_secs(3600);

    /// The defaults for `location`: full durability, the machine's clock.
    pub fn new(location: Location<'a>) -> Self {
        Self {
            location,
            durability: Durability::Full,
            clock: Arc::new(SystemClock),
            queue_max: Self::QUEUE_MAX,
            batch_max: Self::BATCH_MAX,
            space: Space::unlimited(),
            blob_grace: Self::BLOB_GRACE,
            metrics: Arc::default(),
        }
    }
}
