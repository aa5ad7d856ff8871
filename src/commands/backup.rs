//! `coracle backup`: a second copy of everything, beside a running server or without one.

use std::io::{self, Write};
use std::path::Path;

use super::task::{self, Output};
use crate::config::Settings;
use crate::exit::Exit;
use crate::registry::backup::{BackupOptions, BackupReport};
use crate::registry::copies::Faults;
use crate::serve::Error;

/// Backs the store of `settings` up to the folder `to` and prints what came of it.
/// [`Exit::Failed`] when something in the store is wrong; the backup is made all the same.
///
/// # Errors
/// The backup could not be made; an earlier one in the folder is as it was.
pub fn run(settings: Settings, to: &Path, verify: bool, output: Output) -> Result<Exit, Error> {
    let options = BackupOptions {
        // A server has another working folder.
        to: std::path::absolute(to)?,
        verify,
    };
    let mut drawn = output.progress();
    let report = task::run(
        settings,
        "backup",
        &options,
        &mut drawn,
        |registry, tell| registry.backup(&options, tell),
    )?;
    drawn.finish();
    if !output.quiet {
        print(&report, output.json)?;
    }
    Ok(if report.is_sound() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn print(report: &BackupReport, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        return writeln!(out);
    }
    print_faults(&mut out, &report.faults)?;
    let (contents, files) = (&report.contents, &report.files);
    writeln!(
        out,
        "{}: {} repositories, {} tags, {} manifests, {} blobs with {} bytes{}",
        report.to.display(),
        contents.repositories,
        contents.tags,
        contents.manifests,
        contents.blobs,
        contents.blob_bytes,
        if report.verified { ", all hashed" } else { "" },
    )?;
    writeln!(
        out,
        "files: {} kept, {} linked, {} cloned, {} copied, {} new bytes; {} old ones removed",
        files.kept, files.linked, files.cloned, files.copied, files.new_bytes, report.removed
    )?;
    if report.out_of_service > 0 {
        writeln!(
            out,
            "{} blobs are out of service and not in the backup; push them again to heal them",
            report.out_of_service
        )?;
    }
    if !report.is_sound() {
        writeln!(
            out,
            "what is wrong is out of service in the backup; run `coracle check --deep --repair`, \
             push it again and back up once more"
        )?;
    }
    writeln!(
        out,
        "token.key is not part of a backup: after a restore, clients get new tokens"
    )
}

/// What is wrong, a line each.
pub(super) fn print_faults(out: &mut dyn Write, faults: &Faults) -> io::Result<()> {
    for finding in &faults.findings {
        writeln!(out, "{}: {}", finding.subject, finding.kind.as_str())?;
    }
    let listed = faults.findings.len() as u64;
    if faults.count > listed {
        writeln!(out, "and {} more", faults.count - listed)?;
    }
    Ok(())
}
