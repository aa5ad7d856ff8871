//! What the program says to its manager, over a real datagram socket.

use super::manager::{Manager, value};
use crate::support::image::Image;
use crate::support::{HTPASSWD, eventually};
use rustix::process::Signal;
use std::fs;

#[test]
fn it_is_ready_once_it_answers_and_tells_its_figures() {
    for manager in [Manager::new(), Manager::abstractly()] {
        let mut program = manager.start("");
        let start = manager.expect("EXTEND_TIMEOUT_USEC=");
        assert_eq!(value(&start, "STATUS"), "opening the store");
        let ready = manager.expect("READY=1");
        assert_eq!(value(&ready, "MAINPID"), program.pid().to_string());
        let status = value(&ready, "STATUS");
        assert!(
            status.starts_with(&format!("serving on {}", program.url)),
            "{status}"
        );
        assert!(status.contains("; 0 repositories, "), "{status}");
        let image = Image::oci(1, &[1000]);
        program.client().push_image("a", "v1", &image);
        eventually("the figures are told anew", || {
            let status = manager.expect("STATUS=serving");
            status.contains("; 1 repositories, 1 tags").then_some(())
        });
        program.stop();
        let stopping = manager.expect("STOPPING=1");
        // Thirty seconds for requests, as many for the catalog, and a margin.
        assert_eq!(value(&stopping, "EXTEND_TIMEOUT_USEC"), "70000000");
        assert!(
            value(&stopping, "STATUS").starts_with("stopping"),
            "{stopping}"
        );
    }
}

#[test]
fn a_reload_is_told_with_its_outcome_until_the_next() {
    let manager = Manager::new();
    fs::write(manager.path("users"), HTPASSWD).unwrap();
    let program = manager.start("[auth]\nhtpasswd = \"users\"\n");
    manager.expect("READY=1");
    program.signal(Signal::HUP);
    let reloading = manager.expect("RELOADING=1");
    let first: u64 = value(&reloading, "MONOTONIC_USEC").parse().unwrap();
    let ready = manager.expect("READY=1");
    assert!(value(&ready, "STATUS").starts_with("serving on"), "{ready}");

    fs::write(manager.path("users"), "nonsense\n").unwrap();
    program.signal(Signal::HUP);
    let reloading = manager.expect("RELOADING=1");
    assert!(value(&reloading, "MONOTONIC_USEC").parse::<u64>().unwrap() > first);
    let refused = manager.expect("READY=1");
    let status = value(&refused, "STATUS");
    assert!(
        status.starts_with("the last reload was refused: accounts: users:1: "),
        "{status}"
    );
    assert!(status.contains("serving on"), "{status}");

    fs::write(manager.path("users"), HTPASSWD).unwrap();
    program.signal(Signal::HUP);
    manager.expect("RELOADING=1");
    let ready = manager.expect("READY=1");
    assert!(value(&ready, "STATUS").starts_with("serving on"), "{ready}");
}

/// A manager that is gone, or was never there, ends nothing.
#[test]
fn it_runs_without_anybody_who_listens() {
    let manager = Manager::new();
    let mut command = manager.command("");
    command.env("NOTIFY_SOCKET", manager.path("nobody"));
    let mut program = super::manager::Program::start(command, manager.folder.path());
    program.client().get("/v2/").expect(200);
    program.stop();
    let mut command = manager.command("");
    command.env("NOTIFY_SOCKET", "vsock:2:1");
    let mut program = super::manager::Program::start(command, manager.folder.path());
    program.client().get("/v2/").expect(200);
    assert!(
        program.log().contains("NOTIFY_SOCKET=vsock:2:1"),
        "{}",
        program.log()
    );
    program.stop();
}
