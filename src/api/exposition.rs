//! `GET /metrics`: everything in the list of metrics. What is counted is read from its counters;
//! the rest is asked for at this moment. Nothing is scanned and nothing is written.

use super::vitals::{Served, Vitals};
use crate::clock::unix_ms;
use crate::host;
use crate::http::{Response, Shed, Stats, reason};
use crate::metrics::instruments::{DISTRIBUTION_SECONDS, Reading, scaled};
use crate::metrics::labels::{Action, LoginKind, LoginOutcome, RefusedFor, Route};
use crate::metrics::list::{self, Family};
use crate::metrics::page::{MEDIA_TYPE, Page};
use crate::metrics::{Metrics, webhooks};
use crate::registry::activities::Activity;
use crate::store::catalog::{Totals, sqlite_version};

/// The answer.
pub fn answer(vitals: &Vitals) -> Response {
    Response::new(200)
        .header("Content-Type", MEDIA_TYPE)
        .header("Cache-Control", "no-cache")
        .bytes(page(vitals))
}

/// The page.
pub fn page(vitals: &Vitals) -> String {
    let mut page = Page::new();
    let metrics = vitals.metrics();
    let (version, sqlite) = (env!("CARGO_PKG_VERSION"), sqlite_version());
    page.family(&list::BUILD_INFO).add(&[version, sqlite], 1);
    requests(&mut page, metrics);
    transfers(&mut page, vitals);
    connections(&mut page, vitals.served());
    logins(&mut page, vitals);
    content(&mut page, vitals);
    disk(&mut page, vitals);
    catalog(&mut page, vitals);
    work(&mut page, vitals);
    certificates(&mut page, vitals);
    webhooks::write(&mut page, &vitals.webhooks(), reason);
    process(&mut page, vitals);
    distributions(&mut page, metrics);
    page.into_text()
}

fn requests(page: &mut Page, metrics: &Metrics) {
    let http = &metrics.http;
    let mut requests = page.family(&list::HTTP_REQUESTS);
    for (route, method, status, count) in http.all_requests() {
        let labels = [route.as_str(), method.as_str(), &written(status)];
        requests.add(&labels, count);
    }
    let mut seconds = page.family(&list::HTTP_SECONDS);
    for (route, method, reading) in http.durations() {
        seconds.add_histogram(&[route.as_str(), method.as_str()], &reading);
    }
    let mut received = page.family(&list::HTTP_RECEIVED);
    for route in Route::ALL {
        received.add(&[route.as_str()], http.received(*route).sum());
    }
    let mut sent = page.family(&list::HTTP_SENT);
    for route in Route::ALL {
        sent.add(&[route.as_str()], http.sent(*route).sum());
    }
    page.one(&list::HTTP_INCOMPLETE, http.incomplete.get());
    let mut refused = page.family(&list::REFUSED);
    for why in RefusedFor::ALL {
        refused.add(&[why.as_str()], metrics.work.refused(*why).get());
    }
}

fn written(status: Option<u16>) -> String {
    status.map_or_else(|| "other".to_owned(), |status| status.to_string())
}

fn transfers(page: &mut Page, vitals: &Vitals) {
    let http = &vitals.metrics().http;
    let mut pushes = page.family(&list::PUSHES);
    pushes.add(&["manifest"], http.manifest_pushes());
    pushes.add(&["blob"], http.blob_pushes());
    let mut pulls = page.family(&list::PULLS);
    pulls.add(&["manifest"], http.manifest_pulls());
    pulls.add(&["blob"], http.blob_pulls());
    page.one(&list::MOUNTS, http.mounts.get());
    page.one(&list::UPLOAD_SESSIONS, vitals.registry.upload_sessions());
    page.one(&list::UPLOADS, vitals.transfers.count());
    page.one(&list::DOWNLOADS, http.downloads.get());
}

fn connections(page: &mut Page, served: Option<&Served>) {
    let servers: Vec<(&str, Stats)> = served
        .into_iter()
        .flat_map(Served::servers)
        .map(|(name, handle)| (name, handle.stats()))
        .collect();
    let mut each = |family: &'static Family, value: fn(&Stats) -> u64| {
        let mut samples = page.family(family);
        for (name, stats) in &servers {
            samples.add(&[name], value(stats));
        }
    };
    each(&list::CONNECTIONS, |own| own.connections as u64);
    each(&list::CONNECTIONS_MAX, |own| own.connections_max as u64);
    each(&list::CONNECTIONS_ACCEPTED, |own| own.accepted_total);
    each(&list::HANDSHAKES_FAILED, |own| own.handshakes_failed_total);
    each(&list::REQUESTS_ACTIVE, |own| own.requests_active as u64);
    each(&list::REQUESTS_WAITING, |own| own.requests_waiting as u64);
    each(&list::WORKERS, |own| own.workers as u64);
    let mut refused = page.family(&list::CONNECTIONS_REFUSED);
    for (name, stats) in &servers {
        for (why, count) in Shed::ALL.into_iter().zip(stats.shed) {
            refused.add(&[name, why.as_str()], count);
        }
    }
}

fn logins(page: &mut Page, vitals: &Vitals) {
    let mut logins = page.family(&list::LOGINS);
    for kind in LoginKind::ALL {
        for outcome in LoginOutcome::ALL {
            let count = vitals.metrics().logins.of(*kind, *outcome).get();
            logins.add(&[kind.as_str(), outcome.as_str()], count);
        }
    }
    let remembered = vitals.auth.logins().map(|own| own.failures_remembered());
    page.one(&list::LOGINS_REMEMBERED, remembered.unwrap_or_default());
}

/// What the catalog keeps sums of.
fn content(page: &mut Page, vitals: &Vitals) {
    let totals = vitals.registry.totals().ok();
    let mut each = |family: &'static Family, value: fn(&Totals) -> u64| {
        let mut samples = page.family(family);
        // A catalog that cannot be read has no figures; health tells of it.
        if let Some(totals) = &totals {
            samples.add(&[], value(totals));
        }
    };
    each(&list::REPOSITORIES, |own| own.repositories);
    each(&list::TAGS, |own| own.tags);
    each(&list::MANIFESTS, |own| own.manifests);
    each(&list::MANIFEST_BYTES, |own| own.manifest_bytes);
    each(&list::BLOBS, |own| own.blobs);
    each(&list::BLOB_BYTES, |own| own.blob_bytes);
    each(&list::LINKED_BYTES, |own| own.linked_bytes);
    each(&list::REMOVED_BYTES, |own| own.past_bytes);
}

fn disk(page: &mut Page, vitals: &Vitals) {
    let room = vitals.registry.space().standing().ok().flatten();
    for (family, value) in [
        (&list::DISK_FREE, room.map(|own| own.free)),
        (&list::DISK_SIZE, room.map(|own| own.total)),
        (&list::DISK_RESERVE, room.map(|own| own.reserve)),
        (&list::DISK_LOW_WATER, room.map(|own| own.low_water)),
        (&list::DISK_FULL, room.map(|own| u64::from(own.is_full))),
    ] {
        let mut samples = page.family(family);
        if let Some(value) = value {
            samples.add(&[], value);
        }
    }
    let Metrics { catalog, disk, .. } = vitals.metrics();
    let mut written = page.family(&list::DISK_WRITTEN);
    written.add(&["catalog_log"], catalog.log_bytes.get());
    written.add(&["catalog_file"], catalog.file_bytes.get());
    written.add(&["blobs"], disk.written_bytes.get());
    let mut flushes = page.family(&list::DISK_FLUSHES);
    flushes.add(&["catalog"], catalog.flushes.get());
    flushes.add(&["blobs"], disk.file_flushes.get());
    flushes.add(&["folders"], disk.folder_flushes.get());
}

fn catalog(page: &mut Page, vitals: &Vitals) {
    let mut bytes = page.family(&list::CATALOG_BYTES);
    if let Some([file, log]) = vitals.registry.catalog().file_bytes() {
        bytes.add(&["database"], file);
        bytes.add(&["log"], log);
    }
    let catalog = &vitals.metrics().catalog;
    for (family, histogram) in [
        (&list::CATALOG_BATCH, &catalog.batch),
        (&list::CATALOG_BATCH_SECONDS, &catalog.batch_seconds),
        (&list::CATALOG_COMMIT_SECONDS, &catalog.commit_seconds),
        (&list::CATALOG_READ_SECONDS, &catalog.read_seconds),
        (&list::CATALOG_WRITE_SECONDS, &catalog.write_seconds),
    ] {
        page.family(family).add_histogram(&[], &histogram.read());
    }
    page.one(&list::CATALOG_FAILED, catalog.commits_failed.get());
    page.one(&list::CATALOG_FOLDS, catalog.folds.get());
    let is_unclear = vitals.registry.catalog().is_unclear();
    page.is(&list::CATALOG_UNCLEAR, is_unclear);
}

fn work(page: &mut Page, vitals: &Vitals) {
    activities(page, &vitals.registry.activities());
    let work = &vitals.metrics().work;
    for (family, counter) in [
        (&list::COLLECTED_BLOBS, &work.collected_blobs),
        (&list::COLLECTED_BYTES, &work.collected_bytes),
        (&list::COLLECTED_MANIFESTS, &work.collected_manifests),
        (&list::RETENTION_TAGS, &work.retention_tags),
        (&list::RETENTION_MANIFESTS, &work.retention_manifests),
        (&list::RETENTION_BYTES, &work.retention_bytes),
        (&list::SCRUBBED_BLOBS, &work.scrubbed_blobs),
        (&list::SCRUBBED_BYTES, &work.scrubbed_bytes),
        (&list::SCRUB_FOUND, &work.scrub_found),
        (&list::EXPIRED_UPLOADS, &work.expired_uploads),
        (&list::SWEPT_FILES, &work.swept_files),
    ] {
        page.one(family, counter.get());
    }
    let notes = vitals.registry.scrub_notes();
    let mut damaged = page.family(&list::SCRUB_DAMAGED);
    if let Ok(notes) = notes {
        damaged.add(&[], u8::from(!notes.is_empty()));
    }
    let mut last = page.family(&list::SCRUB_LAST);
    let ended = vitals
        .registry
        .scrub_row()
        .ok()
        .and_then(|row| row.ended_ms);
    if let Some(ended) = ended {
        last.add(&[], seconds(ended));
    }
    let doubt = vitals.registry.doubt_about_ages(super::health::AGE);
    page.is(&list::CLOCK_DOUBTED, matches!(doubt, Ok(Some(_))));
}

fn activities(page: &mut Page, activities: &[Activity]) {
    let mut running = page.family(&list::WORK_RUNNING);
    for own in activities {
        running.add(&[own.work.as_str()], u8::from(own.running.is_some()));
    }
    let mut runs = page.family(&list::WORK_RUNS);
    for own in activities {
        runs.add(&[own.work.as_str(), "ok"], own.runs);
        runs.add(&[own.work.as_str(), "failed"], own.failed);
    }
    let mut took = page.family(&list::WORK_SECONDS);
    for own in activities {
        took.add(&[own.work.as_str()], scaled(own.took_ms, 1000));
    }
    let mut last = page.family(&list::WORK_LAST);
    for own in activities {
        if let Some(at) = own.succeeded_at_ms {
            last.add(&[own.work.as_str()], seconds(at));
        }
    }
}

/// Milliseconds since 1970 in seconds.
fn seconds(ms: i64) -> f64 {
    let whole = scaled(ms.unsigned_abs(), 1000);
    if ms < 0 { -whole } else { whole }
}

fn certificates(page: &mut Page, vitals: &Vitals) {
    let status = vitals.tls().map(|tls| tls.status());
    let mut expiry = page.family(&list::TLS_EXPIRY);
    for (index, own) in status.iter().flat_map(|own| &own.certificates).enumerate() {
        // Two may have one name in different folders; their places differ.
        let file = own.file.file_name().unwrap_or_default().to_string_lossy();
        let labels = [index.to_string(), file.into_owned()];
        let end = seconds(unix_ms(own.not_after));
        expiry.add(&[&labels[0], &labels[1]], end);
    }
    let mut reloads = page.family(&list::TLS_RELOADS);
    if let Some(status) = &status {
        reloads.add(&[], status.reloads_total);
    }
    let mut failed = page.family(&list::TLS_RELOAD_FAILED);
    if let Some(status) = &status {
        failed.add(&[], u8::from(status.last_error.is_some()));
    }
}

fn process(page: &mut Page, vitals: &Vitals) {
    let process = host::usage::own();
    page.one(&list::PROCESS_CPU, process.cpu.as_secs_f64());
    for (family, value) in [
        (&list::PROCESS_FILES, process.open_files),
        (&list::PROCESS_FILES_MAX, process.open_files_max),
        (&list::PROCESS_VIRTUAL, process.virtual_bytes),
        (&list::PROCESS_RESIDENT, process.resident_bytes),
        (&list::PROCESS_THREADS, process.threads),
        (&list::PROCESS_WRITTEN, process.written_bytes),
        (&list::PROCESS_READ, process.read_bytes),
    ] {
        let mut samples = page.family(family);
        if let Some(value) = value {
            samples.add(&[], value);
        }
    }
    page.one(&list::PROCESS_START, seconds(vitals.begun_at_ms()));
}

/// By the names of Distribution, for dashboards that were made for it.
fn distributions(page: &mut Page, metrics: &Metrics) {
    let http = &metrics.http;
    let handlers = || Route::ALL.iter().filter(|route| route.is_distributions());
    let mut requests = page.family(&list::REGISTRY_REQUESTS);
    for (route, method, status, count) in http.all_requests() {
        if route.is_distributions() {
            let labels = [&*written(status), route.as_str(), method.as_str()];
            requests.add(&labels, count);
        }
    }
    let mut seconds = page.family(&list::REGISTRY_SECONDS);
    for (route, method, reading) in http.durations() {
        if route.is_distributions() {
            let reading = reading.coarser(&DISTRIBUTION_SECONDS);
            seconds.add_histogram(&[route.as_str(), method.as_str()], &reading);
        }
    }
    let mut received = page.family(&list::REGISTRY_REQUEST_BYTES);
    for route in handlers() {
        received.add_histogram(&[route.as_str()], &http.received(*route));
    }
    let mut sent = page.family(&list::REGISTRY_RESPONSE_BYTES);
    for route in handlers() {
        sent.add_histogram(&[route.as_str()], &http.sent(*route));
    }
    let mut in_flight = page.family(&list::REGISTRY_IN_FLIGHT);
    for route in handlers() {
        in_flight.add(&[route.as_str()], http.in_flight(*route).get());
    }
    storage(page, metrics);
}

fn storage(page: &mut Page, metrics: &Metrics) {
    let Metrics { catalog, disk, .. } = metrics;
    let mut storage = page.family(&list::REGISTRY_STORAGE);
    let mut add = |driver, action: Action, reading: &Reading| {
        let reading = reading.coarser(&DISTRIBUTION_SECONDS);
        storage.add_histogram(&[driver, action.as_str()], &reading);
    };
    add("catalog", Action::GetContent, &catalog.read_seconds.read());
    add("catalog", Action::PutContent, &catalog.write_seconds.read());
    for action in [Action::Stat, Action::List, Action::Move, Action::Delete] {
        add("filesystem", action, &disk.action(action).read());
    }
}
