//! buildah: commits and builds images without a daemon, pushes them, and pulls them back.
//!
//! Its storage is the `vfs` driver's, which needs nothing from the file system below.

use super::payload::{self, BUSYBOX};
use super::{Sandbox, require, tree};
use crate::support::Server;
use std::path::Path;

/// A sandbox for buildah.
#[track_caller]
pub fn sandbox() -> Option<Sandbox> {
    let mut sandbox = require(&["buildah", "runc", BUSYBOX])?.with_containers()?;
    sandbox.set("STORAGE_DRIVER", "vfs");
    Some(sandbox)
}

/// Runs `buildah` with its storage in this folder of the sandbox; it has to succeed.
#[track_caller]
fn buildah(sandbox: &Sandbox, storage: &str, arguments: &[&str]) -> String {
    let (root, run) = (sandbox.arg(storage), sandbox.arg(&format!("{storage}-run")));
    let place = ["--root", &root, "--runroot", &run];
    sandbox.run("buildah", &[&place[..], arguments].concat())
}

/// Pulls into an empty storage and answers where the image's root file system is mounted.
#[track_caller]
fn pull_and_mount(sandbox: &Sandbox, image: &str) -> String {
    buildah(sandbox, "fresh", &["pull", "--tls-verify=false", image]);
    let container = buildah(sandbox, "fresh", &["from", "--pull=false", image]);
    buildah(sandbox, "fresh", &["mount", &container])
}

#[test]
fn buildah_commits_pushes_and_pulls_into_an_empty_storage() {
    let Some(sandbox) = sandbox() else { return };
    let mut server = Server::start(&[]);
    let root = payload::busybox_root(&sandbox, "content", "committed");
    let image = format!("{}/buildah/commit:v1", server.host());
    let container = buildah(&sandbox, "storage", &["from", "scratch"]);
    buildah(
        &sandbox,
        "storage",
        &["add", &container, root.to_str().unwrap(), "/"],
    );
    buildah(&sandbox, "storage", &["commit", &container, &image]);
    buildah(&sandbox, "storage", &["push", "--tls-verify=false", &image]);
    let mounted = pull_and_mount(&sandbox, &image);
    tree::expect_same(&root, Path::new(&mounted));
    server.stop_and_check();
}

#[test]
fn buildah_builds_on_a_pulled_image_and_pushes_the_result() {
    let Some(sandbox) = sandbox() else { return };
    let mut server = Server::start(&[]);
    let base = payload::busybox_image(&sandbox, "base and ");
    server.client().push_image("buildah/base", "v1", &base);
    let host = server.host();
    let recipe =
        format!("FROM {host}/buildah/base:v1\nCOPY file /\nRUN cat /message /file > /both\n");
    sandbox.write("context/Dockerfile", &recipe);
    sandbox.write("context/file", "file");
    let (context, image) = (sandbox.arg("context"), format!("{host}/buildah/built:v1"));
    let build = [
        "bud",
        "--isolation",
        "chroot",
        "--tls-verify=false",
        "--tag",
        &image,
        &context,
    ];
    buildah(&sandbox, "storage", &build);
    buildah(&sandbox, "storage", &["push", "--tls-verify=false", &image]);
    let mounted = pull_and_mount(&sandbox, &image);
    let both = std::fs::read_to_string(Path::new(&mounted).join("both"));
    assert_eq!(both.expect("what the build step wrote"), "base and file");
    server.stop_and_check();
}
