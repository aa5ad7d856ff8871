//! `GET /status` on the control socket: what the server is doing at this moment, for `coracle
//! status`. Everything in it is bounded.

use serde::{Deserialize, Serialize};

use super::health::{self, Look, State};
use super::respond::json_body;
use super::transfers::UploadState;
use super::vitals::Vitals;
use crate::clock::rfc3339;
use crate::host;
use crate::http::{Response, Stats};
use crate::metrics::webhooks::EndpointFigures;
use crate::registry::activities::Activity;
use crate::registry::scrub::ScrubState;

/// The most uploads that are told of one by one.
const UPLOADS_MAX: usize = 100;

/// What the server is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// How long ago that is, in seconds.
    pub uptime_seconds: u64,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// The addresses that it serves.
    pub listeners: Vec<ListenerState>,
    /// Whether it takes requests, and what a person should look at.
    pub health: Health,
    /// Requests.
    pub requests: Requests,
    /// Uploads whose bytes are arriving, the oldest first.
    pub uploads: Vec<UploadState>,
    /// How many there are; more than are listed, perhaps.
    pub uploads_running: u64,
    /// Upload sessions that are not finished.
    pub upload_sessions: u64,
    /// Blobs that are being sent.
    pub downloads_running: u64,
    /// What is stored; `None` when the catalog cannot be read.
    pub content: Option<Content>,
    /// The room on the disk; `None` in memory.
    pub room: Option<Room>,
    /// Long work: what runs, and how it last ended.
    pub activities: Vec<Activity>,
    /// Blobs whose time for the collection has come.
    pub collection_due: Option<u64>,
    /// How far everything was read again.
    pub scrub: Option<ScrubState>,
    /// How it stands with the webhooks.
    pub webhooks: Vec<EndpointFigures>,
}

/// An address that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerState {
    /// What for: `registry` or `ops`.
    pub name: String,
    /// The address.
    pub url: String,
}

/// Whether it takes requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it does.
    pub is_ready: bool,
    /// What fails, and what a person should look at: the part and a sentence.
    pub notes: Vec<(String, String)>,
}

/// Requests and connections of the registry's own addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// Requests since the start, those of all addresses.
    pub total: u64,
    /// Requests a second, on the average of the last ten.
    pub per_second: f64,
    /// Requests that are being answered.
    pub active: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Open connections.
    pub connections: u64,
    /// The most that may be open.
    pub connections_max: u64,
    /// Connections that were closed or refused since the start because a bound was met.
    pub connections_refused: u64,
    /// Manifests that were pushed since the start.
    pub pushes: u64,
    /// Manifests that were pulled since the start.
    pub pulls: u64,
}

/// What is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Repositories.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests.
    pub manifests: u64,
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
}

/// The room on the disk, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// What there is in all.
    pub total_bytes: u64,
    /// What is free.
    pub free_bytes: u64,
    /// What pushes leave free.
    pub reserve_bytes: u64,
    /// Whether there is little.
    pub is_low: bool,
    /// Whether pushes are refused.
    pub is_full: bool,
}

/// The answer.
pub fn answer(vitals: &Vitals) -> Response {
    json_body(Response::new(200), &Status::of(vitals))
}

impl Status {
    /// Looks at everything.
    pub fn of(vitals: &Vitals) -> Self {
        let registry = &vitals.registry;
        let listeners = vitals.served().map(|served| served.listeners.as_slice());
        let listeners = listeners.unwrap_or_default().iter();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: rfc3339(vitals.begun_at_ms()),
            uptime_seconds: vitals.uptime().as_secs(),
            resident_bytes: host::usage::own().resident_bytes,
            listeners: listeners
                .map(|own| ListenerState {
                    name: own.name.to_owned(),
                    url: own.url.clone(),
                })
                .collect(),
            health: Health::of(vitals),
            requests: Requests::of(vitals),
            uploads: vitals.transfers.list(UPLOADS_MAX),
            uploads_running: vitals.transfers.count() as u64,
            upload_sessions: registry.upload_sessions() as u64,
            downloads_running: vitals.metrics().http.downloads.get() as u64,
            content: Content::of(vitals),
            room: Room::of(vitals),
            activities: registry.activities(),
            collection_due: registry.collection_due().ok(),
            scrub: registry.scrub_state().ok(),
            webhooks: vitals.webhooks(),
        }
    }
}

impl Health {
    fn of(vitals: &Vitals) -> Self {
        let parts = health::parts(vitals, Look::Only);
        let mut notes = Vec::new();
        for (name, state) in &parts {
            let said = match state {
                State::Ok => &[][..],
                State::Warning(why) => why,
                State::Failing(why) => std::slice::from_ref(why),
            };
            notes.extend(said.iter().map(|why| ((*name).to_owned(), why.clone())));
        }
        Self {
            is_ready: health::first_failing(&parts).is_none(),
            notes,
        }
    }
}

impl Requests {
    fn of(vitals: &Vitals) -> Self {
        let stats = vitals.served().map(|served| served.registry.stats());
        let stats: Stats = stats.unwrap_or_default();
        let http = &vitals.metrics().http;
        Self {
            total: http.total(),
            per_second: http.per_second(),
            active: stats.requests_active as u64,
            waiting: stats.requests_waiting as u64,
            connections: stats.connections as u64,
            connections_max: stats.connections_max as u64,
            connections_refused: stats.shed_total(),
            pushes: http.manifest_pushes(),
            pulls: http.manifest_pulls(),
        }
    }
}

impl Content {
    fn of(vitals: &Vitals) -> Option<Self> {
        let totals = vitals.registry.totals().ok()?;
        Some(Self {
            repositories: totals.repositories,
            tags: totals.tags,
            manifests: totals.manifests,
            blobs: totals.blobs,
            blob_bytes: totals.blob_bytes,
        })
    }
}

impl Room {
    fn of(vitals: &Vitals) -> Option<Self> {
        let standing = vitals.registry.space().standing().ok()??;
        Some(Self {
            total_bytes: standing.total,
            free_bytes: standing.free,
            reserve_bytes: standing.reserve,
            is_low: standing.is_low,
            is_full: standing.is_full,
        })
    }
}
