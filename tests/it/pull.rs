//! Pulling: what every client reads off the answers, and what must never be served.

use crate::support::image::{DOCKER_MANIFEST, Image, Manifest, OCI_INDEX, bytes, digest};
use crate::support::{Response, for_each_shape};
use serde_json::json;

#[test]
fn every_answer_names_the_version_of_the_api() {
    for_each_shape(|server| {
        let mut client = server.client();
        client.push_image("a", "v1", &Image::oci(1, &[10]));
        let session = client.start_upload("a");
        for (method, path) in [
            ("GET", "/v2/"),
            ("GET", "/v2/_catalog"),
            ("GET", "/v2/a/tags/list"),
            ("GET", "/v2/a/manifests/v1"),
            ("HEAD", "/v2/a/manifests/v1"),
            ("GET", "/v2/a/manifests/none"),
            ("GET", "/v2/a/blobs/none"),
            ("PUT", "/v2/"),
            ("GET", "/v2/nothing/here/at/all"),
            ("GET", &session),
            ("DELETE", &session),
        ] {
            client
                .request(method, path, &[], None)
                .expect_header("Docker-Distribution-Api-Version", "registry/2.0");
        }
    });
}

#[test]
fn blobs_of_every_size_come_back_byte_for_byte_and_in_parts() {
    for_each_shape(|server| {
        let mut client = server.client();
        for (seed, size) in [0, 1, 2, 4095, 4096, 65_536, 65_537, 1 << 20, 5_000_001]
            .iter()
            .zip(1..)
        {
            let (size, seed) = (*seed, size);
            let blob = bytes(seed, size);
            let path = format!("/v2/a/blobs/{}", client.push_blob("a", &blob));
            let length = size.to_string();
            client.expect_blob("a", &blob);
            client
                .head(&path)
                .expect(200)
                .expect_header("Content-Length", &length);
            let mut parts = Vec::new();
            let step = size.div_ceil(3).max(1);
            while parts.len() < size {
                let range = format!("bytes={}-{}", parts.len(), parts.len() + step - 1);
                let part = client
                    .request("GET", &path, &[("Range", &range)], None)
                    .expect(206);
                let (first, last) = (parts.len(), parts.len() + part.body.len() - 1);
                let content_range = format!("bytes {first}-{last}/{size}");
                parts.extend(part.expect_header("Content-Range", &content_range).body);
            }
            assert!(parts == blob, "the parts of {size} bytes");
            assert!(client.is_kept_alive());
        }
    });
}

#[test]
fn a_range_of_an_empty_blob_is_416() {
    for_each_shape(|server| {
        let mut client = server.client();
        let path = format!("/v2/a/blobs/{}", client.push_blob("a", b""));
        for range in ["bytes=0-0", "bytes=0-", "bytes=-1"] {
            client
                .request("GET", &path, &[("Range", range)], None)
                .expect(416)
                .expect_header("Content-Range", "bytes */0");
        }
        client
            .get(&path)
            .expect(200)
            .expect_header("Content-Length", "0");
    });
}

#[test]
fn a_blob_of_one_repository_is_unknown_in_every_other() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = client.push_blob("a", b"hello");
        client.push_blob("b", b"something else");
        for repository in ["b", "a/b", "b/a", "c"] {
            let path = format!("/v2/{repository}/blobs/{blob}");
            client.get(&path).expect_error(404, "BLOB_UNKNOWN");
            client.head(&path).expect(404);
            client
                .request("GET", &path, &[("Range", "bytes=0-1")], None)
                .expect_error(404, "BLOB_UNKNOWN");
            client
                .request("GET", &path, &[("If-None-Match", &blob)], None)
                .expect_error(404, "BLOB_UNKNOWN");
        }
    });
}

#[test]
fn a_manifest_of_one_repository_is_unknown_in_every_other() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        client.push_blob("b", b"x");
        for repository in ["b", "c"] {
            for reference in ["v1", &image.digest()] {
                let path = format!("/v2/{repository}/manifests/{reference}");
                client.get(&path).expect_error(404, "MANIFEST_UNKNOWN");
                client.head(&path).expect(404);
            }
        }
    });
}

/// Listed as defect 1 of other registries: `*/*` and no Accept at all were answered with 404.
#[test]
fn accept_never_hides_or_converts_a_manifest() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (oci, docker) = (Image::oci(1, &[1]), Image::docker(2, &[2]));
        client.push_image("a", "oci", &oci);
        client.push_image("a", "docker", &docker);
        let index = Manifest::index(&[(&oci.manifest, "amd64")]);
        let list = Manifest::list(&[(&docker.manifest, "amd64")]);
        client.push_manifest("a", "index", &index);
        client.push_manifest("a", "list", &list);
        for (tag, manifest) in [
            ("oci", &oci.manifest),
            ("docker", &docker.manifest),
            ("index", &index),
            ("list", &list),
        ] {
            let path = format!("/v2/a/manifests/{tag}");
            for accept in [
                &[][..],
                &[("Accept", "*/*")],
                &[("Accept", DOCKER_MANIFEST)],
                &[("Accept", OCI_INDEX)],
                &[
                    ("Accept", "text/plain"),
                    ("Accept", "application/vnd.example"),
                ],
                &[(
                    "Accept",
                    "application/vnd.docker.distribution.manifest.v1+prettyjws",
                )],
            ] {
                for method in ["GET", "HEAD"] {
                    let answer = client.request(method, &path, accept, None);
                    is_exactly(answer.expect(200), manifest);
                }
            }
        }
    });
}

fn is_exactly(answer: Response, manifest: &Manifest) {
    let head = answer.request.starts_with("HEAD ");
    let answer = answer
        .expect_header("Content-Type", &manifest.media_type)
        .expect_header("Content-Length", &manifest.bytes.len().to_string())
        .expect_header("Docker-Content-Digest", &manifest.digest());
    answer.expect_body(if head { &[][..] } else { &manifest.bytes });
}

#[test]
fn a_repository_may_be_called_like_a_part_of_the_api() {
    for_each_shape(|server| {
        let mut client = server.client();
        for name in [
            "blobs",
            "manifests",
            "tags",
            "uploads",
            "list",
            "referrers",
            "tags/list",
            "foo/bar/manifests",
            "foo/blobs/uploads",
            "a/manifests/b",
            "v2/a",
        ] {
            let image = Image::oci(7, &[10]);
            client.push_image(name, "list", &image);
            client.expect_image(name, "list", &image);
            let tags = client.get(&format!("/v2/{name}/tags/list")).expect(200);
            assert_eq!(tags.json(), json!({"name": name, "tags": ["list"]}));
            client
                .get(&format!("/v2/{name}/referrers/{}", image.digest()))
                .expect(200);
            let session = client.start_upload(name);
            client.expect_offset(&session, 0);
            client.delete(&session).expect(204);
        }
    });
}

#[test]
fn the_bytes_of_a_manifest_are_kept_with_all_their_oddities() {
    for_each_shape(|server| {
        let mut client = server.client();
        let odd = format!(
            "  {{ \"unknown\": [1, 2.50, 1e3, null], \"schemaVersion\":2,\n\t\"mediaType\": \
             \"{OCI_INDEX}\", \"manifests\": [ ], \"annotations\":{{\"\\u00e4\":\"\\/\"}},\
             \"data\": \"e30=\", \"unknown\": \"twice\" }}\r\n\n"
        );
        let manifest = Manifest {
            media_type: OCI_INDEX.to_owned(),
            bytes: odd.into_bytes(),
        };
        client.push_manifest("a", "odd", &manifest);
        client.expect_manifest("a", "odd", &manifest);
        client.expect_manifest("a", &manifest.digest(), &manifest);
    });
}

#[test]
fn nothing_is_ever_compressed_or_chunked() {
    for_each_shape(|server| {
        let mut client = server
            .client()
            .with_header("Accept-Encoding", "zstd, gzip, deflate");
        let image = Image::oci(1, &[100_000]);
        client.push_image("a", "v1", &image);
        let blob = format!("/v2/a/blobs/{}", digest(&image.layers[0]));
        for path in [
            "/v2/",
            "/v2/a/manifests/v1",
            "/v2/a/tags/list",
            "/v2/_catalog",
            &blob,
        ] {
            let answer = client.get(path).expect(200);
            assert_eq!(answer.header("content-encoding"), None, "{answer}");
            assert_eq!(answer.header("transfer-encoding"), None, "{answer}");
            let length = answer.body.len().to_string();
            answer.expect_header("Content-Length", &length);
        }
    });
}
