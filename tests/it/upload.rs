//! Uploads: sessions, chunks, whole blobs, and what happens when two want the same.

use crate::support::image::{bytes, digest, digest_sha512};
use crate::support::session::{last_byte, with_query};
use crate::support::{Client, eventually, for_each_shape, for_each_shape_configured};
use std::thread;

#[test]
fn a_blob_arrives_in_many_chunks_with_their_ranges() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = bytes(1, 300_000);
        let first_location = client.start_upload("a");
        let mut location = first_location.clone();
        let mut offset = 0;
        for chunk in blob.chunks(70_000) {
            let range = format!("{offset}-{}", offset + chunk.len() - 1);
            let answer = client.patch_range(&location, &range, chunk).expect(202);
            offset += chunk.len();
            assert_eq!(last_byte(&answer), offset as u64 - 1);
            location = answer.location();
            // The first location of a session goes on meaning it.
            client.expect_offset(&first_location, offset as u64);
        }
        client
            .finish_upload(&location, &digest(&blob), b"")
            .expect(201);
        client.expect_blob("a", &blob);
        client
            .get(&location)
            .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    });
}

#[test]
fn a_blob_arrives_as_a_stream_of_unknown_length_as_docker_sends_it() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = bytes(2, 1_000_000);
        let location = client.start_upload("a");
        let chunks: Vec<&[u8]> = blob.chunks(33_333).collect();
        let answer = client
            .request_chunked("PATCH", &location, &chunks)
            .expect(202);
        assert_eq!(last_byte(&answer), 999_999);
        client
            .finish_upload(&answer.location(), &digest(&blob), b"")
            .expect(201);
        client.expect_blob("a", &blob);
    });
}

#[test]
fn the_last_chunk_may_come_with_the_finish() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = bytes(3, 100_000);
        let (start, end) = blob.split_at(60_000);
        for range in [None, Some("60000-99999")] {
            let location = client.start_upload_with("a", start);
            let path = with_query(&location, &format!("digest={}", digest(&blob)));
            let headers: Vec<_> = range
                .map(|range| ("Content-Range", range))
                .into_iter()
                .collect();
            client
                .request("PUT", &path, &headers, Some(end))
                .expect(201);
            client.expect_blob("a", &blob);
        }
    });
}

#[test]
fn a_retried_chunk_is_416_and_the_session_goes_on() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = bytes(4, 30);
        let location = client.start_upload("a");
        client
            .patch_range(&location, "0-9", &blob[..10])
            .expect(202);
        for (range, part) in [
            ("0-9", &blob[..10]),
            ("20-29", &blob[20..]),
            ("9-18", &blob[9..19]),
        ] {
            let answer = client.patch_range(&location, range, part);
            let answer = answer.expect_error(416, "BLOB_UPLOAD_INVALID");
            assert_eq!(last_byte(&answer), 9);
            client.expect_offset(&answer.location(), 10);
        }
        client
            .patch_range(&location, "10-19", &blob[10..20])
            .expect(202);
        client
            .finish_upload(&location, &digest(&blob), &blob[20..])
            .expect(201);
        client.expect_blob("a", &blob);
    });
}

#[test]
fn any_session_finishes_with_any_supported_algorithm() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = bytes(5, 200_000);
        for query in ["", "?digest-algorithm=sha256", "?digest-algorithm=sha512"] {
            for own in [digest(&blob), digest_sha512(&blob)] {
                let start = client
                    .post(&format!("/v2/a/blobs/uploads/{query}"), b"")
                    .expect(202);
                let location = client
                    .patch(&start.location(), &blob[..99_999])
                    .expect(202)
                    .location();
                client
                    .finish_upload(&location, &own, &blob[99_999..])
                    .expect(201)
                    .expect_header("Docker-Content-Digest", &own);
                let path = format!("/v2/a/blobs/{own}");
                client
                    .get(&path)
                    .expect(200)
                    .expect_header("Docker-Content-Digest", &own)
                    .expect_body(&blob);
            }
        }
    });
}

#[test]
fn a_session_of_one_repository_is_unknown_in_every_other() {
    for_each_shape(|server| {
        let mut client = server.client();
        let location = client.start_upload_with("a", b"hello");
        let foreign = location.replace("/v2/a/", "/v2/b/");
        assert_ne!(location, foreign);
        let unknown = "BLOB_UPLOAD_UNKNOWN";
        client.get(&foreign).expect_error(404, unknown);
        client.patch(&foreign, b"x").expect_error(404, unknown);
        client
            .finish_upload(&foreign, &digest("hello"), b"")
            .expect_error(404, unknown);
        client.delete(&foreign).expect_error(404, unknown);
        client
            .finish_upload(&location, &digest("hello"), b"")
            .expect(201);
    });
}

#[test]
fn sessions_do_not_mix() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blobs: Vec<Vec<u8>> = (0..5).map(|seed| bytes(seed, 1000)).collect();
        let sessions: Vec<String> = blobs.iter().map(|_| client.start_upload("a")).collect();
        for part in 0..10 {
            for (blob, session) in blobs.iter().zip(&sessions) {
                client
                    .patch(session, &blob[part * 100..][..100])
                    .expect(202);
            }
        }
        for (blob, session) in blobs.iter().zip(&sessions) {
            client
                .finish_upload(session, &digest(blob), b"")
                .expect(201);
        }
        for blob in &blobs {
            client.expect_blob("a", blob);
        }
    });
}

/// A chunk counts whole or not at all: who resumes asks for the offset and goes on there.
#[test]
fn a_chunk_that_breaks_off_counts_for_nothing() {
    for_each_shape(|server| {
        let blob = bytes(6, 500_000);
        let mut client = server.client();
        let location = client.start_upload_with("a", &blob[..100_000]);
        for headers in [
            &[("Content-Length", "400000")][..],
            &[
                ("Content-Length", "400000"),
                ("Content-Range", "100000-499999"),
            ],
            &[("Transfer-Encoding", "chunked")],
        ] {
            let mut broken = server.client();
            broken.begin("PATCH", &location, headers);
            if headers[0].0 == "Transfer-Encoding" {
                broken.send(b"30d40\r\n");
            }
            broken.send(&blob[100_000..300_000]);
            broken.disconnect();
            free(&mut client, &location);
            client.expect_offset(&location, 100_000);
        }
        client
            .patch_range(&location, "100000-499999", &blob[100_000..])
            .expect(202);
        client
            .finish_upload(&location, &digest(&blob), b"")
            .expect(201);
        client.expect_blob("a", &blob);
    });
}

#[test]
fn a_finish_that_breaks_off_commits_nothing() {
    for_each_shape(|server| {
        let mut client = server.client();
        let location = client.start_upload_with("a", b"hello, ");
        let own = digest("hello, world");
        let path = with_query(&location, &format!("digest={own}"));
        let mut broken = server.client();
        broken.begin("PUT", &path, &[("Content-Length", "5")]);
        broken.send(b"wor");
        broken.disconnect();
        free(&mut client, &location);
        client.expect_offset(&location, 7);
        client.head(&format!("/v2/a/blobs/{own}")).expect(404);
        client.finish_upload(&location, &own, b"world").expect(201);
        client.expect_blob("a", "hello, world");
    });
}

#[test]
fn a_single_post_that_breaks_off_leaves_nothing() {
    for_each_shape(|server| {
        let mut broken = server.client();
        let own = digest("hello");
        let path = format!("/v2/a/blobs/uploads/?digest={own}");
        broken.send_head("POST", &path, &[("Content-Length", "5")]);
        broken.send(b"hel");
        broken.finish_sending();
        let answer = broken.receive();
        assert_eq!(answer.status, 400, "{answer}");
        let mut client = server.client();
        client.head(&format!("/v2/a/blobs/{own}")).expect(404);
        client
            .get("/v2/a/tags/list")
            .expect_error(404, "NAME_UNKNOWN");
    });
}

/// Waits until no request holds the session any more.
fn free(client: &mut Client, location: &str) {
    eventually("the broken request lets go of its session", || {
        // An empty chunk changes nothing, and only who can own the session may send it.
        (client.patch(location, b"").status == 202).then_some(())
    });
}

#[test]
fn a_session_in_use_is_refused_with_409_and_not_interleaved() {
    for_each_shape(|server| {
        let (mut first, mut second) = (server.client(), server.client());
        let location = first.start_upload("a");
        first.begin("PATCH", &location, &[("Content-Length", "10")]);
        first.send(b"hello");
        let busy = second.patch(&location, b"");
        let busy = busy.expect_error(409, "BLOB_UPLOAD_INVALID");
        assert!(busy.header("retry-after").is_some(), "{busy}");
        let own = digest("helloworld");
        let finish = second.finish_upload(&location, &own, b"");
        finish.expect_error(409, "BLOB_UPLOAD_INVALID");
        first.send(b"world");
        assert_eq!(last_byte(&first.receive().expect(202)), 9);
        second.finish_upload(&location, &own, b"").expect(201);
        second.expect_blob("a", "helloworld");
    });
}

/// Who looks how far an upload has come must not get in the way of who sends it.
#[test]
fn asking_for_the_offset_never_makes_a_chunk_fail() {
    for_each_shape(|server| {
        let mut client = server.client();
        let location = client.start_upload("a");
        let done = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut asking = server.client();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let answer = asking.get(&location);
                    assert!(matches!(answer.status, 204 | 409), "{answer}");
                }
            });
            let statuses: Vec<u16> = (0..500)
                .map(|_| client.patch(&location, b"some").status)
                .collect();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            let refused = statuses.iter().filter(|status| **status != 202).count();
            assert_eq!(refused, 0, "of {} chunks", statuses.len());
        });
    });
}

#[test]
fn of_many_that_finish_one_session_exactly_one_wins() {
    for_each_shape(|server| {
        for round in 0..5 {
            let blob = bytes(round, 50_000);
            let location = server.client().start_upload_with("a", &blob);
            let own = digest(&blob);
            let statuses: Vec<u16> = thread::scope(|scope| {
                let finish = || server.client().finish_upload(&location, &own, b"").status;
                let threads: Vec<_> = (0..6).map(|_| scope.spawn(finish)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            let won = statuses.iter().filter(|status| **status == 201).count();
            assert_eq!(won, 1, "{statuses:?}");
            assert!(
                statuses.iter().all(|s| matches!(s, 201 | 404 | 409)),
                "{statuses:?}"
            );
            server.client().expect_blob("a", &blob);
        }
    });
}

#[test]
fn the_same_blob_from_many_clients_is_acknowledged_to_each() {
    for_each_shape(|server| {
        let blob = bytes(9, 200_000);
        thread::scope(|scope| {
            for n in 0..8 {
                let (mut client, blob) = (server.client(), &blob);
                scope.spawn(move || {
                    let repository = if n % 2 == 0 { "a" } else { "b" };
                    client.push_blob(repository, blob);
                    client.expect_blob(repository, blob);
                });
            }
        });
    });
}

/// Listed as defect 3 of other registries: the session was left behind and could not be used.
#[test]
fn after_a_wrong_digest_the_session_is_gone_and_nothing_is_stored() {
    for_each_shape(|server| {
        let mut client = server.client();
        let location = client.start_upload_with("a", b"hello");
        let wrong = digest("something else");
        client
            .finish_upload(&location, &wrong, b"")
            .expect_error(400, "DIGEST_INVALID");
        client
            .get(&location)
            .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        client.head(&format!("/v2/a/blobs/{wrong}")).expect(404);
        client
            .head(&format!("/v2/a/blobs/{}", digest("hello")))
            .expect(404);
        client.push_blob("a", b"hello");
    });
}

#[test]
fn a_blob_beyond_the_bound_is_413_before_its_bytes_travel() {
    for_each_shape_configured("[limits]\nblob_bytes_max = \"1MiB\"\n", |server| {
        let mut client = server.client();
        client.push_blob("a", bytes(1, 1 << 20));
        let location = client.start_upload("a");
        let mut eager = server.client();
        eager.send_head("PATCH", &location, &[("Content-Length", "1048577")]);
        eager.receive().expect_error(413, "SIZE_INVALID");
        free(&mut client, &location);
        client.expect_offset(&location, 0);
        let chunk = bytes(2, 600_000);
        client
            .request_chunked("PATCH", &location, &[&chunk])
            .expect(202);
        client
            .request_chunked("PATCH", &location, &[&chunk])
            .expect_error(413, "SIZE_INVALID");
        free(&mut client, &location);
        client.expect_offset(&location, 600_000);
    });
}

#[test]
fn an_empty_blob_is_a_blob() {
    for_each_shape(|server| {
        let mut client = server.client();
        let own = digest("");
        client.push_blob("a", b"");
        client.expect_blob("a", b"");
        let location = client.start_upload("b");
        client
            .request(
                "PUT",
                &with_query(&location, &format!("digest={own}")),
                &[],
                None,
            )
            .expect(201);
        client
            .post(&format!("/v2/c/blobs/uploads/?digest={own}"), b"")
            .expect(201);
        client.expect_blob("c", b"");
    });
}

/// Lengths are 64-bit everywhere. This takes some seconds and 4 GiB of disk.
#[test]
fn a_blob_of_more_than_4_gib_is_a_blob() {
    const SIZE: u64 = (4 << 30) + 5;
    // 4 GiB of zeroes, then `hello`.
    const DIGEST: &str = "sha256:2178c0ec68741327bd541fa5a96d97868095caeec823392bf5b7874fede6b1cf";
    if std::env::var_os("SLOW_TESTS").is_none() {
        let mut stderr = std::io::stderr();
        let why = "SKIPPED: the blob of more than 4 GiB was not pushed: SLOW_TESTS is not set";
        let _ = std::io::Write::write_all(&mut stderr, format!("{why}\n").as_bytes());
        return;
    }
    let server = crate::support::Server::start(&[]);
    let mut client = server.client();
    let session = client.start_upload("a");
    let path = with_query(&session, &format!("digest={DIGEST}"));
    client.begin("PUT", &path, &[("Content-Length", &SIZE.to_string())]);
    let zeroes = vec![0; 1 << 20];
    for _ in 0..4096 {
        client.send(&zeroes);
    }
    client.send(b"hello");
    client.receive().expect(201);
    let path = format!("/v2/a/blobs/{DIGEST}");
    let head = client.head(&path).expect(200);
    head.expect_header("Content-Length", &SIZE.to_string());
    for (range, content_range) in [
        (
            "bytes=4294967296-",
            "bytes 4294967296-4294967300/4294967301",
        ),
        ("bytes=-5", "bytes 4294967296-4294967300/4294967301"),
    ] {
        client
            .request("GET", &path, &[("Range", range)], None)
            .expect(206)
            .expect_header("Content-Range", content_range)
            .expect_body("hello");
    }
    client
        .request(
            "GET",
            &path,
            &[("Range", "bytes=4294967294-4294967297")],
            None,
        )
        .expect(206)
        .expect_body("\0\0he");
    client.delete(&path).expect(202);
}
