//! Pushing manifests: what is kept, what is refused, what the answer says.

use crate::support::image::{
    DOCKER_LIST, DOCKER_MANIFEST, Image, Manifest, OCI_EMPTY, OCI_INDEX, OCI_LAYER, OCI_MANIFEST,
    bytes, descriptor, digest, digest_sha512,
};
use crate::support::{Client, for_each_shape, for_each_shape_configured};
use serde_json::json;

const ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";

#[test]
fn the_answer_says_where_the_manifest_is() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        let digest = client.push_image("a/b", "v1", &image);
        let answer = client
            .put_manifest("a/b", "v1", &image.manifest)
            .expect(201);
        assert_eq!(answer.location(), format!("/v2/a/b/manifests/{digest}"));
        assert_eq!(answer.header("content-length"), Some("0"));
        assert_eq!(answer.header("oci-subject"), None);
        assert_eq!(answer.header("oci-tag"), None);
        client
            .get(&answer.location())
            .expect(200)
            .expect_header("Content-Type", OCI_MANIFEST)
            .expect_body(&image.manifest.bytes);
    });
}

#[test]
fn a_body_in_chunks_without_length_is_as_good() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        let (start, end) = image.manifest.bytes.split_at(100);
        client
            .request_chunked("PUT", "/v2/a/manifests/chunked", &[start, end])
            .expect(201);
        client.expect_manifest("a", "chunked", &image.manifest);
        let huge: Vec<Vec<u8>> = (0..80).map(|_| vec![b' '; 64 << 10]).collect();
        let huge: Vec<&[u8]> = huge.iter().map(Vec::as_slice).collect();
        client
            .request_chunked("PUT", "/v2/a/manifests/huge", &huge)
            .expect_error(413, "MANIFEST_INVALID");
        client.get("/v2/a/manifests/huge").expect(404);
    });
}

#[test]
fn a_tag_moves_and_the_old_manifest_stays() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (old, new) = (Image::oci(1, &[10]), Image::oci(2, &[20]));
        client.push_image("a", "latest", &old);
        client.push_image("a", "latest", &new);
        client.expect_image("a", "latest", &new);
        client.expect_image("a", &old.digest(), &old);
        // And back again, by a push of nothing but the manifest.
        client.push_manifest("a", "latest", &old.manifest);
        client.expect_manifest("a", "latest", &old.manifest);
    });
}

#[test]
fn a_push_by_digest_sets_no_tag() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", &image.digest(), &image);
        let tags = client.get("/v2/a/tags/list").expect(200);
        assert_eq!(tags.json()["tags"], json!([]));
        client.expect_image("a", &image.digest(), &image);
    });
}

/// `PUT <digest>?tag=a&tag=b`: the one way to tag what is addressed by sha512.
#[test]
fn tag_parameters_tag_a_push_by_digest() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v0", &image);
        let tags: Vec<String> = (0..12).map(|n| format!("t{n}")).collect();
        let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let long = digest_sha512(&image.manifest.bytes);
        let path = format!("/v2/a/manifests/{long}?{}", query.join("&"));
        let headers = [("Content-Type", OCI_MANIFEST)];
        let answer = client.request("PUT", &path, &headers, Some(&image.manifest.bytes));
        let answer = answer
            .expect(201)
            .expect_header("Docker-Content-Digest", &long);
        let lists = answer.headers("oci-tag").join(",");
        let mut told: Vec<&str> = lists.split(',').map(str::trim).collect();
        let mut expected: Vec<&str> = tags.iter().map(String::as_str).collect();
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "{answer}");
        for tag in &tags {
            client
                .get(&format!("/v2/a/manifests/{tag}"))
                .expect(200)
                .expect_header("Docker-Content-Digest", &long)
                .expect_body(&image.manifest.bytes);
        }
        // The tag that was set by sha256 goes on answering with sha256.
        client.expect_manifest("a", "v0", &image.manifest);
    });
}

#[test]
fn a_tag_parameter_that_is_none_stores_nothing() {
    for_each_shape(|server| {
        let mut client = server.client();
        let index = Manifest::index(&[]);
        client.push_blob("a", b"x");
        let path = format!("/v2/a/manifests/{}?tag=good&tag=.bad", index.digest());
        let headers = [("Content-Type", OCI_INDEX)];
        let answer = client.request("PUT", &path, &headers, Some(&index.bytes));
        answer.expect_error(400, "MANIFEST_INVALID");
        client
            .get(&format!("/v2/a/manifests/{}", index.digest()))
            .expect(404);
        client.get("/v2/a/manifests/good").expect(404);
    });
}

#[test]
fn too_many_tag_parameters_are_414() {
    for_each_shape(|server| {
        let mut client = server.client();
        let index = Manifest::index(&[]);
        client.push_blob("a", b"x");
        let tags: Vec<String> = (0..1000).map(|n| format!("tag=t{n}")).collect();
        let path = format!("/v2/a/manifests/{}?{}", index.digest(), tags.join("&"));
        let headers = [("Content-Type", OCI_INDEX)];
        let answer = client.request("PUT", &path, &headers, Some(&index.bytes));
        answer.expect(414);
        assert_eq!(
            client.get("/v2/a/tags/list").expect(200).json()["tags"],
            json!([])
        );
    });
}

#[test]
fn artifacts_of_all_kinds_are_kept() {
    for_each_shape(|server| {
        let mut client = server.client();
        client.push_blob("a", b"{}");
        client.push_blob("a", b"");
        let (blob, empty) = (
            client.push_blob("a", b"chart"),
            descriptor(OCI_EMPTY, b"{}"),
        );
        let layer = |media_type| json!({"mediaType": media_type, "digest": blob, "size": 5});
        let helm = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
        for manifest in [
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": descriptor("application/vnd.cncf.helm.config.v1+json", b"{}"),
                "layers": [layer(helm)]}),
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "artifactType": "application/vnd.example+type", "config": empty,
                "layers": [empty], "annotations": {"a": "b"}}),
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": empty,
                "layers": [descriptor(OCI_LAYER, b"")]}),
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
                "config": {"mediaType": OCI_EMPTY, "digest": digest(b"{}"), "size": 2,
                    "data": "e30="}}),
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [],
                "artifactType": "text/x"}),
            json!({"mediaType": ARTIFACT_MANIFEST, "artifactType": "text/x",
                "blobs": [layer("text/y")]}),
        ] {
            let manifest = Manifest::new(&manifest);
            client.push_manifest("a", "artifact", &manifest);
            client.expect_manifest("a", "artifact", &manifest);
            client.expect_manifest("a", &manifest.digest(), &manifest);
        }
    });
}

#[test]
fn an_index_of_indexes_and_of_docker_images_is_kept() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (oci, docker) = (Image::oci(1, &[1]), Image::docker(2, &[2]));
        client.push_image("a", &oci.digest(), &oci);
        client.push_image("a", &docker.digest(), &docker);
        let inner = Manifest::index(&[(&oci.manifest, "amd64"), (&docker.manifest, "arm64")]);
        client.push_manifest("a", &inner.digest(), &inner);
        let outer = Manifest::index(&[(&inner, "unknown")]);
        client.push_manifest("a", "outer", &outer);
        client.expect_manifest("a", "outer", &outer);
        client.expect_image("a", &docker.digest(), &docker);
    });
}

#[test]
fn the_confusion_of_image_and_index_is_refused_for_every_type() {
    for_each_shape(|server| {
        let mut client = server.client();
        client.push_blob("a", b"{}");
        let config = descriptor(OCI_EMPTY, b"{}");
        for media_type in [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST] {
            let both = Manifest::new(&json!({
                "schemaVersion": 2, "mediaType": media_type,
                "config": config, "layers": [], "manifests": [],
            }));
            client
                .put_manifest("a", "both", &both)
                .expect_error(400, "MANIFEST_INVALID");
        }
        client.get("/v2/a/manifests/both").expect(404);
    });
}

#[test]
fn a_manifest_whose_blobs_are_in_another_repository_is_refused() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        let answer = client.put_manifest("b", "v1", &image.manifest);
        let answer = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
        assert_eq!(
            answer.json()["errors"].as_array().unwrap().len(),
            2,
            "{answer}"
        );
        client
            .get("/v2/b/tags/list")
            .expect_error(404, "NAME_UNKNOWN");
    });
}

#[test]
fn the_check_of_references_can_be_switched_off() {
    for_each_shape_configured("[manifests]\nreferences_check = false\n", |server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_manifest("a", "sparse", &image.manifest);
        client.expect_manifest("a", "sparse", &image.manifest);
    });
}

#[test]
fn a_manifest_with_very_many_layers_is_kept_and_with_too_many_refused() {
    for_each_shape(|server| {
        let mut client = server.client();
        client.push_blob("a", b"{}");
        let (config, layer) = (descriptor(OCI_EMPTY, b"{}"), descriptor(OCI_EMPTY, b"{}"));
        let of = |count: usize| {
            Manifest::new(&json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": config, "layers": vec![&layer; count]}))
        };
        let many = of(5000);
        client.push_manifest("a", "many", &many);
        client.expect_manifest("a", "many", &many);
        let answer = client.put_manifest("a", "too-many", &of(20_000));
        answer.expect_error(400, "MANIFEST_INVALID");
    });
}

/// Fields that are not known are kept, however odd; whatever the answer, nothing falls.
#[test]
fn json_of_great_depth_or_with_doubled_keys_harms_nothing() {
    for_each_shape(|server| {
        let mut client = server.client();
        client.push_blob("a", b"{}");
        let mut put = |field: &str, value: &str| {
            let text = format!(
                "{{\"schemaVersion\":2,\"mediaType\":\"{OCI_INDEX}\",\"manifests\":[],\
                 \"{field}\":{value}}}"
            );
            let manifest = Manifest {
                media_type: OCI_INDEX.into(),
                bytes: text.into_bytes(),
            };
            let answer = client.put_manifest("a", "odd", &manifest);
            assert!(matches!(answer.status, 201 | 400), "{answer}");
            if answer.status == 201 {
                client.expect_manifest("a", "odd", &manifest);
            }
            answer.status
        };
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            put("unknown", &deep);
            assert_eq!(put("annotations", &deep), 400);
            assert_eq!(put("subject", &deep), 400);
        }
        put("manifests", "[]");
        put("schemaVersion", "1");
        put("mediaType", "\"text/plain\"");
        let entries = "{\"digest\":\"sha256:00\"},".repeat(100_000);
        let text = format!("{{\"schemaVersion\":2,\"manifests\":[{entries}{{}}]}}");
        let long = Manifest {
            media_type: OCI_INDEX.into(),
            bytes: text.into_bytes(),
        };
        client
            .put_manifest("a", "bomb", &long)
            .expect_error(400, "MANIFEST_INVALID");
        client.get("/v2/").expect(200);
    });
}

#[test]
fn pushing_the_same_manifest_or_tag_from_many_clients_ends_in_one_of_them() {
    for_each_shape(|server| {
        let mut client = server.client();
        let images: Vec<Image> = (1..=8).map(|seed| Image::oci(seed, &[10])).collect();
        for image in &images {
            client.push_image("a", &image.digest(), image);
        }
        std::thread::scope(|scope| {
            for image in &images {
                let mut client: Client = server.client();
                scope.spawn(move || {
                    for _ in 0..10 {
                        client.push_manifest("a", "latest", &image.manifest);
                        client.push_manifest("a", &image.digest(), &image.manifest);
                    }
                });
            }
        });
        let latest = client.get("/v2/a/manifests/latest").expect(200);
        assert!(
            images
                .iter()
                .any(|image| image.manifest.bytes == latest.body)
        );
        assert_eq!(
            client.get("/v2/a/tags/list").expect(200).json()["tags"],
            json!(["latest"])
        );
        for image in &images {
            client.expect_image("a", &image.digest(), image);
        }
    });
}

#[test]
fn a_sha512_manifest_is_addressed_by_both_names_it_was_pushed_under() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        let layer = bytes(1001, 10);
        assert!(image.layers[0] == layer, "the builder's seed");
        client.push_image("a", "v1", &image);
        let long = digest_sha512(&image.manifest.bytes);
        client.get(&format!("/v2/a/manifests/{long}")).expect(404);
        client.put_manifest("a", &long, &image.manifest).expect(201);
        for own in [&long, &image.digest()] {
            client
                .get(&format!("/v2/a/manifests/{own}"))
                .expect(200)
                .expect_header("Docker-Content-Digest", own)
                .expect_body(&image.manifest.bytes);
        }
    });
}
