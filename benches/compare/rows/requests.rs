//! Small requests, as many as go: manifests by tag, and HEAD of blobs.

use std::time::Duration;

use super::{Context, Figures, Peers, pull};
use crate::Outcome;
use crate::content::{Blob, Image, Random};
use crate::flood::{Target, flood};
use crate::load::{Repeated, push_image, share};
use crate::measure::Goal;
use crate::peers::{Kind, Server};
use crate::report::RowReport;

/// Clients at once.
pub const CLIENTS: usize = 16;
/// Different manifests or blobs that are asked for in turn.
const TARGETS: usize = 50;
/// Bytes of a blob whose head is asked for.
const BLOB_BYTES: usize = 4096;

/// GET of manifests by tag.
pub fn manifest_get(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let mut peers = Peers::start(context, report, &[Kind::Coracle, Kind::DockerRegistry])?;
    let images = Image::many(5_000, TARGETS, context.scale.layers, BLOB_BYTES);
    peers.turn(report, 0, |server| {
        share(server.address, 4, &images, push_image)
    });
    let targets = images.iter().map(Image::target);
    let targets: Vec<Target> = targets.map(Target::plain).collect();
    rounds(context, report, &mut peers, "GET", &targets);
    report.judge_ratio(
        "coracle",
        "docker-registry",
        "requests/s",
        Goal::AtLeast(20.0),
    );
    Ok(())
}

/// HEAD of blobs, against HEAD of files.
pub fn blob_head(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let kinds = [Kind::Coracle, Kind::Nginx, Kind::DockerRegistry];
    let mut peers = Peers::start(context, report, &kinds)?;
    let mut random = Random::new(6_000);
    let blobs: Vec<Blob> = (0..TARGETS)
        .map(|_| Blob::new(random.bytes(BLOB_BYTES)))
        .collect();
    peers.turn(report, 0, |server| pull::provide(server, &blobs));
    let targets = blobs.iter().map(pull::target);
    let targets: Vec<Target> = targets.map(Target::plain).collect();
    rounds(context, report, &mut peers, "HEAD", &targets);
    report.judge_ratio("coracle", "nginx", "requests/s", Goal::AtLeast(0.5));
    Ok(())
}

/// Lets the servers answer in turns and reports their rates.
fn rounds(
    context: &Context<'_>,
    report: &mut RowReport,
    peers: &mut Peers,
    method: &str,
    targets: &[Target],
) {
    rustix::fs::sync();
    let window = Duration::from_millis(context.scale.window_ms);
    let ask =
        |server: &Server, window| flood(server.address, CLIENTS, window, method, targets, 200);
    let mut rates = Figures::default();
    for round in 0..context.scale.rounds {
        let reached = peers.turn(report, round, |server| {
            ask(server, window / 10)?;
            ask(server, window).map(Repeated::rate)
        });
        rates.push_all(reached);
    }
    rates.report(report, "requests/s");
    report
        .notes
        .push("one thread drives all connections, each with one request under way".into());
}
