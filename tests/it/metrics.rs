//! `/metrics`: what is told, to whom, and at what cost.

use std::net::TcpListener;

use crate::support::exposition::Exposition;
use crate::support::image::Image;
use crate::support::ops::{OPS, ops, scrape};
use crate::support::program::run;
use crate::support::tls::Certificates;
use crate::support::{Server, eventually, start_configured};

/// A metric with this label.
fn series(name: &str, labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

#[track_caller]
fn expect(page: &Exposition, whole: &str, value: f64) {
    let found = page.value(whole);
    assert!(
        (found - value).abs() < 1e-9,
        "{whole} is {found}, not {value}"
    );
}

fn requests(route: &str, method: &str, status: &str) -> String {
    let labels = [("route", route), ("method", method), ("status", status)];
    series("coracle_http_requests_total", &labels)
}

#[test]
fn pushes_and_pulls_are_counted_and_told_in_the_format() {
    let toml = format!("{OPS}[storage]\ninline_bytes_max = \"16KiB\"\n");
    let mut server = start_configured(&toml, &[]);
    let mut client = server.client();
    let image = Image::oci(1, &[1000, 100_000]);
    client.push_image("a/b", "v1", &image);
    client.expect_image("a/b", "v1", &image);
    client.get("/v2/a/b/manifests/nothing").expect(404);
    client.get("/v2/").expect(200);
    client.request("BREW", "/v2/coffee", &[], None).expect(404);
    let mut ops = ops(&server);
    // What was counted after the last answer was sent.
    let page = eventually("all is counted", || {
        let page = scrape(&mut ops);
        (page.value(&requests("none", "other", "404")) > 0.0).then_some(page)
    });
    expect(&page, &requests("manifest", "put", "201"), 1.0);
    expect(&page, &requests("manifest", "get", "404"), 1.0);
    expect(&page, &requests("base", "get", "200"), 1.0);
    let (pushes, pulls) = ("coracle_pushes_total", "coracle_pulls_total");
    expect(&page, &series(pushes, &[("kind", "manifest")]), 1.0);
    expect(&page, &series(pushes, &[("kind", "blob")]), 3.0);
    let of_manifest = page.value(&series(pulls, &[("kind", "manifest")]));
    assert!(of_manifest >= 1.0, "{of_manifest}");
    assert!(page.value(&series(pulls, &[("kind", "blob")])) >= 3.0);
    let bytes: usize = image.blobs().map(<[u8]>::len).sum();
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let bytes = bytes as f64;
    expect(&page, "coracle_blobs", 3.0);
    expect(&page, "coracle_blob_bytes", bytes);
    expect(&page, "coracle_repositories", 1.0);
    expect(&page, "coracle_tags", 1.0);
    expect(&page, "coracle_manifests", 1.0);
    let received = page.sum("coracle_http_received_bytes_total", &["blob_upload"]);
    assert!(received >= bytes, "{received} of {bytes}");
    let sent = series("coracle_http_sent_bytes_total", &[("route", "blob")]);
    assert!(page.value(&sent) >= bytes);
    expect_store(&page);
    expect_distributions_names(&page);
    server.stop_and_check();
}

#[track_caller]
fn expect_store(page: &Exposition) {
    let part = |name, part| page.value(&series(name, &[("part", part)]));
    let written = |own| part("coracle_disk_written_bytes_total", own);
    let flushes = |own| part("coracle_disk_flushes_total", own);
    // One layer is a file, all else is in the catalog, page by page.
    assert!(written("blobs") >= 100_000.0 && written("blobs") < 400_000.0);
    assert!(
        written("catalog_log") >= 20_000.0,
        "{}",
        written("catalog_log")
    );
    assert!(flushes("catalog") >= 2.0 && flushes("blobs") >= 1.0 && flushes("folders") >= 1.0);
    let commits = page.value("coracle_catalog_commit_seconds_count");
    assert!(flushes("catalog") >= commits.min(2.0));
    assert!(page.value("coracle_catalog_batch_writes_sum") >= commits);
    for name in [
        "coracle_disk_free_bytes",
        "coracle_disk_size_bytes",
        "coracle_catalog_read_seconds_count",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_threads",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        "coracle_catalog_bytes{file=\"database\"}",
        "coracle_connections_max{listener=\"registry\"}",
        "coracle_connections_accepted_total{listener=\"ops\"}",
    ] {
        assert!(page.value(name) > 0.0, "{name}");
    }
}

#[track_caller]
fn expect_distributions_names(page: &Exposition) {
    let labels = [("code", "201"), ("handler", "manifest"), ("method", "put")];
    expect(page, &series("registry_http_requests_total", &labels), 1.0);
    for handler in [
        "base",
        "manifest",
        "catalog",
        "tags",
        "blob",
        "blob_upload",
        "blob_upload_chunk",
    ] {
        for name in [
            "registry_http_in_flight_requests",
            "registry_http_request_size_bytes_count",
            "registry_http_response_size_bytes_count",
        ] {
            let whole = series(name, &[("handler", handler)]);
            assert!(page.samples.contains_key(&whole), "{whole}");
        }
    }
    let count = "registry_http_request_duration_seconds_count";
    let labels = [("handler", "manifest"), ("method", "put")];
    expect(page, &series(count, &labels), 1.0);
    // Ours alone are not among Distribution's.
    assert!(
        page.sum("registry_http_requests_total", &["handler=\"none\""])
            .abs()
            < 1e-9
    );
    let storage = "registry_storage_action_seconds_count";
    for (driver, action) in [("catalog", "GetContent"), ("filesystem", "Move")] {
        let labels = [("driver", driver), ("action", action)];
        assert!(page.value(&series(storage, &labels)) > 0.0, "{action}");
    }
    for (name, kind) in [
        ("registry_notifications_events_total", "counter"),
        ("registry_notifications_pending_total", "gauge"),
        ("registry_notifications_status_total", "counter"),
    ] {
        assert_eq!(page.kinds.get(name).map(String::as_str), Some(kind));
    }
}

#[test]
fn nothing_grows_with_what_clients_send() {
    let server = start_configured(OPS, &["--memory"]);
    let mut ops = ops(&server);
    let mut client = server.client();
    let ask = |client: &mut crate::support::Client, number: u32| {
        let agent = format!("agent-{number}");
        let headers = [("User-Agent", agent.as_str())];
        let name = format!("/v2/name{number}/manifests/tag{number}");
        client.request("GET", &name, &headers, None).expect(404);
        client.request(&format!("VERB{number}"), "/v2/", &headers, None);
        client.request("GET", &format!("/path{number}"), &headers, None);
    };
    ask(&mut client, 0);
    let all = |page: &Exposition| page.sum("coracle_http_requests_total", &["other"]);
    // Counted when the answer has gone, each by itself.
    let before = eventually("one of each is counted", || {
        let page = scrape(&mut ops);
        let count = |labels: &[&str]| page.sum("coracle_http_requests_total", labels);
        let each = [&["other"][..], &["\"manifest\""], &["\"none\"", "404"]];
        each.iter()
            .all(|labels| count(labels) >= 1.0)
            .then_some(page)
    });
    for number in 1..200 {
        ask(&mut client, number);
    }
    let after = eventually("all are counted", || {
        let page = scrape(&mut ops);
        (all(&page) >= 200.0).then_some(page)
    });
    // The first scrape is not in the first page.
    let series = |page: &Exposition| -> Vec<String> {
        let names = page.samples.keys();
        names
            .filter(|own| !own.contains("\"metrics\""))
            .cloned()
            .collect()
    };
    assert_eq!(series(&before), series(&after));
}

#[test]
fn a_scrape_writes_nothing() {
    let server = start_configured(OPS, &[]);
    server
        .client()
        .push_image("a", "v1", &Image::oci(1, &[1000]));
    let mut ops = ops(&server);
    let written = |page: &Exposition| {
        [
            "coracle_disk_written_bytes_total",
            "coracle_disk_flushes_total",
            "coracle_catalog_batch_writes_sum",
        ]
        .map(|name| page.sum(name, &[]).to_string())
    };
    // What the push has left to do in the background comes to its end.
    let mut last = written(&scrape(&mut ops));
    for _ in 0..10 {
        let now = written(&scrape(&mut ops));
        if now == last {
            return;
        }
        last = now;
    }
    panic!("each scrape writes: {last:?}");
}

#[test]
fn at_the_registrys_own_address_it_is_for_administrators() {
    let htpasswd = format!("{OPS}[auth]\nhtpasswd = \"htpasswd\"\n");
    let rules = |rule: &str| {
        let rule = format!("[[access]]\nwho = \"user:ada\"\n{rule}\n");
        format!(
            "{htpasswd}{rule}[[access]]\nwho = \"anyone\"\nrepositories = \"**\"\nactions = \"pull\"\n"
        )
    };
    let file = crate::support::ConfigFile::new("");
    let folder = std::path::Path::new(file.flags()[1])
        .parent()
        .unwrap()
        .to_owned();
    std::fs::write(folder.join("htpasswd"), crate::support::HTPASSWD).unwrap();
    let named = |toml: String| {
        let path = folder.join("htpasswd");
        toml.replace("\"htpasswd\"", &format!("{:?}", path.to_str().unwrap()))
    };
    let ada = [("Authorization", crate::support::ADA)];
    for (rule, status) in [
        ("repositories = \"**\"\nactions = \"admin\"", 200),
        (
            "repositories = \"**\"\nactions = [\"pull\", \"push\", \"delete\"]",
            403,
        ),
        ("repositories = \"team/**\"\nactions = \"admin\"", 403),
    ] {
        let server = start_configured(&named(rules(rule)), &["--memory"]);
        let mut client = server.client();
        client.get("/metrics").expect(401);
        client.request("GET", "/metrics", &ada, None).expect(status);
        client
            .request("HEAD", "/metrics", &ada, None)
            .expect(status);
        // Its own address asks for nothing, and has nothing else.
        let mut ops = ops(&server);
        scrape(&mut ops);
        ops.get("/v2/").expect(404);
        ops.get("/").expect(200);
        ops.request("POST", "/metrics", &[], None).expect(405);
        let page = eventually("the refusals are counted", || {
            let page = scrape(&mut ops);
            (page.value("coracle_refused_total{reason=\"unauthorized\"}") > 0.0).then_some(page)
        });
        let logins = "coracle_logins_total{kind=\"password\",outcome=\"accepted\"}";
        assert!(page.value(logins) >= 2.0);
        let forbidden = page.value("coracle_refused_total{reason=\"forbidden\"}");
        assert_eq!(forbidden > 0.0, status == 403);
    }
}

#[test]
fn everybody_sees_them_where_everybody_may_do_everything() {
    let server = Server::memory();
    let answer = server.client().get("/metrics").expect(200);
    Exposition::parse(&answer.text());
}

/// A port of the loopback interface that is in use until the socket is dropped.
fn taken() -> (TcpListener, u16) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[test]
fn a_taken_port_is_a_warning_where_it_was_not_asked_for() {
    let (_socket, port) = taken();
    // Another address of this host, so that the port before it is free.
    let server = Server::start(&["--memory", "--listen", &format!("127.0.7.1:{}", port - 1)]);
    server.client().get("/v2/").expect(200);
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("WARN") && line.contains("ops.listen"));
    let line = line.unwrap_or_else(|| panic!("no warning in\n{log}"));
    assert!(line.contains(&format!("127.0.0.1:{port}")), "{line}");
}

#[test]
fn a_taken_port_that_was_asked_for_is_an_end() {
    let (_socket, port) = taken();
    let file = crate::support::ConfigFile::new(&format!("[ops]\nlisten = \"127.0.0.1:{port}\"\n"));
    let [flag, path] = file.flags();
    let words = [flag, path, "serve", "--memory", "--listen", "127.0.0.1:0"];
    let ended = run(&words, "").expect(5);
    assert!(
        ended.stderr.contains(&format!("127.0.0.1:{port}")),
        "{ended:?}"
    );
}

#[test]
fn the_address_is_the_port_after_the_registrys_or_none() {
    let server = Server::memory();
    let port: u16 = server.url().rsplit(':').next().unwrap().parse().unwrap();
    let next = format!("http://127.0.0.1:{}", port.wrapping_add(1));
    let log = server.log();
    // Another test may have the port.
    let is_there = log.contains(&format!("metrics and health are at {next}"));
    assert!(is_there || log.contains("ops.listen"), "{log}");
    let off = start_configured("[ops]\nlisten = \"off\"\n", &["--memory"]);
    off.client().get("/healthz").expect(200);
    assert!(!off.log().contains("metrics and health"), "{}", off.log());
    let bad = crate::support::ConfigFile::new("[ops]\nlisten = \"somewhere\"\n");
    let [flag, path] = bad.flags();
    let ended = run(&[flag, path, "config", "check"], "").expect(3);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("somewhere") && said.contains("off"), "{said}");
}

#[test]
fn the_end_of_a_certificate_is_told() {
    let certificates = Certificates::new();
    let server = start_configured(&certificates.toml(OPS), &["--memory"]);
    // Theirs is spoken without TLS unless it is said.
    let page = scrape(&mut ops(&server));
    let end = page.sum(
        "coracle_tls_certificate_expiry_timestamp_seconds",
        &["index=\"0\""],
    );
    assert!(end > page.value("process_start_time_seconds"), "{end}");
    let mut client = server.tls_client(&certificates.client());
    client.get("/v2/").expect(200);
    let toml = certificates.toml("[ops]\nlisten = \"https://127.0.0.1:0\"\n");
    let server = start_configured(&toml, &["--memory"]);
    let mut ops = ops(&server).with_tls(&certificates.client(), "localhost");
    scrape(&mut ops);
}

#[test]
fn a_unix_socket_will_do_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}/ops.sock", folder.path().display());
    let server = start_configured(&format!("[ops]\nlisten = \"{listen}\"\n"), &["--memory"]);
    let mut ops = crate::support::Client::new(&listen);
    scrape(&mut ops);
    drop(server);
}
