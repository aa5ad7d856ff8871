//! Rows about lists: tags, repositories, referrers; and the ends of the API that hold nothing.

use super::{Row, row, run};
use serde_json::json;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[test]
fn the_base() {
    run(
        "base",
        &[
            row("GET /v2/", "GET /v2/", 200).then(|_, response| {
                assert_eq!(response.json(), json!({}));
                assert_eq!(response.header("content-type"), Some("application/json"));
            }),
            row("GET /v2", "GET /v2", 200).then(|_, response| assert_eq!(response.text(), "{}")),
            row("HEAD /v2/", "HEAD /v2/", 200),
            row("a query", "GET /v2/?account=x", 200),
        ],
    );
}

#[test]
fn listing_tags() {
    let list = |about, query: &str, status| {
        row(about, format!("GET /v2/{{repo}}/tags/list{query}"), status)
    };
    run(
        "taglists",
        &[
            row(
                "an unknown repository",
                "GET /v2/{repo}/other/tags/list",
                404,
            )
            .code("NAME_UNKNOWN"),
            list("all", "", 200).then(|place, response| {
                assert_eq!(response.json(), json!({"name": place.repo, "tags": ["v1"]}));
                assert_eq!(response.header("link"), None);
            }),
            list("n=0", "?n=0", 200).then(|_, response| {
                assert_eq!(response.json()["tags"], json!([]));
                assert_eq!(response.header("link"), None);
            }),
            list("n=-1", "?n=-1", 400).code("UNSUPPORTED"),
            list("n=abc", "?n=abc", 400).code("UNSUPPORTED"),
            list("n=1.5", "?n=1.5", 400).code("UNSUPPORTED"),
            list("n=%31, which is 1", "?n=%31", 200),
            list("n beyond every number", "?n=99999999999999999999999", 200)
                .then(|_, response| assert_eq!(response.json()["tags"], json!(["v1"]))),
            list("after a tag that is not there", "?last=v0", 200)
                .then(|_, response| assert_eq!(response.json()["tags"], json!(["v1"]))),
            list("after the last", "?last=v1", 200)
                .then(|_, response| assert_eq!(response.json()["tags"], json!([]))),
            list("after what no tag can be", "?last=%F0%9F%A6%80", 200)
                .then(|_, response| assert_eq!(response.json()["tags"], json!([]))),
        ],
    );
}

#[test]
fn listing_repositories() {
    run(
        "catalogs",
        &[
            row("n=0", "GET /v2/_catalog?n=0", 200).then(|_, response| {
                assert_eq!(response.json(), json!({"repositories": []}));
                assert_eq!(response.header("link"), None);
            }),
            row("after all", "GET /v2/_catalog?last=z", 200)
                .then(|_, response| assert_eq!(response.json(), json!({"repositories": []}))),
            row("n=-1", "GET /v2/_catalog?n=-1", 400).code("UNSUPPORTED"),
            row("n=abc", "GET /v2/_catalog?n=abc", 400).code("UNSUPPORTED"),
        ],
    );
}

#[test]
fn listing_referrers() {
    run(
        "referrers",
        &[
            empty(
                "an unknown repository",
                "GET /v2/{repo}/other/referrers/{absent}",
            ),
            empty("an unknown digest", "GET /v2/{repo}/referrers/{absent}"),
            empty("nothing about it", "GET /v2/{repo}/referrers/{manifest}"),
            empty(
                "an empty filter",
                "GET /v2/{repo}/referrers/{manifest}?artifactType=",
            ),
            row("HEAD", "HEAD /v2/{repo}/referrers/{manifest}", 200),
            row("a bad digest", "GET /v2/{repo}/referrers/sha256:bad", 400).code("DIGEST_INVALID"),
            row("a tag", "GET /v2/{repo}/referrers/v1", 400).code("DIGEST_INVALID"),
        ],
    );
}

fn empty(about: &'static str, line: &'static str) -> Row {
    row(about, line, 200).then(|_, response| {
        assert_eq!(response.header("content-type"), Some(INDEX));
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
        assert_eq!(response.json(), index);
        assert_eq!(response.header("oci-filters-applied"), None);
    })
}
