//! `coracle restore`: from a backup to a folder that a registry can be started in.

use std::io::{self, Write};

use super::backup::print_faults;
use super::task::{self, Output};
use crate::exit::Exit;
use crate::registry::restore::{RestoreOptions, RestoreReport, restore};
use crate::serve::Error;

/// Restores and prints what came of it. [`Exit::Failed`] when something in the backup is damaged.
///
/// # Errors
/// The restore could not be made; no registry can be started in the folder.
pub fn run(options: &RestoreOptions, output: Output) -> Result<Exit, Error> {
    let mut drawn = output.progress();
    let report = restore(options, &mut |progress| drawn.show(progress)).map_err(task::failed)?;
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

fn print(report: &RestoreReport, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        return writeln!(out);
    }
    print_faults(&mut out, &report.faults)?;
    let to = report.to.display();
    if !report.restored {
        return writeln!(
            out,
            "nothing was restored: the backup is damaged. Use another one, or run this again with \
             --partial, which takes damaged blobs out of service and restores the rest to {to}"
        );
    }
    let (contents, files) = (&report.contents, &report.files);
    writeln!(
        out,
        "{to}: {} repositories, {} tags, {} manifests, {} blobs with {} bytes, {}",
        contents.repositories,
        contents.tags,
        contents.manifests,
        contents.blobs,
        contents.blob_bytes,
        if report.verified {
            "all hashed"
        } else {
            "only their lengths compared"
        },
    )?;
    writeln!(
        out,
        "files: {} there already, {} linked, {} cloned, {} copied",
        files.kept, files.linked, files.cloned, files.copied
    )?;
    if report.out_of_service > 0 {
        writeln!(
            out,
            "{} blobs are out of service, as they were in the backup; push them again to heal them",
            report.out_of_service
        )?;
    }
    writeln!(out, "start it with `coracle serve --data {to}`")
}
