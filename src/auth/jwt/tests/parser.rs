//! Text that a stranger sends.

use proptest::prelude::*;
use serde_json::json;

use super::super::{TOKEN_BYTES_MAX, parse_unverified};
use super::support::*;

#[test]
fn tampered_tokens() {
    let signer = Signer::new("EdDSA");
    let world = World::of(&signer);
    let token = signer.token("EdDSA", &json!({ "kid": "k" }), &claims(&json!({})));
    assert_eq!(world.outcome(&token), "ok");
    let parts: Vec<&str> = token.split('.').collect();
    let other = base64url(claims(&json!({ "sub": "root" })).to_string());
    let header = base64url(json!({ "alg": "EdDSA", "kid": "k", "typ": "jwt" }).to_string());
    for (text, outcome) in [
        (format!("{}.{other}.{}", parts[0], parts[2]), "signature"),
        (format!("{header}.{}.{}", parts[1], parts[2]), "signature"),
        (format!("{}.{}.", parts[0], parts[1]), "signature"),
        (
            format!("{}.{}.{}", parts[0], parts[1], base64url([0; 64])),
            "signature",
        ),
        (
            format!("{}.{}.{}", parts[1], parts[0], parts[2]),
            "malformed",
        ),
        (format!("{}.{}", parts[0], parts[1]), "malformed"),
        (format!("{token}."), "malformed"),
        (format!(".{token}"), "malformed"),
        (format!("{token}.x"), "malformed"),
        (format!("{token}="), "malformed"),
        (format!(" {token}"), "malformed"),
        (format!("{token}\n"), "malformed"),
        (parts[0].to_owned(), "malformed"),
        ("..".to_owned(), "malformed"),
        (String::new(), "malformed"),
        ("a".repeat(TOKEN_BYTES_MAX), "malformed"),
        ("a".repeat(TOKEN_BYTES_MAX + 1), "large"),
    ] {
        assert_eq!(world.outcome(&text), outcome, "{text:.80}");
    }
}

/// Each letter of the token matters, also those of the signature.
#[test]
fn no_letter_can_be_changed() {
    let signer = Signer::new("EdDSA");
    let world = World::of(&signer);
    let token = signer.token("EdDSA", &json!({ "kid": "k" }), &claims(&json!({})));
    for at in 0..token.len() {
        for letter in ["A", "_"] {
            let mut changed = token.clone();
            changed.replace_range(at..=at, letter);
            if changed != token {
                assert_ne!(world.outcome(&changed), "ok", "at {at}: {changed}");
            }
        }
    }
}

#[test]
fn headers_and_claims_are_objects() {
    let signer = Signer::new("EdDSA");
    let world = World::of(&signer);
    let sign = |header: &str, claims: &str| {
        let text = format!("{}.{}", base64url(header), base64url(claims));
        let signature = signer.sign("EdDSA", &text);
        format!("{text}.{}", base64url(signature))
    };
    let header = r#"{"alg":"EdDSA","kid":"k"}"#;
    let good = claims(&json!({})).to_string();
    for (header, claims) in [
        (r#"["EdDSA",null,null,"k"]"#, good.as_str()),
        (r#"{"alg":"EdDSA","kid":"k","kid":"k"}"#, &good),
        (r#"{"alg":"EdDSA","kid":"k"} x"#, &good),
        ("", &good),
        ("null", &good),
        (header, "[]"),
        (header, ""),
        (header, r#"{"iss":"issuer","iss":"issuer"}"#),
        (header, &"[".repeat(5000)),
        (header, &format!("{}{}", r#"{"x":"#.repeat(2000), "1")),
    ] {
        assert_eq!(
            world.outcome(&sign(header, claims)),
            "malformed",
            "{header:.80} {claims:.80}"
        );
    }
    assert_eq!(world.outcome(&sign(header, &good)), "ok");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        prop_assert!(!parse_unverified(&text));
    }

    #[test]
    fn no_parts_make_it_panic(
        header in json_like(),
        claims in json_like(),
        signature in proptest::collection::vec(any::<u8>(), 0..70),
    ) {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let _ = parse_unverified(&format!("{signed}.{}", base64url(signature)));
    }
}

/// What is nearly a header or a set of claims.
fn json_like() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("\"EdDSA\"".to_owned()),
        Just("[\"MIIB\"]".to_owned()),
        Just("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"\"}".to_owned()),
        any::<f64>().prop_map(|number| number.to_string()),
        "[\\[\\]{}\":,a1]{0,12}",
    ];
    let name = prop::sample::select(vec![
        "alg", "kid", "jwk", "x5c", "crit", "iss", "aud", "exp", "nbf", "access",
    ]);
    prop::collection::vec((name, value), 0..5).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}
