//! Health: each part by its name, and reads that go on when only writes are impossible.

use crate::support::image::Image;
use crate::support::ops::{OPS, ops, scrape};
use crate::support::start_configured;
use serde_json::json;

#[test]
fn a_healthy_server_names_its_parts() {
    let server = start_configured(OPS, &["--memory"]);
    for mut client in [server.client(), ops(&server)] {
        let alive = client.get("/healthz").expect(200);
        assert_eq!(alive.json(), json!({ "status": "ok" }));
        let ready = client.get("/readyz").expect(200).json();
        assert_eq!(ready["status"], "ok");
        for part in [
            "server",
            "room",
            "catalog",
            "blobs",
            "clock",
            "certificates",
            "accounts",
            "scrub",
            "webhooks",
        ] {
            assert_eq!(ready["parts"][part]["state"], "ok", "{part}: {ready}");
        }
        let checks = client.get("/debug/health").expect(200);
        assert_eq!(checks.json(), json!({}));
        let head = client.request("HEAD", "/debug/health", &[], None);
        head.expect(200);
    }
    server
        .client()
        .request("POST", "/debug/health", &[], None)
        .expect(405);
}

#[test]
fn without_room_the_part_is_named_and_reads_go_on() {
    let mut server = start_configured(OPS, &[]);
    let image = Image::oci(1, &[1000, 100_000]);
    server.client().push_image("a", "v1", &image);
    // More than any disk has.
    server.restart_with(&format!("{OPS}[storage]\nreserve = \"16384GiB\"\n"));
    let mut client = server.client();
    client.expect_image("a", "v1", &image);
    client
        .request("POST", "/v2/a/blobs/uploads/", &[], None)
        .expect(507);
    for mut own in [server.client(), ops(&server)] {
        let ready = own.get("/readyz").expect(503).json();
        assert_eq!(ready["status"], "not ready", "{ready}");
        assert_eq!(ready["parts"]["room"]["state"], "failing");
        assert_eq!(ready["parts"]["catalog"]["state"], "ok");
        let why = ready["reason"].as_str().unwrap();
        assert!(why.contains("reserved"), "{why}");
        let checks = own.get("/debug/health").expect(503).json();
        assert_eq!(checks, json!({ "room": why }));
        own.get("/healthz").expect(200);
    }
    let page = scrape(&mut ops(&server));
    assert!(page.value("coracle_disk_full") > 0.0);
    assert!(page.value("coracle_refused_total{reason=\"room\"}") > 0.0);
    client.expect_image("a", "v1", &image);
    server.stop_and_check();
}
