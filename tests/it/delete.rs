//! Deleting: what goes, what stays, and that it goes at once.

use crate::support::image::{Image, Manifest, bytes, digest, digest_sha512};
use crate::support::{for_each_shape, for_each_shape_configured};
use serde_json::json;

#[test]
fn deleting_a_digest_takes_all_its_tags_at_once() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (image, other) = (Image::oci(1, &[10]), Image::oci(2, &[20]));
        client.push_image("a", "v1", &image);
        client.push_manifest("a", "v2", &image.manifest);
        client.push_image("a", "v3", &other);
        client.push_image("b", "v1", &image);
        client
            .delete(&format!("/v2/a/manifests/{}", image.digest()))
            .expect(202);
        for reference in ["v1", "v2", &image.digest()] {
            let path = format!("/v2/a/manifests/{reference}");
            client.get(&path).expect_error(404, "MANIFEST_UNKNOWN");
            client.head(&path).expect(404);
            client.delete(&path).expect_error(404, "MANIFEST_UNKNOWN");
        }
        assert_eq!(
            client.get("/v2/a/tags/list").expect(200).json()["tags"],
            json!(["v3"])
        );
        client.expect_image("a", "v3", &other);
        client.expect_image("b", "v1", &image);
    });
}

/// The answer comes before the rows of all the tags are gone; nobody may see that.
#[test]
fn of_a_manifest_with_many_tags_none_is_left_with_the_answer() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (image, other) = (Image::oci(1, &[10]), Image::oci(2, &[20]));
        client.push_image("a", "kept", &other);
        let (many, path) = (500, format!("/v2/a/manifests/{}", image.digest()));
        for round in 1..=3 {
            client.push_image("a", "t000", &image);
            for number in 1..many {
                client.push_manifest("a", &format!("t{number:03}"), &image.manifest);
            }
            client.delete(&path).expect(202);
            let tags = client.get("/v2/a/tags/list").expect(200).json();
            assert_eq!(tags["tags"], json!(["kept"]));
            for tag in ["t000", "t250", "t499"] {
                let path = format!("/v2/a/manifests/{tag}");
                client.get(&path).expect_error(404, "MANIFEST_UNKNOWN");
                client.delete(&path).expect_error(404, "MANIFEST_UNKNOWN");
                let history = client.get(&format!("/v2/a/_oci/tag-history/{tag}"));
                let history = history.expect(200).json();
                let told = history.as_array().expect("a list");
                assert_eq!(told.len(), round * 2, "{history}");
            }
            client.delete(&path).expect_error(404, "MANIFEST_UNKNOWN");
        }
        client.expect_image("a", "kept", &other);
    });
}

#[test]
fn what_was_deleted_can_be_pushed_again() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10_000]);
        for _ in 0..3 {
            client.push_image("a", "v1", &image);
            client.expect_image("a", "v1", &image);
            client.delete("/v2/a/manifests/v1").expect(202);
            client
                .delete(&format!("/v2/a/manifests/{}", image.digest()))
                .expect(202);
            for blob in image.blobs() {
                client
                    .delete(&format!("/v2/a/blobs/{}", digest(blob)))
                    .expect(202);
            }
        }
    });
}

/// What others served from a cache for a while after it was revoked.
#[test]
fn cve_2026_35172_a_deleted_blob_is_unreachable_at_once_everywhere_but_where_it_is_held() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = bytes(1, 100_000);
        let own = client.push_blob("a", &blob);
        client.push_blob("b", &blob);
        let path = format!("/v2/a/blobs/{own}");
        let mut readers: Vec<_> = (0..8).map(|_| server.client()).collect();
        for reader in &mut readers {
            reader.get(&path).expect(200);
            reader.head(&path).expect(200);
        }
        client.delete(&path).expect(202);
        for reader in &mut readers {
            reader.get(&path).expect_error(404, "BLOB_UNKNOWN");
            reader.head(&path).expect(404);
            reader
                .request("GET", &path, &[("If-None-Match", &own)], None)
                .expect(404);
        }
        client.expect_blob("b", &blob);
        client.delete(&format!("/v2/b/blobs/{own}")).expect(202);
        client.push_blob("a", &blob);
        client.expect_blob("a", &blob);
        client
            .get(&format!("/v2/b/blobs/{own}"))
            .expect_error(404, "BLOB_UNKNOWN");
    });
}

/// Allowed, as the specification has it: the image is then refused by whoever pulls it, and a
/// client that pushes it again sends the blob again.
#[test]
fn a_blob_that_a_manifest_refers_to_can_be_deleted() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        let path = format!("/v2/a/blobs/{}", digest(&image.layers[0]));
        let answer = client.delete(&path);
        assert!(matches!(answer.status, 202 | 405), "{answer}");
        client.expect_manifest("a", "v1", &image.manifest);
        client
            .get(&path)
            .expect(if answer.status == 202 { 404 } else { 200 });
        client.push_image("a", "v1", &image);
        client.expect_image("a", "v1", &image);
    });
}

#[test]
fn a_child_of_an_index_can_be_deleted_and_the_index_stays() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", &image.digest(), &image);
        let index = Manifest::index(&[(&image.manifest, "amd64")]);
        client.push_manifest("a", "index", &index);
        let answer = client.delete(&format!("/v2/a/manifests/{}", image.digest()));
        assert!(matches!(answer.status, 202 | 405), "{answer}");
        client.expect_manifest("a", "index", &index);
    });
}

#[test]
fn digests_of_two_algorithms_are_two_things_to_delete() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (short, long) = (client.push_blob("a", b"hello"), digest_sha512("hello"));
        client
            .post(&format!("/v2/a/blobs/uploads/?digest={long}"), b"hello")
            .expect(201);
        client.delete(&format!("/v2/a/blobs/{long}")).expect(202);
        client
            .get(&format!("/v2/a/blobs/{long}"))
            .expect_error(404, "BLOB_UNKNOWN");
        client
            .get(&format!("/v2/a/blobs/{short}"))
            .expect(200)
            .expect_body("hello");
    });
}

/// A registry whose deletes were switched off still deleted tags.
#[test]
fn cve_2026_41888_switched_off_deletes_refuse_tags_too() {
    for_each_shape_configured("[delete]\nenabled = false\n", |server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        for path in [
            "/v2/a/manifests/v1".to_owned(),
            format!("/v2/a/manifests/{}", image.digest()),
            format!("/v2/a/blobs/{}", digest(&image.layers[0])),
            "/v2/a/manifests/unknown".to_owned(),
            format!("/v2/a/blobs/{}", digest("unknown")),
        ] {
            client.delete(&path).expect_error(405, "UNSUPPORTED");
        }
        client.expect_image("a", "v1", &image);
        // Giving up one's own upload is no delete.
        let session = client.start_upload("a");
        client.delete(&session).expect(204);
    });
}

#[test]
fn of_many_that_delete_the_same_exactly_one_is_told_so() {
    for_each_shape(|server| {
        let mut client = server.client();
        for round in 0..5 {
            let image = Image::oci(round, &[10]);
            let digest = client.push_image("a", "v1", &image);
            let blob = crate::support::image::digest(&image.layers[0]);
            for path in [
                format!("/v2/a/manifests/{digest}"),
                format!("/v2/a/blobs/{blob}"),
            ] {
                let statuses: Vec<u16> = std::thread::scope(|scope| {
                    let delete = || server.client().delete(&path).status;
                    let threads: Vec<_> = (0..4).map(|_| scope.spawn(delete)).collect();
                    threads
                        .into_iter()
                        .map(|thread| thread.join().unwrap())
                        .collect()
                });
                let told = statuses.iter().filter(|status| **status == 202).count();
                assert_eq!(told, 1, "{path}: {statuses:?}");
                assert!(
                    statuses.iter().all(|s| matches!(s, 202 | 404)),
                    "{statuses:?}"
                );
            }
        }
    });
}
