//! Rows about blobs and their ranges.

use super::{Place, Row, row, run};
use crate::support::Response;

const BLOB: &str = "GET /v2/{repo}/blobs/{layer}";

#[test]
fn asking_for_a_blob() {
    run(
        "blobs",
        &[
            row("GET", BLOB, 200).then(is_whole),
            row("HEAD", "HEAD /v2/{repo}/blobs/{layer}", 200).then(|place, response| {
                has_headers(place, response);
                assert_eq!(response.header("content-length"), Some("100"));
            }),
            row("unknown", "GET /v2/{repo}/blobs/{absent}", 404).code("BLOB_UNKNOWN"),
            row("HEAD of unknown", "HEAD /v2/{repo}/blobs/{absent}", 404).code("BLOB_UNKNOWN"),
            row(
                "in another repository",
                "GET /v2/{repo}/other/blobs/{layer}",
                404,
            )
            .code("BLOB_UNKNOWN"),
            row(
                "a manifest's digest",
                "GET /v2/{repo}/blobs/{manifest}",
                404,
            )
            .code("BLOB_UNKNOWN"),
            row(
                "for a mirror",
                "GET /v2/{repo}/blobs/{layer}?ns=docker.io",
                200,
            )
            .then(is_whole),
            row("encoded", "GET /v2/{repo}%2Fblobs/{layer}", 200).then(is_whole),
            row("compression offered, as containerd does", BLOB, 200)
                .header("Accept-Encoding", "zstd, gzip, deflate")
                .then(is_whole),
            row("Accept of something else", BLOB, 200)
                .header("Accept", "text/html")
                .then(is_whole),
        ],
    );
}

#[test]
fn asking_for_a_part() {
    run(
        "ranges",
        &[
            part("bytes=0-9", 0, 9),
            part("bytes=10-19", 10, 19),
            part("bytes=90-", 90, 99),
            part("bytes=-10", 90, 99),
            part("bytes=-1000", 0, 99),
            part("bytes=50-1000", 50, 99),
            part("bytes=99-99", 99, 99),
            part("bytes=0-", 0, 99),
            part("bytes=0-99999999999999999999999", 0, 99),
            none("bytes=100-"),
            none("bytes=100-200"),
            none("bytes=99999999999999999999999-"),
            none("bytes=50-40"),
            none("bytes=-0"),
            ignored("lines=0-9"),
            ignored("bytes=0-9,20-29"),
            ignored("bytes=abc"),
            ignored("bytes=-"),
            ignored("bytes"),
            ignored("0-9"),
        ],
    );
}

#[test]
fn asking_under_a_condition() {
    let known = |value: &str| {
        row("If-None-Match", BLOB, 304)
            .header("If-None-Match", value)
            .then(|_, response| {
                assert!(response.header("etag").is_some(), "{response}");
            })
    };
    run(
        "conditions",
        &[
            known("\"{layer}\""),
            known("{layer}"),
            known("W/\"{layer}\""),
            known("\"x\", \"{layer}\""),
            known("*"),
            row("a tag of something else", BLOB, 200)
                .header("If-None-Match", "\"{absent}\"")
                .then(is_whole),
            row("If-Range of something else", BLOB, 200)
                .header("If-Range", "\"{absent}\"")
                .header("Range", "bytes=0-9")
                .then(is_whole),
            part("bytes=0-9", 0, 9).header("If-Range", "\"{layer}\""),
        ],
    );
}

fn part(range: &'static str, first: usize, last: usize) -> Row {
    row("a part", BLOB, 206)
        .header("Range", range)
        .then(move |place, response| {
            has_headers(place, response);
            let (range, length) = (format!("bytes {first}-{last}/100"), last - first + 1);
            assert_eq!(response.header("content-range"), Some(range.as_str()));
            assert_eq!(
                response.header("content-length"),
                Some(length.to_string().as_str())
            );
            assert!(
                response.body == place.image.layers[0][first..=last],
                "{response}"
            );
        })
}

fn none(range: &'static str) -> Row {
    row("no part", BLOB, 416)
        .header("Range", range)
        .then(|_, response| {
            assert_eq!(response.header("content-range"), Some("bytes */100"));
            let length = response.body.len().to_string();
            assert_eq!(response.header("content-length"), Some(length.as_str()));
        })
}

fn ignored(range: &'static str) -> Row {
    row("no range that is understood", BLOB, 200)
        .header("Range", range)
        .then(is_whole)
}

fn is_whole(place: &mut Place, response: &Response) {
    has_headers(place, response);
    assert_eq!(response.header("content-range"), None, "{response}");
    assert_eq!(response.header("content-length"), Some("100"), "{response}");
    assert!(response.body == place.image.layers[0], "{response}");
}

fn has_headers(place: &mut Place, response: &Response) {
    let (digest, etag) = (place.layer(), format!("\"{}\"", place.layer()));
    for (name, value) in [
        ("docker-content-digest", digest.as_str()),
        ("etag", &etag),
        ("content-type", "application/octet-stream"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}\n{response}");
    }
    assert_eq!(response.header("content-encoding"), None, "{response}");
}

#[test]
fn deleting_a_blob() {
    run(
        "delete-blobs",
        &[
            row("twice", "DELETE /v2/{repo}/blobs/{layer}", 202).then(|place, _| {
                let path = format!("/v2/{}/blobs/{}", place.repo, place.layer());
                place.client.get(&path).expect_error(404, "BLOB_UNKNOWN");
                place.client.head(&path).expect(404);
                place.client.delete(&path).expect_error(404, "BLOB_UNKNOWN");
            }),
            row("unknown", "DELETE /v2/{repo}/blobs/{absent}", 404).code("BLOB_UNKNOWN"),
            row(
                "in another repository",
                "DELETE /v2/{repo}/other/blobs/{layer}",
                404,
            )
            .code("BLOB_UNKNOWN"),
        ],
    );
}
