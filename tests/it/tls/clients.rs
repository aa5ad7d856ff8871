//! Certificates of clients: who gets in, in each of the four ways to ask.

use crate::support::image::Image;
use crate::support::tls::{Authority, Certificates, Pair, TLS_1_2, TLS_1_3};
use crate::support::{Server, start_configured};
use rustls::{ClientConfig, HandshakeKind};
use std::sync::Arc;

/// Whether a request is answered; in TLS 1.3 a client learns only then that it was refused.
fn is_answered(server: &Server, config: &Arc<ClientConfig>) -> bool {
    let mut client = server.tls_client(config);
    client.about("whether a client is let in");
    client
        .try_send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        .and_then(|()| client.try_receive())
        .is_ok_and(|answer| answer.status == 200)
}

#[test]
fn clients_are_asked_for_certificates_in_four_ways() {
    const DAY: i64 = 86_400;
    let certificates = Certificates::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let authorities = certificates.write("clients.pem", &(ours.pem.clone() + &theirs.pem));
    certificates.write("ours.pem", &ours.pem);
    let right = ours.issue_client("ci", -DAY, DAY);
    let wrong = theirs.issue_client("ci", -DAY, DAY);
    let past = ours.issue_client("ci", -2 * DAY, -DAY);
    let future = ours.issue_client("ci", DAY, 2 * DAY);
    let cases = [
        ("request-client-cert", [true, true, true, true, true]),
        ("require-any-client-cert", [false, true, true, true, true]),
        (
            "verify-client-cert-if-given",
            [true, true, false, false, false],
        ),
        (
            "require-and-verify-client-cert",
            [false, true, false, false, false],
        ),
        ("auto", [false, true, false, false, false]),
    ];
    for (how, expected) in cases {
        let lines = format!(
            "client_ca = [\"{}\"]\nclient_auth = \"{how}\"",
            certificates.path("ours.pem").display()
        );
        let server = certificates.start(&lines);
        for versions in [TLS_1_2, TLS_1_3] {
            let shown: [Option<&Pair>; 5] =
                [None, Some(&right), Some(&wrong), Some(&past), Some(&future)];
            for (index, own) in shown.into_iter().enumerate() {
                let config = Arc::new(certificates.client_with(versions, own));
                let answered = is_answered(&server, &config);
                assert_eq!(answered, expected[index], "{how}, certificate {index}");
            }
        }
    }
    // A bundle of several authorities, in one file.
    let lines = format!("client_ca = \"{}\"", authorities.display());
    let server = certificates.start(&lines);
    for own in [&right, &wrong] {
        let config = Arc::new(certificates.client_with(TLS_1_3, Some(own)));
        assert!(is_answered(&server, &config));
    }
}

#[test]
fn a_resumed_session_is_still_that_of_its_client() {
    const DAY: i64 = 86_400;
    let certificates = Certificates::new();
    let ours = Authority::new("ours");
    let ca = certificates.write("ours.pem", &ours.pem);
    let toml = certificates.toml(&format!("client_ca = \"{}\"", ca.display()));
    let server = start_configured(&toml, &["--memory"]);
    let own = ours.issue_client("ci", -DAY, DAY);
    for versions in [TLS_1_2, TLS_1_3] {
        let config = Arc::new(certificates.client_with(versions, Some(&own)));
        for kind in [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ] {
            let mut client = server.tls_client(&config);
            client.get("/v2/").expect(200);
            assert_eq!(client.tls().handshake_kind(), Some(kind));
        }
    }
}

/// `user:ci` pushes below `team/`, whoever is known pulls there.
const RULES: &str = "[[access]]\nwho = \"user:ci\"\nrepositories = \"team/**\"\n\
                     actions = [\"pull\", \"push\"]\n\
                     [[access]]\nwho = \"authenticated\"\nrepositories = \"team/**\"\n\
                     actions = \"pull\"\n";

#[test]
fn a_verified_certificate_names_a_user() {
    const DAY: i64 = 86_400;
    let certificates = Certificates::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let ca = certificates.write("ours.pem", &ours.pem);
    let image = Image::oci(1, &[1000]);
    for (part, user) in [("common-name", "ci"), ("email", "ci@example.org")] {
        // Asked for, and only believed when it was verified.
        let tls = format!(
            "client_ca = \"{}\"\nclient_auth = \"request-client-cert\"",
            ca.display()
        );
        let rules = RULES.replace("user:ci", &format!("user:{user}"));
        let auth = format!("[auth]\ncertificate_user = \"{part}\"\n{rules}");
        let toml = format!("{}\n{auth}", certificates.toml(&tls));
        let server = start_configured(&toml, &["--memory"]);
        let client = |own: Option<&Pair>| {
            let config = Arc::new(certificates.client_with(TLS_1_3, own));
            server.tls_client(&config)
        };
        let right = ours.issue_client("ci", -DAY, DAY);
        let other = ours.issue_client("bob", -DAY, DAY);
        let forged = theirs.issue_client("ci", -DAY, DAY);
        client(None).get("/v2/team/a/tags/list").expect(401);
        client(Some(&forged))
            .get("/v2/team/a/tags/list")
            .expect(401);
        // In this mode nothing is verified, so nobody is known by a certificate.
        client(Some(&right)).get("/v2/").expect(401);
        let verified = toml.replace("request-client-cert", "verify-client-cert-if-given");
        let server = start_configured(&verified, &["--memory"]);
        let client = |own: Option<&Pair>| {
            let config = Arc::new(certificates.client_with(TLS_1_3, own));
            server.tls_client(&config)
        };
        client(None).get("/v2/").expect(401);
        client(Some(&right)).get("/v2/").expect(200);
        client(Some(&right)).push_image("team/a", "v1", &image);
        let mut bob = client(Some(&other));
        bob.expect_image("team/a", "v1", &image);
        bob.post("/v2/team/a/blobs/uploads/", "").expect(403);
        assert!(server.log().contains(&format!("actor=user:{user}")));
    }
}
