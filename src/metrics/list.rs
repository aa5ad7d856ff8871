//! The list of all metrics: their names, kinds, labels and meaning. The exposition, the table in
//! `packaging/grafana/METRICS.md` and the test of the dashboard come from it.
//!
//! Adding a metric means adding an entry here, and writing its samples where what it tells is
//! known (`api/exposition.rs`).

use std::fmt::Write as _;

/// What may be done with a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, and begins at zero with each start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Values counted in buckets.
    Histogram,
}

impl Kind {
    /// As Prometheus writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric, with all its labels' values.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The names of its labels, in the order in which samples have them.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

macro_rules! families {
    ($(
        $(#[doc = $help:literal])+
        $id:ident = $kind:ident $name:literal [$($label:literal)*];
    )+) => {
        $(
            $(#[doc = $help])+
            pub static $id: Family = Family {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: concat!($($help),+).trim_ascii_start(),
            };
        )+

        /// All of them, in the order in which they are told.
        pub static ALL: &[&Family] = &[$(&$id),+];
    };
}

families! {
    /// Always 1; the labels tell what is running.
    BUILD_INFO = Gauge "coracle_build_info" ["version" "sqlite"];
    /// Requests that were answered, also those that were refused.
    HTTP_REQUESTS = Counter "coracle_http_requests_total" ["route" "method" "status"];
    /// How long requests took, from their head to the last byte of the response.
    HTTP_SECONDS = Histogram "coracle_http_request_seconds" ["route" "method"];
    /// Bytes of requests' bodies that were received.
    HTTP_RECEIVED = Counter "coracle_http_received_bytes_total" ["route"];
    /// Bytes of responses' bodies that were sent.
    HTTP_SENT = Counter "coracle_http_sent_bytes_total" ["route"];
    /// Responses of which a part did not leave.
    HTTP_INCOMPLETE = Counter "coracle_http_incomplete_total" [];
    /// Requests that were understood and refused.
    REFUSED = Counter "coracle_refused_total" ["reason"];
    /// Manifests and blobs that were pushed.
    PUSHES = Counter "coracle_pushes_total" ["kind"];
    /// Manifests and blobs, and parts of blobs, that were pulled.
    PULLS = Counter "coracle_pulls_total" ["kind"];
    /// Blobs that were mounted from another repository.
    MOUNTS = Counter "coracle_mounts_total" [];
    /// Upload sessions that are not finished.
    UPLOAD_SESSIONS = Gauge "coracle_upload_sessions" [];
    /// Uploads whose bytes are arriving.
    UPLOADS = Gauge "coracle_uploads" [];
    /// Blobs that are being sent.
    DOWNLOADS = Gauge "coracle_downloads" [];
    /// Open connections.
    CONNECTIONS = Gauge "coracle_connections" ["listener"];
    /// The most connections that may be open.
    CONNECTIONS_MAX = Gauge "coracle_connections_max" ["listener"];
    /// Connections that were accepted.
    CONNECTIONS_ACCEPTED = Counter "coracle_connections_accepted_total" ["listener"];
    /// Connections that were closed or refused because a bound was met.
    CONNECTIONS_REFUSED = Counter "coracle_connections_refused_total" ["listener" "reason"];
    /// TLS handshakes that failed, took too long or were too many.
    HANDSHAKES_FAILED = Counter "coracle_tls_handshakes_failed_total" ["listener"];
    /// Requests that are being answered.
    REQUESTS_ACTIVE = Gauge "coracle_requests_active" ["listener"];
    /// Requests that wait for a thread or for another request of their client to end.
    REQUESTS_WAITING = Gauge "coracle_requests_waiting" ["listener"];
    /// Threads that answer requests.
    WORKERS = Gauge "coracle_workers" ["listener"];
    /// Logins that were asked for. A token of the registry's own counts each time it is shown.
    LOGINS = Counter "coracle_logins_total" ["kind" "outcome"];
    /// Clients and names whose failed logins are remembered.
    LOGINS_REMEMBERED = Gauge "coracle_login_failures_remembered" [];
    /// Repositories.
    REPOSITORIES = Gauge "coracle_repositories" [];
    /// Tags.
    TAGS = Gauge "coracle_tags" [];
    /// Manifests.
    MANIFESTS = Gauge "coracle_manifests" [];
    /// Bytes of all manifests.
    MANIFEST_BYTES = Gauge "coracle_manifest_bytes" [];
    /// Blobs.
    BLOBS = Gauge "coracle_blobs" [];
    /// Bytes of all blobs, each counted once.
    BLOB_BYTES = Gauge "coracle_blob_bytes" [];
    /// Bytes of blobs, each counted for every repository that holds it.
    LINKED_BYTES = Gauge "coracle_linked_bytes" [];
    /// Bytes of blobs that only what was removed still needs, so that it can be brought back.
    REMOVED_BYTES = Gauge "coracle_removed_bytes" [];
    /// Bytes that are free on the file system of the data.
    DISK_FREE = Gauge "coracle_disk_free_bytes" [];
    /// Bytes of the file system of the data.
    DISK_SIZE = Gauge "coracle_disk_size_bytes" [];
    /// Bytes that pushes leave free.
    DISK_RESERVE = Gauge "coracle_disk_reserve_bytes" [];
    /// Free bytes below which room is made.
    DISK_LOW_WATER = Gauge "coracle_disk_low_water_bytes" [];
    /// Whether pushes are refused because there is no room.
    DISK_FULL = Gauge "coracle_disk_full" [];
    /// Bytes that the registry has written: to the catalog's log, to the catalog's file when the
    /// log is folded into it, and to files of blobs and uploads.
    DISK_WRITTEN = Counter "coracle_disk_written_bytes_total" ["part"];
    /// Flushes that the registry has asked for: of the catalog, of files of blobs and uploads, and
    /// of folders.
    DISK_FLUSHES = Counter "coracle_disk_flushes_total" ["part"];
    /// Bytes of the catalog's files.
    CATALOG_BYTES = Gauge "coracle_catalog_bytes" ["file"];
    /// Writes that shared a commit.
    CATALOG_BATCH = Histogram "coracle_catalog_batch_writes" [];
    /// How long groups of writes took, from the first to the answer.
    CATALOG_BATCH_SECONDS = Histogram "coracle_catalog_batch_seconds" [];
    /// How long commits took, with the flushes that go before them.
    CATALOG_COMMIT_SECONDS = Histogram "coracle_catalog_commit_seconds" [];
    /// How long reads of the catalog took.
    CATALOG_READ_SECONDS = Histogram "coracle_catalog_read_seconds" [];
    /// How long writes to the catalog took, their wait for others included.
    CATALOG_WRITE_SECONDS = Histogram "coracle_catalog_write_seconds" [];
    /// Commits that failed.
    CATALOG_FAILED = Counter "coracle_catalog_commits_failed_total" [];
    /// Times that the catalog's log was folded into its file.
    CATALOG_FOLDS = Counter "coracle_catalog_folds_total" [];
    /// Whether the last commit failed so that it is not known if a restart would find it done.
    CATALOG_UNCLEAR = Gauge "coracle_catalog_unclear" [];
    /// Whether a piece of work in the background is under way.
    WORK_RUNNING = Gauge "coracle_work_running" ["work"];
    /// Times that it has come to its end, or failed.
    WORK_RUNS = Counter "coracle_work_runs_total" ["work" "outcome"];
    /// How long it took in all.
    WORK_SECONDS = Counter "coracle_work_seconds_total" ["work"];
    /// When it last came to its end since the start, in seconds since 1970.
    WORK_LAST = Gauge "coracle_work_last_success_timestamp_seconds" ["work"];
    /// Blobs that were collected.
    COLLECTED_BLOBS = Counter "coracle_collected_blobs_total" [];
    /// Bytes of blobs that were collected.
    COLLECTED_BYTES = Counter "coracle_collected_bytes_total" [];
    /// Manifests that were collected.
    COLLECTED_MANIFESTS = Counter "coracle_collected_manifests_total" [];
    /// Tags that retention removed.
    RETENTION_TAGS = Counter "coracle_retention_tags_total" [];
    /// Manifests that retention removed.
    RETENTION_MANIFESTS = Counter "coracle_retention_manifests_total" [];
    /// Bytes that what retention removed frees in time.
    RETENTION_BYTES = Counter "coracle_retention_bytes_total" [];
    /// Blobs that were read again.
    SCRUBBED_BLOBS = Counter "coracle_scrubbed_blobs_total" [];
    /// Bytes that were read again.
    SCRUBBED_BYTES = Counter "coracle_scrubbed_bytes_total" [];
    /// Blobs that were found to be damaged.
    SCRUB_FOUND = Counter "coracle_scrub_damaged_total" [];
    /// Whether a blob that was found to be damaged was not pushed again since.
    SCRUB_DAMAGED = Gauge "coracle_scrub_damaged" [];
    /// When everything was last read again, in seconds since 1970.
    SCRUB_LAST = Gauge "coracle_scrub_last_round_timestamp_seconds" [];
    /// Upload sessions that were removed for their age or to make room.
    EXPIRED_UPLOADS = Counter "coracle_expired_uploads_total" [];
    /// Files without a row that were removed.
    SWEPT_FILES = Counter "coracle_swept_files_total" [];
    /// Whether ages are not believed because the clock is wrong or was set, so that nothing is
    /// removed by its age.
    CLOCK_DOUBTED = Gauge "coracle_clock_doubted" [];
    /// When a certificate ends, in seconds since 1970.
    TLS_EXPIRY = Gauge "coracle_tls_certificate_expiry_timestamp_seconds" ["index" "file"];
    /// Times that certificates were loaded anew.
    TLS_RELOADS = Counter "coracle_tls_reloads_total" [];
    /// Whether the files of certificates as they are now cannot be used, so that older ones are.
    TLS_RELOAD_FAILED = Gauge "coracle_tls_reload_failed" [];
    /// Events that were written down for a webhook.
    WEBHOOK_EVENTS = Counter "coracle_webhook_events_total" ["endpoint"];
    /// Deliveries to a webhook that were tried.
    WEBHOOK_DELIVERIES = Counter "coracle_webhook_deliveries_total" ["endpoint" "outcome"];
    /// How long deliveries to a webhook took in all.
    WEBHOOK_SECONDS = Counter "coracle_webhook_delivery_seconds_total" ["endpoint"];
    /// Events that were given up.
    WEBHOOK_DROPPED = Counter "coracle_webhook_dropped_total" ["endpoint" "reason"];
    /// Events that wait for their delivery.
    WEBHOOK_PENDING = Gauge "coracle_webhook_pending" ["endpoint"];
    /// The age of the oldest event that waits.
    WEBHOOK_AGE = Gauge "coracle_webhook_oldest_pending_seconds" ["endpoint"];
    /// Whether a webhook has failed so often that nothing is tried for a while.
    WEBHOOK_BACKOFF = Gauge "coracle_webhook_backing_off" ["endpoint"];
    /// Processor time of the process.
    PROCESS_CPU = Counter "process_cpu_seconds_total" [];
    /// Open files of the process.
    PROCESS_FILES = Gauge "process_open_fds" [];
    /// The most files that it may have open.
    PROCESS_FILES_MAX = Gauge "process_max_fds" [];
    /// Address space of the process.
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [];
    /// Resident memory of the process.
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [];
    /// Threads of the process.
    PROCESS_THREADS = Gauge "process_threads" [];
    /// When the process was started, in seconds since 1970.
    PROCESS_START = Gauge "process_start_time_seconds" [];
    /// Bytes that the process caused to be written to storage, as the kernel counts them.
    PROCESS_WRITTEN = Counter "coracle_process_written_bytes_total" [];
    /// Bytes that the process caused to be read from storage, as the kernel counts them.
    PROCESS_READ = Counter "coracle_process_read_bytes_total" [];
    /// Requests, by the names that Distribution gives.
    REGISTRY_REQUESTS = Counter "registry_http_requests_total" ["code" "handler" "method"];
    /// How long requests took, by the names that Distribution gives.
    REGISTRY_SECONDS = Histogram "registry_http_request_duration_seconds" ["handler" "method"];
    /// How long the bodies of requests were, by the names that Distribution gives.
    REGISTRY_REQUEST_BYTES = Histogram "registry_http_request_size_bytes" ["handler"];
    /// How long the bodies of responses were, by the names that Distribution gives.
    REGISTRY_RESPONSE_BYTES = Histogram "registry_http_response_size_bytes" ["handler"];
    /// Requests that are being answered, by the names that Distribution gives.
    REGISTRY_IN_FLIGHT = Gauge "registry_http_in_flight_requests" ["handler"];
    /// How long actions of the store took, by the names that Distribution gives; the catalog reads
    /// and writes what Distribution keeps in small files.
    REGISTRY_STORAGE = Histogram "registry_storage_action_seconds" ["driver" "action"];
    /// Events and deliveries of a webhook, by the names that Distribution gives.
    REGISTRY_EVENTS = Counter "registry_notifications_events_total" ["type" "endpoint"];
    /// Events that wait for their delivery, by the names that Distribution gives.
    REGISTRY_PENDING = Gauge "registry_notifications_pending_total" ["endpoint"];
    /// Answers of a webhook, by the names that Distribution gives.
    REGISTRY_STATUS = Counter "registry_notifications_status_total" ["code" "endpoint"];
}

/// The list as a table in Markdown.
pub fn markdown() -> String {
    let mut text = "| Metric | Kind | Labels | Meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for family in ALL {
        let labels: Vec<String> = family.labels.iter().map(|own| format!("`{own}`")).collect();
        // A string takes everything.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            family.name,
            family.kind.as_str(),
            labels.join(", "),
            family.help
        );
    }
    text
}
