//! Removing what nothing refers to any more, while others push; deleting what has many tags.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Context;
use crate::client::expect;
use crate::content::{Blob, INDEX_EMPTY, Image, Random};
use crate::fill::{TAGGED, tags};
use crate::fill_images::{BLOBS, catalog, folders};
use crate::load::{push_image, race, share};
use crate::measure::{Goal, real, real_len};
use crate::peers::{Door, Kind, Server};
use crate::report::RowReport;
use crate::{Outcome, Skipped, work};

const CLIENTS: usize = 8;
/// How long what was deleted can be brought back here.
const WINDOW: Duration = Duration::from_secs(1);

/// Images that are deleted and collected while others are pushed.
pub fn collect(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let folder = work::fresh_in(context.folder.path())?;
    context.start_on(Kind::Coracle, folder.path())?.stop();
    let filled = catalog(&folder.path().join("data"), scale.images_deleted)?;
    let settings = folder.path().join("coracle.toml");
    fs::write(
        &settings,
        format!(
            "[gc]\nenabled = false\ngrace_seconds = {}\n[undo]\nwindow_seconds = {}\n",
            scale.grace_s,
            WINDOW.as_secs()
        ),
    )?;
    rustix::fs::sync();
    let door = Door::Configured(&settings);
    let server = context.start_behind(door, Kind::Coracle, folder.path())?;
    let started = Instant::now();
    let pushes = AtomicU64::new(0);
    let alone_for = Duration::from_millis(scale.pushes_alone_ms);
    // The first pushes make the disk and the caches what they are for all others.
    push_until(&server, scale, &pushes, started + alone_for / 4)?;
    let alone = push_until(&server, scale, &pushes, Instant::now() + alone_for)?;

    let took = share(server.address, CLIENTS, &filled, |connection, image| {
        let target = format!("/v2/{}/manifests/{}", image.repository, image.digest);
        let head = connection.ask("DELETE", &target, &mut |_| {})?;
        expect(head, 202, "DELETE", &target)?;
        Ok(())
    })?;
    let deletes = real_len(filled.len()) / took.as_secs_f64();
    // What was found before the server started is not known, so it waits for a grace.
    let ready = (started + Duration::from_secs(scale.grace_s)).max(Instant::now() + WINDOW);
    thread::sleep(ready.saturating_duration_since(Instant::now()) + Duration::from_millis(200));

    let (told, beside) = collect_beside(context, &server, &pushes)?;
    let [blobs, manifests, took] = ["blobs", "manifests", "duration_ms"].map(|name| &told[name]);
    let number = |value: &Value| value.as_u64().ok_or("no number in the report");
    let (blobs, manifests, took) = (number(blobs)?, number(manifests)?, number(took)?);
    let all = filled.len() as u64;
    if (blobs, manifests) != (all * BLOBS as u64, all) {
        return Err(format!("{blobs} blobs and {manifests} manifests went: {told}").into());
    }
    let rate = real(blobs + manifests) / (real(took.max(1)) / 1000.0);
    report.add("coracle", "objects/s", vec![rate]);
    report.judge(
        "objects/s removed",
        Some(rate),
        "objects/s",
        Goal::AtLeast(5_000.0),
    );
    report.add("deletes", "manifests/s", vec![deletes]);
    tell_pushes(report, "pushes alone", &alone);
    tell_pushes(report, "pushes beside", &beside);
    report.judge_ratio(
        "pushes beside",
        "pushes alone",
        "ms (p99)",
        Goal::AtMost(1.5),
    );
    report.notes.push(format!(
        "each image has a manifest of 1,000 bytes, a tag, and {BLOBS} blobs of 100 bytes: four \
         inline, one a file; they were removed with DELETE, stayed in the past for a second, and \
         were collected by `coracle gc` in {} s while {CLIENTS} clients pushed images of {} layers \
         of {} bytes",
        took / 1000,
        scale.layers,
        scale.layer_small_bytes
    ));
    drop(server);
    if let Err(error) = peer(context, report) {
        report.fail("docker-registry", &error);
    }
    Ok(())
}

/// Times of pushes, in milliseconds, and over how many seconds they were made.
struct Pushes {
    times: Vec<f64>,
    seconds: f64,
}

fn tell_pushes(report: &mut RowReport, subject: &str, pushes: &Pushes) {
    let mut sorted = pushes.times.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |part: usize| sorted.get(sorted.len() * part / 100).copied();
    report.add(subject, "ms (p99)", at(99).into_iter().collect());
    report.add(subject, "ms (p50)", at(50).into_iter().collect());
    let rate = real_len(sorted.len()) / pushes.seconds;
    report.add(subject, "images/s", vec![rate]);
}

fn push_until(
    server: &Server,
    scale: &crate::options::Scale,
    pushes: &AtomicU64,
    end: Instant,
) -> Outcome<Pushes> {
    push_while(server, scale, pushes, || Instant::now() < end)
}

/// Clients push new images as long as they are told to.
fn push_while(
    server: &Server,
    scale: &crate::options::Scale,
    pushes: &AtomicU64,
    go_on: impl Fn() -> bool + Sync,
) -> Outcome<Pushes> {
    let times = Mutex::new(Vec::new());
    let took = race(server.address, CLIENTS, |_, connection| {
        while go_on() {
            let number = pushes.fetch_add(1, Ordering::Relaxed);
            let image = Image::random(
                &mut Random::new(40_000 + number),
                format!("bench/pushed{}", number / 10),
                format!("v{number}"),
                scale.layers,
                scale.layer_small_bytes,
            );
            let begun = Instant::now();
            push_image(connection, &image)?;
            let took = begun.elapsed().as_secs_f64() * 1000.0;
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            times.push(took);
        }
        Ok(())
    })?;
    Ok(Pushes {
        times: times.into_inner().unwrap_or_else(PoisonError::into_inner),
        seconds: took.as_secs_f64(),
    })
}

/// Collects by the command line of the running server; its report, and the pushes meanwhile.
fn collect_beside(
    context: &Context<'_>,
    server: &Server,
    pushes: &AtomicU64,
) -> Outcome<(Value, Pushes)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            let told = gc(&context.options.coracle, server.data());
            over.store(true, Ordering::Relaxed);
            told
        });
        let beside = push_while(server, &context.scale, pushes, || {
            !over.load(Ordering::Relaxed)
        });
        let told = collecting.join().map_err(|_| "the collection panicked")??;
        Ok((told, beside?))
    })
}

fn gc(coracle: &Path, data: &Path) -> Outcome<Value> {
    let said = Command::new(coracle)
        .args(["gc", "--json", "--data"])
        .arg(data)
        .output()?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr).into_owned();
        return Err(format!("coracle gc ended with {}: {why}", said.status).into());
    }
    Ok(serde_json::from_slice(&said.stdout)?)
}

/// docker-registry, which must be stopped meanwhile.
fn peer(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let (scale, kind) = (&context.scale, Kind::DockerRegistry);
    let folder = work::fresh_in(context.folder.path())?;
    context.start_on(kind, folder.path())?.stop();
    folders(&folder.path().join("data"), scale.images_deleted_peer)?;
    rustix::fs::sync();
    let program = kind.program(&context.options.coracle);
    let begun = Instant::now();
    let said = Command::new(&program)
        .arg("garbage-collect")
        .arg(folder.path().join("registry.yml"))
        .output()
        .map_err(|error| Skipped(format!("{}: {error}", program.display())))?;
    let took = begun.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&said.stdout);
    let objects = scale.images_deleted_peer * (BLOBS + 1);
    let eligible = format!("0 blobs marked, {objects} blobs and 0 manifests eligible");
    if !said.status.success() || !text.contains(&eligible) {
        let end: String = text.chars().take(300).collect();
        return Err(format!("garbage-collect ended with {}: {end}", said.status).into());
    }
    report.add(kind.name(), "objects/s", vec![real_len(objects) / took]);
    report.judge_ratio("coracle", kind.name(), "objects/s", Goal::AtLeast(1.0));
    report.notes.push(format!(
        "docker-registry was stopped while it collected {} images of the same blobs, all of them \
         files there",
        scale.images_deleted_peer
    ));
    Ok(())
}

/// A manifest that many tags point to is deleted.
pub fn delete_tagged(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let count = context.scale.tags_deleted;
    let server = context.start(Kind::Coracle)?;
    let digest = Blob::new(INDEX_EMPTY.into()).digest;
    let target = format!("/v2/{TAGGED}/manifests/{digest}");
    let mut connection = server.connect()?;
    let mut times = Vec::new();
    for _ in 0..context.scale.rounds {
        tags(&server, count)?;
        let begun = Instant::now();
        let head = connection.ask("DELETE", &target, &mut |_| {})?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        expect(head, 202, "DELETE", &target)?;
    }
    report.add("coracle", "ms", times);
    let median = report.median("coracle", "ms");
    report.judge("time of the DELETE", median, "ms", Goal::AtMost(10.0));
    Ok(())
}
