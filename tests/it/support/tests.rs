//! The harness itself: a reader that lets a broken response pass would make every test blind.

use super::image::{Image, Manifest, bytes, digest, digest_sha512};
use super::{Response, for_each_shape};
use serde_json::json;

fn read(wire: &str) -> std::io::Result<Response> {
    Response::read(&mut wire.as_bytes(), "GET / HTTP/1.1\r\n\r\n")
}

#[test]
fn whole_responses_are_read_exactly() {
    let plain = read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: 1\r\na: 2\r\n\r\nhi").unwrap();
    assert_eq!((plain.status, plain.body.as_slice()), (200, &b"hi"[..]));
    assert_eq!(plain.headers("A"), ["1", "2"]);
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
    assert_eq!(read(chunked).unwrap().body, b"hi!");
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(read(interim).unwrap().interim, [100]);
    let head = Response::read(
        &mut &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"[..],
        "HEAD / HTTP/1.1\r\n\r\n",
    );
    assert!(head.unwrap().body.is_empty());
}

#[test]
fn broken_responses_are_errors() {
    for wire in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhi\r\n0\r\n\r\n",
    ] {
        assert!(read(wire).is_err(), "accepted {wire:?}");
    }
}

#[test]
fn locations_lose_scheme_and_host() {
    for (location, path) in [
        ("/v2/a/b?c=d", "/v2/a/b?c=d"),
        ("http://127.0.0.1:5000/v2/a/b?c=d", "/v2/a/b?c=d"),
        ("http://127.0.0.1:5000", "/"),
    ] {
        let wire = format!("HTTP/1.1 202 Accepted\r\nLocation: {location}\r\n\r\n");
        assert_eq!(read(&wire).unwrap().location(), path);
    }
}

#[test]
fn digests_and_bytes_are_what_others_compute() {
    assert_eq!(
        digest(b"{}"),
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
    assert!(digest_sha512(b"").starts_with("sha512:cf83e1357eefb8bdf1542850d66d8007"));
    assert_eq!(bytes(0, 8), 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
    assert_eq!(bytes(7, 5), bytes(7, 9)[..5]);
    assert_ne!(bytes(7, 64), bytes(8, 64));
}

#[test]
fn every_kind_of_manifest_comes_back_as_it_was_pushed() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (oci, docker) = (Image::oci(1, &[1000, 0, 70_000]), Image::docker(2, &[5, 6]));
        client.push_image("a/b", "oci", &oci);
        client.push_image("a/b", "docker", &docker);
        client.expect_image("a/b", "oci", &oci);
        client.expect_image("a/b", &docker.digest(), &docker);
        let index = Manifest::index(&[(&oci.manifest, "amd64"), (&docker.manifest, "arm64")]);
        let list = Manifest::list(&[(&docker.manifest, "arm64")]);
        client.push_blob("a/b", b"{}");
        let artifact = Manifest::artifact("text/example", &oci.manifest.descriptor())
            .with("annotations", json!({"made": "here"}));
        for (tag, manifest) in [("index", &index), ("list", &list), ("artifact", &artifact)] {
            client.push_manifest("a/b", tag, manifest);
            client.expect_manifest("a/b", tag, manifest);
        }
        assert!(client.is_kept_alive());
    });
}

#[test]
fn bodies_go_out_whole_chunked_and_broken_off() {
    for_each_shape(|server| {
        let (mut client, blob) = (server.client(), bytes(4, 10_000));
        let session = client
            .post("/v2/a/blobs/uploads/", b"")
            .expect(202)
            .location();
        let session = client.request_chunked("PATCH", &session, &[&blob[..1], b"", &blob[1..]]);
        let session = session
            .expect(202)
            .expect_header("Range", "0-9999")
            .location();
        let joint = if session.contains('?') { '&' } else { '?' };
        let end = format!("{session}{joint}digest={}", digest(&blob));

        let mut other = server.client();
        other.send_head("PUT", &end, &[("Content-Length", "5")]);
        other.send(b"half");
        other.finish_sending();
        assert_ne!(
            other.try_receive().map_or(0, |response| response.status),
            201
        );

        let blob_path = format!("/v2/a/blobs/{}", digest(&blob));
        client.head(&blob_path).expect(404);
        client.push_blob("a", &blob);
        client.expect_blob("a", &blob);
        let sized = client.head(&blob_path).expect(200);
        sized.expect_header("Content-Length", "10000");
    });
}

#[test]
fn a_unix_socket_serves_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("socket").display());
    let mut server = super::Server::start(&["--listen", &address]);
    assert_eq!(server.url(), address);
    let image = Image::oci(5, &[10]);
    let mut client = server.client();
    client.push_image("a", "v1", &image);
    client.expect_image("a", "v1", &image);
    server.stop_and_check();
}

#[test]
fn what_was_pushed_is_there_after_stop_and_kill() {
    let mut server = super::Server::start(&[]);
    let image = Image::oci(3, &[100_000]);
    server.client().push_image("a", "v1", &image);
    server.restart();
    server.client().expect_image("a", "v1", &image);
    server.kill();
    server.launch();
    server.client().expect_image("a", "v1", &image);
    server.stop_and_check();
}
