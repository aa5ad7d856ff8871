//! podman: push, pull and run, with runc and limits that a sandbox can grant.

use super::payload::{self, BUSYBOX};
use super::{Sandbox, require};
use crate::support::Server;

/// A sandbox for podman.
#[track_caller]
pub fn sandbox() -> Option<Sandbox> {
    let mut sandbox = require(&["podman", "runc", "conmon", BUSYBOX])?.with_containers()?;
    // Its locks in a file: the shared memory they are in otherwise belongs to the whole machine.
    let config = sandbox.write("containers.conf", "[engine]\nlock_type = \"file\"\n");
    sandbox.set("CONTAINERS_CONF", &config);
    Some(sandbox)
}

/// The arguments by which `podman` keeps all of its state in the sandbox.
pub fn place(sandbox: &Sandbox) -> Vec<String> {
    let (root, run) = (sandbox.arg("storage"), sandbox.arg("storage-run"));
    let temporary = sandbox.arg("tmp");
    let place = ["--root", &root, "--runroot", &run, "--tmpdir", &temporary];
    let engine = [
        "--storage-driver",
        "vfs",
        "--runtime",
        "runc",
        "--cgroup-manager",
        "cgroupfs",
        "--events-backend",
        "none",
    ];
    let arguments = place.iter().chain(&engine);
    arguments.map(ToString::to_string).collect()
}

/// Runs `podman` with all of its state in the sandbox; it has to succeed.
#[track_caller]
pub fn podman(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let place = place(sandbox);
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    sandbox.run("podman", &[&place[..], arguments].concat())
}

/// Runs a container of an image; answers what it printed.
#[track_caller]
fn run_container(sandbox: &Sandbox, image: &str) -> String {
    let limits = [
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
    ];
    podman(
        sandbox,
        &[&["run", "--rm", "--network", "none"][..], &limits, &[image]].concat(),
    )
}

#[test]
fn podman_pulls_runs_commits_and_pushes() {
    let Some(sandbox) = sandbox() else { return };
    let mut server = Server::start(&[]);
    let base = payload::busybox_image(&sandbox, "hello from podman");
    server.client().push_image("podman/base", "v1", &base);
    let (first, second) = (
        format!("{}/podman/base:v1", server.host()),
        format!("{}/podman/copy:v1", server.host()),
    );
    podman(&sandbox, &["pull", "--tls-verify=false", &first]);
    assert_eq!(run_container(&sandbox, &first), "hello from podman");
    podman(&sandbox, &["push", "--tls-verify=false", &first, &second]);
    let id = podman(
        &sandbox,
        &["image", "inspect", "--format", "{{.Id}}", &first],
    );
    podman(&sandbox, &["image", "rm", "--force", &id]);
    podman(&sandbox, &["pull", "--tls-verify=false", &second]);
    assert_eq!(
        podman(
            &sandbox,
            &["image", "inspect", "--format", "{{.Id}}", &second]
        ),
        id
    );
    assert_eq!(run_container(&sandbox, &second), "hello from podman");
    server.stop_and_check();
}

#[test]
fn podman_makes_and_pushes_a_manifest_list() {
    let Some(sandbox) = sandbox() else { return };
    let mut server = Server::start(&[]);
    let list = format!("{}/podman/list:v1", server.host());
    podman(&sandbox, &["manifest", "create", &list]);
    for architecture in ["arm64", payload::host_architecture()] {
        let tars = [payload::message_tar(&sandbox, architecture)];
        let image = payload::image(&sandbox, architecture, &tars);
        server
            .client()
            .push_image("podman/parts", architecture, &image);
        let part = format!("docker://{}/podman/parts:{architecture}", server.host());
        podman(
            &sandbox,
            &["manifest", "add", "--tls-verify=false", &list, &part],
        );
    }
    let destination = format!("docker://{list}");
    podman(
        &sandbox,
        &[
            "manifest",
            "push",
            "--all",
            "--tls-verify=false",
            &list,
            &destination,
        ],
    );
    let path = "/v2/podman/list/manifests/v1";
    let accept = [
        crate::support::image::OCI_INDEX,
        crate::support::image::DOCKER_LIST,
    ]
    .join(", ");
    let pushed = server
        .client()
        .request("GET", path, &[("Accept", &accept)], None)
        .expect(200);
    assert_eq!(
        pushed.json()["manifests"].as_array().expect("a list").len(),
        2,
        "{pushed}"
    );
    podman(&sandbox, &["pull", "--tls-verify=false", &list]);
    server.stop_and_check();
}
