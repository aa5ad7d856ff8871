//! Mounts: a blob of one repository becomes readable in another without being sent.

use crate::support::for_each_shape;
use crate::support::image::{Image, bytes, digest, digest_sha512};

#[test]
fn a_mounted_blob_outlives_its_source() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = bytes(1, 10_000);
        let own = client.push_blob("from", &blob);
        let path = format!("/v2/to/blobs/uploads/?mount={own}&from=from");
        let answer = client.post(&path, b"").expect(201);
        assert_eq!(answer.location(), format!("/v2/to/blobs/{own}"));
        answer.expect_header("Docker-Content-Digest", &own);
        client.expect_blob("to", &blob);
        client.delete(&format!("/v2/from/blobs/{own}")).expect(202);
        client
            .get(&format!("/v2/from/blobs/{own}"))
            .expect_error(404, "BLOB_UNKNOWN");
        client.expect_blob("to", &blob);
    });
}

#[test]
fn an_image_can_be_pushed_from_mounts_alone() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[100, 200]);
        client.push_image("from", "v1", &image);
        for blob in image.blobs() {
            let path = format!("/v2/to/blobs/uploads/?mount={}&from=from", digest(blob));
            client.post(&path, b"").expect(201);
        }
        client.push_manifest("to", "v1", &image.manifest);
        client.expect_image("to", "v1", &image);
    });
}

/// A mount that was refused is an upload like any other: skopeo cancels it, others use it.
#[test]
fn a_refused_mount_is_an_upload() {
    for_each_shape(|server| {
        let mut client = server.client();
        let own = digest("hello");
        let path = format!("/v2/to/blobs/uploads/?mount={own}&from=no/where");
        let location = client.post(&path, b"").expect(202).location();
        client.delete(&location).expect(204);
        client
            .get(&location)
            .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        let location = client.post(&path, b"").expect(202).location();
        client.finish_upload(&location, &own, b"hello").expect(201);
        // Now it is there, and needs no source.
        client.post(&path, b"").expect(201);
        client.expect_blob("to", "hello");
        client
            .get("/v2/no/where/tags/list")
            .expect_error(404, "NAME_UNKNOWN");
    });
}

#[test]
fn a_deleted_blob_cannot_be_mounted() {
    for_each_shape(|server| {
        let mut client = server.client();
        let own = client.push_blob("from", b"hello");
        client.delete(&format!("/v2/from/blobs/{own}")).expect(202);
        for query in [format!("mount={own}&from=from"), format!("mount={own}")] {
            client
                .post(&format!("/v2/to/blobs/uploads/?{query}"), b"")
                .expect(202);
        }
        client.head(&format!("/v2/to/blobs/{own}")).expect(404);
    });
}

#[test]
fn a_blob_is_mounted_under_the_digest_it_is_held_by() {
    for_each_shape(|server| {
        let mut client = server.client();
        let long = digest_sha512("hello");
        client
            .post(&format!("/v2/from/blobs/uploads/?digest={long}"), b"hello")
            .expect(201);
        let path = |own: &str| format!("/v2/to/blobs/uploads/?mount={own}&from=from");
        client
            .post(&path(&long), b"")
            .expect(201)
            .expect_header("Docker-Content-Digest", &long);
        client
            .get(&format!("/v2/to/blobs/{long}"))
            .expect(200)
            .expect_body("hello");
        client.post(&path(&digest("hello")), b"").expect(202);
    });
}
