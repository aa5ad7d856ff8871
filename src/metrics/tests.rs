//! Pure tests of counting and of the text format.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::HttpMetrics;
use super::http::Answered;
use super::instruments::{
    BATCH_WRITES, BODY_BYTES, DISTRIBUTION_SECONDS, Histogram, REQUEST_SECONDS, STORE_SECONDS,
};
use super::labels::{Method, Route, STATUSES};
use super::list::{ALL, Family, Kind, markdown};
use super::page::Page;
use super::webhooks::{self, EndpointFigures};

static NUMBER: Family = Family {
    name: "test_number",
    kind: Kind::Gauge,
    labels: &["a", "b"],
    help: "A \\ and\na line.",
};

static TIMES: Family = Family {
    name: "test_seconds",
    kind: Kind::Histogram,
    labels: &["of"],
    help: "Times.",
};

#[test]
fn values_of_labels_stay_within_their_quotes() {
    let mut page = Page::new();
    page.family(&NUMBER).add(&["say \"x\"\\\n", "ü"], 1.5);
    assert_eq!(
        page.into_text(),
        "# HELP test_number A \\\\ and\\na line.\n# TYPE test_number gauge\n\
         test_number{a=\"say \\\"x\\\"\\\\\\n\",b=\"ü\"} 1.5\n"
    );
}

#[test]
fn a_histogram_is_told_in_cumulative_buckets() {
    let histogram = Histogram::new(&DISTRIBUTION_SECONDS);
    let ms = Duration::from_millis;
    for duration in [ms(5), ms(6), ms(10), ms(2500), ms(60_000)] {
        histogram.observe_duration(duration);
    }
    let mut page = Page::new();
    page.family(&TIMES).add_histogram(&["x"], &histogram.read());
    let text = page.into_text();
    for line in [
        "test_seconds_bucket{of=\"x\",le=\"0.005\"} 1",
        "test_seconds_bucket{of=\"x\",le=\"0.01\"} 3",
        "test_seconds_bucket{of=\"x\",le=\"1\"} 3",
        "test_seconds_bucket{of=\"x\",le=\"2.5\"} 4",
        "test_seconds_bucket{of=\"x\",le=\"10\"} 4",
        "test_seconds_bucket{of=\"x\",le=\"+Inf\"} 5",
        "test_seconds_sum{of=\"x\"} 62.521",
        "test_seconds_count{of=\"x\"} 5",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} in\n{text}");
    }
}

#[test]
fn every_duration_and_length_has_a_bucket() {
    for bounds in [
        &REQUEST_SECONDS,
        &STORE_SECONDS,
        &DISTRIBUTION_SECONDS,
        &BODY_BYTES,
        &BATCH_WRITES,
    ] {
        assert!(bounds.ends.is_sorted_by(|a, b| a < b), "{bounds:?}");
        let histogram = Histogram::new(bounds);
        for value in [0, 1, bounds.ends[0], bounds.ends[0] + 1, u64::MAX / 2] {
            histogram.observe(value);
        }
        assert_eq!(histogram.read().count(), 5);
    }
    assert_eq!(BODY_BYTES.ends[0], 1 << 10);
    assert_eq!(BODY_BYTES.ends[21], 2 << 30);
}

#[test]
fn coarser_buckets_hold_the_same_values() {
    let of_both = |histogram: &Histogram| {
        for ms in [0, 1, 5, 6, 24, 25, 26, 700, 9_999, 10_000, 10_001, 400_000] {
            histogram.observe_duration(Duration::from_millis(ms));
        }
        histogram.read()
    };
    let fine = of_both(&Histogram::new(&REQUEST_SECONDS));
    let coarse = of_both(&Histogram::new(&DISTRIBUTION_SECONDS));
    let told = |reading: &super::instruments::Reading| -> Vec<u64> {
        reading.cumulative().map(|(_, count)| count).collect()
    };
    let made = fine.coarser(&DISTRIBUTION_SECONDS);
    assert_eq!(told(&made), told(&coarse));
    assert_eq!((made.sum(), made.count()), (coarse.sum(), coarse.count()));
    // What is made coarser so has all ends of Distribution's.
    for end in DISTRIBUTION_SECONDS.ends {
        assert!(REQUEST_SECONDS.ends.contains(end) && STORE_SECONDS.ends.contains(end));
    }
}

#[test]
fn whatever_is_asked_falls_into_a_closed_set() {
    let http = HttpMetrics::default();
    for status in [100, 200, 299, 418, 599, 999] {
        for token in ["GET", "get", "BREW", "", "\"}\n"] {
            http.count(&Answered {
                route: Route::None,
                method: Method::of(token),
                status,
                duration: Duration::from_millis(1),
                received: 7,
                sent: 9,
            });
        }
    }
    let found: BTreeSet<_> = http
        .all_requests()
        .map(|(route, method, status, count)| {
            assert_eq!(route, Route::None);
            (method.as_str(), status, count)
        })
        .collect();
    let expected = [
        ("get", None, 5),
        ("get", Some(200), 1),
        ("other", None, 20),
        ("other", Some(200), 4),
    ];
    assert_eq!(found, expected.into_iter().collect());
    assert_eq!(http.total(), 30);
    assert_eq!(http.received(Route::None).sum(), 210);
    assert!(STATUSES.is_sorted());
}

#[test]
fn pushes_and_pulls_are_told_apart() {
    let http = HttpMetrics::default();
    let count = |route, method, status| {
        http.count(&Answered {
            route,
            method,
            status,
            duration: Duration::ZERO,
            received: 0,
            sent: 0,
        });
    };
    count(Route::Manifest, Method::Get, 200);
    count(Route::Manifest, Method::Head, 200);
    count(Route::Manifest, Method::Get, 404);
    count(Route::Manifest, Method::Put, 201);
    count(Route::Blob, Method::Get, 200);
    count(Route::Blob, Method::Get, 206);
    count(Route::BlobUpload, Method::Post, 202);
    count(Route::BlobUpload, Method::Post, 201);
    http.mounts.add_one();
    count(Route::BlobUploadChunk, Method::Patch, 202);
    count(Route::BlobUploadChunk, Method::Put, 201);
    assert_eq!((http.manifest_pulls(), http.manifest_pushes()), (1, 1));
    assert_eq!((http.blob_pulls(), http.blob_pushes()), (2, 1));
}

#[test]
fn the_list_keeps_the_conventions_of_names() {
    let mut names = BTreeSet::new();
    for family in ALL {
        let name = family.name;
        assert!(names.insert(name), "{name} is there twice");
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        assert!(plain(name) && family.labels.iter().all(|label| plain(label)));
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        let is_ours = name.starts_with("coracle_");
        let known = ["coracle_", "process_", "registry_"];
        assert!(known.iter().any(|own| name.starts_with(own)), "{name}");
        if is_ours {
            let is_total = name.ends_with("_total");
            assert_eq!(is_total, family.kind == Kind::Counter, "{name}");
        }
    }
}

#[test]
fn webhooks_are_told_by_both_names() {
    let figures = EndpointFigures {
        name: "ci \"1\"".to_owned(),
        events: 5,
        successes: 3,
        failures: 2,
        errors: 1,
        delivered: 2,
        failed: 3,
        took: Duration::from_millis(1500),
        dropped: 1,
        pending: 4,
        oldest: Some(Duration::from_secs(9)),
        statuses: vec![(200, 2), (503, 2), (599, 1)],
        ..EndpointFigures::default()
    };
    let mut page = Page::new();
    let reason = |status| match status {
        200 => "OK",
        503 => "Service Unavailable",
        _ => "",
    };
    webhooks::write(&mut page, &[figures], reason);
    let text = page.into_text();
    for line in [
        r#"coracle_webhook_deliveries_total{endpoint="ci \"1\"",outcome="failed"} 3"#,
        r#"coracle_webhook_delivery_seconds_total{endpoint="ci \"1\""} 1.5"#,
        r#"coracle_webhook_dropped_total{endpoint="ci \"1\"",reason="bounds"} 1"#,
        r#"coracle_webhook_oldest_pending_seconds{endpoint="ci \"1\""} 9"#,
        r#"registry_notifications_events_total{type="Successes",endpoint="ci \"1\""} 3"#,
        r#"registry_notifications_pending_total{endpoint="ci \"1\""} 4"#,
        r#"registry_notifications_status_total{code="200 OK",endpoint="ci \"1\""} 2"#,
        r#"registry_notifications_status_total{code="599",endpoint="ci \"1\""} 1"#,
    ] {
        assert!(text.lines().any(|own| own == line), "{line} in\n{text}");
    }
}

#[test]
fn the_table_of_metrics_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/grafana/METRICS.md");
    let head = "# Metrics\n\nWhat `GET /metrics` tells, at the address `ops.listen` (see the README \
                of the project).\nThis table is written by the program: `UPDATE_DOCS=1 cargo test \
                table_of_metrics`.\n\n";
    let text = format!("{head}{}", markdown());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).expect("the table is written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, text,
        "run `UPDATE_DOCS=1 cargo test table_of_metrics`"
    );
}
