//! Stopping: within the bound that is told, and at once when told again.

use super::manager::{Manager, value};
use crate::support::image::{Image, bytes, digest};
use crate::support::program::run_at;
use rustix::process::Signal;

#[test]
fn a_running_upload_may_finish_and_the_manager_is_told() {
    let manager = Manager::new();
    let mut program = manager.start("[server]\nstop_seconds_max = 300\n");
    manager.expect("READY=1");
    let blob = bytes(1, 200_000);
    let session = program.client().start_upload("a");
    let mut client = program.client();
    let length = blob.len().to_string();
    let path = format!("{session}?digest={}", digest(&blob));
    client.begin("PUT", &path, &[("Content-Length", &length)]);
    client.send(&blob[..100_000]);
    program.signal(Signal::TERM);
    let stopping = manager.expect("STOPPING=1");
    assert_eq!(value(&stopping, "EXTEND_TIMEOUT_USEC"), "340000000");
    let status = manager.expect("STATUS=stopping: 1 requests are running");
    assert!(!status.contains("READY"), "{status}");
    client.send(&blob[100_000..]);
    client.receive().expect(201);
    assert!(program.wait().success());
    let end = manager.expect("STATUS=stopping: writing down");
    assert_eq!(value(&end, "EXTEND_TIMEOUT_USEC"), "40000000");
    let program = manager.start("");
    program.client().expect_blob("a", &blob);
}

#[test]
fn a_second_signal_stops_at_once() {
    let manager = Manager::new();
    let mut program = manager.start("[server]\nstop_seconds_max = 3600\n");
    let session = program.client().start_upload("a");
    let mut client = program.client();
    client.begin("PATCH", &session, &[("Content-Length", "1000")]);
    program.signal(Signal::TERM);
    manager.expect("STOPPING=1");
    program.signal(Signal::TERM);
    assert!(program.wait().success());
    assert!(client.try_receive().is_err());
    let log = program.log();
    assert!(log.contains("stopping at once"), "{log}");
}

/// What is in memory only is written down: pulls that nobody has flushed yet.
#[test]
fn what_is_in_memory_is_written_down() {
    let manager = Manager::new();
    let mut program = manager.start("");
    let image = Image::oci(1, &[100]);
    program.client().push_image("a", "v1", &image);
    program.client().get("/v2/a/manifests/v1").expect(200);
    program.stop();
    let data = manager.path("data");
    let shown = run_at(&data, &["tag", "list", "a", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["tags"][0]["pulls"], 1, "{shown}");
}
