//! skopeo and podman over TLS with an authority of one's own, and with a certificate of theirs.

use super::payload::{self, BUSYBOX};
use super::{Sandbox, podman, require};
use crate::support::start_configured;
use crate::support::tls::{Authority, Certificates};

/// A folder as `--cert-dir` wants it: `ca.crt`, and a client's `client.cert` with `client.key`.
fn cert_dir(sandbox: &Sandbox, certificates: &Certificates, own: Option<&Authority>) -> String {
    sandbox.write("certs/ca.crt", &certificates.authority.pem);
    if let Some(authority) = own {
        let pair = authority.issue_client("ci", -3_600, 86_400);
        sandbox.write("certs/client.cert", &pair.certificate);
        sandbox.write("certs/client.key", &pair.key);
    }
    sandbox.arg("certs")
}

#[test]
fn skopeo_copies_over_tls_with_an_authority_of_one_s_own() {
    let Some(mut sandbox) = require(&["skopeo", BUSYBOX]) else {
        return;
    };
    sandbox.keep_skopeo_inside();
    let certificates = Certificates::new();
    let mut server = start_configured(&certificates.toml(""), &[]);
    let image = payload::busybox_image(&sandbox, "copied");
    let mut client = server.tls_client(&certificates.client());
    client.push_image("tls/base", "v1", &image);
    let certs = cert_dir(&sandbox, &certificates, None);
    let registry = format!("docker://{}/tls", server.host());
    let layout = format!("oci:{}:v1", sandbox.arg("layout"));
    let (from, to) = (format!("{registry}/base:v1"), format!("{registry}/back:v1"));
    sandbox.run(
        "skopeo",
        &["copy", "--src-cert-dir", &certs, &from, &layout],
    );
    sandbox.run("skopeo", &["copy", "--dest-cert-dir", &certs, &layout, &to]);
    client.expect_image("tls/back", "v1", &image);
    // Who does not know the authority is kept away by it.
    let refused = sandbox.run_to_fail("skopeo", &["inspect", &from]);
    assert!(refused.contains("certificate"), "{refused}");
    server.stop_and_check();
}

#[test]
fn skopeo_shows_its_own_certificate() {
    let Some(mut sandbox) = require(&["skopeo", BUSYBOX]) else {
        return;
    };
    sandbox.keep_skopeo_inside();
    let certificates = Certificates::new();
    let clients = Authority::new("those who issue for clients");
    let ca = certificates.write("clients.pem", &clients.pem);
    let lines = format!("client_ca = \"{}\"", ca.display());
    let mut server = start_configured(&certificates.toml(&lines), &[]);
    let image = payload::busybox_image(&sandbox, "shown");
    let pair = clients.issue_client("harness", -3_600, 86_400);
    let config = certificates.client_with(rustls::ALL_VERSIONS, Some(&pair));
    let mut client = server.tls_client(&std::sync::Arc::new(config));
    client.push_image("tls/base", "v1", &image);
    let from = format!("docker://{}/tls/base:v1", server.host());
    let without = cert_dir(&sandbox, &certificates, None);
    let refused = sandbox.run_to_fail("skopeo", &["inspect", "--cert-dir", &without, &from]);
    assert!(refused.contains("certificate"), "{refused}");
    let with = cert_dir(&sandbox, &certificates, Some(&clients));
    sandbox.run("skopeo", &["inspect", "--cert-dir", &with, &from]);
    let to = format!("dir:{}", sandbox.arg("copy"));
    sandbox.run("skopeo", &["copy", "--src-cert-dir", &with, &from, &to]);
    server.stop_and_check();
}

#[test]
fn podman_pulls_and_pushes_over_tls() {
    let Some(sandbox) = podman::sandbox() else {
        return;
    };
    let certificates = Certificates::new();
    let mut server = start_configured(&certificates.toml(""), &[]);
    let image = payload::busybox_image(&sandbox, "hello over TLS");
    let mut client = server.tls_client(&certificates.client());
    client.push_image("tls/base", "v1", &image);
    let certs = cert_dir(&sandbox, &certificates, None);
    let registry = format!("{}/tls", server.host());
    let (from, to) = (format!("{registry}/base:v1"), format!("{registry}/copy:v1"));
    podman::podman(&sandbox, &["pull", "--cert-dir", &certs, &from]);
    podman::podman(&sandbox, &["push", "--cert-dir", &certs, &from, &to]);
    client.get("/v2/tls/copy/manifests/v1").expect(200);
    server.stop_and_check();
}
