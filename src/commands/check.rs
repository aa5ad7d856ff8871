//! `coracle check`: proves that every row has its bytes, beside a running server or without one.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use crate::api::control::CheckState;
use crate::config::Settings;
use crate::exit::Exit;
use crate::http::client::request_unix;
use crate::progress::{Progress as Bar, Style, Unit};
use crate::registry::check::{CheckOptions, Progress, Report};
use crate::serve::{Coracle, Error, is_locked};
use crate::store::layout::Layout;

/// How often a running server is asked how far it is.
const POLL: Duration = Duration::from_millis(100);

/// How the outcome is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// As one JSON object.
    pub json: bool,
    /// Not at all: the exit code tells.
    pub quiet: bool,
}

/// Checks the store of `settings` and prints what was found. [`Exit::Failed`] when something is
/// wrong.
///
/// # Errors
/// The check could not be made.
pub fn run(settings: Settings, options: CheckOptions, output: Output) -> Result<Exit, Error> {
    let layout = Layout::new(&settings.storage.data);
    if !layout.catalog().exists() {
        let why = format!(
            "there is no registry in {}; name its folder with --data",
            layout.root().display()
        );
        return Err(Error::Io(io::Error::new(io::ErrorKind::NotFound, why)));
    }
    let unit = if options.deep {
        Unit::Bytes
    } else {
        Unit::Items("blobs")
    };
    let style = Style::for_stderr(output.json || output.quiet);
    let mut bar = Bar::new(Box::new(io::stderr()), style, "checking", unit, None);
    let report = match Coracle::open(settings) {
        Ok(coracle) => {
            let outcome = coracle
                .registry()
                .check(options, &mut |at| bar.set(at.done, Some(at.total)));
            coracle.close()?;
            outcome.map_err(|error| Error::Io(io::Error::other(error.to_string())))?
        }
        Err(error) if is_locked(&error) => match ask_server(&layout, options, &mut bar) {
            Ok(report) => report,
            // Nobody listens: the holder is no server, and its name is what helps.
            Err(none) if none.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
            Err(none) if none.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(other) => return Err(Error::Io(other)),
        },
        Err(error) => return Err(error),
    };
    bar.finish();
    if !output.quiet {
        print(&report, output)?;
    }
    Ok(if report.is_sound() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

/// Has the running server check itself, and follows it to its end.
fn ask_server(layout: &Layout, options: CheckOptions, bar: &mut Bar) -> io::Result<Report> {
    let socket = layout.control();
    let body = serde_json::to_vec(&options)?;
    let (status, answer) = request_unix(&socket, "POST", "/check", &body)?;
    if status != 202 {
        return Err(io::Error::other(
            String::from_utf8_lossy(&answer).into_owned(),
        ));
    }
    loop {
        let (_, answer) = request_unix(&socket, "GET", "/check", &[])?;
        match serde_json::from_slice(&answer)? {
            CheckState::Running {
                progress: Progress { done, total },
            } => bar.set(done, Some(total)),
            CheckState::Done { report } => return Ok(report),
            CheckState::Failed { reason } => return Err(io::Error::other(reason)),
            CheckState::Idle => {
                return Err(io::Error::other("the server lost the check; run it again"));
            }
        }
        thread::sleep(POLL);
    }
}

fn print(report: &Report, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if output.json {
        serde_json::to_writer(&mut out, report)?;
        return writeln!(out);
    }
    for finding in &report.findings {
        let mended = if finding.repaired {
            " (dealt with)"
        } else {
            ""
        };
        writeln!(
            out,
            "{}: {}{mended}",
            finding.subject,
            finding.kind.as_str()
        )?;
    }
    let listed = report.findings.len() as u64;
    let found = report.faults + report.orphans;
    if found > listed {
        writeln!(out, "and {} more", found - listed)?;
    }
    writeln!(
        out,
        "{} blobs with {} bytes{}: {} faults, {} orphans with {} bytes, {} dealt with",
        report.blobs,
        report.blob_bytes,
        if report.options.deep {
            ", all hashed"
        } else {
            ""
        },
        report.faults,
        report.orphans,
        report.orphan_bytes,
        report.repaired
    )?;
    if report.faults > report.repaired {
        writeln!(
            out,
            "run `coracle check --repair` to take what is broken out of service, and push it again \
             to heal it"
        )?;
    }
    Ok(())
}
