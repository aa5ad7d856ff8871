//! Rows about manifests.

use super::{Place, Row, bytes_of, row, run};
use crate::support::Response;
use crate::support::image::{
    DOCKER_LIST, DOCKER_MANIFEST, Image, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST,
    descriptor, digest, digest_sha512,
};
use serde_json::{Value, json};

const PUT: &str = "PUT /v2/{repo}/manifests/new";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
const SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

#[test]
fn asking_for_a_manifest() {
    let get = |about, reference: &str, status| {
        row(
            about,
            format!("GET /v2/{{repo}}/manifests/{reference}"),
            status,
        )
    };
    let unknown = |about, reference| get(about, reference, 404).code("MANIFEST_UNKNOWN");
    run(
        "manifests",
        &[
            get("without Accept", "v1", 200).then(is_manifest),
            get("Accept of docker only", "v1", 200)
                .header("Accept", DOCKER_MANIFEST)
                .then(is_manifest),
            get("Accept of everything", "v1", 200)
                .header("Accept", "*/*")
                .then(is_manifest),
            get("Accept of nothing that is", "v1", 200)
                .header("Accept", "text/html;q=0.5, image/*")
                .then(is_manifest),
            get("by digest", "{manifest}", 200).then(is_manifest),
            get("for a mirror", "v1?ns=docker.io", 200).then(is_manifest),
            get("with a body, as the old suite sends one", "v1", 200)
                .body(|_| b"{}".to_vec())
                .then(is_manifest),
            row("HEAD", "HEAD /v2/{repo}/manifests/v1", 200).then(has_headers),
            row(
                "HEAD by digest",
                "HEAD /v2/{repo}/manifests/{manifest}",
                200,
            )
            .then(has_headers),
            unknown("an unknown tag", "v2"),
            unknown("an unknown digest", "{absent}"),
            unknown("a blob's digest", "{layer}"),
            unknown("a tag that cannot be", ".INVALID"),
            row(
                "an unknown repository",
                "GET /v2/{repo}/other/manifests/v1",
                404,
            )
            .code("MANIFEST_UNKNOWN"),
            row("HEAD of unknown", "HEAD /v2/{repo}/manifests/v2", 404),
            get("a bad digest", "sha256:totallywrong", 400).code("DIGEST_INVALID"),
            get("If-None-Match", "v1", 304).header("If-None-Match", "\"{manifest}\""),
            get("If-None-Match, bare", "v1", 304).header("If-None-Match", "{manifest}"),
            get("If-None-Match of another", "v1", 200)
                .header("If-None-Match", "\"{absent}\"")
                .then(is_manifest),
        ],
    );
}

#[test]
fn deciding_the_type() {
    let put = |about, json: fn(&Image) -> Vec<u8>, status| row(about, PUT, status).body(json);
    run(
        "types",
        &[
            put("no Content-Type, but mediaType", own, 201)
                .then(|place, _| is_new(place, OCI_MANIFEST)),
            put("neither, an image", bare, 201).then(|place, _| is_new(place, OCI_MANIFEST)),
            put(
                "neither, an index",
                |_| bytes_of(&json!({"schemaVersion": 2, "manifests": []})),
                201,
            )
            .then(|place, _| is_new(place, OCI_INDEX)),
            put(
                "neither, nothing to tell",
                |_| bytes_of(&json!({"schemaVersion": 2})),
                400,
            )
            .code("MANIFEST_INVALID"),
            put("a parameter", own, 201)
                .header("Content-Type", format!("{OCI_MANIFEST}; charset=utf-8"))
                .then(|place, _| is_new(place, OCI_MANIFEST)),
            put("no mediaType in the body", bare, 201)
                .header("Content-Type", OCI_MANIFEST)
                .then(|place, _| is_new(place, OCI_MANIFEST)),
            put("application/json", own, 400)
                .header("Content-Type", "application/json")
                .code("MANIFEST_INVALID"),
            put("application/json, no mediaType", bare, 400)
                .header("Content-Type", "application/json")
                .code("MANIFEST_INVALID"),
            put("type is not mediaType", own, 400)
                .header("Content-Type", DOCKER_MANIFEST)
                .code("MANIFEST_INVALID"),
            put("an index that says it is an image", own, 400)
                .header("Content-Type", OCI_INDEX)
                .code("MANIFEST_INVALID"),
            put("an unknown type", bare, 400)
                .header("Content-Type", "application/vnd.example.manifest.v1+json")
                .code("MANIFEST_INVALID"),
            put("schema 1 type", bare, 400)
                .header("Content-Type", SCHEMA1)
                .code("MANIFEST_INVALID"),
            put("signed schema 1 type", bare, 400)
                .header("Content-Type", SCHEMA1_SIGNED)
                .code("MANIFEST_INVALID"),
            put(
                "schemaVersion 1",
                |image| with(image, "schemaVersion", json!(1)),
                400,
            )
            .header("Content-Type", OCI_MANIFEST)
            .code("MANIFEST_INVALID"),
            put(
                "schemaVersion 3",
                |image| with(image, "schemaVersion", json!(3)),
                400,
            )
            .header("Content-Type", OCI_MANIFEST)
            .code("MANIFEST_INVALID"),
            put(
                "both an image and an index",
                |image| with(image, "manifests", json!([])),
                400,
            )
            .header("Content-Type", OCI_MANIFEST)
            .code("MANIFEST_INVALID"),
        ],
    );
}

#[test]
fn refusing_what_is_no_manifest() {
    let put = |about, body: fn(&Image) -> Vec<u8>| {
        let code = "MANIFEST_INVALID";
        row(about, PUT, 400)
            .header("Content-Type", OCI_MANIFEST)
            .body(body)
            .code(code)
    };
    run(
        "invalid",
        &[
            put("nothing", |_| Vec::new()),
            put("text", |_| b"hello".to_vec()),
            put("an array", |_| b"[]".to_vec()),
            put("half of it", |image| image.manifest.bytes[..40].to_vec()),
            put("something behind it", |image| {
                [&image.manifest.bytes[..], b"x"].concat()
            }),
            put("bytes that are no UTF-8", |_| b"{\"a\":\"\xff\"}".to_vec()),
            put("layers that are no list", |image| {
                with(image, "layers", json!("x"))
            }),
            put("a config without digest", |image| {
                with(image, "config", json!({"size": 1}))
            }),
            put("a bad digest inside", |image| {
                let bad = json!([{"mediaType": OCI_LAYER, "digest": "sha256:bad", "size": 1}]);
                with(image, "layers", bad)
            }),
            put("a negative size", |image| {
                let bad = json!([{"mediaType": OCI_LAYER, "digest": digest("x"), "size": -1}]);
                with(image, "layers", bad)
            }),
            put("a subject without digest", |image| {
                with(image, "subject", json!({}))
            }),
            put("an image without config", |image| {
                let mut json = image.manifest.json();
                json.as_object_mut().unwrap().remove("config");
                bytes_of(&json)
            }),
        ],
    );
}

#[test]
fn checking_what_a_manifest_refers_to() {
    let put = |about, body: fn(&Image) -> Vec<u8>, status| row(about, PUT, status).body(body);
    let missing = |about, body| put(about, body, 400).code("MANIFEST_BLOB_UNKNOWN");
    run(
        "references",
        &[
            missing("a layer", |image| {
                layers(image, &[descriptor(OCI_LAYER, "gone")])
            }),
            missing("the config", |image| {
                with(image, "config", descriptor(OCI_CONFIG, "gone"))
            }),
            missing("a child", |_| index(&[descriptor(OCI_MANIFEST, "gone")])),
            missing("several, one error each", |image| {
                let gone = ["a", "b", "a"].map(|bytes| descriptor(OCI_LAYER, bytes));
                layers(image, &gone)
            })
            .then(|_, response| {
                let errors = response.json()["errors"].as_array().unwrap().clone();
                let mut missing: Vec<&str> = errors
                    .iter()
                    .filter_map(|error| error["detail"]["digest"].as_str())
                    .collect();
                missing.sort_unstable();
                let mut expected = [digest("a"), digest("b")];
                expected.sort_unstable();
                assert_eq!(missing, expected);
                assert!(
                    errors
                        .iter()
                        .all(|error| error["code"] == "MANIFEST_BLOB_UNKNOWN")
                );
            }),
            put(
                "a child that is a manifest",
                |image| index(&[image.manifest.descriptor()]),
                201,
            ),
            put(
                "a child that is a blob, as BuildKit's caches have",
                |image| index(&[descriptor(OCI_LAYER, &image.layers[0])]),
                201,
            ),
            put(
                "a child of a type unknown here",
                |_| index(&[descriptor("text/x", "gone")]),
                201,
            ),
            put(
                "a nondistributable layer",
                |image| layers(image, &nondistributable()),
                201,
            ),
            put(
                "a foreign layer with urls",
                |image| {
                    let mut foreign = descriptor(OCI_LAYER, "gone");
                    foreign["urls"] = json!(["https://example.com/layer"]);
                    layers(image, &[foreign])
                },
                201,
            ),
            put(
                "another size in the descriptor",
                |image| {
                    let mut wrong = descriptor(OCI_LAYER, &image.layers[0]);
                    wrong["size"] = json!(7);
                    layers(image, &[wrong])
                },
                201,
            ),
            put("no layers", |image| layers(image, &[]), 201),
            put(
                "the same layer twice",
                |image| {
                    layers(
                        image,
                        &[0, 0].map(|_| descriptor(OCI_LAYER, &image.layers[0])),
                    )
                },
                201,
            ),
            put(
                "a subject that is not here",
                |image| with(image, "subject", descriptor(OCI_MANIFEST, "gone")),
                201,
            )
            .then(|_, response| {
                assert_eq!(
                    response.header("oci-subject"),
                    Some(digest("gone").as_str())
                );
            }),
        ],
    );
}

#[test]
fn the_size_of_a_manifest() {
    const MAX: usize = 4 << 20;
    let put = |about, body: fn(&Image) -> Vec<u8>, status| {
        row(about, PUT, status)
            .header("Content-Type", OCI_MANIFEST)
            .body(body)
    };
    run(
        "sizes",
        &[
            put("4 MiB", |image| padded(image, MAX), 201)
                .then(|place, _| is_new(place, OCI_MANIFEST)),
            put("4 MiB and a byte", |image| padded(image, MAX + 1), 413).code("MANIFEST_INVALID"),
            put("4 MiB and 10 bytes", |image| padded(image, MAX + 10), 413)
                .code("MANIFEST_INVALID"),
        ],
    );
}

#[test]
fn pushing_by_digest() {
    let by = |about, reference: &str, status| {
        row(
            about,
            format!("PUT /v2/{{repo}}/manifests/{reference}"),
            status,
        )
        .body(|_| index(&[]))
    };
    let own = digest(index(&[]));
    let long = digest_sha512(index(&[]));
    let of = |algorithm: &str| {
        if algorithm == "sha512" {
            digest_sha512(index(&[]))
        } else {
            digest(index(&[]))
        }
    };
    run(
        "by-digest",
        &[
            by("its own", &own, 201)
                .then(move |place, response| is_at(place, response, &of("sha256"))),
            by("its own sha512", &long, 201)
                .then(move |place, response| is_at(place, response, &of("sha512"))),
            by("another", "{absent}", 400).code("DIGEST_INVALID"),
            by("none", "sha256:bad", 400).code("DIGEST_INVALID"),
            by(
                "an algorithm that is not known",
                "md5:d41d8cd98f00b204e9800998ecf8427e",
                400,
            )
            .code("DIGEST_INVALID"),
        ],
    );
}

#[test]
fn deleting_a_manifest() {
    run(
        "deletes",
        &[
            row("a tag", "DELETE /v2/{repo}/manifests/v1", 202).then(|place, _| {
                let (repo, image) = (place.repo.clone(), place.image.clone());
                let tag = format!("/v2/{repo}/manifests/v1");
                place.client.get(&tag).expect_error(404, "MANIFEST_UNKNOWN");
                place.client.expect_image(&repo, &image.digest(), &image);
                place
                    .client
                    .delete(&tag)
                    .expect_error(404, "MANIFEST_UNKNOWN");
            }),
            row("a digest", "DELETE /v2/{repo}/manifests/{manifest}", 202).then(|place, _| {
                let (repo, digest) = (place.repo.clone(), place.image.digest());
                for reference in ["v1", &digest] {
                    let path = format!("/v2/{repo}/manifests/{reference}");
                    place
                        .client
                        .get(&path)
                        .expect_error(404, "MANIFEST_UNKNOWN");
                    place.client.head(&path).expect(404);
                }
            }),
            row("an unknown tag", "DELETE /v2/{repo}/manifests/v2", 404).code("MANIFEST_UNKNOWN"),
            row(
                "an unknown digest",
                "DELETE /v2/{repo}/manifests/{absent}",
                404,
            )
            .code("MANIFEST_UNKNOWN"),
            row(
                "an unknown repository",
                "DELETE /v2/{repo}/other/manifests/v1",
                404,
            )
            .code("NAME_UNKNOWN"),
        ],
    );
}

/// The image's own manifest.
fn own(image: &Image) -> Vec<u8> {
    image.manifest.bytes.clone()
}

/// The same without its `mediaType`.
fn bare(image: &Image) -> Vec<u8> {
    let mut json = image.manifest.json();
    json.as_object_mut().unwrap().remove("mediaType");
    bytes_of(&json)
}

fn with(image: &Image, field: &str, value: Value) -> Vec<u8> {
    image.manifest.with(field, value).bytes
}

fn layers(image: &Image, layers: &[Value]) -> Vec<u8> {
    with(image, "layers", json!(layers))
}

fn index(children: &[Value]) -> Vec<u8> {
    bytes_of(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}))
}

/// The image's manifest with annotations up to this size.
fn padded(image: &Image, size: usize) -> Vec<u8> {
    let empty = with(image, "annotations", json!({"pad": ""}));
    with(
        image,
        "annotations",
        json!({"pad": "x".repeat(size - empty.len())}),
    )
}

fn nondistributable() -> Vec<Value> {
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ]
    .iter()
    .map(|media_type| descriptor(media_type, media_type))
    .collect()
}

fn is_manifest(place: &mut Place, response: &Response) {
    has_headers(place, response);
    assert!(response.body == place.image.manifest.bytes, "{response}");
}

fn has_headers(place: &mut Place, response: &Response) {
    let (digest, etag) = (
        place.image.digest(),
        format!("\"{}\"", place.image.digest()),
    );
    let length = place.image.manifest.bytes.len().to_string();
    for (name, value) in [
        ("docker-content-digest", digest.as_str()),
        ("etag", &etag),
        ("content-type", OCI_MANIFEST),
        ("content-length", &length),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}\n{response}");
    }
}

/// What was pushed under the tag `new` has this type.
fn is_new(place: &mut Place, media_type: &str) {
    let path = format!("/v2/{}/manifests/new", place.repo);
    let response = place
        .client
        .get(&path)
        .expect(200)
        .expect_header("Content-Type", media_type);
    let digest = digest(&response.body);
    assert_eq!(
        response.header("docker-content-digest"),
        Some(digest.as_str())
    );
}

/// The empty index was pushed under this digest.
fn is_at(place: &mut Place, response: &Response, digest: &str) {
    let path = format!("/v2/{}/manifests/{digest}", place.repo);
    assert_eq!(response.location(), path);
    assert_eq!(response.header("docker-content-digest"), Some(digest));
    place
        .client
        .get(&path)
        .expect(200)
        .expect_header("Docker-Content-Digest", digest)
        .expect_header("Content-Type", OCI_INDEX)
        .expect_body(index(&[]));
}

/// The types of Docker, which need their `mediaType` in the body for nothing but the check.
#[test]
fn docker_types() {
    let put = |about, media_type: &'static str, body: fn(&Image) -> Vec<u8>, status| -> Row {
        row(about, PUT, status)
            .header("Content-Type", media_type)
            .body(body)
    };
    run(
        "docker",
        &[
            put("schema 2", DOCKER_MANIFEST, |image| with(image, "mediaType", json!(DOCKER_MANIFEST)), 201)
                .then(|place, _| is_new(place, DOCKER_MANIFEST)),
            put("a list", DOCKER_LIST, |image| {
                let children = [image.manifest.descriptor()];
                bytes_of(&json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": children}))
            }, 201)
                .then(|place, _| is_new(place, DOCKER_LIST)),
        ],
    );
}
