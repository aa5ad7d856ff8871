//! `coracle undelete`, and what clients have removed.

use crate::support::Server;
use crate::support::image::{Image, Manifest};
use crate::support::program::run_at;
use serde_json::json;

const OK: i32 = 0;
const FAILED: i32 = 1;

#[test]
fn a_manifest_that_a_client_removed_comes_back_with_the_tags_that_went_with_it() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let (image, other) = (Image::oci(1, &[70_000, 10]), Image::oci(2, &[20]));
    let digest = client.push_image("a", "v1", &image);
    client.push_manifest("a", "v2", &image.manifest);
    client.push_manifest("a", "v3", &image.manifest);
    client
        .delete(&format!("/v2/a/manifests/{digest}"))
        .expect(202);
    client.push_image("a", "v3", &other);
    server.restart();
    let mut client = server.client();
    let target = format!("a@{digest}");
    let back = run_at(server.data(), &["undelete", &target, "--json"])
        .expect(OK)
        .json();
    assert_eq!(
        back,
        json!({ "repository": "a", "manifests": 1, "tags": 2, "first_tags": ["v1", "v2"] })
    );
    client.expect_image("a", "v1", &image);
    client.expect_image("a", "v2", &image);
    client.expect_image("a", "v3", &other);
    let again = run_at(server.data(), &["undelete", &target]).expect(FAILED);
    assert!(
        again.stderr.contains("exists, nothing was changed"),
        "{again:?}"
    );
    server.stop_and_check();
}

/// The rows of so many tags are taken away after the answer.
#[test]
fn many_tags_come_back_even_if_the_server_is_killed_with_the_answer() {
    let mut server = Server::start(&[]);
    let image = Image::oci(1, &[10]);
    let digest = server.client().push_image("a", "t000", &image);
    let mut client = server.client();
    for number in 1..300 {
        client.push_manifest("a", &format!("t{number:03}"), &image.manifest);
    }
    for _ in 0..5 {
        let path = format!("/v2/a/manifests/{digest}");
        server.client().delete(&path).expect(202);
        server.kill();
        server.launch();
        let tags = server.client().get("/v2/a/tags/list").expect(200).json();
        assert_eq!(tags["tags"], json!([]));
        let target = format!("a@{digest}");
        let back = run_at(server.data(), &["undelete", &target, "--json"]);
        assert_eq!(back.expect(OK).json()["tags"], 300);
        server.client().expect_image("a", "t299", &image);
    }
    server.stop_and_check();
}

#[test]
fn an_index_comes_back_with_its_children_and_its_signature() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let (amd, arm) = (Image::oci(1, &[5000]), Image::oci(2, &[6000]));
    for image in [&amd, &arm] {
        client.push_image("a", &image.digest(), image);
    }
    let index = Manifest::index(&[(&amd.manifest, "amd64"), (&arm.manifest, "arm64")]);
    client.push_manifest("a", "v1", &index);
    client.push_blob("a", b"{}");
    let signature = Manifest::artifact("application/x", &index.descriptor());
    client.push_manifest("a", &signature.digest(), &signature);
    for digest in [
        index.digest(),
        signature.digest(),
        amd.digest(),
        arm.digest(),
    ] {
        client
            .delete(&format!("/v2/a/manifests/{digest}"))
            .expect(202);
    }
    let back = run_at(server.data(), &["undelete", "a:v1"]).expect(OK);
    assert_eq!(
        back.stdout,
        "a:v1 was brought back: 4 manifests, 1 tag (v1)\n"
    );
    client.expect_manifest("a", "v1", &index);
    client.expect_image("a", &amd.digest(), &amd);
    client.expect_image("a", &arm.digest(), &arm);
    let path = format!("/v2/a/referrers/{}", index.digest());
    let referrers = client.get(&path).expect(200).json();
    assert_eq!(referrers["manifests"][0]["digest"], signature.digest());
    server.stop_and_check();
}

#[test]
fn a_repository_that_was_never_removed_as_a_whole_gets_all_of_it_back() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let images = [1, 2, 3].map(|seed| Image::oci(seed, &[100]));
    for (image, tag) in images.iter().zip(["v1", "v2", "v3"]) {
        client.push_image("a", tag, image);
    }
    client
        .delete(&format!("/v2/a/manifests/{}", images[0].digest()))
        .expect(202);
    client.delete("/v2/a/manifests/v2").expect(202);
    server.stop();
    run_at(server.data(), &["undelete", "a"]).expect(OK);
    let nothing = run_at(server.data(), &["undelete", "a"]).expect(FAILED);
    assert!(
        nothing.stderr.contains("repository a: nothing was removed"),
        "{nothing:?}"
    );
    server.launch();
    let mut client = server.client();
    for (image, tag) in images.iter().zip(["v1", "v2", "v3"]) {
        client.expect_image("a", tag, image);
    }
    server.stop_and_check();
}

#[test]
fn what_can_be_brought_back_is_listed_with_until_when() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (image, other) = (Image::oci(1, &[10]), Image::oci(2, &[20]));
    client.push_image("a", "v1", &image);
    client.push_image("a", "v2", &other);
    client.push_image("b", "v1", &other);
    client
        .delete(&format!("/v2/a/manifests/{}", image.digest()))
        .expect(202);
    run_at(server.data(), &["tag", "remove", "b", "v1"]).expect(OK);
    let all = run_at(server.data(), &["undelete", "--list", "--json"])
        .expect(OK)
        .json();
    let tags = all["tags"].as_array().unwrap();
    assert_eq!(tags.len(), 2, "{all}");
    assert_eq!(
        (&tags[0]["repository"], &tags[0]["tag"]),
        (&json!("a"), &json!("v1"))
    );
    assert_eq!(tags[0]["removed_by"], json!(null));
    assert_eq!(
        (&tags[1]["repository"], &tags[1]["removed_by"]),
        (&json!("b"), &json!("local"))
    );
    assert_eq!(all["manifests"][0]["digest"], image.digest());
    assert_eq!(all["manifests"].as_array().unwrap().len(), 1);
    let one = run_at(server.data(), &["undelete", "b", "--list", "--json"])
        .expect(OK)
        .json();
    assert_eq!(one["tags"], json!([tags[1]]));
    assert_eq!(one["manifests"], json!([]));
    let table = run_at(server.data(), &["undelete", "--list"])
        .expect(OK)
        .stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("WHAT "), "{table}");
    assert!(
        lines[3].starts_with(&format!("a@{}", image.digest())),
        "{table}"
    );
    let wrong = run_at(server.data(), &["undelete", "a:v1", "--list"]).expect(FAILED);
    assert!(
        wrong.stderr.contains("--list takes a repository"),
        "{wrong:?}"
    );
}

#[test]
fn what_cannot_be_brought_back_is_refused_with_what_to_do() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (image, other) = (Image::oci(1, &[10]), Image::oci(2, &[20]));
    client.push_image("a", "v1", &image);
    client.push_image("a", "v1", &other);
    let exists = run_at(server.data(), &["undelete", "a:v1"]).expect(FAILED);
    assert_eq!(
        exists.stderr,
        "coracle: tag a:v1 exists; `coracle tag rollback a v1` moves it back to what it pointed to \
         before\n"
    );
    for target in [
        "a:v2",
        "b",
        "b:v1",
        &format!("a@{}", Image::oci(3, &[]).digest()),
    ] {
        let refused = run_at(server.data(), &["undelete", target]).expect(FAILED);
        assert!(
            refused.stderr.contains("`coracle undelete --list`"),
            "{refused:?}"
        );
    }
    client.expect_image("a", "v1", &other);
}

#[test]
fn where_undo_is_off_removals_are_final_and_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("coracle.toml");
    std::fs::write(&config, "[undo]\nwindow_seconds = 0\n").unwrap();
    let mut server = Server::start(&["--config", config.to_str().unwrap()]);
    let mut client = server.client();
    let image = Image::oci(1, &[10]);
    let digest = client.push_image("a", "v1", &image);
    client.push_image("b", "v1", &image);
    client
        .delete(&format!("/v2/a/manifests/{digest}"))
        .expect(202);
    let removed = run_at(server.data(), &["repo", "remove", "b", "--json"])
        .expect(OK)
        .json();
    assert_eq!(removed["until"], json!(null));
    for words in [
        &["undelete", "b"][..],
        &["undelete", "a:v1"],
        &["undelete", "--list"],
    ] {
        let refused = run_at(server.data(), words).expect(FAILED);
        assert!(
            refused.stderr.contains("undo is switched off"),
            "{refused:?}"
        );
    }
    let history = run_at(server.data(), &["tag", "history", "a", "v1", "--json"]).expect(OK);
    assert_eq!(history.json()["history"][0]["how"], "removed_with_manifest");
    let usage = run_at(server.data(), &["du", "--json"]).expect(OK).json();
    assert_eq!(usage["store"]["past_until"], json!(null));
    server.stop_and_check();
}
