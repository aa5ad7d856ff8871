//! What is counted of requests.

use std::time::Duration;

use super::instruments::{BODY_BYTES, Counter, Histogram, Level, REQUEST_SECONDS, Reading};
use super::labels::{Method, Route, STATUSES};
use super::recent::Recent;

const METHODS: usize = Method::ALL.len();
/// The last one is for statuses that are not in the list.
const COLUMNS: usize = STATUSES.len() + 1;

/// Requests by what they are about, how and what became of them.
#[derive(Debug)]
pub struct HttpMetrics {
    /// By route, method and status.
    requests: Box<[Counter]>,
    /// By route and method.
    durations: Box<[Histogram]>,
    /// Bytes of bodies, by route.
    received: Box<[Histogram]>,
    sent: Box<[Histogram]>,
    in_flight: Box<[Level]>,
    /// Responses of which a part did not leave.
    pub incomplete: Counter,
    /// Blobs that were mounted.
    pub mounts: Counter,
    /// Blobs that are being sent.
    pub downloads: Level,
    recent: Recent,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let routes = Route::ALL.len();
        let lengths = || (0..routes).map(|_| Histogram::new(&BODY_BYTES)).collect();
        Self {
            requests: (0..routes * METHODS * COLUMNS)
                .map(|_| Counter::default())
                .collect(),
            durations: (0..routes * METHODS)
                .map(|_| Histogram::new(&REQUEST_SECONDS))
                .collect(),
            received: lengths(),
            sent: lengths(),
            in_flight: (0..routes).map(|_| Level::default()).collect(),
            incomplete: Counter::default(),
            mounts: Counter::default(),
            downloads: Level::default(),
            recent: Recent::default(),
        }
    }
}

/// One request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// What it was about.
    pub route: Route,
    /// Its method.
    pub method: Method,
    /// The status that was answered.
    pub status: u16,
    /// From its head to the last byte of the response.
    pub duration: Duration,
    /// Bytes of its body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
}

const fn row(route: Route, method: Method) -> usize {
    route as usize * METHODS + method as usize
}

fn column(status: u16) -> usize {
    let known = STATUSES.iter().position(|own| *own == status);
    known.unwrap_or(STATUSES.len())
}

impl HttpMetrics {
    /// Counts a request.
    pub fn count(&self, answered: &Answered) {
        let row = row(answered.route, answered.method);
        self.requests[row * COLUMNS + column(answered.status)].add_one();
        self.durations[row].observe_duration(answered.duration);
        self.received[answered.route as usize].observe(answered.received);
        self.sent[answered.route as usize].observe(answered.sent);
        self.recent.count();
    }

    /// Requests about this that are being answered.
    pub fn in_flight(&self, route: Route) -> &Level {
        &self.in_flight[route as usize]
    }

    /// Requests with this route, method and status so far.
    pub fn requests(&self, route: Route, method: Method, status: u16) -> u64 {
        self.requests[row(route, method) * COLUMNS + column(status)].get()
    }

    /// Each route, method and status (`None` for those that are not in the list) that there were
    /// requests with, and how many.
    pub fn all_requests(&self) -> impl Iterator<Item = (Route, Method, Option<u16>, u64)> + '_ {
        each().flat_map(move |(route, method)| {
            (0..COLUMNS).filter_map(move |column| {
                let count = self.requests[row(route, method) * COLUMNS + column].get();
                let status = STATUSES.get(column).copied();
                (count > 0).then_some((route, method, status, count))
            })
        })
    }

    /// How long requests took, by route and method, of those that there were.
    pub fn durations(&self) -> impl Iterator<Item = (Route, Method, Reading)> + '_ {
        each().filter_map(move |(route, method)| {
            let reading = self.durations[row(route, method)].read();
            (reading.count() > 0).then_some((route, method, reading))
        })
    }

    /// How long the bodies of requests were, by route.
    pub fn received(&self, route: Route) -> Reading {
        self.received[route as usize].read()
    }

    /// How long the bodies of responses were, by route.
    pub fn sent(&self, route: Route) -> Reading {
        self.sent[route as usize].read()
    }

    /// Requests so far.
    pub fn total(&self) -> u64 {
        self.all_requests().map(|(.., count)| count).sum()
    }

    /// Requests a second, on the average of the last ten.
    pub fn per_second(&self) -> f64 {
        self.recent.per_second()
    }

    /// Manifests that were pushed.
    pub fn manifest_pushes(&self) -> u64 {
        self.requests(Route::Manifest, Method::Put, 201)
    }

    /// Manifests that were pulled.
    pub fn manifest_pulls(&self) -> u64 {
        self.requests(Route::Manifest, Method::Get, 200)
    }

    /// Blobs that were pushed with their bytes.
    pub fn blob_pushes(&self) -> u64 {
        let at_once = self.requests(Route::BlobUpload, Method::Post, 201);
        let closed = self.requests(Route::BlobUploadChunk, Method::Put, 201);
        (at_once + closed).saturating_sub(self.mounts.get())
    }

    /// Blobs, and parts of blobs, that were pulled.
    pub fn blob_pulls(&self) -> u64 {
        self.requests(Route::Blob, Method::Get, 200) + self.requests(Route::Blob, Method::Get, 206)
    }
}

fn each() -> impl Iterator<Item = (Route, Method)> {
    let methods = |route: &'static Route| Method::ALL.iter().map(|method| (*route, *method));
    Route::ALL.iter().flat_map(methods)
}
