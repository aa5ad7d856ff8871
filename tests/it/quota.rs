//! Quotas: what is refused, when, with which figures, and that two who push at once cannot both
//! take the last room.

use std::sync::Barrier;
use std::thread;

use rustix::process::Signal;

use crate::support::image::{Image, bytes, digest};
use crate::support::session::with_query;
use crate::support::{Client, Configured, Response, eventually, start_configured};

fn server(toml: &str) -> Configured {
    start_configured(toml, &[])
}

fn each(bytes: u64) -> String {
    format!("[[quota]]\nrepositories = \"team/*\"\nbytes = {bytes}\n")
}

/// Fails unless it was refused for a quota, with these figures: limit, used, asked for.
#[track_caller]
fn expect_refused(response: Response, figures: (u64, u64, u64)) {
    let response = response.expect_error(403, "DENIED");
    let detail = &response.json()["errors"][0]["detail"];
    let found = ["limit", "used", "asked"].map(|name| detail[name].as_u64().unwrap());
    assert_eq!(found, [figures.0, figures.1, figures.2], "{response}");
    let message = response.json()["errors"][0]["message"].clone();
    let message = message.as_str().unwrap();
    for figure in found {
        assert!(message.contains(&figure.to_string()), "{message}");
    }
    assert!(message.contains("coracle.toml:"), "{message}");
}

fn start(client: &mut Client, repository: &str) -> Response {
    client.post(&format!("/v2/{repository}/blobs/uploads/"), b"")
}

/// Sends a blob in one PUT to a new session.
fn put_blob(client: &mut Client, repository: &str, content: &[u8]) -> Response {
    let session = start(client, repository).expect(202);
    let location = with_query(&session.location(), &format!("digest={}", digest(content)));
    client.put(&location, content)
}

#[test]
fn each_repository_has_its_own_room() {
    let mut server = server(&each(1000));
    let mut client = server.client();
    client.push_blob("team/a", bytes(1, 600));
    let second = bytes(2, 500);
    expect_refused(put_blob(&mut client, "team/a", &second), (1000, 600, 500));
    client.push_blob("team/a", bytes(3, 400));
    // It is full: nothing new begins, and what is there can be sent again.
    expect_refused(start(&mut client, "team/a"), (1000, 1000, 1));
    let first = bytes(1, 600);
    let path = format!("/v2/team/a/blobs/uploads/?digest={}", digest(&first));
    client.post(&path, &first).expect(201);
    // Others are not concerned.
    client.push_blob("team/b", &second);
    client.push_blob("else", bytes(4, 5000));
    // A deleted blob gives its room back.
    client
        .delete(&format!("/v2/team/a/blobs/{}", digest(&first)))
        .expect(202);
    client.push_blob("team/a", &second);
    server.stop_and_check();
}

#[test]
fn what_is_too_long_is_refused_before_its_bytes_travel() {
    let mut server = server(&each(1000));
    let mut client = server.client();
    client.push_blob("team/a", bytes(1, 600));
    let huge = [("Content-Length", "5000000000"), ("Expect", "100-continue")];
    for (method, query) in [("PATCH", ""), ("PUT", "digest=")] {
        let session = start(&mut client, "team/a").expect(202).location();
        let location = match query {
            "" => session,
            _ => with_query(&session, &format!("digest={}", digest(b"never sent"))),
        };
        client.send_head(method, &location, &huge);
        expect_refused(client.receive(), (1000, 600, 5_000_000_000));
        client.disconnect();
    }
    let path = format!("/v2/team/a/blobs/uploads/?digest={}", digest(b"never sent"));
    client.send_head("POST", &path, &huge);
    expect_refused(client.receive(), (1000, 600, 5_000_000_000));
    client.disconnect();
    // Without a length it is refused where the room ends, and the session stays as it was.
    let session = start(&mut client, "team/a").expect(202).location();
    let chunk = bytes(2, 300);
    let refused = client.request_chunked("PATCH", &session, &[&chunk, &chunk]);
    refused.expect_error(403, "DENIED");
    client.disconnect();
    client.expect_offset(&session, 0);
    let patched = client.patch(&session, &chunk).expect(202);
    client
        .finish_upload(&patched.location(), &digest(&chunk), b"")
        .expect(201);
    server.stop_and_check();
}

#[test]
fn manifests_and_mounts_count_too() {
    let image = Image::oci(1, &[300]);
    let size: u64 = image.blobs().map(|blob| blob.len() as u64).sum();
    let manifest = image.manifest.bytes.len() as u64;
    let limit = size + manifest - 1;
    let mut server = server(&each(limit));
    let mut client = server.client();
    for blob in image.blobs() {
        client.push_blob("team/a", blob);
    }
    let refused = client.put_manifest("team/a", "v1", &image.manifest);
    expect_refused(refused, (limit, size, manifest));
    client
        .get("/v2/team/a/manifests/v1")
        .expect_error(404, "MANIFEST_UNKNOWN");
    // The same in a repository with more room, to be mounted from.
    client.push_image("source", "v1", &image);
    let big = bytes(2, 2000);
    client.push_blob("source", &big);
    let mount = format!(
        "/v2/team/a/blobs/uploads/?mount={}&from=source",
        digest(&big)
    );
    expect_refused(client.post(&mount, b""), (limit, size, 2000));
    let known = image.blobs().next().unwrap();
    let mount = format!(
        "/v2/team/a/blobs/uploads/?mount={}&from=source",
        digest(known)
    );
    client.post(&mount, b"").expect(201);
    server.stop_and_check();
}

#[test]
fn tags_have_a_bound_and_those_that_are_there_may_move() {
    let mut server = server("[[quota]]\nrepositories = \"**\"\ntags = 2\n");
    let mut client = server.client();
    let (one, two) = (Image::oci(1, &[10]), Image::oci(2, &[10]));
    client.push_image("a", "v1", &one);
    client.push_image("a", "v2", &two);
    expect_refused(client.put_manifest("a", "v3", &one.manifest), (2, 2, 1));
    client.push_manifest("a", "v1", &two.manifest);
    client.push_manifest("a", &one.digest(), &one.manifest);
    // Several in one push: all or nothing.
    client.delete("/v2/a/manifests/v1").expect(202);
    let path = format!("/v2/a/manifests/{}?tag=v4&tag=v5&tag=v2", one.digest());
    let headers = [("Content-Type", one.manifest.media_type.as_str())];
    let refused = client.request("PUT", &path, &headers, Some(&one.manifest.bytes));
    expect_refused(refused, (2, 1, 2));
    client.get("/v2/a/manifests/v4").expect(404);
    let path = format!("/v2/a/manifests/{}?tag=v4&tag=v2", one.digest());
    client
        .request("PUT", &path, &headers, Some(&one.manifest.bytes))
        .expect(201);
    server.stop_and_check();
}

#[test]
fn several_repositories_can_share_one_room() {
    let toml = "[[quota]]\nrepositories = [\"team/*\", \"tmp\"]\nbytes = 1000\neach = false\n";
    let mut server = server(toml);
    let mut client = server.client();
    client.push_blob("team/a", bytes(1, 400));
    client.push_blob("tmp", bytes(2, 400));
    expect_refused(
        put_blob(&mut client, "team/b", &bytes(3, 300)),
        (1000, 800, 300),
    );
    client.push_blob("else", bytes(3, 300));
    // What two of them hold counts twice.
    let shared = bytes(1, 400);
    let mount = format!(
        "/v2/tmp/blobs/uploads/?mount={}&from=team/a",
        digest(&shared)
    );
    expect_refused(client.post(&mount, b""), (1000, 800, 400));
    // It is counted on after a restart, and anew under another pattern.
    server.restart();
    let mut client = server.client();
    expect_refused(
        put_blob(&mut client, "team/b", &bytes(4, 300)),
        (1000, 800, 300),
    );
    let toml = "[[quota]]\nrepositories = [\"team/*\", \"else\"]\nbytes = 1000\neach = false\n";
    server.restart_with(toml);
    let mut client = server.client();
    expect_refused(
        put_blob(&mut client, "team/b", &bytes(4, 301)),
        (1000, 700, 301),
    );
    client.push_blob("team/b", bytes(4, 300));
    server.stop_and_check();
}

#[test]
fn the_whole_store_counts_each_blob_once() {
    let toml = "[[quota]]\nrepositories = \"**\"\nbytes = 1000\neach = false\n";
    let mut server = server(toml);
    let mut client = server.client();
    let shared = bytes(1, 800);
    for repository in ["a", "b", "c"] {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(&shared));
        client.post(&path, &shared).expect(201);
    }
    expect_refused(put_blob(&mut client, "d", &bytes(2, 300)), (1000, 800, 300));
    client.push_blob("d", bytes(2, 200));
    server.stop_and_check();
}

#[test]
fn of_two_who_take_the_last_room_at_once_one_is_refused() {
    let server = &server(&each(1000));
    for round in 0..20_u64 {
        let repository = format!("team/r{round}");
        server.client().push_blob(&repository, bytes(round, 500));
        let barrier = &Barrier::new(3);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let pushers: Vec<_> = (0..3)
                .map(|own| {
                    let repository = &repository;
                    scope.spawn(move || {
                        let mut client = server.client();
                        let content = bytes(1000 + round * 10 + own, 400);
                        let session = start(&mut client, repository).expect(202);
                        let query = format!("digest={}", digest(&content));
                        let location = with_query(&session.location(), &query);
                        barrier.wait();
                        client.put(&location, &content).status
                    })
                })
                .collect();
            pushers
                .into_iter()
                .map(|pusher| pusher.join().unwrap())
                .collect()
        });
        let count = |status| statuses.iter().filter(|own| **own == status).count();
        assert_eq!((count(201), count(403)), (1, 2), "{statuses:?}");
    }
}

#[test]
fn other_quotas_are_in_force_after_sighup() {
    let server = server(&each(1000));
    let mut client = server.client();
    client.push_blob("team/a", bytes(1, 900));
    expect_refused(
        put_blob(&mut client, "team/a", &bytes(2, 200)),
        (1000, 900, 200),
    );
    server.rewrite(&each(2000));
    server.signal(Signal::HUP);
    let content = bytes(2, 200);
    eventually("there is more room", || {
        (put_blob(&mut server.client(), "team/a", &content).status == 201).then_some(())
    });
    server.rewrite("[[quota]]\nrepositories = \"**\"\n");
    server.signal(Signal::HUP);
    eventually("the mistake is logged", || {
        server.log().contains("stay as they were").then_some(())
    });
    expect_refused(
        put_blob(&mut client, "team/a", &bytes(3, 1000)),
        (2000, 1100, 1000),
    );
}
