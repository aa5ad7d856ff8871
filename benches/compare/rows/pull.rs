//! Pulling: many small images, and few large layers against a static file server.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Context, Figures, Peers};
use crate::Outcome;
use crate::content::{Blob, Image, LargeBlobs, blob_target};
use crate::load::{
    Repeated, pull_blob, pull_image, push_blob, push_image, repeat, share, verify_blob,
};
use crate::measure::{Goal, real_len};
use crate::peers::{Kind, Server};
use crate::report::RowReport;
use crate::system::{MB, cpu_seconds};

const SMALL_CLIENTS: usize = 8;
const LARGE_CLIENTS: usize = 2;
/// Large layers that are pulled over and over.
pub const LARGE_LAYERS: usize = 4;
const REPOSITORY: &str = "bench/large";

/// Small images, over and over for the same time.
pub fn small(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let mut peers = Peers::start(context, report, &[Kind::Coracle, Kind::DockerRegistry])?;
    let images = Image::many(3_000, scale.images, scale.layers, scale.layer_small_bytes);
    peers.turn(report, 0, |server| {
        share(server.address, SMALL_CLIENTS, &images, push_image)?;
        share(server.address, 1, &images[..1], |connection, image| {
            image
                .blobs
                .iter()
                .try_for_each(|it| verify_blob(connection, &image.repository, it))
        })
    });
    rustix::fs::sync();
    let window = Duration::from_millis(scale.window_ms);
    let mut rates = Figures::default();
    for round in 0..scale.rounds {
        let reached = peers.turn(report, round, |server| {
            repeat(server.address, SMALL_CLIENTS, window, &images, pull_image).map(Repeated::rate)
        });
        rates.push_all(reached);
    }
    rates.report(report, "images/s");
    report.judge_ratio(
        "coracle",
        "docker-registry",
        "images/s",
        Goal::AtLeast(25.0),
    );
    Ok(())
}

/// Large layers, with the processor time that the servers spend on them.
pub fn large(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let kinds = [Kind::Coracle, Kind::Nginx, Kind::DockerRegistry];
    let mut peers = Peers::start(context, report, &kinds)?;
    let layers = LargeBlobs::new(4_000, scale.layer_large_bytes).take(LARGE_LAYERS);
    large_rounds(context, report, &mut peers, &layers);
    report.judge_ratio("coracle", "nginx", "MB/s", Goal::AtLeast(0.95));
    report.judge_ratio("coracle", "nginx", "CPU s/GB", Goal::AtMost(1.2));
    Ok(())
}

/// Lets servers give out large layers in turns, and reports rates and costs.
pub fn large_rounds(
    context: &Context<'_>,
    report: &mut RowReport,
    peers: &mut Peers,
    layers: &[Blob],
) {
    let scale = &context.scale;
    peers.turn(report, 0, |server| provide(server, layers));
    rustix::fs::sync();
    let window = Duration::from_millis(scale.window_ms);
    let (mut rates, mut costs) = (Figures::default(), Figures::default());
    for round in 0..scale.rounds {
        let reached = peers.turn(report, round, |server| {
            let before = cpu_seconds(server.pid())?;
            let pulled = repeat(
                server.target(),
                LARGE_CLIENTS,
                window,
                layers,
                |it, layer| pull_blob(it, REPOSITORY, layer),
            )?;
            let used = cpu_seconds(server.pid())? - before;
            let megabytes = real_len(pulled.done * scale.layer_large_bytes) / MB;
            Ok((
                megabytes / pulled.took.as_secs_f64(),
                used * 1000.0 / megabytes,
            ))
        });
        for (kind, (rate, cost)) in reached {
            rates.push(kind, rate);
            costs.push(kind, cost);
        }
    }
    rates.report(report, "MB/s");
    costs.report(report, "CPU s/GB");
}

/// Puts blobs where a server gives them out: pushed, or as files; then reads each back whole.
pub fn provide(server: &Server, blobs: &[Blob]) -> Outcome<()> {
    for blob in blobs {
        if server.kind == Kind::Nginx {
            let target = blob_target(REPOSITORY, blob);
            write_file(&server.data().join(target.trim_start_matches('/')), blob)?;
        } else {
            push_blob(&mut server.connect()?, REPOSITORY, blob)?;
        }
        verify_blob(&mut server.connect()?, REPOSITORY, blob)?;
    }
    Ok(())
}

/// Where [`provide`] lets a blob be got.
pub fn target(blob: &Blob) -> String {
    blob_target(REPOSITORY, blob)
}

fn write_file(path: &Path, blob: &Blob) -> Outcome<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create(path)?;
    for part in blob.parts() {
        file.write_all(part)?;
    }
    Ok(())
}
