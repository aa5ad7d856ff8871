//! Pushing: many small images, and few large layers.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::{Context, Figures, fresh_turn};
use crate::Outcome;
use crate::content::{Blob, Image, LargeBlobs, digest};
use crate::load::{push_blob, push_image, share, verify_blob};
use crate::measure::{Goal, real_len};
use crate::peers::{Kind, Server};
use crate::report::RowReport;
use crate::system::MB;

const SMALL_CLIENTS: usize = 8;
const LARGE_CLIENTS: usize = 2;
/// Bytes that the limit hashes and writes at a time.
const LIMIT_STEP_BYTES: usize = 256 * 1024;

/// Small images: each round pushes its own.
pub fn small(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let mut kinds = vec![Kind::Coracle, Kind::DockerRegistry];
    let mut rates = Figures::default();
    // The round before the first is not counted: it makes the disk and the caches what they are
    // for all others.
    for round in 0..=scale.rounds {
        let seed = 1_000 + round as u64;
        let images = Image::many(seed, scale.images, scale.layers, scale.layer_small_bytes);
        let reached = fresh_turn(context, report, &mut kinds, round, |server| {
            let took = share(server.address, SMALL_CLIENTS, &images, push_image)?;
            verify_image(server, &images[round % images.len()])?;
            Ok(real_len(images.len()) / took.as_secs_f64())
        })?;
        rates.push_all(reached.into_iter().filter(|_| round > 0));
    }
    rates.report(report, "images/s");
    report.judge_ratio(
        "coracle",
        "docker-registry",
        "images/s",
        Goal::AtLeast(14.0),
    );
    Ok(())
}

/// Large layers, also against a process that only hashes and writes the same bytes.
pub fn large(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let mut kinds = vec![Kind::Coracle, Kind::DockerRegistry];
    let mut blobs = LargeBlobs::new(2_000, scale.layer_large_bytes);
    let (mut rates, mut one, mut two) = (Figures::default(), Vec::new(), Vec::new());
    for round in 0..=scale.rounds {
        let layers = blobs.take(LARGE_CLIENTS * scale.layers_large_each);
        let megabytes = real_len(layers.iter().map(Blob::len).sum()) / MB;
        let limits =
            [1, LARGE_CLIENTS].map(|threads| limit(context.folder.path(), &layers, threads));
        let reached = fresh_turn(context, report, &mut kinds, round, |server| {
            let took = share(
                server.address,
                LARGE_CLIENTS,
                &layers,
                |connection, layer| push_blob(connection, "bench/large", layer),
            )?;
            Ok(megabytes / took.as_secs_f64())
        })?;
        if round > 0 {
            rates.push_all(reached);
            let [of_one, of_two] = limits;
            one.push(megabytes / of_one?);
            two.push(megabytes / of_two?);
        }
    }
    rates.report(report, "MB/s");
    report.add("hash and write, 1 thread", "MB/s", one);
    report.add("hash and write, 2 threads", "MB/s", two);
    report.judge_ratio("coracle", "docker-registry", "MB/s", Goal::AtLeast(2.0));
    report.judge_ratio(
        "coracle",
        "hash and write, 1 thread",
        "MB/s",
        Goal::AtLeast(0.8),
    );
    report.judge_ratio(
        "coracle",
        "hash and write, 2 threads",
        "MB/s",
        Goal::AtLeast(0.8),
    );
    report.notes.push(
        "the limit is this process hashing with sha256 and writing the same layers to files on \
         the same disk, each ended by fdatasync, without any network"
            .into(),
    );
    Ok(())
}

/// Checks that what was acknowledged is there, byte for byte.
fn verify_image(server: &Server, image: &Image) -> Outcome<()> {
    let mut connection = server.connect()?;
    for blob in &image.blobs {
        verify_blob(&mut connection, &image.repository, blob)?;
    }
    Ok(())
}

/// Seconds that `threads` need to hash and write the layers durably, and nothing else.
fn limit(parent: &Path, layers: &[Blob], threads: usize) -> Outcome<f64> {
    let folder = crate::work::fresh_in(parent)?;
    rustix::fs::sync();
    let next = AtomicUsize::new(0);
    let work = || -> Outcome<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(layer) = layers.get(index) else {
                return Ok(());
            };
            hash_and_write(&folder.path().join(index.to_string()), layer)?;
        }
    };
    let started = Instant::now();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a writer of the limit panicked".into()))
        })
    })?;
    let took = started.elapsed().as_secs_f64();
    fs::remove_dir_all(folder.path())?;
    rustix::fs::sync();
    Ok(took)
}

fn hash_and_write(path: &Path, layer: &Blob) -> Outcome<()> {
    let mut file = File::create(path)?;
    let mut hash = Sha256::new();
    for step in layer
        .parts()
        .iter()
        .flat_map(|part| part.chunks(LIMIT_STEP_BYTES))
    {
        hash.update(step);
        file.write_all(step)?;
    }
    file.sync_data()?;
    if digest(&hash.finalize()) != layer.digest {
        return Err("the limit hashed other bytes than the clients sent".into());
    }
    Ok(())
}
