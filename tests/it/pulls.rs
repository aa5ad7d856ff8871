//! Pulls are counted: what was pulled lately is kept. Only a GET of a manifest is a pull, and none
//! writes anything.

use serde_json::Value;

use crate::support::image::Image;
use crate::support::program::run;
use crate::support::{Configured, eventually, start_configured};

const TOML: &str = "[[retention]]\nrepositories = \"**\"\nkeep_pulled = \"30d\"\n";

/// The tags that were not pulled lately.
fn not_pulled(server: &Configured) -> Vec<String> {
    let data = server.data().to_str().unwrap();
    let words = ["retention", "plan", "--json", "--data", data];
    let plan = run(&words, "").expect(0).json();
    let items = plan["items"].as_array().unwrap().iter();
    items
        .map(|item| item["tag"].as_str().unwrap().to_owned())
        .collect()
}

fn pushed(server: &Configured) -> Image {
    let mut client = server.client();
    let image = Image::oci(1, &[100]);
    for tag in ["by-digest", "by-head", "by-tag"] {
        client.push_image("a", tag, &image);
    }
    image
}

#[test]
fn a_get_by_tag_is_a_pull_and_nothing_else_is() {
    let mut server = start_configured(TOML, &[]);
    let image = pushed(&server);
    let mut client = server.client();
    assert_eq!(not_pulled(&server).len(), 3);
    client.head("/v2/a/manifests/by-head").expect(200);
    client
        .get(&format!("/v2/a/manifests/{}", image.digest()))
        .expect(200);
    client.get("/v2/a/tags/list").expect(200);
    assert_eq!(not_pulled(&server).len(), 3);
    client.get("/v2/a/manifests/by-tag").expect(200);
    assert_eq!(not_pulled(&server), ["by-digest", "by-head"]);
    // It asks whether what it has is current, so it is in use.
    let known = [("If-None-Match", image.digest())];
    let known = known.map(|(name, digest)| (name, format!("\"{digest}\"")));
    let header = [(known[0].0, known[0].1.as_str())];
    client
        .request("GET", "/v2/a/manifests/by-head", &header, None)
        .expect(304);
    assert_eq!(not_pulled(&server), ["by-digest"]);
    server.stop_and_check();
}

#[test]
fn a_stop_writes_what_was_counted_and_a_crash_loses_it() {
    let mut server = start_configured(TOML, &[]);
    pushed(&server);
    server.client().get("/v2/a/manifests/by-tag").expect(200);
    server.restart();
    assert_eq!(not_pulled(&server), ["by-digest", "by-head"]);
    // Nothing was written for this one.
    server.client().get("/v2/a/manifests/by-head").expect(200);
    server.kill();
    server.launch();
    assert_eq!(not_pulled(&server), ["by-digest", "by-head"]);
}

#[test]
fn they_are_written_from_time_to_time() {
    let toml = format!("{TOML}[housekeeping]\npulls_seconds = 1\n");
    let mut server = start_configured(&toml, &[]);
    pushed(&server);
    let written = |server: &Configured| {
        let log = server.data().join("coracle.db-wal");
        log.metadata().unwrap().modified().unwrap()
    };
    let before = written(&server);
    server.client().get("/v2/a/manifests/by-tag").expect(200);
    eventually("somebody writes, though nobody pushes", || {
        (written(&server) != before).then_some(())
    });
    server.kill();
    server.launch();
    assert_eq!(not_pulled(&server), ["by-digest", "by-head"]);
}

/// With more pulled than is remembered, nothing stops and nothing is refused.
#[test]
fn many_pulled_things_are_written_before_there_is_no_room() {
    let server = start_configured(TOML, &[]);
    let mut client = server.client();
    let image = Image::oci(1, &[10]);
    client.push_image("a", "t0", &image);
    let digest = image.digest();
    let headers = [("Content-Type", image.manifest.media_type.as_str())];
    // More entries than three quarters of what is kept in memory.
    let count: usize = 13_000;
    let all: Vec<usize> = (1..count).collect();
    for part in all.chunks(100) {
        let tags: Vec<String> = part.iter().map(|n| format!("tag=t{n}")).collect();
        let path = format!("/v2/a/manifests/{digest}?{}", tags.join("&"));
        client
            .request("PUT", &path, &headers, Some(&image.manifest.bytes))
            .expect(201);
    }
    for number in 0..count {
        client
            .get(&format!("/v2/a/manifests/t{number}"))
            .expect(200);
    }
    assert_eq!(not_pulled(&server), [""; 0]);
    assert!(!server.log().contains("pulls were not counted"));
}

#[test]
fn a_plan_is_json_with_its_figures() {
    let server = start_configured(TOML, &[]);
    pushed(&server);
    let data = server.data().to_str().unwrap();
    let words = ["retention", "plan", "a", "--json", "--data", data];
    let plan: Value = run(&words, "").expect(0).json();
    assert_eq!((&plan["tags"], &plan["manifests"]), (&3.into(), &0.into()));
}
