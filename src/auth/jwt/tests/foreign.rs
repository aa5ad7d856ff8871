//! Tokens, thumbprints and key ids that another implementation made (OpenSSL by way of Python's
//! `cryptography`), and the examples of the specifications.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::key::{Key, libtrust_id};
use super::support::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[derive(Deserialize)]
struct Row {
    alg: String,
    jwk: Value,
    spki: String,
    thumbprint: String,
    libtrust: String,
    token: String,
}

fn rows() -> Vec<Row> {
    let rows: Vec<Row> = serde_json::from_str(include_str!("foreign.json")).unwrap();
    assert_eq!(rows.len(), 9, "one for each algorithm");
    rows
}

/// A key of these bytes as PEM.
pub fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

#[test]
fn tokens_of_another_implementation_are_good() {
    for row in rows() {
        let spki = STANDARD.decode(&row.spki).unwrap();
        // The id in the token is the thumbprint: of a bare key in PEM, or of a key without an id.
        for world in [
            World::new(&pem(&spki), &Value::Null),
            World::new("", &json!({ "keys": [row.jwk] })),
        ] {
            assert_eq!(world.outcome(&row.token), "ok", "{}", row.alg);
        }
    }
}

#[test]
fn ids_of_another_implementation_are_ours() {
    for row in rows() {
        let spki = STANDARD.decode(&row.spki).unwrap();
        assert_eq!(Key::of_info(&spki).unwrap().thumbprint(), row.thumbprint);
        assert_eq!(libtrust_id(&spki), row.libtrust, "{}", row.alg);
    }
}

#[test]
fn thumbprints_of_the_specifications() {
    // RFC 7638 section 3.1.
    let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    // RFC 8037 appendix A.3.
    let point = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    for (jwk, thumbprint) in [
        (
            json!({ "kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" }),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        ),
        (
            json!({ "kty": "OKP", "crv": "Ed25519", "x": point }),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ] {
        let jwk: super::super::jwk::Jwk = serde_json::from_value(jwk).unwrap();
        assert_eq!(jwk.key().unwrap().thumbprint(), thumbprint);
    }
}
