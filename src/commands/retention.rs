//! `coracle retention`: what goes by the rules of the configuration, and having it go.

use std::io::{self, Write};

use super::task::{self, Output};
use crate::config::Settings;
use crate::progress::human_bytes;
use crate::registry::retention::{Item, Report, RetentionOptions};
use crate::serve::Error;

/// Plans or runs retention of the registry of `settings`, by the rules of the server that has its
/// folder or by those of `settings`, and prints each item.
///
/// # Errors
/// It could not be done.
pub fn run(settings: Settings, options: &RetentionOptions, json: bool) -> Result<(), Error> {
    let output = Output { json, quiet: false };
    let mut drawn = output.progress();
    let report = task::run(
        settings,
        "retention",
        options,
        &mut drawn,
        |registry, tell| registry.retention(options, tell),
    )?;
    drawn.finish();
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        print(&mut out, &report, options.run)?;
    }
    out.flush()?;
    Ok(())
}

fn print(out: &mut impl Write, report: &Report, is_run: bool) -> io::Result<()> {
    for item in &report.items {
        writeln!(out, "{}", line(item))?;
    }
    let (tags, manifests) = (report.tags, report.manifests);
    let (go, free) = if is_run {
        ("went", "freed")
    } else {
        ("would go", "would be freed")
    };
    let bytes = human_bytes(report.bytes);
    writeln!(
        out,
        "{tags} tags and {manifests} manifests {go}, {bytes} {free}"
    )?;
    if report.left > 0 {
        writeln!(out, "{} stay: they have changed meanwhile", report.left)?;
    }
    if report.more {
        writeln!(out, "there are more; run it again")?;
    }
    Ok(())
}

/// An item as a line for people: what, why, by which rule, how much.
fn line(item: &Item) -> String {
    let Item {
        repository,
        tag,
        digest,
        rule,
        reason,
        bytes,
    } = item;
    let what = match tag {
        Some(tag) => format!("{repository}:{tag}"),
        None => format!("{repository}@{digest}"),
    };
    format!("{what}: {reason} ({rule}), frees {}", human_bytes(*bytes))
}
