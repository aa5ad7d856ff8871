//! Certificates of the server: chosen by name, changed while it runs, and what is wrong with them.

use super::tls_health;
use crate::support::image::bytes;
use crate::support::tls::Certificates;
use crate::support::{Server, coracle, eventually, start_configured};
use rustix::process::Signal;
use std::fs;
use std::process::Output;

/// SHA-256 of the certificate that a client of `name` is shown.
fn shown(server: &Server, certificates: &Certificates, name: &str) -> Vec<u8> {
    let mut client = server.client().with_tls(&certificates.client(), name);
    client.get("/v2/").expect(200);
    client.tls().peer_certificates().unwrap()[0].to_vec()
}

/// Makes the server read its files again, and waits until it has said so.
fn reload(server: &Server, sentence: &str) {
    let count = || server.log().matches(sentence).count();
    let before = count();
    server.signal(Signal::HUP);
    eventually(sentence, || (count() > before).then_some(()));
}

const LOADED: &str = "the certificates were loaded anew";
const REFUSED: &str = "the new certificates cannot be used, the old ones stay";

#[test]
fn a_client_is_shown_the_certificate_with_the_name_it_asks_for() {
    let certificates = Certificates::new();
    let mut files = (
        vec![certificates.path("cert.pem")],
        vec![certificates.path("key.pem")],
    );
    for (index, hosts) in [&["a.x.test", "*.b.x.test"][..], &["*.x.test"]]
        .iter()
        .enumerate()
    {
        let pair = certificates.authority.issue(hosts);
        files
            .0
            .push(certificates.write(&format!("{index}.pem"), &pair.certificate));
        files
            .1
            .push(certificates.write(&format!("{index}.key"), &pair.key));
    }
    let toml = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", files.0, files.1);
    let server = start_configured(&toml, &["--memory"]);
    // Each of them is valid for the name, else the client would refuse it.
    let first = shown(&server, &certificates, "localhost");
    assert_eq!(shown(&server, &certificates, "127.0.0.1"), first);
    let second = shown(&server, &certificates, "a.x.test");
    assert_eq!(shown(&server, &certificates, "c.b.x.test"), second);
    let third = shown(&server, &certificates, "b.x.test");
    assert_eq!(shown(&server, &certificates, "z.x.test"), third);
    assert!(first != second && second != third && first != third);
    let mut unknown = server
        .client()
        .with_tls(&certificates.client(), "else.invalid");
    assert!(unknown.try_connect().is_err(), "no certificate is for that");
}

#[test]
fn certificates_are_renewed_while_a_transfer_runs() {
    let certificates = Certificates::new();
    let mut server = start_configured(&certificates.toml(""), &[]);
    let config = certificates.client();
    let mut client = server.tls_client(&config);
    let blob = bytes(5, 30_000_000);
    let path = format!("/v2/a/blobs/{}", client.push_blob("a", &blob));
    client.send_head("GET", &path, &[]);
    let before = shown(&server, &certificates, "localhost");
    certificates.renew();
    reload(&server, LOADED);
    assert_ne!(shown(&server, &certificates, "localhost"), before);
    assert!(client.receive().expect(200).body == blob);
    client.get(&path).expect(200);
    assert_eq!(tls_health(&server, &certificates)["status"], "ok");
    server.stop_and_check();
}

#[test]
fn a_change_of_the_files_is_seen_without_a_signal() {
    let certificates = Certificates::new();
    let server = certificates.start("");
    let before = shown(&server, &certificates, "localhost");
    certificates.renew();
    eventually("the new certificate", || {
        (shown(&server, &certificates, "localhost") != before).then_some(())
    });
    assert!(server.log().contains(LOADED));
}

#[test]
fn bad_new_certificates_leave_the_old_ones_in_use() {
    let certificates = Certificates::new();
    let server = certificates.start("");
    let before = shown(&server, &certificates, "localhost");
    let other = certificates.authority.issue(&["localhost"]);
    let good = fs::read_to_string(certificates.path("cert.pem")).unwrap();
    let bad = [
        (
            other.certificate.clone(),
            "does not belong to the certificate",
        ),
        (good[..good.len() / 2].to_owned(), "cert.pem"),
        (String::new(), "holds no certificate in PEM"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            "is damaged",
        ),
    ];
    for (text, why) in bad {
        certificates.write("cert.pem", &text);
        reload(&server, REFUSED);
        let log = server.log();
        let last = log.lines().rfind(|line| line.contains(REFUSED)).unwrap();
        assert!(last.contains(why), "{why}: {last}");
        assert_eq!(shown(&server, &certificates, "localhost"), before);
        let health = tls_health(&server, &certificates);
        assert!(
            health["status"]
                .as_str()
                .unwrap()
                .contains("the old ones stay"),
            "{health}"
        );
    }
    fs::remove_file(certificates.path("cert.pem")).unwrap();
    reload(&server, REFUSED);
    assert_eq!(shown(&server, &certificates, "localhost"), before);
    certificates.write("cert.pem", &other.certificate);
    certificates.write("key.pem", &other.key);
    reload(&server, LOADED);
    assert_ne!(shown(&server, &certificates, "localhost"), before);
    assert_eq!(tls_health(&server, &certificates)["status"], "ok");
}

#[test]
fn a_server_does_not_start_with_certificates_it_cannot_use() {
    let certificates = Certificates::new();
    let pair = certificates.authority.issue(&["localhost"]);
    let start = |cert: &str, key: &str| {
        let mut command = coracle();
        command
            .args(["serve", "--memory", "--listen", "127.0.0.1:0"])
            .env("CORACLE_TLS_CERTIFICATE", certificates.path(cert))
            .env("CORACLE_TLS_KEY", certificates.path(key));
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        assert!(stdout.is_empty());
        (status.code(), String::from_utf8(stderr).unwrap())
    };
    certificates.write("other.key", &pair.key);
    certificates.write("text.pem", "hello");
    let cases = [
        (
            "cert.pem",
            "other.key",
            "other.key does not belong to the certificate in",
        ),
        ("missing.pem", "key.pem", "missing.pem: No such file"),
        (
            "text.pem",
            "key.pem",
            "text.pem holds no certificate in PEM",
        ),
        ("key.pem", "cert.pem", "key.pem holds no certificate in PEM"),
        (
            "cert.pem",
            "cert.pem",
            "holds no private key in PEM that is not encrypted",
        ),
    ];
    for (cert, key, why) in cases {
        let (code, said) = start(cert, key);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn dates_that_matter_are_said_at_the_start() {
    let certificates = Certificates::new();
    let soon = certificates
        .authority
        .issue_client("soon", -1000, 3 * 86_400 + 60);
    let later = certificates
        .authority
        .issue_client("later", 86_400, 90 * 86_400);
    let past = certificates.authority.issue_client("past", -9_000, -1000);
    for (pair, sentence) in [
        (soon, "in 3 days: replace it before"),
        (
            later,
            "set the clock, or clients will refuse the certificate",
        ),
        (past, "has expired on"),
    ] {
        certificates.write("cert.pem", &pair.certificate);
        certificates.write("key.pem", &pair.key);
        let server = certificates.start("");
        let log = server.log();
        assert_eq!(log.matches(sentence).count(), 1, "{sentence}\n{log}");
    }
}
