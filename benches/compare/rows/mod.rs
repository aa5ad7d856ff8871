//! The rows of the table, in its order, and what they share: servers that take turns.

mod auth;
mod collect;
mod flushes;
mod listing;
mod memory;
mod pull;
mod push;
mod requests;
mod scrape;
mod size;
mod start;
mod tls;
mod upkeep;
mod webhooks;

use std::path::Path;
use std::time::Instant;

use crate::Outcome;
use crate::options::{Options, Scale};
use crate::peers::{Door, Kind, Server};
use crate::report::RowReport;
use crate::tls::Material;
use crate::work::WorkFolder;

/// Everything a row needs besides its report.
pub struct Context<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// The sizes of the work.
    pub scale: Scale,
    /// Where temporary folders are made.
    pub folder: WorkFolder,
    started: Instant,
}

impl<'a> Context<'a> {
    /// Makes the work folder of this run.
    pub fn new(options: &'a Options) -> Outcome<Self> {
        let folder = WorkFolder::make(&options.dir)?;
        Ok(Self {
            options,
            scale: options.scale(),
            folder,
            started: Instant::now(),
        })
    }

    /// Whether no further row may start.
    pub fn out_of_time(&self) -> bool {
        self.started.elapsed().as_secs() >= self.options.budget_s
    }

    /// Starts a server on a fresh folder.
    pub fn start(&self, kind: Kind) -> Outcome<Server> {
        Server::start(kind, &self.options.coracle, self.folder.path(), Door::Open)
    }

    /// Starts a server on a fresh folder that speaks TLS with this certificate.
    pub fn start_tls(&self, kind: Kind, tls: &Material) -> Outcome<Server> {
        let door = Door::Tls(tls);
        Server::start(kind, &self.options.coracle, self.folder.path(), door)
    }

    /// Starts a server on `folder`, which outlives it.
    pub fn start_on(&self, kind: Kind, folder: &Path) -> Outcome<Server> {
        self.start_behind(Door::Open, kind, folder)
    }

    /// The same with a door.
    pub fn start_behind(&self, door: Door<'_>, kind: Kind, folder: &Path) -> Outcome<Server> {
        Server::start_on(kind, &self.options.coracle, folder, door)
    }
}

/// One row of the table.
pub struct Row {
    /// Name for `--only`.
    pub id: &'static str,
    /// The work, in words.
    pub work: &'static str,
    /// Measures it into the report.
    pub measure: fn(&Context<'_>, &mut RowReport) -> Outcome<()>,
}

/// Every row, in the order of the table.
const ROWS: &[Row] = &[
    Row {
        id: "push-small",
        work: "push 200 images of 4 × 64 KiB layers, 8 clients",
        measure: push::small,
    },
    Row {
        id: "push-large",
        work: "push 100 MB layers, 2 clients",
        measure: push::large,
    },
    Row {
        id: "pull-small",
        work: "pull the small images, 8 clients",
        measure: pull::small,
    },
    Row {
        id: "manifest-get",
        work: "GET manifest by tag, 16 clients",
        measure: requests::manifest_get,
    },
    Row {
        id: "auth-bearer",
        work: "GET manifest by tag with a Bearer token, 16 clients",
        measure: auth::bearer,
    },
    Row {
        id: "auth-basic",
        work: "GET manifest by tag with a password (Basic), 16 clients",
        measure: auth::basic,
    },
    Row {
        id: "pull-large",
        work: "pull 100 MB layers, 2 clients",
        measure: pull::large,
    },
    Row {
        id: "tls-pull",
        work: "TLS pull of 100 MB layers, 2 clients",
        measure: tls::pull,
    },
    Row {
        id: "tls-connections",
        work: "new TLS connections with one request each, 16 clients, no resumption",
        measure: tls::connections,
    },
    Row {
        id: "tls-idle",
        work: "resident memory with 10,000 idle TLS connections",
        measure: tls::idle,
    },
    Row {
        id: "blob-head",
        work: "HEAD blob, 16 clients",
        measure: requests::blob_head,
    },
    Row {
        id: "first-page",
        work: "first page (100) of 1,000,000 tags and of 100,000 repositories, against 1,000",
        measure: listing::first_page,
    },
    Row {
        id: "scrape",
        work: "a scrape of /metrics with 100,000 repositories",
        measure: scrape::scrape,
    },
    Row {
        id: "start",
        work: "start to first answer with 1,000,000 blobs in the catalog",
        measure: start::start,
    },
    Row {
        id: "memory",
        work: "resident memory: idle; 64 clients each pushing 100 MB; 10,000 idle connections",
        measure: memory::memory,
    },
    Row {
        id: "flushes",
        work: "flushes to the device per push of a config, 3 layers and a manifest",
        measure: flushes::flushes,
    },
    Row {
        id: "collect",
        work: "collect 100,000 manifests and 500,000 blobs while 8 clients push",
        measure: collect::collect,
    },
    Row {
        id: "delete-tagged",
        work: "DELETE by digest of a manifest with 10,000 tags",
        measure: upkeep::delete_tagged,
    },
    Row {
        id: "upkeep-lists",
        work: "coracle du and retention plan with 100,000 tags",
        measure: upkeep::lists,
    },
    Row {
        id: "backup",
        work: "backup of 5 GB by hard link, twice into one folder",
        measure: upkeep::backup,
    },
    Row {
        id: "webhooks",
        work: "push small images with one dead and one slow webhook, 8 clients",
        measure: webhooks::webhooks,
    },
    Row {
        id: "binary-size",
        work: "release binary, stripped",
        measure: size::binary_size,
    },
];

/// The rows named, or all; an unknown name is an error that lists them.
pub fn choose(only: &[String]) -> Outcome<Vec<&'static Row>> {
    for name in only {
        if !ROWS.iter().any(|row| row.id == name) {
            let known: Vec<_> = ROWS.iter().map(|row| row.id).collect();
            return Err(format!("no row is called {name}; there are {}", known.join(", ")).into());
        }
    }
    let wanted = |row: &&Row| only.is_empty() || only.iter().any(|name| name == row.id);
    Ok(ROWS.iter().filter(wanted).collect())
}

/// Servers that take turns at the same work. One that cannot start or fails is left out from
/// then on, and the report says so.
pub struct Peers {
    /// Those that are still in.
    pub servers: Vec<Server>,
}

impl Peers {
    /// Starts servers of these kinds on fresh folders; an error when none of them starts.
    pub fn start(context: &Context<'_>, report: &mut RowReport, kinds: &[Kind]) -> Outcome<Self> {
        Self::start_with(report, kinds, |kind| context.start(kind))
    }

    /// As [`Peers::start`], each with `start`.
    pub fn start_with(
        report: &mut RowReport,
        kinds: &[Kind],
        start: impl Fn(Kind) -> Outcome<Server>,
    ) -> Outcome<Self> {
        let mut servers = Vec::new();
        for kind in kinds {
            match start(*kind) {
                Ok(server) => servers.push(server),
                Err(error) => report.fail(kind.name(), &error),
            }
        }
        if servers.is_empty() {
            return Err("no server could be started".into());
        }
        Ok(Self { servers })
    }

    /// Lets each server do `work` once, starting with another one each `turn`, and gives what
    /// each reached. A server that fails is ended and named in the report.
    pub fn turn<T>(
        &mut self,
        report: &mut RowReport,
        turn: usize,
        mut work: impl FnMut(&Server) -> Outcome<T>,
    ) -> Vec<(Kind, T)> {
        let mut reached = Vec::new();
        let mut failed = Vec::new();
        for step in 0..self.servers.len() {
            let server = &self.servers[(turn + step) % self.servers.len()];
            match work(server) {
                Ok(value) => reached.push((server.kind, value)),
                Err(error) => {
                    report.fail(server.name(), &error);
                    failed.push(server.kind);
                }
            }
        }
        self.servers.retain(|server| !failed.contains(&server.kind));
        reached
    }
}

/// Lets each kind of server do `work` once, on a fresh server in a fresh folder whose files are
/// emptied before the next one starts, so that all of them write to the same part of the disk:
/// where the disk is an image that its host fills on demand, a part written for the first time
/// is several times slower. A kind that fails is named in the report and left out from then on.
pub fn fresh_turn(
    context: &Context<'_>,
    report: &mut RowReport,
    kinds: &mut Vec<Kind>,
    turn: usize,
    mut work: impl FnMut(&Server) -> Outcome<f64>,
) -> Outcome<Vec<(Kind, f64)>> {
    let mut order = kinds.clone();
    if order.is_empty() {
        return Err("no server is left to measure".into());
    }
    order.rotate_left(turn % kinds.len());
    let mut reached = Vec::new();
    for kind in order {
        let done = context.start(kind).and_then(|server| {
            rustix::fs::sync();
            work(&server)
        });
        // The server has ended and its files are empty; now the disk may use that space again.
        rustix::fs::sync();
        match done {
            Ok(value) => reached.push((kind, value)),
            Err(error) => {
                report.fail(kind.name(), &error);
                kinds.retain(|known| *known != kind);
            }
        }
    }
    Ok(reached)
}

/// Figures of several kinds of server, gathered round by round.
#[derive(Default)]
pub struct Figures(Vec<(Kind, Vec<f64>)>);

impl Figures {
    /// Adds the figure that `kind` reached in a round.
    pub fn push(&mut self, kind: Kind, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, values)) => values.push(value),
            None => self.0.push((kind, vec![value])),
        }
    }

    /// Adds what each kind reached in a round.
    pub fn push_all(&mut self, reached: impl IntoIterator<Item = (Kind, f64)>) {
        for (kind, value) in reached {
            self.push(kind, value);
        }
    }

    /// Writes every series into the report, those that came in first at the top.
    pub fn report(self, report: &mut RowReport, unit: &'static str) {
        let mut figures = self.0;
        figures.sort_by_key(|(kind, _)| *kind as u8);
        for (kind, values) in figures {
            report.add(kind.name(), unit, values);
        }
    }
}
