//! The table of error codes: each with the status it goes with, and a request that meets it.

use super::{Row, row, run_in_one_place};
use crate::support::for_each_shape_configured;
use crate::support::image::{Image, OCI_LAYER, OCI_MANIFEST, descriptor};
use serde_json::json;

/// Every code of the specification that an open registry answers. `UNAUTHORIZED` and `DENIED`
/// belong to access control; `DENIED` and `UNKNOWN` stand for a full disk and a failing store
/// (`fulldisk.rs`), `TOOMANYREQUESTS` and switched-off deletes have their own tests below.
#[test]
fn every_code_goes_with_its_status() {
    let rows: Vec<Row> = vec![
        row("BLOB_UNKNOWN", "GET /v2/{repo}/blobs/{absent}", 404).code("BLOB_UNKNOWN"),
        row("BLOB_UPLOAD_INVALID", "PATCH {session}", 416)
            .header("Content-Range", "7-9")
            .body(|_| b"abc".to_vec())
            .code("BLOB_UPLOAD_INVALID"),
        row(
            "BLOB_UPLOAD_UNKNOWN",
            "GET /v2/{repo}/blobs/uploads/none",
            404,
        )
        .code("BLOB_UPLOAD_UNKNOWN"),
        row("DIGEST_INVALID", "PUT {session}?digest=sha256:0", 400).code("DIGEST_INVALID"),
        row("MANIFEST_BLOB_UNKNOWN", "PUT /v2/{repo}/manifests/x", 400)
            .body(refers_to_nothing)
            .code("MANIFEST_BLOB_UNKNOWN"),
        row("MANIFEST_INVALID", "PUT /v2/{repo}/manifests/x", 400)
            .body(|_| b"{".to_vec())
            .code("MANIFEST_INVALID"),
        row(
            "MANIFEST_INVALID, too big",
            "PUT /v2/{repo}/manifests/x",
            413,
        )
        .manifest(OCI_MANIFEST, |_| vec![b' '; (4 << 20) + 1])
        .code("MANIFEST_INVALID"),
        row("MANIFEST_UNKNOWN", "GET /v2/{repo}/manifests/x", 404).code("MANIFEST_UNKNOWN"),
        row("NAME_INVALID", "GET /v2/{repo}/A/tags/list", 400).code("NAME_INVALID"),
        row("NAME_UNKNOWN", "GET /v2/{repo}/b/tags/list", 404).code("NAME_UNKNOWN"),
        row("SIZE_INVALID", "PATCH {session}", 400)
            .header("Content-Range", "0-9")
            .body(|_| b"abc".to_vec())
            .code("SIZE_INVALID"),
        row("UNSUPPORTED", "PUT /v2/{repo}/tags/list", 405).code("UNSUPPORTED"),
    ];
    run_in_one_place("codes", &rows);
}

#[test]
fn too_many_sessions_are_429_toomanyrequests_with_retry_after() {
    for_each_shape_configured("[uploads]\nsessions_max = 3\n", |server| {
        let mut client = server.client();
        let sessions: Vec<String> = (0..3).map(|_| client.start_upload("a")).collect();
        let refused = client.post("/v2/a/blobs/uploads/", b"");
        let refused = refused.expect_error(429, "TOOMANYREQUESTS");
        let seconds = refused.header("retry-after").expect("Retry-After");
        assert!(
            seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0),
            "{refused}"
        );
        client.delete(&sessions[0]).expect(204);
        client.start_upload("a");
    });
}

fn refers_to_nothing(image: &Image) -> Vec<u8> {
    image
        .manifest
        .with("layers", json!([descriptor(OCI_LAYER, "nothing")]))
        .bytes
}
