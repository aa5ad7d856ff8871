//! What was typed, and the sizes of the work that follow from it.

use std::path::PathBuf;

use clap::Parser;

/// Where the report goes unless `--out` says otherwise; git ignores it.
const OUT_DEFAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results");

/// Measure Coracle against its peers on this machine.
#[derive(Parser, Debug)]
#[command(name = "compare")]
pub struct Options {
    /// Measure only these rows (comma separated); an unknown name lists them all
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    pub only: Vec<String>,
    /// Rounds per row; the report gives their median
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: Option<u32>,
    /// Tiny sizes that prove that everything works and judge nothing
    #[arg(long = "quick")]
    quick_asked: bool,
    /// Folder for compare.md and compare.json
    #[arg(long, value_name = "DIR", default_value = OUT_DEFAULT)]
    pub out: PathBuf,
    /// Folder on the disk to measure on; temporary folders are made in it and removed
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub dir: PathBuf,
    /// The coracle program to measure
    #[arg(long, value_name = "PROGRAM", default_value = env!("CARGO_BIN_EXE_coracle"))]
    pub coracle: PathBuf,
    /// Start no further row after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 780)]
    pub budget_s: u64,
    /// Given by `cargo bench`; without it (`cargo test --benches`) the run is a quick one
    #[arg(long = "bench", hide = true)]
    bench: bool,
}

impl Options {
    /// Whether this run only shows that the benchmark works.
    pub fn quick(&self) -> bool {
        self.quick_asked || !self.bench
    }

    /// The sizes of the work.
    pub fn scale(&self) -> Scale {
        let mut scale = if self.quick() {
            Scale::QUICK
        } else {
            Scale::FULL
        };
        if let Some(rounds) = self.rounds {
            scale.rounds = rounds as usize;
        }
        scale
    }
}

/// How much of everything one run does.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Rounds per row.
    pub rounds: usize,
    /// Small images pushed per round and server, and images that wait to be pulled.
    pub images: usize,
    /// Layers of a small image.
    pub layers: usize,
    /// Bytes of a small layer.
    pub layer_small_bytes: usize,
    /// Bytes of a large layer.
    pub layer_large_bytes: usize,
    /// Large layers that each client pushes per round.
    pub layers_large_each: usize,
    /// How long a row that counts answers asks each server per round.
    pub window_ms: u64,
    /// Tags of the long list.
    pub tags_many: usize,
    /// Repositories of the long list.
    pub repositories_many: usize,
    /// Tags and repositories of the short lists.
    pub few: usize,
    /// Pages asked for per round and list.
    pub pages: usize,
    /// Blob rows of the full catalog that a server starts on.
    pub blob_rows: usize,
    /// Starts per store.
    pub starts: usize,
    /// Large uploads in progress together.
    pub uploads_together: usize,
    /// How long those uploads are stretched.
    pub uploads_pace_ms: u64,
    /// Idle connections held open.
    pub idle_connections: usize,
    /// Images pushed while flushes are counted.
    pub flush_pushes: usize,
    /// Manifests that were removed and are collected, each with five blobs.
    pub removed_manifests: usize,
    /// How long pushes are measured without the collection.
    pub collect_window_ms: u64,
    /// Images that the peer's collection removes.
    pub peer_images: usize,
    /// Tags on one manifest that is deleted.
    pub tags_deleted: usize,
    /// Tags, each on its own manifest, that retention looks at.
    pub tags_kept: usize,
    /// Blobs of a megabyte that are backed up.
    pub backup_blobs: usize,
}

impl Scale {
    const FULL: Self = Self {
        rounds: 5,
        images: 200,
        layers: 4,
        layer_small_bytes: 64 * 1024,
        layer_large_bytes: 100_000_000,
        layers_large_each: 4,
        window_ms: 2_000,
        tags_many: 1_000_000,
        repositories_many: 100_000,
        few: 1_000,
        pages: 300,
        blob_rows: 1_000_000,
        starts: 11,
        uploads_together: 64,
        uploads_pace_ms: 15_000,
        idle_connections: 10_000,
        flush_pushes: 64,
        removed_manifests: 100_000,
        collect_window_ms: 15_000,
        peer_images: 1_000,
        tags_deleted: 10_000,
        tags_kept: 100_000,
        backup_blobs: 5_000,
    };

    const QUICK: Self = Self {
        rounds: 1,
        images: 8,
        layers: 4,
        layer_small_bytes: 64 * 1024,
        layer_large_bytes: 4_000_000,
        layers_large_each: 1,
        window_ms: 150,
        tags_many: 2_000,
        repositories_many: 300,
        few: 120,
        pages: 20,
        blob_rows: 2_000,
        starts: 2,
        uploads_together: 8,
        uploads_pace_ms: 300,
        idle_connections: 200,
        flush_pushes: 8,
        removed_manifests: 200,
        collect_window_ms: 2_500,
        peer_images: 5,
        tags_deleted: 200,
        tags_kept: 200,
        backup_blobs: 5,
    };
}
