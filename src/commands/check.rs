//! `coracle check`: proves that every row has its bytes, beside a running server or without one.

use std::io::{self, Write};

use super::task::{self, Output};
use crate::config::Settings;
use crate::exit::Exit;
use crate::registry::check::{CheckOptions, Report};
use crate::registry::scrub::{Round, ScrubState};
use crate::serve::Error;

/// Checks the store of `settings` and prints what was found. [`Exit::Failed`] when something is
/// wrong.
///
/// # Errors
/// The check could not be made.
pub fn run(settings: Settings, options: CheckOptions, output: Output) -> Result<Exit, Error> {
    let mut drawn = output.progress();
    let report = task::run(settings, "check", &options, &mut drawn, |registry, tell| {
        registry.check(options, tell)
    })?;
    drawn.finish();
    if !output.quiet {
        print(&report, output)?;
    }
    Ok(if report.is_sound() {
        Exit::Ok
    } else {
        Exit::Failed
    })
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
    print_scrub(&mut out, &report.scrub)?;
    if report.faults > report.repaired {
        writeln!(
            out,
            "run `coracle check --repair` to take what is broken out of service, and push it again \
             to heal it"
        )?;
    }
    Ok(())
}

/// How far the scrub in the background has come, in one line.
fn print_scrub(out: &mut dyn Write, scrub: &ScrubState) -> io::Result<()> {
    let counts = |round: &Round| {
        let counts = round.counts;
        format!(
            "{} blobs with {} bytes, {} damaged",
            counts.blobs, counts.bytes, counts.found
        )
    };
    match &scrub.last {
        Some(round) => write!(out, "last scrub: ended {}, {}", round.at, counts(round))?,
        None => write!(out, "last scrub: none has come to its end yet")?,
    }
    match &scrub.running {
        Some(round) => writeln!(out, "; under way since {}, {}", round.at, counts(round)),
        None => writeln!(out),
    }
}
