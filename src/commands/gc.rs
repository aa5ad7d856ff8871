//! `coracle gc` and `coracle garbage-collect`: removes what nothing refers to any more, beside a
//! running server or without one.

use std::io::{self, Write};

use super::task::{self, Output};
use crate::config::Settings;
use crate::exit::Exit;
use crate::registry::gc::{GcOptions, GcReport, Share};
use crate::serve::Error;

/// Collects in the store of `settings` and prints what went and what waits.
///
/// # Errors
/// It could not be done, or not to its end.
pub fn run(settings: Settings, options: GcOptions, output: Output) -> Result<Exit, Error> {
    let mut drawn = output.progress();
    let report = task::run(settings, "gc", &options, &mut drawn, |registry, tell| {
        let options = GcOptions {
            alone: true,
            ..options
        };
        registry.collect(options, tell)
    })?;
    drawn.finish();
    if !output.quiet {
        print(&report, output)?;
    }
    Ok(Exit::Ok)
}

fn print(report: &GcReport, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if output.json {
        serde_json::to_writer(&mut out, report)?;
        return writeln!(out);
    }
    let removed = if report.options.dry_run {
        "would remove"
    } else {
        "removed"
    };
    writeln!(
        out,
        "{removed} {} blobs with {} bytes, {} manifests for good, and the history of {} tags, in \
         {}.{:03} s",
        report.blobs,
        report.bytes,
        report.manifests,
        report.histories,
        report.duration_ms / 1000,
        report.duration_ms % 1000
    )?;
    if report.options.delete_untagged {
        writeln!(out, "{} manifests had no tag", report.untagged)?;
    }
    if !report.complete {
        writeln!(out, "there is more than is looked at without doing it")?;
    }
    if let Some(waiting) = &report.waiting {
        let grace = "that nothing refers to, kept because they are new or a client has just found \
                     them";
        let undo = "that were removed and can be brought back, kept with what they need";
        print_share(&mut out, "blobs", grace, &waiting.grace)?;
        print_share(&mut out, "manifests", undo, &waiting.undo)?;
    }
    if let Some(doubt) = &report.clock {
        writeln!(
            out,
            "nothing was removed by its age: {doubt}; `coracle gc --now` waits for nothing"
        )?;
    }
    Ok(())
}

fn print_share(out: &mut impl Write, what: &str, which: &str, share: &Share) -> io::Result<()> {
    let Some(until) = &share.until else {
        return Ok(());
    };
    writeln!(
        out,
        "{} {what} {which}, until {until}: {} bytes",
        share.count, share.bytes
    )
}
