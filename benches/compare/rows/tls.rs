//! The same over TLS, against nginx with the same certificate: large layers, new connections, and
//! what an idle connection costs.

use std::thread;
use std::time::Duration;

use super::pull::{LARGE_LAYERS, large_rounds};
use super::{Context, Figures, Peers};
use crate::client::{Connection, expect};
use crate::content::LargeBlobs;
use crate::load::{Repeated, repeat};
use crate::measure::Goal;
use crate::peers::{Kind, Server};
use crate::report::RowReport;
use crate::system::{cpu_seconds, memory_mb, open_files_max};
use crate::tls::Material;
use crate::work::fresh_in;
use crate::{Outcome, Skipped};

const CLIENTS: usize = 16;
const KINDS: [Kind; 2] = [Kind::Coracle, Kind::Nginx];
/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// Large layers over TLS 1.3.
pub fn pull(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let folder = fresh_in(context.folder.path())?;
    let tls = Material::make(&context.options.coracle, folder.path())?;
    let mut peers = Peers::start_with(report, &KINDS, |kind| context.start_tls(kind, &tls))?;
    let layers = LargeBlobs::new(4_000, context.scale.layer_large_bytes).take(LARGE_LAYERS);
    large_rounds(context, report, &mut peers, &layers);
    report.judge_ratio("coracle", "nginx", "MB/s", Goal::AtLeast(0.9));
    Ok(())
}

/// Connections that are opened, asked one thing and closed.
pub fn connections(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let folder = fresh_in(context.folder.path())?;
    let tls = Material::make(&context.options.coracle, folder.path())?;
    let mut peers = Peers::start_with(report, &KINDS, |kind| context.start_tls(kind, &tls))?;
    let window = Duration::from_millis(context.scale.window_ms);
    let (mut rates, mut costs) = (Figures::default(), Figures::default());
    for round in 0..context.scale.rounds {
        let reached = peers.turn(report, round, |server| {
            let before = cpu_seconds(server.pid())?;
            let opened = repeat(server.target(), CLIENTS, window, &[()], |connection, ()| {
                *connection = server.connect()?;
                ask(server, connection)
            })?;
            let used = cpu_seconds(server.pid())? - before;
            let cost = used * 1e6 / crate::measure::real_len(opened.done);
            Ok((Repeated::rate(opened), cost))
        });
        for (kind, (rate, cost)) in reached {
            rates.push(kind, rate);
            costs.push(kind, cost);
        }
    }
    rates.report(report, "connections/s");
    costs.report(report, "CPU µs/connection");
    report.judge_ratio("coracle", "nginx", "connections/s", Goal::AtLeast(0.9));
    Ok(())
}

/// A small thing that both servers answer.
fn ask(server: &Server, connection: &mut Connection) -> Outcome<()> {
    let (target, status) = match server.kind {
        Kind::Nginx => ("/", 403),
        _ => ("/v2/", 200),
    };
    let head = connection.ask("GET", target, &mut |_| {})?;
    expect(head, status, "GET", target)?;
    Ok(())
}

/// Connections that have each had an answer and are kept open.
pub fn idle(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let wanted = context.scale.idle_connections;
    if open_files_max() < wanted as u64 + 200 {
        let limit = open_files_max();
        return Err(Skipped(format!("only {limit} open files are permitted")).into());
    }
    let folder = fresh_in(context.folder.path())?;
    let tls = Material::make(&context.options.coracle, folder.path())?;
    for kind in KINDS {
        let server = context.start_tls(kind, &tls)?;
        let (before, _) = memory_mb(server.pid())?;
        let mut held = Vec::with_capacity(wanted);
        for _ in 0..wanted {
            let mut connection = server.connect()?;
            ask(&server, &mut connection)?;
            connection.shrink();
            held.push(connection);
        }
        thread::sleep(SETTLE);
        let (now, _) = memory_mb(server.pid())?;
        for connection in &mut held {
            ask(&server, connection)?;
        }
        let each = (now - before) * 1e6 / crate::measure::real_len(wanted);
        report.add(kind.name(), "MB with idle connections", vec![now]);
        report.add(kind.name(), "bytes each", vec![each]);
    }
    let value = report.median("coracle", "MB with idle connections");
    report.judge("idle TLS connections", value, "MB", Goal::AtMost(100.0));
    Ok(())
}
