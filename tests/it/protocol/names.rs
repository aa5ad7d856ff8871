//! Names, tags and digests that are none, wherever a request can carry them.

use super::{Row, row, run, run_in_one_place};

#[test]
fn names_that_break_the_grammar_are_400_name_invalid_everywhere() {
    let mut rows = Vec::new();
    for name in [
        "Foo", "a..b", "a___b", "-a", "a-", ".a", "a.", "_a", "a_", "a/B", "a/-b", "a//b", "a._b",
        "a b", "a%20b", "a%00b", "a%2F%2Fb", "\u{e4}", "a%C3%A4", "a@b", "a~b", "%2e%2e/a", "../a",
    ] {
        // What cannot stand in a request line goes through encoded.
        let name = name.replace(' ', "%20").replace('\u{e4}', "%C3%A4");
        for line in lines_with(&name) {
            rows.push(row("a name that is none", line, 400).code("NAME_INVALID"));
        }
    }
    run_in_one_place("names", &rows);
}

#[test]
fn a_name_of_300_characters_is_400_name_invalid() {
    let name = "a".repeat(300);
    let rows: Vec<Row> = lines_with(&name)
        .into_iter()
        .map(|line| row("a name of 300 characters", line, 400).code("NAME_INVALID"))
        .collect();
    run_in_one_place("long-names", &rows);
}

#[test]
fn names_within_the_grammar_and_the_bound_are_taken() {
    let (longest, components) = ("a".repeat(255), ["a"; 128].join("/"));
    let rows: Vec<Row> = [
        "a",
        "0",
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a-----b",
        "a.b_c__d-e/f0/1",
        "blobs",
        "manifests",
        "tags",
        "uploads",
        "list",
        "referrers",
        "blobs/uploads",
        "tags/list",
        "manifests/x",
        "a/blobs/uploads",
        "v2",
        "v2/a",
        &longest,
        &components,
    ]
    .iter()
    .map(|name| {
        row("a name", format!("POST /v2/{name}/blobs/uploads/"), 202).then(|place, response| {
            let (session, hello) = (response.location(), "hello");
            let digest = crate::support::image::digest(hello);
            place
                .client
                .finish_upload(&session, &digest, hello.as_bytes())
                .expect(201);
        })
    })
    .collect();
    run("good-names", &rows);
}

#[test]
fn malformed_digests_are_400_digest_invalid_everywhere() {
    let (long, upper) = (format!("sha256:{}", "0".repeat(65)), "F".repeat(64));
    let upper = format!("sha256:{upper}");
    let mut rows = Vec::new();
    for digest in [
        "sha256:bad",
        "sha256:",
        "sha256:totallywrong",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha384:00",
        "SHA256:00",
        ":00",
        &long,
        &upper,
        "sha512:00",
        "sha256:baddigeststring",
    ] {
        for line in [
            format!("GET /v2/{{repo}}/blobs/{digest}"),
            format!("HEAD /v2/{{repo}}/blobs/{digest}"),
            format!("DELETE /v2/{{repo}}/blobs/{digest}"),
            format!("GET /v2/{{repo}}/manifests/{digest}"),
            format!("HEAD /v2/{{repo}}/manifests/{digest}"),
            format!("DELETE /v2/{{repo}}/manifests/{digest}"),
            format!("PUT /v2/{{repo}}/manifests/{digest}"),
            format!("GET /v2/{{repo}}/referrers/{digest}"),
            format!("POST /v2/{{repo}}/blobs/uploads/?digest={digest}"),
            format!("POST /v2/{{repo}}/blobs/uploads/?mount={digest}"),
            format!("PUT {{session}}?digest={digest}"),
        ] {
            rows.push(row("a digest that is none", line, 400).code("DIGEST_INVALID"));
        }
    }
    run_in_one_place("digests", &rows);
}

#[test]
fn a_tag_where_a_digest_belongs_is_400_digest_invalid() {
    run(
        "no-digest",
        &[
            row("GET blob `latest`", "GET /v2/{repo}/blobs/latest", 400).code("DIGEST_INVALID"),
            row("GET referrers of a tag", "GET /v2/{repo}/referrers/v1", 400)
                .code("DIGEST_INVALID"),
        ],
    );
}

#[test]
fn a_tag_that_breaks_the_grammar_is_400_when_pushed_and_404_when_asked_for() {
    let long = "a".repeat(129);
    let mut rows = Vec::new();
    for tag in [
        ".INVALID_MANIFEST_NAME",
        ".x",
        "-x",
        "a%20b",
        "a%2Bb",
        "a@b",
        "%C3%A4",
        &long,
    ] {
        for method in ["GET", "HEAD"] {
            let line = format!("{method} /v2/{{repo}}/manifests/{tag}");
            rows.push(row("a tag that is none", line, 404).code("MANIFEST_UNKNOWN"));
        }
        let line = format!("PUT /v2/{{repo}}/manifests/{tag}");
        let push = row("a tag that is none", line, 400).code("MANIFEST_INVALID");
        rows.push(push.body(|image| image.manifest.bytes.clone()));
    }
    run_in_one_place("tags", &rows);
}

#[test]
fn tags_within_the_grammar_are_taken_and_told_apart_by_case() {
    let long = "a".repeat(128);
    let rows: Vec<Row> = ["a", "A", "_a", "0", "a.b-c_D", "a..b--", "v1.0.0", &long]
        .iter()
        .map(|tag| {
            let line = format!("PUT /v2/{{repo}}/manifests/{tag}");
            row("a tag", line, 201).body(|image| image.manifest.bytes.clone())
        })
        .collect();
    run("good-tags", &rows);
    run(
        "tag-case",
        &[row("v1 is not V1", "GET /v2/{repo}/manifests/V1", 404).code("MANIFEST_UNKNOWN")],
    );
}

/// Every request that names a repository.
fn lines_with(name: &str) -> Vec<String> {
    [
        "POST /v2/{name}/blobs/uploads/",
        "GET /v2/{name}/blobs/{layer}",
        "HEAD /v2/{name}/blobs/{layer}",
        "DELETE /v2/{name}/blobs/{layer}",
        "GET /v2/{name}/manifests/v1",
        "PUT /v2/{name}/manifests/v1",
        "DELETE /v2/{name}/manifests/v1",
        "GET /v2/{name}/tags/list",
        "GET /v2/{name}/referrers/{manifest}",
    ]
    .iter()
    .map(|line| line.replace("{name}", name))
    .collect()
}
