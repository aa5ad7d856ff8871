//! HTTPS: the registry as over plain HTTP, and what only TLS has.

mod cert;
mod certificates;
mod clients;
mod hostile;

use crate::support::image::{Image, bytes, digest};
use crate::support::tls::{Certificates, TLS_1_2, TLS_1_3};
use crate::support::{Server, start_configured};
use rustix::process::Signal;
use std::fs;
use std::sync::Arc;

#[test]
fn images_are_pushed_and_pulled_over_both_versions() {
    let certificates = Certificates::new();
    let mut server = start_configured(&certificates.toml(""), &[]);
    assert!(
        server.url().starts_with("https://127.0.0.1:"),
        "{}",
        server.url()
    );
    for (versions, repository) in [(TLS_1_2, "old"), (TLS_1_3, "new")] {
        let config = Arc::new(certificates.client_with(versions, None));
        let mut client = server.tls_client(&config);
        let image = Image::oci(1, &[1, 70_000, 3_000_000]);
        client.push_image(repository, "v1", &image);
        client.expect_image(repository, "v1", &image);
        assert!(client.is_kept_alive());
    }
    server.stop_and_check();
}

#[test]
fn a_large_blob_arrives_whole_and_in_parts() {
    let certificates = Certificates::new();
    let mut server = start_configured(&certificates.toml(""), &[]);
    let blob = bytes(7, 40_000_000);
    let own = digest(&blob);
    for versions in [TLS_1_2, TLS_1_3] {
        let config = Arc::new(certificates.client_with(versions, None));
        let mut client = server.tls_client(&config);
        client.push_blob("large", &blob);
        let path = format!("/v2/large/blobs/{own}");
        let whole = client.get(&path).expect(200);
        assert_eq!(digest(&whole.body), own);
        for (range, part) in [
            ("bytes=0-0", &blob[..1]),
            ("bytes=16383-16384", &blob[16_383..16_385]),
            ("bytes=1000-9000000", &blob[1_000..9_000_001]),
            ("bytes=-70000", &blob[blob.len() - 70_000..]),
        ] {
            let answer = client
                .request("GET", &path, &[("Range", range)], None)
                .expect(206);
            assert!(answer.body == part, "{range}");
        }
        client
            .head(&path)
            .expect(200)
            .expect_header("Content-Length", "40000000");
        client.delete(&path).expect(202);
    }
    server.stop_and_check();
}

#[test]
fn requests_may_be_sent_ahead_and_bodies_may_wait_to_be_asked_for() {
    let certificates = Certificates::new();
    let server = certificates.start("");
    let mut client = server.tls_client(&certificates.client());
    client.about("two requests in one write");
    client.send(&b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20));
    for _ in 0..20 {
        client.receive().expect(200);
    }
    let blob = bytes(3, 100_000);
    let path = format!("/v2/a/blobs/uploads/?digest={}", digest(&blob));
    let headers = [("Content-Length", "100000"), ("Expect", "100-continue")];
    client.send_head("POST", &path, &headers);
    client.receive_continue();
    client.send(&blob);
    client.receive().expect(201);
    client.expect_blob("a", &blob);
}

#[test]
fn a_listener_speaks_what_its_address_says() {
    let certificates = Certificates::new();
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/s.sock", folder.path().display());
    let ready = folder.path().join("ready");
    let flags = [
        "--memory",
        "--listen=https://127.0.0.1:0",
        "--listen=http://127.0.0.1:0",
        "--listen=127.0.0.1:0",
        &format!("--listen={socket}"),
        "--ready-file",
        ready.to_str().unwrap(),
    ];
    let server = start_configured(&certificates.toml(""), &flags);
    let addresses = crate::support::eventually("the ready file", || {
        let text = fs::read_to_string(&ready).ok()?;
        Some(text.lines().map(str::to_owned).collect::<Vec<_>>())
    });
    assert_eq!(addresses[0], server.url());
    assert!(
        addresses[0].starts_with("https://127.0.0.1:"),
        "{addresses:?}"
    );
    assert!(
        addresses[1].starts_with("http://127.0.0.1:"),
        "{addresses:?}"
    );
    assert!(
        addresses[2].starts_with("https://127.0.0.1:"),
        "{addresses:?}"
    );
    assert_eq!(addresses[3], socket);
    let config = certificates.client();
    for address in addresses {
        let mut client = crate::support::Client::new(&address);
        if address.starts_with("https://") {
            client = client.with_tls(&config, "127.0.0.1");
        }
        client.get("/v2/").expect(200);
    }
}

#[test]
fn a_graceful_stop_lets_a_transfer_over_tls_finish() {
    let certificates = Certificates::new();
    let mut server = start_configured(&certificates.toml(""), &[]);
    let config = certificates.client();
    let mut client = server.tls_client(&config);
    let blob = bytes(5, 30_000_000);
    let path = format!("/v2/a/blobs/{}", client.push_blob("a", &blob));
    let mut upload = server.tls_client(&config);
    let session = upload.start_upload("a");
    upload.send_head("PATCH", &session, &[("Content-Length", "9")]);
    upload.send(b"abcde");
    // More than all buffers on the way hold, so that it is in progress until it is read.
    client.send_head("GET", &path, &[]);
    server.signal(Signal::TERM);
    crate::support::eventually("the stop", || {
        server.log().contains("stopping").then_some(())
    });
    let answer = client.receive().expect(200);
    assert!(answer.body == blob);
    upload.send(b"fghi");
    upload.receive().expect(202);
    let status = server.wait();
    assert!(status.success(), "{status}");
    server.stop_and_check();
}

#[test]
fn old_versions_can_be_refused() {
    let certificates = Certificates::new();
    let server = certificates.start("minimum_version = \"1.3\"");
    let old = Arc::new(certificates.client_with(TLS_1_2, None));
    assert!(server.tls_client(&old).try_connect().is_err());
    let new = Arc::new(certificates.client_with(TLS_1_3, None));
    server.tls_client(&new).get("/v2/").expect(200);
}

/// What systemd hands over is found by its name.
#[test]
fn certificates_may_be_credentials() {
    let certificates = Certificates::new();
    let mut command = crate::support::coracle();
    command
        .args(["config", "show", "--json"])
        .env("CREDENTIALS_DIRECTORY", certificates.folder())
        .env("CORACLE_TLS_CERTIFICATE", "credential:cert.pem")
        .env("CORACLE_TLS_KEY", "credential:key.pem");
    let output = command.output().unwrap();
    assert!(output.status.success());
    let mut command = crate::support::coracle();
    command
        .args(["cert", "show"])
        .env("CREDENTIALS_DIRECTORY", certificates.folder())
        .env("CORACLE_TLS_CERTIFICATE", "credential:cert.pem")
        .env("CORACLE_TLS_KEY", "credential:key.pem");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let path = certificates.path("cert.pem");
    assert!(said.contains(path.to_str().unwrap()), "{said}");
}

/// The server's own word on its certificates.
fn tls_health(server: &Server, certificates: &Certificates) -> serde_json::Value {
    let mut client = server.tls_client(&certificates.client());
    client.get("/readyz").expect(200).json()["tls"].clone()
}
