//! Resident memory: idle, with many large uploads in progress together, with many connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Context, Figures};
use crate::client::{Connection, Head, expect, request};
use crate::content::{Blob, LargeBlobs};
use crate::load::{open_upload, race};
use crate::measure::Goal;
use crate::peers::{Kind, Server};
use crate::report::RowReport;
use crate::system::{memory_mb, open_files_max};
use crate::{Outcome, Skipped};

/// How long a server is left alone before it counts as idle.
const SETTLE: Duration = Duration::from_secs(1);
/// Steps in which a paced upload is sent.
const STEPS: u32 = 100;
const IDLE: &str = "MB idle";
const UPLOADS: &str = "MB at most, uploads in progress together";
const CONNECTIONS: &str = "MB with idle connections";

/// All three, for Coracle and, to compare, docker-registry. Each on a fresh server.
#[expect(clippy::unnecessary_wraps, reason = "every row has this signature")]
pub fn memory(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let measures: [(&str, Measure); 3] =
        [(IDLE, idle), (UPLOADS, uploads), (CONNECTIONS, connections)];
    for (unit, measure) in measures {
        let mut figures = Figures::default();
        for kind in [Kind::Coracle, Kind::DockerRegistry] {
            let reached = context
                .start(kind)
                .and_then(|server| measure(context, &server, report));
            match reached {
                Ok(megabytes) => figures.push(kind, megabytes),
                Err(error) => report.fail(&format!("{}, {unit}", kind.name()), &error),
            }
        }
        figures.report(report, unit);
    }
    for (unit, bound) in [(IDLE, 10.0), (UPLOADS, 48.0), (CONNECTIONS, 60.0)] {
        let value = report.median("coracle", unit);
        report.judge(
            unit.trim_start_matches("MB "),
            value,
            "MB",
            Goal::AtMost(bound),
        );
    }
    Ok(())
}

type Measure = fn(&Context<'_>, &Server, &mut RowReport) -> Outcome<f64>;

/// After its first answer and a pause.
fn idle(_: &Context<'_>, server: &Server, _: &mut RowReport) -> Outcome<f64> {
    thread::sleep(SETTLE);
    Ok(memory_mb(server.pid())?.0)
}

/// The peak while many clients push large layers, stretched so that all are in progress at once.
fn uploads(context: &Context<'_>, server: &Server, report: &mut RowReport) -> Outcome<f64> {
    let scale = &context.scale;
    let blobs = LargeBlobs::new(8_000, scale.layer_large_bytes).take(scale.uploads_together);
    let step = Duration::from_millis(scale.uploads_pace_ms) / STEPS;
    let (open, together) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let started = Instant::now();
    race(server.address, blobs.len(), |index, connection| {
        let target = open_upload(connection, "bench/paced", &blobs[index])?;
        connection.announce("PUT", &target, blobs[index].len())?;
        together.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        feed_slowly(connection, &blobs[index], started, step)?;
        open.fetch_sub(1, Ordering::Relaxed);
        expect(connection.receive("PUT", &mut |_| {})?, 201, "PUT", &target)?;
        Ok(())
    })?;
    report.notes.push(format!(
        "{}: {} uploads of {} bytes were in progress together",
        server.name(),
        together.into_inner(),
        scale.layer_large_bytes
    ));
    Ok(memory_mb(server.pid())?.1)
}

/// Sends a body in equal steps, none before its time.
fn feed_slowly(
    connection: &mut Connection,
    blob: &Blob,
    started: Instant,
    step: Duration,
) -> Outcome<()> {
    let step_bytes = blob.len() / STEPS as usize + 1;
    let mut due = started;
    for bytes in blob.parts().iter().flat_map(|part| part.chunks(step_bytes)) {
        due += step;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.feed(bytes)?;
    }
    Ok(())
}

/// With many connections that have each had an answer and are kept open.
fn connections(context: &Context<'_>, server: &Server, report: &mut RowReport) -> Outcome<f64> {
    let wanted = context.scale.idle_connections;
    if open_files_max() < wanted as u64 + 200 {
        let limit = open_files_max();
        return Err(Skipped(format!("only {limit} open files are permitted")).into());
    }
    let ping = request("GET", "/v2/", server.address, "");
    let mut held = Vec::with_capacity(wanted);
    for count in 0..wanted {
        let one = one_answer(server, &ping);
        held.push(one.map_err(|error| format!("connection {} of {wanted}: {error}", count + 1))?);
    }
    thread::sleep(SETTLE);
    let (now, _) = memory_mb(server.pid())?;
    let alive = held
        .iter_mut()
        .filter_map(|it| still_open(it).ok())
        .filter(|it| *it)
        .count();
    report.notes.push(format!(
        "{}: {alive} of {wanted} idle connections open",
        server.name()
    ));
    if alive < wanted {
        return Err(format!("closed {} of {wanted} idle connections", wanted - alive).into());
    }
    Ok(now)
}

/// Connects, asks once and reads the whole answer.
fn one_answer(server: &Server, ping: &str) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(ping.as_bytes())?;
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Err("closed instead of answered".into());
        }
        filled += read;
        if let Some(head) = Head::parse(&buffer[..filled])? {
            let whole = head.length as u64 + head.content_length;
            if filled as u64 >= whole {
                expect(head, 200, "GET", "/v2/")?;
                return Ok(stream);
            }
        }
    }
}

/// Whether the server has kept a connection on which nothing is under way.
fn still_open(stream: &mut TcpStream) -> Outcome<bool> {
    stream.set_nonblocking(true)?;
    match stream.read(&mut [0; 1]) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
        Ok(_) | Err(_) => Ok(false),
    }
}
