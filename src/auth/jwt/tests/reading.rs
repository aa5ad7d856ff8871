//! The files of keys: what they may hold, and what happens when they change.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::Verifier;
use super::super::trust::Trust;
use super::foreign::pem;
use super::support::*;

fn token(signer: &Signer) -> String {
    signer.token("EdDSA", &json!({ "kid": "k" }), &claims(&json!({})))
}

#[test]
fn keys_are_read_again_and_bad_ones_change_nothing() {
    let (old, new) = (Signer::new("EdDSA"), Signer::new("EdDSA"));
    let world = World::of(&old);
    let (of_old, of_new) = (token(&old), token(&new));
    assert_eq!(world.outcome(&of_old), "ok");
    assert_eq!(world.outcome(&of_new), "signature");
    for bad in [
        "",
        "[]",
        "{\"keys\":[]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}",
    ] {
        fs::write(world.path("jwks.json"), bad).unwrap();
        let error = world.verifier.reload().unwrap_err();
        assert!(error.to_string().contains("jwks.json"), "{error}");
        assert_eq!(world.verifier.fault(), Some(error));
        assert_eq!(world.outcome(&of_old), "ok");
    }
    fs::remove_file(world.path("jwks.json")).unwrap();
    world.verifier.reload().unwrap_err();
    assert_eq!(world.outcome(&of_old), "ok");
    let set = json!({ "keys": [new.jwk_with_id("k")] });
    fs::write(world.path("jwks.json"), set.to_string()).unwrap();
    world.verifier.reload().unwrap();
    assert_eq!(world.verifier.fault(), None);
    // Also what had been verified before is refused from here on.
    assert_eq!(world.outcome(&of_old), "signature");
    assert_eq!(world.outcome(&of_new), "ok");
    assert!(world.folder().is_dir());
}

#[test]
fn what_was_verified_is_remembered_no_longer_than_it_is_good() {
    let signer = Signer::new("EdDSA");
    let world = World::of(&signer);
    let text = token(&signer);
    let first = world.verify(&text).unwrap();
    assert!(
        Arc::ptr_eq(&first, &world.verify(&text).unwrap()),
        "remembered"
    );
    world.clock.advance(Duration::from_mins(1));
    assert!(
        !Arc::ptr_eq(&first, &world.verify(&text).unwrap()),
        "verified again"
    );
    world.clock.set(at(NOW + 360));
    assert_eq!(world.outcome(&text), "ok");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.outcome(&text), "expired");
    // The clock was wrong, and now it stands before the token.
    world.clock.set(at(NOW - 1000));
    assert_eq!(world.outcome(&text), "not yet");
}

#[test]
fn a_certificate_that_ends_is_noticed_within_a_minute() {
    let root = Issued::root(params("root", true));
    let world = World::new(&root.certificate.pem(), &Value::Null);
    let mut own = params("leaf", false);
    own.not_after = rcgen::date_time_ymd(2027, 1, 15) + Duration::from_secs(8 * 3600 + 10);
    let leaf = root.issue(own, "EdDSA");
    let hint = json!({ "x5c": [leaf.x5c()] });
    let text = leaf
        .signer
        .token("EdDSA", &hint, &claims(&json!({ "exp": NOW + 100_000 })));
    world.clock.set(at(NOW + 70));
    assert_eq!(world.outcome(&text), "ok");
    world.clock.set(at(NOW + 130));
    assert_eq!(world.outcome(&text), "chain");
}

#[test]
fn bundles() {
    let signer = Signer::new("EdDSA");
    let key = pem(&signer.info());
    let secret = signer.pair.serialize_pem();
    let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let small = pem(&SMALL_RSA);
    for (text, outcome) in [
        (key.clone(), Ok(1)),
        (format!("words before\n{key}\nand between\n{key}"), Ok(2)),
        (format!("{secret}{key}"), Ok(1)),
        (secret, Ok(0)),
        (String::new(), Ok(0)),
        ("no PEM".to_owned(), Ok(0)),
        (format!("{key}{other}"), Err("certificate 2")),
        (key.replace("-----END", "-----"), Err("section 1")),
        (pem(b"no key"), Err("the key of section 1")),
        (small, Err("2048 to 8192 bits")),
    ] {
        let found = Trust::default().add_pem(text.as_bytes());
        match outcome {
            Ok(count) => assert_eq!(found, Ok(count), "{text}"),
            Err(word) => assert!(found.clone().unwrap_err().contains(word), "{found:?}"),
        }
    }
}

#[test]
fn key_sets() {
    let mut keys: Vec<Value> = ["RS256", "ES256", "ES384", "EdDSA"]
        .map(|name| Signer::new(name).jwk())
        .to_vec();
    assert_eq!(count(&json!({ "keys": keys })), Ok(4));
    // What cannot be used is passed over.
    keys.extend([
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "not base64!" }),
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "RSA", "n": "", "e": "AQAB" }),
        json!({}),
    ]);
    let mut for_else = Signer::new("EdDSA").jwk();
    for_else["use"] = "enc".into();
    keys.push(for_else);
    assert_eq!(count(&json!({ "keys": keys })), Ok(4));
    for bad in [
        json!([]),
        json!({}),
        json!({ "keys": {} }),
        json!({ "keys": [1] }),
    ] {
        assert!(count(&bad).unwrap_err().contains("no JSON Web Key Set"));
    }
}

fn count(set: &Value) -> Result<usize, String> {
    Trust::default().add_jwks(set.to_string().as_bytes())
}

#[test]
fn without_keys_it_does_not_start() {
    let signer = Signer::new("EdDSA");
    let world = World::of(&signer);
    let options = |change: fn(&mut super::super::Options)| {
        let mut options = super::super::Options {
            issuer: String::new(),
            service: String::new(),
            root_certificates: None,
            jwks: None,
            algorithms: Vec::new(),
            leeway: Duration::ZERO,
        };
        change(&mut options);
        let clock = Arc::clone(&world.clock) as Arc<_>;
        Verifier::open(options, clock)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert!(options(|_| {}).contains("set token.root_certificates, token.jwks or both"));
    let missing = options(|options| options.jwks = Some("/nowhere/jwks.json".into()));
    assert!(
        missing.contains("/nowhere/jwks.json: it cannot be read"),
        "{missing}"
    );
    let endless = options(|options| options.jwks = Some("/dev/zero".into()));
    assert!(endless.contains("more than 4194304 bytes"), "{endless}");
    let empty = options(|options| options.root_certificates = Some("/dev/null".into()));
    assert!(
        empty.contains("no key that can verify a signature"),
        "{empty}"
    );
}

/// An RSA key of 8 bits.
const SMALL_RSA: [u8; 27] = [
    0x30, 0x19, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
    0x00, 0x03, 0x08, 0x00, 0x30, 0x05, 0x02, 0x01, 0x21, 0x02, 0x00,
];
