//! `coracle tag`: lists, sets, removes and moves back, beside a running server and without one.

use crate::support::Server;
use crate::support::image::{Image, Manifest};
use crate::support::program::{Run, run_at};
use serde_json::{Value, json};

const OK: i32 = 0;
const FAILED: i32 = 1;

fn tags(server: &Server) -> Value {
    server.client().get("/v2/a/tags/list").expect(200).json()["tags"].clone()
}

fn names(run: &Run) -> Vec<String> {
    let tags = run.json()["tags"].as_array().unwrap().clone();
    tags.iter()
        .map(|tag| tag["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn tags_are_listed_with_what_is_known_of_them() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let (amd, arm) = (Image::oci(1, &[5000]), Image::oci(2, &[6000]));
    client.push_image("a", "amd", &amd);
    client.push_image("a", &arm.digest(), &arm);
    let index = Manifest::index(&[(&amd.manifest, "amd64"), (&arm.manifest, "arm64")]);
    client.push_manifest("a", "all", &index);
    let sum = |image: &Image| image.blobs().map(<[u8]>::len).sum::<usize>();
    for is_running in [true, false] {
        if !is_running {
            server.stop();
        }
        let list = run_at(server.data(), &["tag", "list", "a", "--json"]).expect(OK);
        assert_eq!(names(&list), ["all", "amd"]);
        let list = list.json();
        let all = &list["tags"][0];
        assert_eq!(all["digest"], index.digest());
        assert_eq!(all["bytes"], sum(&amd) + sum(&arm));
        assert_eq!(all["media_type"], index.media_type);
        assert_eq!(
            (&all["set_by"], &all["expires_at"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(all.as_object().unwrap().len(), 9, "{all}");
        assert_eq!(list["tags"][1]["bytes"], sum(&amd));
        let table = run_at(server.data(), &["tag", "list", "a"])
            .expect(OK)
            .stdout;
        let titles: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
        let expected = ["TAG", "SIZE", "SET", "BY", "EXPIRES", "PULLS", "DIGEST"];
        assert_eq!(titles, expected, "{table}");
        let unknown = run_at(server.data(), &["tag", "list", "b"]).expect(FAILED);
        assert_eq!(unknown.stderr, "coracle: there is no repository b\n");
    }
}

#[test]
fn a_list_of_tags_is_longer_than_a_page() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let image = Image::oci(1, &[10]);
    let expected: Vec<String> = (0..1234).map(|n| format!("t{n:04}")).collect();
    client.push_image("a", &image.digest(), &image);
    for part in expected.chunks(100) {
        let path = format!(
            "/v2/a/manifests/{}?tag={}",
            image.digest(),
            part.join("&tag=")
        );
        let headers = [("Content-Type", image.manifest.media_type.as_str())];
        client
            .request("PUT", &path, &headers, Some(&image.manifest.bytes))
            .expect(201);
    }
    let list = run_at(server.data(), &["tag", "list", "a", "--json"]).expect(OK);
    assert_eq!(names(&list), expected);
    let table = run_at(server.data(), &["tag", "list", "a"])
        .expect(OK)
        .stdout;
    assert_eq!(table.lines().count(), 1235);
    let many: Vec<&str> = expected.iter().map(String::as_str).take(401).collect();
    let words = [&["tag", "remove", "a"], &many[..]].concat();
    let refused = run_at(server.data(), &words).expect(FAILED);
    assert!(refused.stderr.contains("more than 400 tags"), "{refused:?}");
    let words = [&["tag", "remove", "a"], &many[..400]].concat();
    run_at(server.data(), &words).expect(OK);
    let list = run_at(server.data(), &["tag", "list", "a", "--json"]).expect(OK);
    assert_eq!(names(&list), expected[400..]);
}

#[test]
fn tags_are_removed_all_or_none_and_one_comes_back() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let image = Image::oci(1, &[10]);
    client.push_image("a", "v1", &image);
    client.push_manifest("a", "v2", &image.manifest);
    let refused = run_at(server.data(), &["tag", "remove", "a", "v1", "v3"]).expect(FAILED);
    assert_eq!(refused.stderr, "coracle: there is no tag a:v3\n");
    assert_eq!(tags(&server), json!(["v1", "v2"]));
    let removed = run_at(server.data(), &["tag", "remove", "a", "v2", "v1", "v1"]).expect(OK);
    let lines: Vec<&str> = removed.stdout.lines().collect();
    assert_eq!(lines[..2], ["tag a:v1 was removed", "tag a:v2 was removed"]);
    assert!(lines[2].starts_with("`coracle undelete a:v1` brings it back until 2"));
    assert_eq!(tags(&server), json!([]));
    client.expect_image("a", &image.digest(), &image);
    run_at(server.data(), &["undelete", "a:v1"]).expect(OK);
    client.expect_image("a", "v1", &image);
    server.stop();
    let again = run_at(server.data(), &["tag", "remove", "a", "v1", "--json"])
        .expect(OK)
        .json();
    assert_eq!(
        (&again["tags"], &again["manifests"]),
        (&json!(["v1"]), &json!(0))
    );
    server.launch();
    assert_eq!(tags(&server), json!([]));
    server.stop_and_check();
}

#[test]
fn a_tag_that_goes_for_good_takes_what_it_alone_held() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let (amd, arm) = (Image::oci(1, &[5000]), Image::oci(2, &[6000]));
    client.push_image("a", "amd", &amd);
    client.push_image("a", &arm.digest(), &arm);
    let index = Manifest::index(&[(&amd.manifest, "amd64"), (&arm.manifest, "arm64")]);
    client.push_manifest("a", "all", &index);
    client.push_blob("a", b"{}");
    let signature = Manifest::artifact("application/x", &index.descriptor());
    client.push_manifest("a", &signature.digest(), &signature);
    let removed = run_at(
        server.data(),
        &["tag", "remove", "a", "all", "--now", "--json"],
    );
    let removed = removed.expect(OK).json();
    // The index, its second child and its signature; the first child has a tag of its own.
    assert_eq!(
        (&removed["manifests"], &removed["until"]),
        (&json!(3), &Value::Null)
    );
    for gone in [&index.digest(), &arm.digest(), &signature.digest()] {
        client.get(&format!("/v2/a/manifests/{gone}")).expect(404);
    }
    client.expect_image("a", "amd", &amd);
    let refused = run_at(server.data(), &["undelete", "a:all"]).expect(FAILED);
    assert!(refused.stderr.contains("is gone for good"), "{refused:?}");
    // What something else holds stays.
    client.push_manifest("a", "other", &amd.manifest);
    let removed = run_at(server.data(), &["tag", "remove", "a", "amd", "--now"]).expect(OK);
    assert_eq!(removed.stdout, "tag a:amd was removed\n");
    client.expect_image("a", "other", &amd);
    server.stop_and_check();
}

#[test]
fn a_tag_is_set_to_a_manifest_or_to_what_another_points_to() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let (first, second) = (Image::oci(1, &[10]), Image::oci(2, &[20]));
    client.push_image("a", "v1", &first);
    client.push_image("a", "v2", &second);
    let set = run_at(server.data(), &["tag", "set", "a", "latest", "v1"]).expect(OK);
    let line = format!("tag a:latest points to {}\n", first.digest());
    assert_eq!(set.stdout, line);
    client.expect_image("a", "latest", &first);
    let words = [
        "tag",
        "move",
        "a",
        "latest",
        &second.digest(),
        "--expires",
        "7d",
        "--json",
    ];
    let moved = run_at(server.data(), &words).expect(OK).json();
    assert_eq!(
        (&moved["repository"], &moved["moved"]),
        (&json!("a"), &json!(true))
    );
    assert_eq!(moved["set_by"], "local");
    assert!(moved["expires_at"].as_str().unwrap().ends_with('Z'));
    client.expect_image("a", "latest", &second);
    for (to, why) in [
        ("v3", "there is no tag a:v3"),
        (
            &Image::oci(3, &[]).digest(),
            "there is no manifest a@sha256:",
        ),
    ] {
        let refused = run_at(server.data(), &["tag", "set", "a", "latest", to]).expect(FAILED);
        assert!(refused.stderr.contains(why), "{refused:?}");
    }
    client
        .delete(&format!("/v2/a/manifests/{}", first.digest()))
        .expect(202);
    let refused = run_at(server.data(), &["tag", "set", "a", "v2", &first.digest()]);
    let refused = refused.expect(FAILED).stderr;
    let help = format!("`coracle undelete a@{}`", first.digest());
    assert!(refused.contains(&help), "{refused}");
    server.stop();
    run_at(server.data(), &["tag", "set", "a", "v9", "v2"]).expect(OK);
    server.launch();
    server.client().expect_image("a", "v9", &second);
    server.stop_and_check();
}

#[test]
fn a_tag_goes_back_to_what_it_pointed_to() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let images = [1, 2, 3].map(|seed| Image::oci(seed, &[100]));
    for image in &images {
        client.push_image("a", "latest", image);
    }
    let history = run_at(server.data(), &["tag", "history", "a", "latest", "--json"]);
    let history = history.expect(OK).json();
    let entries = history["history"].as_array().unwrap();
    assert_eq!(
        (&history["repository"], &history["tag"]),
        (&json!("a"), &json!("latest"))
    );
    let digests: Vec<&Value> = entries.iter().map(|own| &own["digest"]).collect();
    let expected = [images[2].digest(), images[1].digest(), images[0].digest()];
    assert_eq!(json!(digests), json!(expected));
    assert_eq!(
        (&entries[0]["how"], &entries[0]["ended_at"]),
        (&json!("current"), &Value::Null)
    );
    assert_eq!(entries[1]["ended_at"], entries[0]["set_at"]);

    // By default to the one before; what is in the past comes back first.
    client
        .delete(&format!("/v2/a/manifests/{}", images[1].digest()))
        .expect(202);
    server.stop();
    let back = run_at(server.data(), &["tag", "rollback", "a", "latest", "--json"]);
    let back = back.expect(OK).json();
    assert_eq!(
        (&back["moved"], &back["restored"]),
        (&json!(true), &json!(1))
    );
    server.launch();
    let mut client = server.client();
    client.expect_image("a", "latest", &images[1]);
    // To what it was at a time, to the millisecond.
    let at = entries[2]["set_at"].as_str().unwrap();
    run_at(
        server.data(),
        &["tag", "rollback", "a", "latest", "--at", at],
    )
    .expect(OK);
    client.expect_image("a", "latest", &images[0]);
    // To a manifest.
    let words = [
        "tag",
        "rollback",
        "a",
        "latest",
        "--to",
        &images[2].digest(),
    ];
    run_at(server.data(), &words).expect(OK);
    client.expect_image("a", "latest", &images[2]);
    let same = run_at(server.data(), &words).expect(OK);
    assert!(
        same.stdout
            .starts_with("tag a:latest pointed already to sha256:")
    );
    // The way back is part of the history.
    let history = run_at(server.data(), &["tag", "history", "a", "latest", "--json"]);
    let history = history.expect(OK).json();
    assert_eq!(history["history"].as_array().unwrap().len(), 6);
    assert_eq!(history["history"][0]["set_by"], "local");
    let table = run_at(server.data(), &["tag", "history", "a", "latest"])
        .expect(OK)
        .stdout;
    assert_eq!(table.lines().count(), 7, "{table}");
    server.stop_and_check();
}

#[test]
fn a_way_back_that_is_not_there_is_refused_with_the_reason() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (first, second) = (Image::oci(1, &[10]), Image::oci(2, &[20]));
    client.push_image("a", "v1", &first);
    client.push_image("a", "v2", &second);
    for (words, why) in [
        (&["v1"][..], "pointed to nothing else before"),
        (&["v1", "--to", &second.digest()], "never pointed to"),
        (
            &["v1", "--at", "2000-01-01T00:00:00Z"],
            "pointed to nothing at 2000-01-01T00:00:00Z",
        ),
        (&["v3"], "there is no tag a:v3"),
    ] {
        let words = [&["tag", "rollback", "a"], words].concat();
        let refused = run_at(server.data(), &words).expect(FAILED);
        assert!(refused.stderr.contains(why), "{refused:?}");
    }
    run_at(server.data(), &["tag", "history", "a", "v3"]).expect(FAILED);
    client.expect_image("a", "v1", &first);
    // A tag that was removed goes back to what it pointed to last.
    run_at(server.data(), &["tag", "remove", "a", "v1"]).expect(OK);
    run_at(server.data(), &["tag", "rollback", "a", "v1"]).expect(OK);
    client.expect_image("a", "v1", &first);
}
