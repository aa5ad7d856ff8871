//! `coracle du`: what is held alone, what is shared, what only the past needs.

use crate::support::Server;
use crate::support::image::{Image, Manifest, bytes};
use crate::support::program::run_at;
use serde_json::{Value, json};

const OK: i32 = 0;
const FAILED: i32 = 1;

/// An image of a layer of its own and one that others have too.
fn image(seed: u64, size: usize, shared: &[u8]) -> Image {
    let layers = vec![bytes(seed, size), shared.to_vec()];
    Image::new(&json!({ "author": format!("seed {seed}") }), layers)
}

fn du(server: &Server, target: &str) -> Value {
    run_at(server.data(), &["du", target, "--json"])
        .expect(OK)
        .json()
}

#[test]
fn a_tag_takes_what_nothing_else_in_the_store_uses() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let base = bytes(100, 40_000);
    let (first, second) = (image(1, 1000, &base), image(2, 2000, &base));
    client.push_image("a", "v1", &first);
    let config = first.config.len() as u64;
    let usage = du(&server, "a:v1");
    assert_eq!(usage["name"], "a:v1");
    assert_eq!(usage["alone_bytes"], 41_000 + config);
    assert_eq!(usage["shared_bytes"], 0);
    assert_eq!(usage["manifest_bytes"], first.manifest.bytes.len());
    client.push_image("a", "v2", &second);
    let usage = du(&server, "a:v1");
    assert_eq!(
        (&usage["alone_bytes"], &usage["shared_bytes"]),
        (&json!(1000 + config), &json!(40_000))
    );
    // What another repository holds is not free either.
    client.push_blob("b", &first.layers[0]);
    assert_eq!(du(&server, "a:v1")["alone_bytes"], config);
    // A second tag on it: nothing would be free.
    client.push_manifest("a", "latest", &first.manifest);
    assert_eq!(du(&server, "a:v1")["alone_bytes"], 0);
    assert_eq!(du(&server, "a:v1")["manifest_bytes"], 0);
    assert_eq!(
        du(&server, &format!("a@{}", second.digest()))["alone_bytes"],
        0
    );
    server.stop();
    let text = run_at(server.data(), &["du", "a:v2"]).expect(OK).stdout;
    assert!(
        text.starts_with("a:v2\nalone      <0.1 MiB: what its removal would free\n"),
        "{text}"
    );
    let unknown = run_at(server.data(), &["du", "a:v3"]).expect(FAILED);
    assert_eq!(unknown.stderr, "coracle: there is no tag a:v3\n");
    run_at(server.data(), &["du", "nothing"]).expect(FAILED);
}

#[test]
fn an_index_takes_its_children_and_referrers_unless_they_are_held_otherwise() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (amd, arm) = (Image::oci(1, &[5000]), Image::oci(2, &[6000]));
    client.push_image("a", &amd.digest(), &amd);
    client.push_image("a", &arm.digest(), &arm);
    let index = Manifest::index(&[(&amd.manifest, "amd64"), (&arm.manifest, "arm64")]);
    client.push_manifest("a", "all", &index);
    client.push_blob("a", b"{}");
    let signature = Manifest::artifact("application/x", &arm.manifest.descriptor());
    client.push_manifest("a", &signature.digest(), &signature);
    let sum = |image: &Image| image.blobs().map(<[u8]>::len).sum::<usize>();
    let usage = du(&server, "a:all");
    assert_eq!(usage["alone_bytes"], sum(&amd) + sum(&arm) + 2);
    client.push_manifest("a", "amd", &amd.manifest);
    let usage = du(&server, "a:all");
    assert_eq!(usage["alone_bytes"], sum(&arm) + 2);
    assert_eq!(usage["shared_bytes"], sum(&amd));
    let own = [&index, &arm.manifest, &signature].map(|own| own.bytes.len());
    assert_eq!(usage["manifest_bytes"], own.iter().sum::<usize>());
    // What it says is what a removal for good leaves.
    let before = run_at(server.data(), &["du", "--json"]).expect(OK).json();
    let removed = run_at(
        server.data(),
        &["tag", "remove", "a", "all", "--now", "--json"],
    );
    assert_eq!(removed.expect(OK).json()["manifests"], 3);
    let after = run_at(server.data(), &["du", "--json"]).expect(OK).json();
    let manifests = |usage: &Value| usage["store"]["manifest_bytes"].as_u64().unwrap();
    let went = manifests(&before) - manifests(&after);
    assert_eq!(json!(went), usage["manifest_bytes"]);
}

#[test]
fn the_store_and_its_repositories_are_told_from_sums() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let base = bytes(100, 40_000);
    let (first, second) = (image(1, 1000, &base), image(2, 2000, &base));
    client.push_image("a", "v1", &first);
    client.push_image("b", "v1", &second);
    let config = |image: &Image| image.config.len();
    let usage = run_at(server.data(), &["du", "--json"]).expect(OK).json();
    let store = &usage["store"];
    assert_eq!(store["saved_bytes"], 40_000);
    assert_eq!(
        store["blob_bytes"],
        43_000 + config(&first) + config(&second)
    );
    assert_eq!((&store["blobs"], &store["tags"]), (&json!(5), &json!(2)));
    assert_eq!(
        (&store["past_bytes"], &store["past_until"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(usage["repositories"][1]["name"], "b");
    assert_eq!(
        usage["repositories"][1]["alone_bytes"],
        2000 + config(&second)
    );
    assert_eq!(usage["repositories"][1]["shared_bytes"], 40_000);
    assert_eq!(du(&server, "b"), usage["repositories"][1]);
    // What is removed is what only the past needs.
    let other = image(3, 500, &base);
    client.push_image("b", "v2", &other);
    client
        .delete(&format!("/v2/b/manifests/{}", other.digest()))
        .expect(202);
    run_at(server.data(), &["repo", "remove", "a"]).expect(OK);
    server.stop();
    let usage = run_at(server.data(), &["du", "--json"]).expect(OK).json();
    assert_eq!(usage["store"]["past_bytes"], 1000 + config(&first));
    assert!(
        usage["store"]["past_until"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    let text = run_at(server.data(), &["du"]).expect(OK).stdout;
    for begin in [
        "blobs  ",
        "saved  ",
        "manifests  ",
        "removed  ",
        "REPOSITORY  ",
        "b  ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(begin)),
            "{begin} in {text}"
        );
    }
}
