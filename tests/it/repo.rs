//! `coracle repo`: beside a running server and on a folder that none uses.

use crate::support::image::{Image, digest};
use crate::support::program::run_at;
use crate::support::{Server, check_clean};
use serde_json::{Value, json};

const OK: i32 = 0;
const FAILED: i32 = 1;

fn listed(server: &Server) -> Value {
    let answer = server.client().get("/v2/_catalog").expect(200).json();
    answer["repositories"].clone()
}

/// Pushes two tags that share a layer with another repository; what the three blobs of the first
/// image take.
fn pushed(server: &Server) -> (Image, Image) {
    let mut client = server.client();
    let (first, second) = (Image::oci(1, &[200_000, 50]), Image::oci(2, &[3000]));
    client.push_image("team/app", "v1", &first);
    client.push_image("team/app", "v2", &second);
    client.push_image("zoo", "v1", &second);
    (first, second)
}

#[test]
fn repositories_are_listed_and_shown_with_what_they_hold() {
    let mut server = Server::start(&[]);
    let (first, second) = pushed(&server);
    let sum = |image: &Image| image.blobs().map(<[u8]>::len).sum::<usize>();
    let manifests = first.manifest.bytes.len() + second.manifest.bytes.len();
    for is_running in [true, false] {
        if !is_running {
            server.stop();
        }
        let list = run_at(server.data(), &["repo", "list", "--json"]).expect(OK);
        let list = list.json();
        let app = &list["repositories"][0];
        assert_eq!(list["repositories"][1]["name"], "zoo");
        assert_eq!(app["name"], "team/app");
        assert_eq!((&app["tags"], &app["manifests"]), (&json!(2), &json!(2)));
        assert_eq!(app["bytes"], sum(&first) + sum(&second) + manifests);
        assert_eq!(app["alone_bytes"], sum(&first));
        assert!(app["created_at"].as_str().unwrap().ends_with('Z'));
        let shown = run_at(server.data(), &["repo", "show", "team/app", "--json"]).expect(OK);
        let shown = shown.json();
        assert_eq!(shown["blobs"], 5);
        assert_eq!(shown["newest_tags"][0]["name"], "v2");
        assert_eq!(shown["newest_tags"][1]["digest"], first.digest());
        assert_eq!(shown["newest_tags"][1]["bytes"], sum(&first));
        assert_eq!(shown["set_at"], shown["newest_tags"][0]["set_at"]);
        assert_eq!(shown["removed"], Value::Null);
        let table = run_at(server.data(), &["repo", "list"]).expect(OK).stdout;
        let rows: Vec<&str> = table.lines().collect();
        assert!(
            rows[0].starts_with("REPOSITORY  TAGS  MANIFESTS"),
            "{table}"
        );
        assert!(
            rows[1].starts_with("team/app       2          2   0.2 MiB"),
            "{table}"
        );
        let text = run_at(server.data(), &["repo", "show", "zoo"])
            .expect(OK)
            .stdout;
        assert!(text.contains("1 tag, 1 manifest, 2 blobs\n"), "{text}");
        let unknown = run_at(server.data(), &["repo", "show", "nothing"]).expect(FAILED);
        assert_eq!(unknown.stderr, "coracle: there is no repository nothing\n");
    }
}

#[test]
fn a_removed_repository_leaves_the_catalog_at_once_and_comes_back_whole() {
    let mut server = Server::start(&[]);
    let (first, second) = pushed(&server);
    server.client().push_blob("team/app", b"used by nothing");
    let removed = run_at(server.data(), &["repo", "remove", "team/app", "--json"]).expect(OK);
    let removed = removed.json();
    assert_eq!(
        (&removed["name"], &removed["tags"]),
        (&json!("team/app"), &json!(2))
    );
    assert!(
        removed["until"].as_str().unwrap().ends_with('Z'),
        "{removed}"
    );
    assert_eq!(listed(&server), json!(["zoo"]));
    let mut client = server.client();
    client.get("/v2/team/app/manifests/v1").expect(404);
    client
        .get("/v2/team/app/tags/list")
        .expect_error(404, "NAME_UNKNOWN");
    let layer = format!("/v2/team/app/blobs/{}", digest(&first.layers[0]));
    client.get(&layer).expect(404);
    client.expect_image("zoo", "v1", &second);
    // Nobody can mount what no repository holds any more.
    let mount = format!(
        "/v2/zoo/blobs/uploads/?mount={}&from=team/app",
        digest(&first.layers[0])
    );
    client.post(&mount, b"").expect(202);
    run_at(server.data(), &["repo", "remove", "team/app"]).expect(FAILED);
    server.restart();
    let back = run_at(server.data(), &["undelete", "team/app"]).expect(OK);
    assert_eq!(
        back.stdout,
        "team/app was brought back: 2 manifests, 2 tags (v1, v2)\n"
    );
    assert_eq!(listed(&server), json!(["team/app", "zoo"]));
    let mut client = server.client();
    client.expect_image("team/app", "v1", &first);
    client.expect_image("team/app", "v2", &second);
    server.stop_and_check();
    // The same with no server.
    run_at(server.data(), &["repo", "remove", "team/app"]).expect(OK);
    let shown = run_at(server.data(), &["undelete", "--list", "--json"])
        .expect(OK)
        .json();
    assert_eq!(shown["tags"][0]["removed_by"], "local");
    assert_eq!(shown["manifests"].as_array().unwrap().len(), 2);
    run_at(server.data(), &["undelete", "team/app"]).expect(OK);
    check_clean(server.data());
    server.launch();
    server.client().expect_image("team/app", "v1", &first);
}

#[test]
fn what_is_removed_for_good_cannot_be_brought_back() {
    let mut server = Server::start(&[]);
    let (first, second) = pushed(&server);
    let text = run_at(server.data(), &["repo", "remove", "team/app", "--now"]).expect(OK);
    assert!(
        text.stdout
            .starts_with("repository team/app was removed with 2 tags and 2 manifests\n"),
        "{}",
        text.stdout
    );
    assert_eq!(listed(&server), json!(["zoo"]));
    let refused = run_at(server.data(), &["undelete", "team/app"]).expect(FAILED);
    assert!(
        refused
            .stderr
            .contains("nothing was removed that can be brought back")
    );
    let nothing = run_at(server.data(), &["undelete", "--list", "--json"])
        .expect(OK)
        .json();
    assert_eq!(nothing, json!({ "tags": [], "manifests": [] }));
    // What was removed before goes with the same word.
    let mut client = server.client();
    client.push_image("team/app", "v1", &first);
    run_at(server.data(), &["repo", "remove", "team/app"]).expect(OK);
    run_at(server.data(), &["repo", "remove", "team/app", "--now"]).expect(OK);
    run_at(server.data(), &["undelete", "team/app"]).expect(FAILED);
    client.push_image("team/app", "v1", &first);
    client.expect_image("team/app", "v1", &first);
    client.expect_image("zoo", "v1", &second);
    server.stop_and_check();
}

/// All files of blobs below the folder of a server that keeps no blob in its catalog.
fn files(server: &Server) -> usize {
    let shards = server.data().join("blobs/sha256").read_dir().unwrap();
    let shards = shards.map(|shard| shard.unwrap().path().read_dir().unwrap());
    shards.map(Iterator::count).sum()
}

#[test]
fn a_collection_takes_what_is_removed_for_good_and_leaves_what_can_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("coracle.toml");
    std::fs::write(&config, "[storage]\ninline_bytes_max = 0\n").unwrap();
    let mut server = Server::start(&["--config", config.to_str().unwrap()]);
    let (first, second) = pushed(&server);
    let mut client = server.client();
    assert_eq!(files(&server), 5);
    run_at(server.data(), &["repo", "remove", "team/app"]).expect(OK);
    run_at(server.data(), &["gc"]).expect(OK);
    assert_eq!(files(&server), 5);
    run_at(server.data(), &["undelete", "team/app"]).expect(OK);
    client.expect_image("team/app", "v1", &first);
    client.expect_image("team/app", "v2", &second);
    let alone = run_at(server.data(), &["du", "team/app", "--json"])
        .expect(OK)
        .json();
    let before = run_at(server.data(), &["du", "--json"]).expect(OK).json();
    run_at(server.data(), &["repo", "remove", "team/app", "--now"]).expect(OK);
    run_at(server.data(), &["gc"]).expect(OK);
    assert_eq!(files(&server), 2, "those that the other repository has too");
    let after = run_at(server.data(), &["du", "--json"]).expect(OK).json();
    let bytes = |usage: &Value| usage["store"]["blob_bytes"].as_u64().unwrap();
    // What du has said was freed.
    assert_eq!(json!(bytes(&before) - bytes(&after)), alone["alone_bytes"]);
    assert_eq!(after["store"]["past_bytes"], 0);
    client.expect_image("zoo", "v1", &second);
    server.stop_and_check();
}

#[test]
fn a_repository_is_renamed_with_its_tags_and_their_history() {
    let mut server = Server::start(&[]);
    let (first, second) = pushed(&server);
    let mut client = server.client();
    client.push_manifest("team/app", "v1", &second.manifest);
    let taken = run_at(server.data(), &["repo", "rename", "team/app", "zoo"]).expect(FAILED);
    assert_eq!(
        taken.stderr,
        "coracle: there is a repository zoo already; choose another name, or remove it first\n"
    );
    run_at(server.data(), &["repo", "rename", "nothing", "other"]).expect(FAILED);
    let renamed = run_at(server.data(), &["repo", "rename", "team/app", "ark"]).expect(OK);
    assert_eq!(renamed.stdout, "the repository is called ark now\n");
    assert_eq!(listed(&server), json!(["ark", "zoo"]));
    client.get("/v2/team/app/manifests/v1").expect(404);
    client.expect_image("ark", &first.digest(), &first);
    run_at(server.data(), &["tag", "rollback", "ark", "v1"]).expect(OK);
    client.expect_image("ark", "v1", &first);
    server.stop();
    let again = run_at(server.data(), &["repo", "rename", "ark", "b/c", "--json"]).expect(OK);
    assert_eq!(again.json()["name"], "b/c");
    server.launch();
    server.client().expect_image("b/c", "v1", &first);
    server.stop_and_check();
}

#[test]
fn changes_are_in_the_audit_log() {
    let server = Server::start(&[]);
    let (first, _) = pushed(&server);
    for words in [
        &["tag", "set", "zoo", "v2", "v1"][..],
        &["tag", "remove", "team/app", "v1"],
        &["undelete", "team/app:v1"],
        &["repo", "rename", "team/app", "ark"],
        &["repo", "remove", "ark"],
        &["undelete", "ark"],
    ] {
        run_at(server.data(), words).expect(OK);
    }
    let log = server.log();
    let first = first.digest();
    for line in [
        "event=tag actor=local repository=zoo reference=v2",
        &format!("event=delete actor=local repository=team/app reference=v1 digest={first}"),
        "event=undelete actor=local repository=team/app reference=v1",
        "event=repository_renamed actor=local repository=team/app reference=ark",
        "event=repository_removed actor=local repository=ark",
        "event=undelete actor=local repository=ark",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
}

#[test]
fn a_folder_without_a_registry_is_told_so_and_stays_empty() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["repo", "list"][..],
        &["tag", "list", "a"],
        &["undelete", "a"],
        &["du"],
    ] {
        let refused = run_at(folder.path(), words).expect(FAILED);
        assert!(
            refused.stderr.contains("there is no registry in"),
            "{refused:?}"
        );
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
