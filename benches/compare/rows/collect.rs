//! Collection beside pushes: how fast what was removed goes, and what pushes notice of it.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Context;
use super::upkeep::command;
use crate::Outcome;
use crate::client::expect;
use crate::content::{Blob, Image};
use crate::fill::removed_images;
use crate::load::{push_blob, push_image, race, share};
use crate::measure::{Goal, real};
use crate::peers::{Door, Kind, Server};
use crate::report::RowReport;

const CLIENTS: usize = 8;
/// Bytes of the layers that are pushed meanwhile.
const LAYER_BYTES: usize = 8 << 10;
/// Layers of such an image.
const LAYERS: usize = 2;

/// Removes manifests and blobs while clients push, and compares the slowest pushes with those of
/// the same server at rest.
pub fn collect(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let folder = context.folder.fresh()?;
    let rules = folder.path().join("rules.toml");
    // By command only, so that it is known when; nothing waits for longer than the row takes.
    fs::write(
        &rules,
        "[gc]\nenabled = false\ngrace_seconds = 2\n[undo]\nwindow_seconds = 1\n",
    )?;
    let open = || context.start_behind(Door::Settings(&rules), Kind::Coracle, folder.path());
    let first = open()?;
    let data = first.data().to_owned();
    // The clock is believed by what was written last.
    let blob = Blob::new(b"the newest of all".to_vec());
    push_blob(&mut first.connect()?, "bench/collect", &blob)?;
    first.stop();
    let filling = Instant::now();
    removed_images(&data, scale.removed_manifests)?;
    rustix::fs::sync();
    report.notes.push(format!(
        "filling took {:.0} s; of the 5 blobs of a manifest 4 are inline (1 KiB), 1 is a file",
        filling.elapsed().as_secs_f64()
    ));
    let server = open()?;
    let (at_rest, meanwhile, found) = beside_pushes(context, &server)?;
    let count = |name: &str| found[name].as_u64().unwrap_or(0);
    let objects = count("blobs") + count("manifests");
    let wanted = scale.removed_manifests as u64 * 6;
    if objects < wanted {
        return Err(format!("{objects} of {wanted} objects were collected: {found}").into());
    }
    let rate = real(objects) * 1000.0 / real(count("duration_ms").max(1));
    report.add("coracle", "objects/s", vec![rate]);
    report.judge(
        "collected beside 8 pushers",
        Some(rate),
        "objects/s",
        Goal::AtLeast(5000.0),
    );
    report.add("pushes at rest", "ms (p99)", vec![at_rest]);
    report.add("pushes beside it", "ms (p99)", vec![meanwhile]);
    report.judge_ratio(
        "pushes beside it",
        "pushes at rest",
        "ms (p99)",
        Goal::AtMost(1.5),
    );
    drop(server);
    match peer(context) {
        Ok(rate) => report.add("docker-registry, stopped", "objects/s", vec![rate]),
        Err(error) => report.fail("docker-registry", &error),
    }
    Ok(())
}

/// The slowest pushes at rest and beside the collection, and what that reports.
fn beside_pushes(context: &Context<'_>, server: &Server) -> Outcome<(f64, f64, serde_json::Value)> {
    let window = Duration::from_millis(context.scale.collect_window_ms);
    let seed = AtomicUsize::new(0);
    let at_rest = pushes(server, &seed, &|started| started.elapsed() < window)?;
    let going = AtomicBool::new(true);
    let (found, meanwhile) = thread::scope(|scope| -> Outcome<_> {
        let pushing = scope.spawn(|| pushes(server, &seed, &|_| going.load(Ordering::Relaxed)));
        let collected = command(context, server, &["gc"]);
        going.store(false, Ordering::Relaxed);
        let pushed = pushing.join().map_err(|_| "a client panicked")?;
        Ok((collected?.0, pushed?))
    })?;
    Ok((at_rest, meanwhile, found))
}

/// Pushes images from several clients for as long as is said; the time of the slowest in a
/// hundred, in milliseconds.
fn pushes(
    server: &Server,
    seed: &AtomicUsize,
    go_on: &(dyn Fn(Instant) -> bool + Sync),
) -> Outcome<f64> {
    let times = Mutex::new(Vec::new());
    let started = Instant::now();
    race(server.address, CLIENTS, |_, connection| {
        let mut own = Vec::new();
        while go_on(started) {
            let number = seed.fetch_add(1, Ordering::Relaxed) as u64;
            for image in Image::many(500_000 + number, 1, LAYERS, LAYER_BYTES) {
                let begun = Instant::now();
                push_image(connection, &image)?;
                own.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
        times.lock().map_err(|_| "a client panicked")?.extend(own);
        Ok(())
    })?;
    let mut times = times.into_inner().map_err(|_| "a client panicked")?;
    times.sort_by(f64::total_cmp);
    let at = (times.len() * 99 / 100).min(times.len().saturating_sub(1));
    times
        .get(at)
        .copied()
        .ok_or_else(|| "no image was pushed".into())
}

/// `docker-registry garbage-collect` on images that were deleted, which it does while nothing is
/// served: objects a second.
fn peer(context: &Context<'_>) -> Outcome<f64> {
    let images = Image::many(900, context.scale.peer_images, 4, 1024);
    let folder = context.folder.fresh()?;
    let server = context.start_on(Kind::DockerRegistry, folder.path())?;
    share(server.address, CLIENTS, &images, push_image)?;
    share(server.address, CLIENTS, &images, |connection, image| {
        let digest = Blob::new(image.manifest.clone()).digest;
        let target = format!("/v2/{}/manifests/{digest}", image.repository);
        let head = connection.ask("DELETE", &target, &mut |_| {})?;
        expect(head, 202, "DELETE", &target)?;
        Ok(())
    })?;
    server.stop();
    let program = Kind::DockerRegistry.program(&context.options.coracle);
    let started = Instant::now();
    let output = Command::new(program)
        .arg("garbage-collect")
        .arg(folder.path().join("registry.yml"))
        .output()?;
    let took = started.elapsed().as_secs_f64();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("docker-registry garbage-collect failed: {said}").into());
    }
    // A manifest, a configuration and four layers each.
    Ok(real(images.len() as u64 * 6) / took)
}
