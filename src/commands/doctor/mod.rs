//! `coracle doctor`: looks at everything a registry needs of its host, says what is wrong and what
//! to do next, and prints what clients have to be told.
//!
//! It opens no store, so that it can be run beside a server and by the administrator without
//! leaving files of another owner. It writes one file to measure the disk, and removes it.

mod clients;
mod clock;
mod disk;
mod finding;
mod folder;
mod limits;
mod network;
mod print;
mod secrets;
mod tls;

use std::io;

use serde::Serialize;

pub use self::clients::{Client, Clients, clients_of};
use self::finding::Findings;
pub use self::finding::{Finding, Level};
use crate::config::{Effective, Settings, Sources};
use crate::exit::Exit;
use crate::store::layout::Layout;
use crate::store::look::{Looks, look};
use crate::store::measure::DiskFigures;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Print one object of JSON.
    pub json: bool,
    /// Write nothing, so that the disk is not measured.
    pub quick: bool,
    /// The name by which clients reach this host.
    pub host: Option<String>,
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing is at level `fail`.
    pub ok: bool,
    /// What was looked at, one by one.
    pub findings: Vec<Finding>,
    /// The speed of the disk, where it was measured.
    pub disk: Option<DiskFigures>,
    /// What clients on other machines have to be told.
    pub clients: Clients,
}

/// Looks at the host as a server with these settings would find it, and prints what was found:
/// [`Exit::Failed`] when something must be mended, [`Exit::Configuration`] when the settings
/// themselves must be.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(sources: &Sources, options: &Options) -> io::Result<Exit> {
    let mut findings = Findings::default();
    let (report, exit) = match Effective::load(sources) {
        Ok(effective) => {
            let file = effective
                .file
                .as_ref()
                .map(|file| file.display().to_string());
            match file {
                Some(file) => findings.ok("configuration", format!("{file} is sound")),
                None => findings.ok("configuration", "sound; no file is used"),
            }
            let report = examine(&effective.settings, options, findings);
            let exit = if report.ok { Exit::Ok } else { Exit::Failed };
            (report, exit)
        }
        Err(error) => {
            for problem in error.problems() {
                let advice = "mend it; `coracle config default` shows every setting. The rest is \
                              looked at once the configuration can be read";
                findings.fail("configuration", problem.to_string(), advice);
            }
            (
                Report::of(findings, None, Clients::none()),
                Exit::Configuration,
            )
        }
    };
    print::print(&report, options.json)?;
    Ok(exit)
}

impl Report {
    fn of(findings: Findings, disk: Option<DiskFigures>, clients: Clients) -> Self {
        Self {
            ok: !findings.has_failed(),
            findings: findings.into_vec(),
            disk,
            clients,
        }
    }
}

fn examine(settings: &Settings, options: &Options, mut findings: Findings) -> Report {
    let mut measured = None;
    let layout = Layout::new(&settings.storage.data);
    let looks = if settings.storage.memory {
        findings.warn(
            "data folder",
            "everything is kept in memory and is gone when the server ends (storage.memory)",
            "leave it out where content is to be kept",
        );
        None
    } else {
        let looks = look(&layout);
        folder::check(&layout, &looks, &mut findings);
        measured = disk::check(settings, &layout, options.quick, &mut findings);
        looks.ok()
    };
    clock::check(looks.as_ref(), &mut findings);
    let tls = tls::check(settings, &mut findings);
    secrets::check(settings, &mut findings);
    let pid = looks
        .and_then(|looks: Looks| looks.holder)
        .and_then(|holder| holder.pid);
    limits::check(settings, pid, &mut findings);
    network::check(settings, &layout, &mut findings);
    let clients = clients_of(settings, options.host.as_deref(), tls.is_some());
    Report::of(findings, measured, clients)
}
