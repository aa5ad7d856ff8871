//! skopeo: copies in both directions, formats, compressions, indexes, deletes, and sync.

use super::payload::{self, BUSYBOX};
use super::{Sandbox, require};
use crate::support::image::{
    DOCKER_LIST, DOCKER_MANIFEST, Image, Manifest, OCI_INDEX, OCI_MANIFEST,
};
use crate::support::program::run_at;
use crate::support::{Client, Response, Server};
use serde_json::Value;
use std::fs;

/// Over plain HTTP, on either side of a copy.
const PLAIN: [&str; 2] = ["--src-tls-verify=false", "--dest-tls-verify=false"];

/// A sandbox for skopeo.
#[track_caller]
pub fn sandbox() -> Option<Sandbox> {
    let mut sandbox = require(&["skopeo", BUSYBOX])?;
    sandbox.keep_skopeo_inside();
    Some(sandbox)
}

/// Runs `skopeo copy` with these further arguments, which has to succeed.
#[track_caller]
fn copy(sandbox: &Sandbox, arguments: &[&str]) {
    sandbox.run("skopeo", &[&["copy"][..], &PLAIN, arguments].concat());
}

/// Asks for a manifest as whatever it is.
#[track_caller]
fn get_manifest(client: &mut Client, repository: &str, reference: &str) -> Response {
    let accept = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST].join(", ");
    let path = format!("/v2/{repository}/manifests/{reference}");
    client
        .request("GET", &path, &[("Accept", &accept)], None)
        .expect(200)
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
}

#[test]
fn skopeo_copies_in_both_directions_and_formats() {
    let Some(sandbox) = sandbox() else {
        return;
    };
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let image = payload::busybox_image(&sandbox, "copied");
    client.push_image("skopeo/base", "v1", &image);
    let registry = format!("docker://{}/skopeo", server.host());

    // Out to a folder and back in as what it was: not a byte may change on the way.
    let layout = format!("oci:{}:v1", sandbox.arg("layout"));
    copy(&sandbox, &[&format!("{registry}/base:v1"), &layout]);
    copy(&sandbox, &[&layout, &format!("{registry}/back:v1")]);
    client.expect_image("skopeo/back", "v1", &image);

    for (format, media_type) in [("oci", OCI_MANIFEST), ("v2s2", DOCKER_MANIFEST)] {
        let converted = format!("{registry}/{format}:v1");
        copy(
            &sandbox,
            &[
                "--format",
                format,
                &format!("{registry}/base:v1"),
                &converted,
            ],
        );
        let manifest = get_manifest(&mut client, &format!("skopeo/{format}"), "v1");
        let manifest = manifest.expect_header("Content-Type", media_type).json();
        for layer in &image.layers {
            client.expect_blob(&format!("skopeo/{format}"), layer);
        }
        assert_eq!(
            manifest["layers"].as_array().unwrap().len(),
            image.layers.len()
        );
        copy(
            &sandbox,
            &[&converted, &format!("dir:{}", sandbox.arg(format))],
        );
    }
    server.stop_and_check();
}

#[test]
fn skopeo_copies_every_platform_of_an_index() {
    let Some(sandbox) = sandbox() else {
        return;
    };
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let images = ["amd64", "arm64", "s390x"].map(|architecture| {
        let tars = [payload::message_tar(&sandbox, architecture)];
        (payload::image(&sandbox, architecture, &tars), architecture)
    });
    for (image, _) in &images {
        client.push_image("skopeo/multi", &image.digest(), image);
    }
    let children: Vec<_> = images
        .iter()
        .map(|(image, name)| (&image.manifest, *name))
        .collect();
    let index = Manifest::index(&children);
    client.push_manifest("skopeo/multi", "v1", &index);
    let registry = format!("docker://{}/skopeo", server.host());
    let layout = format!("oci:{}:v1", sandbox.arg("layout"));
    copy(
        &sandbox,
        &["--all", &format!("{registry}/multi:v1"), &layout],
    );
    copy(
        &sandbox,
        &["--all", &layout, &format!("{registry}/copy:v1")],
    );
    client.expect_manifest("skopeo/copy", "v1", &index);
    for (image, _) in &images {
        client.expect_image("skopeo/copy", &image.digest(), image);
    }

    let list = [
        "--all",
        "--format",
        "v2s2",
        &layout,
        &format!("{registry}/list:v1"),
    ];
    copy(&sandbox, &list);
    let list = get_manifest(&mut client, "skopeo/list", "v1");
    let list = list.expect_header("Content-Type", DOCKER_LIST).json();
    for child in list["manifests"].as_array().expect("a list") {
        get_manifest(&mut client, "skopeo/list", text(&child["digest"]))
            .expect_header("Content-Type", DOCKER_MANIFEST);
    }
    server.stop_and_check();
}

#[test]
fn skopeo_compresses_with_zstd_on_the_way() {
    const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let Some(sandbox) = sandbox() else {
        return;
    };
    let (mut server, mut target) = (Server::start(&[]), Server::start(&[]));
    let mut client = server.client();
    let image = payload::busybox_image(&sandbox, "compressed again");
    client.push_image("skopeo/gzip", "v1", &image);
    let gzip = format!("docker://{}/skopeo/gzip:v1", server.host());
    // To another registry: in the same one skopeo would rather use the gzip that is there.
    let zstd = format!("docker://{}/skopeo/zstd:v1", target.host());
    copy(&sandbox, &["--dest-compress-format", "zstd", &gzip, &zstd]);
    let mut client = target.client();
    let manifest = get_manifest(&mut client, "skopeo/zstd", "v1").json();
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), image.layers.len());
    for layer in layers {
        assert!(text(&layer["mediaType"]).ends_with("+zstd"), "{layer}");
        let path = format!("/v2/skopeo/zstd/blobs/{}", text(&layer["digest"]));
        let blob = client.get(&path).expect(200);
        assert!(blob.body.starts_with(&ZSTD_MAGIC), "not zstd: {layer}");
    }
    copy(&sandbox, &[&zstd, &format!("dir:{}", sandbox.arg("back"))]);
    server.stop_and_check();
    target.stop_and_check();
}

#[test]
fn skopeo_inspects_lists_and_deletes() {
    let Some(sandbox) = sandbox() else {
        return;
    };
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let image = payload::busybox_image(&sandbox, "inspected");
    for tag in ["v2", "v1", "latest"] {
        client.push_image("skopeo/tags", tag, &image);
    }
    let other = payload::busybox_image(&sandbox, "stays");
    client.push_image("skopeo/tags", "other", &other);
    let name = format!("docker://{}/skopeo/tags", server.host());
    let json = |arguments: &[&str]| -> Value {
        let plain = [&arguments[..1], &["--tls-verify=false"], &arguments[1..]].concat();
        serde_json::from_str(&sandbox.run("skopeo", &plain)).expect("JSON from skopeo")
    };

    let inspected = json(&["inspect", &format!("{name}:v1")]);
    assert_eq!(text(&inspected["Digest"]), image.digest());
    assert_eq!(
        inspected["Layers"].as_array().unwrap().len(),
        image.layers.len()
    );
    let raw = json(&["inspect", "--raw", &format!("{name}:v1")]);
    assert_eq!(raw, image.manifest.json());
    let config = json(&["inspect", "--config", &format!("{name}@{}", image.digest())]);
    assert_eq!(text(&config["os"]), "linux");
    let tags = serde_json::json!(["latest", "other", "v1", "v2"]);
    assert_eq!(json(&["list-tags", &name])["Tags"], tags);

    sandbox.run(
        "skopeo",
        &["delete", "--tls-verify=false", &format!("{name}:v1")],
    );
    // It deletes by digest: every tag of that manifest goes, the other manifest stays.
    for reference in ["v1", "v2", "latest", &image.digest()] {
        let path = format!("/v2/skopeo/tags/manifests/{reference}");
        client.get(&path).expect_error(404, "MANIFEST_UNKNOWN");
        let gone = format!(
            "{name}{}{reference}",
            if reference.contains(':') { "@" } else { ":" }
        );
        sandbox.run_to_fail("skopeo", &["inspect", "--tls-verify=false", &gone]);
    }
    client.expect_image("skopeo/tags", "other", &other);
    assert_eq!(
        json(&["list-tags", &name])["Tags"],
        serde_json::json!(["other"])
    );
    server.stop_and_check();
}

#[test]
fn what_skopeo_deleted_comes_back_byte_for_byte() {
    let Some(sandbox) = sandbox() else {
        return;
    };
    let mut server = Server::start(&[]);
    let image = payload::busybox_image(&sandbox, "back");
    for tag in ["v1", "latest"] {
        server.client().push_image("skopeo/undo", tag, &image);
    }
    let name = |server: &Server| format!("docker://{}/skopeo/undo", server.host());
    let deleted = format!("{}:v1", name(&server));
    sandbox.run("skopeo", &["delete", "--tls-verify=false", &deleted]);
    sandbox.run_to_fail("skopeo", &["inspect", "--tls-verify=false", &deleted]);
    server.restart();
    run_at(server.data(), &["undelete", "skopeo/undo:latest"]).expect(0);
    run_at(server.data(), &["undelete", "skopeo/undo:v1"]).expect(0);
    for tag in ["v1", "latest"] {
        let from = format!("{}:{tag}", name(&server));
        let layout = format!("oci:{}:{tag}", sandbox.arg("back"));
        copy(&sandbox, &[&from, &layout]);
        copy(
            &sandbox,
            &[&layout, &format!("{}-again:{tag}", name(&server))],
        );
        server
            .client()
            .expect_image("skopeo/undo-again", tag, &image);
    }
    server.stop_and_check();
}

#[test]
fn skopeo_syncs_fifty_images_to_a_folder_and_to_another_registry() {
    let Some(sandbox) = sandbox() else {
        return;
    };
    let (mut server, mut target) = (Server::start(&[]), Server::start(&[]));
    let base = payload::tar(&payload::busybox_root(&sandbox, "base", "covered"));
    let images: Vec<(String, Image)> = (1..=50)
        .map(|n| {
            let top = payload::message_tar(&sandbox, &format!("number {n}"));
            let tars = [base.clone(), top];
            (
                format!("v{n}"),
                payload::image(&sandbox, payload::host_architecture(), &tars),
            )
        })
        .collect();
    let mut client = server.client();
    for (tag, image) in &images {
        client.push_image("many/images", tag, image);
    }
    let folder = sandbox.arg("folder");
    fs::create_dir(&folder).expect("make the folder");
    let sync = ["sync", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let out = ["--src", "docker", "--dest", "dir"];
    let source = format!("{}/many/images", server.host());
    sandbox.run("skopeo", &[&sync[..], &out, &[&source, &folder]].concat());
    assert_eq!(
        fs::read_dir(&folder).expect("read the folder").count(),
        images.len()
    );
    let into = ["--src", "dir", "--dest", "docker"];
    let destination = format!("{}/mirror", target.host());
    sandbox.run(
        "skopeo",
        &[&sync[..], &into, &[&folder, &destination]].concat(),
    );
    let mut client = target.client();
    for (tag, image) in &images {
        client.expect_image("mirror/images", tag, image);
    }
    server.stop_and_check();
    target.stop_and_check();
}
