//! Rows about uploads and mounts.

use super::{Place, Row, row, run};
use crate::support::Response;
use crate::support::image::{digest, digest_sha512};
use crate::support::session::last_byte;

const HELLO: fn(&crate::support::image::Image) -> Vec<u8> = |_| b"hello".to_vec();

#[test]
fn starting_an_upload() {
    run(
        "start",
        &[
            row("POST with slash", "POST /v2/{repo}/blobs/uploads/", 202).then(is_session),
            row("POST without slash", "POST /v2/{repo}/blobs/uploads", 202).then(is_session),
            row(
                "POST of JSON, as crane does",
                "POST /v2/{repo}/blobs/uploads/",
                202,
            )
            .header("Content-Type", "application/json")
            .then(is_session),
            row(
                "a repository that is not there yet",
                "POST /v2/{repo}/new/blobs/uploads/",
                202,
            )
            .then(is_session),
            row(
                "single POST",
                "POST /v2/{repo}/blobs/uploads/?digest={hello}",
                201,
            )
            .body(HELLO)
            .then(|place, response| is_blob(place, response, &digest("hello"))),
            row(
                "single POST, sha512",
                "POST /v2/{repo}/blobs/uploads/?digest={hello512}",
                201,
            )
            .body(HELLO)
            .then(|place, response| is_blob(place, response, &digest_sha512("hello"))),
            row(
                "single POST, mismatch",
                "POST /v2/{repo}/blobs/uploads/?digest={absent}",
                400,
            )
            .body(HELLO)
            .code("DIGEST_INVALID"),
            row(
                "sha512 announced",
                "POST /v2/{repo}/blobs/uploads/?digest-algorithm=sha512",
                202,
            )
            .then(is_session),
            row(
                "md5 announced",
                "POST /v2/{repo}/blobs/uploads/?digest-algorithm=md5",
                400,
            )
            .code("DIGEST_INVALID"),
            row(
                "unknown parameters",
                "POST /v2/{repo}/blobs/uploads/?ns=x&origin=y&z",
                202,
            )
            .then(is_session),
        ],
    );
}

#[test]
fn asking_for_an_upload() {
    run(
        "status",
        &[
            row("a fresh one", "GET {session}", 204).then(|_, response| {
                assert_eq!(last_byte(response), 0);
            }),
            row("HEAD", "HEAD {session}", 204).then(|_, response| {
                assert_eq!(last_byte(response), 0);
            }),
            row(
                "with a digest, as the suite does",
                "GET {session5}?digest={hello}",
                204,
            )
            .then(|_, response| assert_eq!(last_byte(response), 4)),
            row(
                "one that never was",
                "GET /v2/{repo}/blobs/uploads/0123456789abcdef",
                404,
            )
            .code("BLOB_UPLOAD_UNKNOWN"),
            row(
                "PATCH of it",
                "PATCH /v2/{repo}/blobs/uploads/0123456789abcdef",
                404,
            )
            .body(HELLO)
            .code("BLOB_UPLOAD_UNKNOWN"),
            row(
                "PUT of it",
                "PUT /v2/{repo}/blobs/uploads/0123456789abcdef?digest={hello}",
                404,
            )
            .body(HELLO)
            .code("BLOB_UPLOAD_UNKNOWN"),
            row(
                "DELETE of it",
                "DELETE /v2/{repo}/blobs/uploads/0123456789abcdef",
                404,
            )
            .code("BLOB_UPLOAD_UNKNOWN"),
            row(
                "an id that is a path",
                "GET /v2/{repo}/blobs/uploads/..%2f..%2flock",
                404,
            ),
            row("after a cancel", "DELETE {session5}", 204).then(|place, _| gone(place)),
        ],
    );
}

#[test]
fn sending_chunks() {
    run(
        "chunks",
        &[
            row("a stream", "PATCH {session}", 202)
                .body(HELLO)
                .then(holds_hello),
            row("a chunk in its place", "PATCH {session}", 202)
                .header("Content-Range", "0-4")
                .body(HELLO)
                .then(holds_hello),
            row("the form of RFC 9110", "PATCH {session}", 202)
                .header("Content-Range", "bytes 0-4/*")
                .body(HELLO)
                .then(holds_hello),
            row("nothing", "PATCH {session5}", 202)
                .body(|_| Vec::new())
                .then(holds_hello),
            row("text/plain", "PATCH {session}", 202)
                .header("Content-Type", "text/plain")
                .body(HELLO)
                .then(holds_hello),
            out_of_order("PATCH {session5}", "10-14"),
            out_of_order("PATCH {session5}", "0-4"),
            out_of_order("PATCH {session5}", "6-10"),
            out_of_order("PUT {session5}?digest={hello}", "10-14"),
            out_of_order("PUT {session5}?digest={hello}", "0-4"),
            not_a_range("abc"),
            not_a_range("5-"),
            not_a_range("-5"),
            not_a_range("+5-9"),
            not_a_range("0x5-9"),
            not_a_range("5-99999999999999999999999"),
            wrong_length("PATCH {session5}", "5-20"),
            wrong_length("PATCH {session5}", "5-8"),
            wrong_length("PUT {session5}?digest={hello}", "5-20"),
        ],
    );
}

/// A chunk elsewhere than at the end: nothing of it is stored, and the client is told where to go
/// on.
fn out_of_order(line: &'static str, range: &'static str) -> Row {
    row("out of order", line, 416)
        .header("Content-Range", range)
        .body(HELLO)
        .code("BLOB_UPLOAD_INVALID")
        .then(|place, response| {
            assert_eq!(response.location(), place.session);
            assert_eq!(last_byte(response), 4, "{response}");
            still_finishes(place);
        })
}

fn not_a_range(range: &'static str) -> Row {
    row("not a range", "PATCH {session5}", 416)
        .header("Content-Range", range)
        .body(HELLO)
        .code("BLOB_UPLOAD_INVALID")
        .then(|place, _| still_finishes(place))
}

fn wrong_length(line: &'static str, range: &'static str) -> Row {
    row("another length than the range says", line, 400)
        .header("Content-Range", range)
        .body(HELLO)
        .code("SIZE_INVALID")
        .then(|place, _| still_finishes(place))
}

#[test]
fn finishing_an_upload() {
    run(
        "finish",
        &[
            row("no digest", "PUT {session5}", 400)
                .code("DIGEST_INVALID")
                .then(|place, _| still_finishes(place)),
            row(
                "a digest that is none",
                "PUT {session5}?digest=sha256:bad",
                400,
            )
            .code("DIGEST_INVALID")
            .then(|place, _| still_finishes(place)),
            row(
                "wrong digest, then right digest",
                "PUT {session5}?digest={absent}",
                400,
            )
            .code("DIGEST_INVALID")
            .then(|place, _| gone(place)),
            row("sha512", "PUT {session5}?digest={hello512}", 201)
                .then(|place, response| is_blob(place, response, &digest_sha512("hello"))),
            row(
                "an encoded digest",
                "PUT {session5}?digest=sha256%3A2cf24dba5fb0a30e26e83b2ac5b9\
                 e29e1b161e5c1fa7425e73043362938b9824",
                201,
            )
            .then(|place, response| is_blob(place, response, &digest("hello"))),
            row("everything at the end", "PUT {session}?digest={hello}", 201)
                .body(HELLO)
                .then(|place, response| is_blob(place, response, &digest("hello"))),
            row("nothing at all", "PUT {session}?digest={absent}", 400).code("DIGEST_INVALID"),
            row(
                "the last chunk with its range",
                "PUT {session}?digest={hello}",
                201,
            )
            .header("Content-Range", "0-4")
            .body(HELLO)
            .then(|place, response| is_blob(place, response, &digest("hello"))),
            row(
                "unknown parameters",
                "PUT {session5}?_state=x&digest={hello}&a=b",
                201,
            )
            .then(|place, response| is_blob(place, response, &digest("hello"))),
        ],
    );
}

#[test]
fn mounting() {
    let to = "POST /v2/{repo}/to/blobs/uploads/?mount";
    run(
        "mount",
        &[
            row(
                "from where it is",
                format!("{to}={{layer}}&from={{repo}}"),
                201,
            )
            .then(is_mounted),
            row(
                "the other order, encoded",
                "POST /v2/{repo}/to/blobs/uploads/?\
                 from={repo%}&mount={layer}",
                201,
            )
            .then(is_mounted),
            row(
                "where it is already",
                "POST /v2/{repo}/blobs/uploads/?mount={layer}&from={repo}",
                201,
            ),
            row(
                "an unknown source",
                format!("{to}={{layer}}&from=no/where"),
                202,
            )
            .then(is_session),
            row(
                "a source that is no name",
                format!("{to}={{layer}}&from=No.Where"),
                202,
            )
            .then(is_session),
            row(
                "a source without it",
                format!("{to}={{absent}}&from={{repo}}"),
                202,
            )
            .then(is_session),
            row(
                "no source, readable elsewhere",
                format!("{to}={{layer}}"),
                201,
            )
            .then(is_mounted),
            row("no source, nowhere", format!("{to}={{absent}}"), 202).then(is_session),
            row(
                "a bad digest",
                format!("{to}=sha256:bad&from={{repo}}"),
                400,
            )
            .code("DIGEST_INVALID"),
            row(
                "a manifest's digest",
                format!("{to}={{manifest}}&from={{repo}}"),
                202,
            )
            .then(is_session),
        ],
    );
}

fn is_session(place: &mut Place, response: &Response) {
    let location = response.location();
    assert!(location.starts_with("/v2/"), "{response}");
    assert_eq!(last_byte(response), 0, "{response}");
    assert_eq!(response.header("content-length"), Some("0"), "{response}");
    let id = response
        .header("docker-upload-uuid")
        .expect("Docker-Upload-UUID");
    assert!(
        location.contains(id),
        "the id is in the location\n{response}"
    );
    assert_eq!(response.header("oci-chunk-min-length"), None, "{response}");
    place
        .client
        .finish_upload(&location, &digest("hello"), b"hello")
        .expect(201);
}

fn is_blob(place: &mut Place, response: &Response, digest: &str) {
    let path = format!("/v2/{}/blobs/{digest}", place.repo);
    assert_eq!(response.location(), path);
    assert_eq!(response.header("docker-content-digest"), Some(digest));
    assert_eq!(response.header("content-length"), Some("0"));
    place
        .client
        .get(&path)
        .expect(200)
        .expect_header("Docker-Content-Digest", digest)
        .expect_body("hello");
}

fn is_mounted(place: &mut Place, response: &Response) {
    let path = format!("/v2/{}/to/blobs/{}", place.repo, place.layer());
    assert_eq!(response.location(), path);
    assert_eq!(
        response.header("docker-content-digest"),
        Some(place.layer().as_str())
    );
    let layer = place.image.layers[0].clone();
    place.client.get(&path).expect(200).expect_body(layer);
}

fn holds_hello(place: &mut Place, response: &Response) {
    assert_eq!(last_byte(response), 4, "{response}");
    assert_eq!(response.header("content-length"), Some("0"), "{response}");
    let id = response
        .header("docker-upload-uuid")
        .expect("Docker-Upload-UUID");
    assert!(response.location().contains(id), "{response}");
    still_finishes(place);
}

fn still_finishes(place: &mut Place) {
    let session = place.session.clone();
    place.client.expect_offset(&session, 5);
    place
        .client
        .finish_upload(&session, &digest("hello"), b"")
        .expect(201);
    let repo = place.repo.clone();
    place.client.expect_blob(&repo, b"hello");
}

fn gone(place: &mut Place) {
    let (session, unknown) = (place.session.clone(), "BLOB_UPLOAD_UNKNOWN");
    place.client.get(&session).expect_error(404, unknown);
    place.client.head(&session).expect(404);
    place
        .client
        .patch(&session, b"x")
        .expect_error(404, unknown);
    place
        .client
        .finish_upload(&session, &digest("hello"), b"")
        .expect_error(404, unknown);
    place.client.delete(&session).expect_error(404, unknown);
}
