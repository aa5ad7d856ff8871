//! Delivery: retried until it is taken, in order, signed, redirected, over TLS, within bounds.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{lines, server_for, webhook};
use crate::support::image::{Image, bytes, digest};
use crate::support::receiver::{Answer, Receiver};
use crate::support::tls::Authority;
use crate::support::{Client, Configured, eventually, start_configured};

/// Pushes so many blobs of their own; what is told of them.
fn push_blobs(client: &mut Client, from: u64, count: u64) -> Vec<String> {
    (from..from + count)
        .map(|seed| {
            let blob = bytes(seed, 50);
            client.push_blob("a", &blob);
            format!("push a@{}", digest(&blob))
        })
        .collect()
}

/// What was taken, each event once, in the order of first arrival.
fn taken_once(receiver: &Receiver) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let events = receiver.events();
    let first = events
        .iter()
        .filter(|event| seen.insert(event["id"].as_str().unwrap().to_owned()));
    lines(&first.cloned().collect::<Vec<_>>())
}

#[test]
fn whatever_goes_wrong_everything_arrives_in_order() {
    let mut receiver = Receiver::new();
    let mut server = server_for(&receiver, "timeout = \"500ms\"");
    let mut client = server.client();
    receiver.answer([
        Answer::Status(500),
        Answer::Status(404),
        Answer::Close,
        Answer::Half,
        Answer::Stall,
        Answer::Status(429),
    ]);
    let mut expected = push_blobs(&mut client, 0, 5);
    receiver.wait_for_events(5);
    assert_eq!(lines(&receiver.events()), expected);
    let deliveries = receiver.deliveries();
    // The same delivery, byte for byte, until it was taken.
    let first = &deliveries[0];
    for attempt in &deliveries[1..=6] {
        assert_eq!(attempt.body, first.body);
        let id = |own: &crate::support::receiver::Delivery| {
            own.header("x-coracle-delivery").map(str::to_owned)
        };
        assert_eq!(id(attempt), id(first));
    }
    receiver.disappear();
    expected.extend(push_blobs(&mut client, 100, 5));
    receiver.come_back();
    receiver.wait_for_events(10);
    // What is answered with a status was taken, however the body ends.
    receiver.answer([Answer::Endless(1 << 40), Answer::Endless(5)]);
    expected.extend(push_blobs(&mut client, 200, 4));
    receiver.wait_for_events(14);
    assert_eq!(lines(&receiver.events()), expected);
    // A connection is used again where the other end keeps it.
    let last = receiver.deliveries();
    assert!(last.last().unwrap().connection < last.len() - 1);
    let log = server.log();
    assert!(log.contains("the webhook ci at http://127.0.0.1:"), "{log}");
    assert!(log.contains("it answered with status 500"), "{log}");
    assert!(log.contains("takes events again"), "{log}");
    server.stop_and_check();
}

#[test]
fn a_dead_webhook_holds_up_neither_pushes_nor_others() {
    let (stalled, good) = (Receiver::new(), Receiver::new());
    stalled.always(Answer::Stall);
    let toml = format!(
        "{}{}{}",
        webhook("stalled", &stalled.url(), "timeout = \"300s\""),
        webhook("nowhere", "http://127.0.0.1:1", ""),
        webhook("good", &good.url(), "")
    );
    let mut server = start_configured(&toml, &[]);
    let mut client = server.client();
    let expected = push_blobs(&mut client, 0, 30);
    good.wait_for_events(30);
    assert_eq!(lines(&good.events()), expected);
    assert_eq!(stalled.wait_for_deliveries(1).len(), 1);
    // Nor does it hold up the end.
    server.stop_and_check();
}

#[test]
fn events_wait_for_the_next_start() {
    let mut receiver = Receiver::new();
    let mut server = server_for(&receiver, "");
    let mut client = server.client();
    let mut expected = push_blobs(&mut client, 0, 3);
    receiver.wait_for_events(3);
    receiver.disappear();
    expected.extend(push_blobs(&mut client, 10, 3));
    server.restart();
    let mut client = server.client();
    expected.extend(push_blobs(&mut client, 20, 3));
    server.kill();
    server.launch();
    receiver.come_back();
    receiver.wait_for_events(9);
    eventually("all arrive", || {
        (taken_once(&receiver).len() == 9).then_some(())
    });
    assert_eq!(taken_once(&receiver), expected);
    server.stop_and_check();
}

/// However it ends between a change and its delivery: what was acknowledged is told.
#[test]
fn every_acknowledged_change_is_told_after_kill_9() {
    let receiver = Receiver::new();
    let mut server = server_for(&receiver, "batch_max = 7");
    let mut expected = Vec::new();
    for round in 0..6 {
        let mut client = server.client();
        expected.extend(push_blobs(&mut client, round * 100, 5 + round));
        if round % 2 == 0 {
            receiver.answer([Answer::Status(500), Answer::Close]);
        }
        server.kill();
        server.launch();
    }
    eventually("all arrive", || {
        (taken_once(&receiver).len() >= expected.len()).then_some(())
    });
    assert_eq!(taken_once(&receiver), expected);
    server.stop_and_check();
}

#[test]
fn what_waits_is_sent_together_where_that_is_wanted() {
    let mut receiver = Receiver::new();
    let server = server_for(&receiver, "batch_max = 4\nbatch_wait = \"1h\"");
    let mut client = server.client();
    let expected = push_blobs(&mut client, 0, 8);
    receiver.wait_for_events(8);
    // Two that wait for company, which comes.
    push_blobs(&mut client, 10, 2);
    receiver.disappear();
    receiver.come_back();
    push_blobs(&mut client, 20, 2);
    receiver.wait_for_events(12);
    let sizes: Vec<usize> = receiver
        .deliveries()
        .iter()
        .map(|own| own.events().len())
        .collect();
    assert_eq!(sizes, [4, 4, 4]);
    assert_eq!(lines(&receiver.events())[..8], expected);
}

#[test]
fn a_body_is_signed_and_the_secret_is_nowhere() {
    let receiver = Receiver::new();
    let url = receiver.url().replace("http://", "http://ada:s3cretpw@");
    let toml = webhook(
        "ci",
        &format!("{url}/x?token=s3cret_query&"),
        "headers = { X-Key = \"s3cret_header\" }\nsecret_file = \"SECRET\"",
    );
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret of the webhook\n").unwrap();
    let toml = toml.replace("SECRET", secret.to_str().unwrap());
    let server = start_configured(&toml, &["--log-level", "trace"]);
    push_blobs(&mut server.client(), 0, 1);
    receiver.wait_for_events(1);
    let delivery = &receiver.deliveries()[0];
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s3cret of the webhook");
    let sent = delivery.header("x-coracle-signature-256").unwrap();
    let tag: Vec<u8> = (0..32)
        .map(|at| {
            let hex = &sent["sha256=".len()..][at * 2..][..2];
            u8::from_str_radix(hex, 16).unwrap()
        })
        .collect();
    ring::hmac::verify(&key, &delivery.body, &tag).expect("the signature of the body");
    assert_eq!(
        delivery.header("authorization"),
        Some("Basic YWRhOnMzY3JldHB3")
    );
    assert_eq!(delivery.header("x-key"), Some("s3cret_header"));
    receiver.answer([Answer::Status(500), Answer::Close]);
    push_blobs(&mut server.client(), 1, 1);
    receiver.wait_for_events(2);
    let shown = crate::support::program::run(
        &[
            "config",
            "show",
            "--config",
            server.folder().join("coracle.toml").to_str().unwrap(),
        ],
        "",
    )
    .expect(0);
    for text in [server.log(), shown.stdout] {
        for secret in [
            "s3cretpw",
            "s3cret_query",
            "s3cret_header",
            "s3cret of",
            "YWRhOnMzY3JldHB3",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[test]
fn redirects_are_followed_and_only_the_webhook_itself_gets_credentials() {
    let (first, other) = (Receiver::new(), Receiver::new());
    let server = server_for(
        &first,
        "secret = \"s3cret s3cret\"\nheaders = { X-Key = \"s3cret\" }",
    );
    let mut client = server.client();
    let mut expected = Vec::new();
    for (status, seed) in [301, 302, 303, 307, 308].into_iter().zip(0..) {
        first.answer([Answer::Redirect(status, "/elsewhere?x=1".to_owned())]);
        first.answer([Answer::Redirect(status, format!("{}/far", other.url()))]);
        expected.extend(push_blobs(&mut client, seed, 1));
        other.wait_for_events(usize::try_from(seed).unwrap() + 1);
    }
    assert_eq!(lines(&other.events()), expected);
    for pair in first.deliveries().chunks(2) {
        assert_eq!(pair[0].line, "POST /hook HTTP/1.1");
        assert_eq!(pair[1].line, "POST /elsewhere?x=1 HTTP/1.1");
        for own in pair {
            assert_eq!(own.header("x-key"), Some("s3cret"));
            assert!(own.header("x-coracle-signature-256").is_some());
        }
    }
    for own in other.deliveries() {
        assert_eq!(own.line, "POST /far HTTP/1.1");
        assert_eq!(own.header("x-key"), None);
        assert_eq!(own.header("x-coracle-signature-256"), None);
        assert!(own.header("x-coracle-delivery").is_some());
    }
    // One that leads in a circle is a failure, and so is one that leads nowhere.
    first.forget();
    let circle = Answer::Redirect(307, "/hook".to_owned());
    first.answer(vec![circle; 6]);
    first.answer([Answer::Redirect(307, "ftp://x/".to_owned())]);
    push_blobs(&mut client, 50, 1);
    first.wait_for_events(1);
    assert_eq!(first.deliveries().len(), 8);
    assert!(server.log().contains("more than 5 redirects"));
}

fn tls_receiver(authority: &Authority, host: &str) -> Receiver {
    let pair = authority.issue(&[host]);
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Receiver::tls(Arc::new(config))
}

fn server_with_authority(receiver: &Receiver, authority: &Authority) -> Configured {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    std::fs::write(&path, &authority.pem).unwrap();
    let more = format!("authorities = \"{}\"", path.display());
    // The file is read at the start.
    server_for(receiver, &more)
}

#[test]
fn https_is_verified_by_the_authorities_of_the_webhook() {
    let (own, foreign) = (Authority::new("own"), Authority::new("foreign"));
    let good = tls_receiver(&own, "127.0.0.1");
    let mut server = server_with_authority(&good, &own);
    let expected = push_blobs(&mut server.client(), 0, 3);
    good.wait_for_events(3);
    assert_eq!(lines(&good.events()), expected);
    server.stop();
    for (receiver, what) in [
        (tls_receiver(&foreign, "127.0.0.1"), "another authority"),
        (tls_receiver(&own, "other.example"), "another name"),
    ] {
        let server = server_with_authority(&receiver, &own);
        push_blobs(&mut server.client(), 0, 1);
        eventually("the log says why", || {
            let log = server.log();
            (log.contains("fails: ") && log.contains("certificate")).then_some(())
        });
        assert!(receiver.deliveries().is_empty(), "{what}");
    }
}

#[test]
fn a_redirect_out_of_tls_is_not_followed() {
    let authority = Authority::new("own");
    let (receiver, plain) = (tls_receiver(&authority, "127.0.0.1"), Receiver::new());
    receiver.answer([Answer::Redirect(307, plain.url())]);
    let server = server_with_authority(&receiver, &authority);
    push_blobs(&mut server.client(), 0, 1);
    receiver.wait_for_events(1);
    assert!(plain.deliveries().is_empty());
    assert!(server.log().contains("redirects from https:// to http://"));
}

#[test]
fn an_image_is_told_while_no_proxy_of_the_environment_is_asked() {
    let (receiver, proxy) = (Receiver::new(), Receiver::new());
    let mut server = server_for(&receiver, "");
    server.stop();
    // The child inherits what the test sets for it alone.
    server.set_plain_variable("HTTP_PROXY", &proxy.url());
    server.set_plain_variable("http_proxy", &proxy.url());
    server.launch();
    server
        .client()
        .push_image("a", "v1", &Image::oci(1, &[100]));
    receiver.wait_for_events(3);
    assert!(proxy.deliveries().is_empty());
}

#[test]
fn a_proxy_is_asked_where_one_is_named() {
    let (receiver, proxy) = (Receiver::new(), Receiver::new());
    let more = format!("proxy = \"{}\"", proxy.url().replace("//", "//u:s3cret@"));
    let server = server_for(&receiver, &more);
    push_blobs(&mut server.client(), 0, 1);
    let asked = proxy.wait_for_deliveries(1);
    let host = receiver.url().replace("http://", "");
    assert!(asked[0].line.contains(&host), "{:?}", asked[0].line);
    assert!(asked[0].header("proxy-authorization").is_some());
    assert!(receiver.deliveries().is_empty());
    assert!(!server.log().contains("s3cret"));
}
