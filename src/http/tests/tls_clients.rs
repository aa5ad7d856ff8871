//! Certificates of clients: the four ways to ask for one, and what a handler is told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustls::{ClientConfig, HandshakeKind};

use super::support::TestServer;
use super::tls_support::{Authority, GET, Pair, Setup, TLS_1_2, TLS_1_3, connect_with};
use crate::http::tls::{ClientAuth, ClientCertificate};
use crate::http::{Handler, Limits, Request, Response};

/// Keeps who asked.
#[derive(Default)]
struct Seen(Mutex<Vec<(bool, Option<Arc<ClientCertificate>>)>>);

impl Handler for Seen {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        let who = (request.is_tls, request.client_certificate.clone());
        self.0.lock().unwrap().push(who);
        Response::new(200)
    }
}

impl Seen {
    fn last(&self) -> (bool, Option<Arc<ClientCertificate>>) {
        self.0.lock().unwrap().pop().unwrap()
    }
}

/// What a client sees that sends a request: whether it is answered.
fn is_answered(server: &TestServer, config: &Arc<ClientConfig>) -> bool {
    let mut client = connect_with(server, config, "localhost");
    // In TLS 1.3 the client learns that it was refused when it reads.
    client.try_send(GET).is_ok() && client.is_answered()
}

#[test]
fn a_client_is_asked_for_its_certificate_in_four_ways() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let right = ours.issue_client("ci");
    let wrong = theirs.issue_client("ci");
    let expired = ours.issue_expired_client("ci", SystemTime::now());
    // Without, right, wrong, expired: refused, or answered with this word on its verification.
    let cases = [
        (
            ClientAuth::Request,
            [
                Some(None),
                Some(Some(false)),
                Some(Some(false)),
                Some(Some(false)),
            ],
        ),
        (
            ClientAuth::RequireAny,
            [
                None,
                Some(Some(false)),
                Some(Some(false)),
                Some(Some(false)),
            ],
        ),
        (
            ClientAuth::VerifyIfGiven,
            [Some(None), Some(Some(true)), None, None],
        ),
        (
            ClientAuth::RequireAndVerify,
            [None, Some(Some(true)), None, None],
        ),
    ];
    for (how, expected) in cases {
        let mut setup = Setup::new();
        setup.ask_clients(&ours, how);
        let seen = Arc::new(Seen::default());
        let server = TestServer::start_tls_handler(setup.tls(), seen.clone());
        let shown = [None, Some(&right), Some(&wrong), Some(&expired)];
        for versions in [TLS_1_2, TLS_1_3] {
            for (own, expected) in shown.into_iter().zip(expected) {
                let config = Arc::new(setup.client_config(versions, own));
                let answered = is_answered(&server, &config);
                let verified = answered.then(|| seen.last().1.map(|it| it.verified));
                assert_eq!(verified, expected, "{how:?}");
            }
        }
    }
}

#[test]
fn a_handler_is_told_who_the_client_is() {
    let ours = Authority::new("ours");
    let mut setup = Setup::new();
    setup.ask_clients(&ours, ClientAuth::RequireAndVerify);
    let seen = Arc::new(Seen::default());
    let server = TestServer::start_tls_handler(setup.tls(), seen.clone());
    let pair = ours.issue_client("ci");
    for versions in [TLS_1_2, TLS_1_3] {
        let config = Arc::new(setup.client_config(versions, Some(&pair)));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = connect_with(&server, &config, "localhost");
            client.send(GET);
            assert_eq!(client.response().status, 200);
            assert_eq!(client.tls.as_ref().unwrap().handshake_kind(), Some(kind));
            let (is_tls, certificate) = seen.last();
            assert!(is_tls);
            let certificate = certificate.unwrap();
            assert!(certificate.verified);
            assert_eq!(certificate.common_name.as_deref(), Some("ci"));
            assert_eq!(certificate.subject, "CN=ci,O=Boats\\, Inc.");
            assert_eq!(certificate.emails, ["ci@example.org"]);
            assert_eq!(certificate.dns_names, ["ci.example.org"]);
            assert_eq!(certificate.uris, ["spiffe://example.org/ci"]);
            assert_eq!(certificate.fingerprint, fingerprint(&pair));
        }
    }
}

fn fingerprint(pair: &Pair) -> String {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use sha2::{Digest, Sha256};
    use std::fmt::Write;

    let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let mut text = String::new();
    for byte in Sha256::digest(&der) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[test]
fn a_session_does_not_outlive_the_certificate_it_began_with() {
    let ours = Authority::new("ours");
    let mut setup = Setup::new();
    setup.ask_clients(&ours, ClientAuth::RequireAndVerify);
    let ahead = Arc::new(Mutex::new(Duration::ZERO));
    let clock = Arc::clone(&ahead);
    setup.options.now = Arc::new(move || SystemTime::now() + *clock.lock().unwrap());
    let server = TestServer::start_tls_handler(setup.tls(), Arc::new(Seen::default()));
    let pair = ours.issue_short_client("ci", SystemTime::now() + Duration::from_secs(3_600));
    for versions in [TLS_1_2, TLS_1_3] {
        *ahead.lock().unwrap() = Duration::ZERO;
        let config = Arc::new(setup.client_config(versions, Some(&pair)));
        assert!(is_answered(&server, &config));
        *ahead.lock().unwrap() = Duration::from_secs(7_200);
        assert!(
            !is_answered(&server, &config),
            "a session that is resumed too late"
        );
    }
}

#[test]
fn sessions_of_other_authorities_are_not_resumed() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut setup = Setup::new();
    setup.ask_clients(&ours, ClientAuth::RequireAndVerify);
    let tls = setup.tls();
    let server = TestServer::start_tls_handler(Arc::clone(&tls), Arc::new(Seen::default()));
    for versions in [TLS_1_2, TLS_1_3] {
        setup.write("clients.pem", &ours.pem);
        tls.reload().unwrap();
        let pair = ours.issue_client("ci");
        let config = Arc::new(setup.client_config(versions, Some(&pair)));
        assert!(is_answered(&server, &config));
        setup.write("clients.pem", &theirs.pem);
        tls.reload().unwrap();
        assert!(!is_answered(&server, &config));
    }
}

#[test]
fn without_tls_nobody_is_told_anything() {
    let seen = Arc::new(Seen::default());
    let server = TestServer::start_handler(Limits::default(), seen.clone());
    let mut client = server.connect();
    client.send(GET);
    assert_eq!(client.response().status, 200);
    assert_eq!(seen.last(), (false, None));
}
