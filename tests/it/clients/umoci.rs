//! umoci makes OCI layouts and unpacks them; skopeo carries them to the registry and back.
//!
//! The content is a real Debian root file system, compared file by file after the journey.

use super::{payload, require, tree};
use crate::support::Server;
use std::fs;

#[test]
fn a_debian_system_comes_back_from_the_registry_unchanged() {
    let Some(sandbox) = require(&["umoci", "skopeo", "dpkg-query"]) else {
        return;
    };
    let Some(mut sandbox) = sandbox.with_containers() else {
        return;
    };
    sandbox.keep_skopeo_inside();
    let mut server = Server::start(&[]);
    let tar = payload::debian_root_tar(&sandbox, "debian.tar");
    let before = sandbox.path("before");
    fs::create_dir(&before).expect("make a folder");
    let unpack = [
        "-xpf",
        tar.to_str().unwrap(),
        "--numeric-owner",
        "-C",
        before.to_str().unwrap(),
    ];
    sandbox.run("tar", &unpack);

    let (first, second) = (sandbox.arg("first"), sandbox.arg("second"));
    let (there, back) = (format!("{first}:v1"), format!("{second}:v1"));
    sandbox.run("umoci", &["init", "--layout", &first]);
    sandbox.run("umoci", &["new", "--image", &there]);
    sandbox.run(
        "umoci",
        &["raw", "add-layer", "--image", &there, tar.to_str().unwrap()],
    );
    let image = format!("docker://{}/umoci/debian:v1", server.host());
    sandbox.run(
        "skopeo",
        &[
            "copy",
            "--dest-tls-verify=false",
            &format!("oci:{there}"),
            &image,
        ],
    );
    sandbox.run(
        "skopeo",
        &[
            "copy",
            "--src-tls-verify=false",
            &image,
            &format!("oci:{back}"),
        ],
    );
    sandbox.run(
        "umoci",
        &["unpack", "--image", &back, &sandbox.arg("bundle")],
    );
    tree::expect_same(&before, &sandbox.path("bundle/rootfs"));
    server.stop_and_check();
}
