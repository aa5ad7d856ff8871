//! `coracle cert`: certificates that are made, and what certificates say.

use crate::support::tls::{Authority, Certificates};
use crate::support::{coracle, start_configured};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Exit code, stdout and stderr of `coracle cert …`.
fn cert(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = coracle().arg("cert").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Clients that trust the authority in this file.
fn trusting(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn what_is_made_can_be_served_with_and_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/tls");
    let hosts = ["--host=localhost", "--host=127.0.0.1", "--host=*.reg.test"];
    let arguments = [&["self-signed", "--out", out.to_str().unwrap()][..], &hosts].concat();
    let (code, said, wrong) = cert(&arguments);
    assert_eq!(code, Some(0), "{wrong}");
    for (name, mode) in [
        ("ca.pem", 0o644),
        ("ca.key", 0o600),
        ("cert.pem", 0o644),
        ("key.pem", 0o600),
    ] {
        let path = out.join(name);
        let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
        assert!(said.contains(path.to_str().unwrap()), "{name}: {said}");
    }
    for place in [
        "/etc/docker/certs.d/localhost:5000/ca.crt",
        "/etc/containers/certs.d/localhost:5000/ca.crt",
        "/etc/containerd/certs.d/localhost:5000/hosts.toml",
        "/etc/rancher/k3s/registries.yaml",
    ] {
        assert!(said.contains(place), "{place}: {said}");
    }
    // The lines for the configuration are a configuration.
    let lines = said.lines().skip_while(|line| line.trim() != "[tls]");
    let toml: Vec<&str> = lines
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    let server = start_configured(&toml.join("\n"), &["--memory"]);
    let config = trusting(&out.join("ca.pem"));
    for name in ["localhost", "127.0.0.1", "a.reg.test"] {
        server
            .client()
            .with_tls(&config, name)
            .get("/v2/")
            .expect(200);
    }
    let mut other = server.client().with_tls(&config, "example.org");
    assert!(other.try_connect().is_err());
}

#[test]
fn nothing_that_is_there_is_replaced_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    fs::write(folder.path().join("key.pem"), "precious").unwrap();
    let (code, said, wrong) = cert(&["self-signed", "--out", out]);
    assert_eq!(code, Some(1));
    assert!(
        said.is_empty() && wrong.contains("key.pem") && wrong.contains("--force"),
        "{wrong}"
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "none of the four"
    );
    let (code, said, _) = cert(&["self-signed", "--out", out, "--force", "--json"]);
    assert_eq!(code, Some(0));
    let facts: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        facts["hosts"],
        serde_json::json!(["localhost", "127.0.0.1", "::1"])
    );
    assert_ne!(
        fs::read_to_string(folder.path().join("key.pem")).unwrap(),
        "precious"
    );
    let mode = fs::metadata(folder.path().join("key.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    for wrong_host in ["registry:5000", "a b", "https://a"] {
        let (code, _, wrong) =
            cert(&["self-signed", "--force", "--out", out, "--host", wrong_host]);
        assert_eq!(code, Some(3));
        assert!(wrong.contains("is no host"), "{wrong}");
    }
    let (code, ..) = cert(&["self-signed", "--out", out, "--days", "826"]);
    assert_eq!(code, Some(2), "clients refuse longer ones");
}

#[test]
fn certificates_are_shown_and_old_ones_are_a_failure() {
    let certificates = Certificates::new();
    let authority = Authority::new("somebody, who issues");
    let path = |name: &str, from, to| {
        let pair = authority.issue_client("ci", from, to);
        let path = certificates.write(name, &pair.certificate);
        path.to_str().unwrap().to_owned()
    };
    let good = path("good.pem", -9_000, 10 * 86_400 + 60);
    let past = path("past.pem", -9_000, -100);
    let future = path("future.pem", 9_000, 90_000);
    let (code, said, _) = cert(&["show", &good]);
    assert_eq!(code, Some(0));
    for part in [
        "subject      CN=ci\n",
        "issuer       CN=somebody\\, who issues\n",
        "names        ci@example.org\n",
        "(10 days left)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for (file, word, state) in [
        (&past, "EXPIRED", "expired"),
        (&future, "NOT VALID YET", "not valid yet"),
    ] {
        let (code, said, _) = cert(&["show", &good, file]);
        assert_eq!(code, Some(1));
        assert!(said.contains(word), "{said}");
        let (code, said, _) = cert(&["show", "--json", &good, file]);
        assert_eq!(code, Some(1));
        let facts: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(facts["certificates"][0]["days_left"], 10);
        assert_eq!(facts["certificates"][1]["state"], state);
    }
    let (code, _, wrong) = cert(&["show", certificates.path("key.pem").to_str().unwrap()]);
    assert_eq!(code, Some(3));
    assert!(wrong.contains("holds no certificate"), "{wrong}");
    let (code, said, _) = cert(&["show"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("no certificate is configured"), "{said}");
}

/// What is said of a certificate agrees with what openssl says.
#[test]
fn names_and_fingerprints_are_those_that_openssl_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.pem");
    let subject =
        "/C=DE/O=Boats, \\\"Inc.\\\" + Co/OU=a;b<c>/CN= J\u{fc}rgen #1 /emailAddress=j@x.test";
    let mut make = Command::new("openssl");
    make.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ])
    .args([
        "-utf8",
        "-days",
        "3",
        "-keyout",
        "/dev/null",
        "-subj",
        subject,
    ])
    .args([
        "-addext",
        "subjectAltName=DNS:A.test,IP:192.0.2.7,URI:urn:x,email:e@x.test",
    ])
    .arg("-out")
    .arg(&path);
    match make.output() {
        Ok(output) if output.status.success() => {}
        other => {
            crate::support::disk::skip("a comparison with openssl", &format!("{other:?}"));
            return;
        }
    }
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command
            .args(["x509", "-noout", "-in"])
            .arg(&path)
            .args(arguments);
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        text.trim().split_once('=').unwrap().1.to_owned()
    };
    let (_, said, _) = cert(&["show", "--json", path.to_str().unwrap()]);
    let facts: Value = serde_json::from_str(&said).unwrap();
    let facts = &facts["certificates"][0];
    let names = ["-subject", "-nameopt", "RFC2253,-esc_msb,utf8"];
    assert_eq!(facts["subject"], openssl(&names).as_str());
    let fingerprint = openssl(&["-fingerprint", "-sha256"])
        .replace(':', "")
        .to_lowercase();
    assert_eq!(facts["sha256"], fingerprint.as_str());
    assert_eq!(facts["hosts"], serde_json::json!(["a.test", "192.0.2.7"]));
    assert_eq!(facts["emails"], serde_json::json!(["e@x.test"]));
    assert_eq!(facts["uris"], serde_json::json!(["urn:x"]));
}
