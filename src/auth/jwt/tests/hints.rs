//! How a token's header leads to a key, and every way in which it must not.

use serde_json::{Value, json};

use super::foreign::pem;
use super::support::*;

const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

fn good() -> Value {
    claims(&json!({}))
}

#[test]
fn every_algorithm_by_every_hint() {
    let root = Issued::root(params("root", true));
    for algorithm in ALGORITHMS {
        let leaf = root.issue(params("leaf", false), algorithm);
        let signer = &leaf.signer;
        let in_pem = World::new(&pem(&signer.info()), &Value::Null);
        let in_set = World::of(signer);
        let by_root = World::new(&root.certificate.pem(), &Value::Null);
        let chain = json!([leaf.x5c()]);
        let mut chained = signer.jwk();
        chained["x5c"] = chain.clone();
        for (world, hint) in [
            (&in_set, json!({ "kid": "k" })),
            (&in_pem, json!({ "kid": signer.thumbprint() })),
            (&in_pem, json!({ "kid": signer.libtrust_id() })),
            (&in_set, json!({ "jwk": signer.jwk_with_id("k") })),
            (
                &in_pem,
                json!({ "jwk": signer.jwk_with_id(&signer.thumbprint()) }),
            ),
            (&by_root, json!({ "x5c": chain })),
            (&by_root, json!({ "jwk": chained })),
        ] {
            let token = signer.token(algorithm, &hint, &good());
            assert_eq!(world.outcome(&token), "ok", "{algorithm} {hint}");
            // With the same hint, and another key of the same kind.
            let other = Signer::new(algorithm);
            if other.key() != signer.key() {
                let token = other.token(algorithm, &hint, &good());
                assert_eq!(world.outcome(&token), "signature", "{algorithm} {hint}");
            }
        }
    }
}

#[test]
fn an_algorithm_works_with_keys_of_its_own_kind_only() {
    for own in ["RS256", "ES256", "ES384", "EdDSA"] {
        let signer = Signer::new(own);
        let world = World::of(&signer);
        let token = signer.token(own, &json!({ "kid": "k" }), &good());
        let (_, rest) = token.split_once('.').unwrap();
        for other in ALGORITHMS {
            // The header alone says something else.
            let header = base64url(json!({ "alg": other, "kid": "k" }).to_string());
            let found = world.outcome(&format!("{header}.{rest}"));
            assert_eq!(found, "signature", "{own} as {other}");
        }
    }
}

#[test]
fn no_secret_algorithm_and_none_at_all() {
    let signer = Signer::new("RS256");
    for world in [
        World::of(&signer),
        World::new(&pem(&signer.info()), &Value::Null),
    ] {
        for hint in [
            json!({ "kid": "k" }),
            json!({ "kid": signer.thumbprint() }),
            json!({}),
        ] {
            for algorithm in ["HS256", "none"] {
                let token = signer.token(algorithm, &hint, &good());
                assert_eq!(world.outcome(&token), "algorithm", "{algorithm}");
            }
        }
        let text = format!(
            "{}.{}",
            base64url(json!({ "kid": "k" }).to_string()),
            base64url(good().to_string())
        );
        assert_eq!(world.outcome(&format!("{text}.")), "malformed", "no alg");
        for name in ["NONE", "None", "nOnE", "", "rs256", "RS256 ", "ES512"] {
            let header = base64url(json!({ "alg": name, "kid": "k" }).to_string());
            let token = format!("{header}.{}.", base64url(good().to_string()));
            assert_eq!(world.outcome(&token), "algorithm", "{name:?}");
        }
    }
}

#[test]
fn only_the_configured_algorithms() {
    let signer = Signer::new("RS256");
    let jwks = json!({ "keys": [signer.jwk_with_id("k")] });
    let world = World::with("", &jwks, |options| {
        options.algorithms = vec![super::super::Algorithm::Ps256];
    });
    for (algorithm, outcome) in [
        ("PS256", "ok"),
        ("RS256", "algorithm"),
        ("PS384", "algorithm"),
    ] {
        let token = signer.token(algorithm, &json!({ "kid": "k" }), &good());
        assert_eq!(world.outcome(&token), outcome);
    }
}

#[test]
fn a_key_must_be_named_and_known() {
    let signer = Signer::new("ES256");
    let world = World::of(&signer);
    for (hint, outcome) in [
        (json!({}), "no hint"),
        (json!({ "kid": "" }), "no hint"),
        (json!({ "kid": null }), "no hint"),
        (json!({ "x5c": [] }), "no hint"),
        (json!({ "x5c": null, "jwk": null, "kid": "k" }), "ok"),
        (json!({ "x5c": [], "kid": "k" }), "ok"),
        (json!({ "kid": "other" }), "unknown key"),
        (json!({ "kid": "K" }), "unknown key"),
        (json!({ "kid": signer.thumbprint() }), "unknown key"),
        (json!({ "kid": 1 }), "malformed"),
        (json!({ "jwk": "k" }), "malformed"),
        (json!({ "x5c": "k" }), "malformed"),
        (json!({ "kid": "k", "crit": ["exp"] }), "malformed"),
        (
            json!({ "kid": "k", "b64": false, "crit": ["b64"] }),
            "malformed",
        ),
        // The first hint decides, also where a later one would do.
        (json!({ "kid": "k", "jwk": signer.jwk() }), "unknown key"),
        (json!({ "kid": "k", "x5c": ["AAAA"] }), "chain"),
    ] {
        let token = signer.token("ES256", &hint, &good());
        assert_eq!(world.outcome(&token), outcome, "{hint}");
    }
}

/// CVE-2025-24976: a key is not trusted for being in the token.
#[test]
fn a_key_in_the_token_is_not_trusted() {
    let (trusted, thief) = (Signer::new("EdDSA"), Signer::new("EdDSA"));
    let world = World::of(&trusted);
    for (jwk, outcome) in [
        (thief.jwk(), "unknown key"),
        (thief.jwk_with_id("thief"), "unknown key"),
        (thief.jwk_with_id(&thief.thumbprint()), "unknown key"),
        // The id of a trusted key with the thief's key under it: the trusted one verifies.
        (thief.jwk_with_id("k"), "signature"),
    ] {
        let token = thief.token("EdDSA", &json!({ "jwk": jwk, "kid": "k" }), &good());
        assert_eq!(world.outcome(&token), outcome, "{jwk}");
    }
    // Nor does it matter what else it is: the id of a trusted key is enough.
    let hint = json!({ "jwk": { "kid": "k" } });
    assert_eq!(world.outcome(&trusted.token("EdDSA", &hint, &good())), "ok");
    let hint = json!({ "jwk": thief.jwk_with_id("k") });
    assert_eq!(world.outcome(&trusted.token("EdDSA", &hint, &good())), "ok");
}

#[test]
fn a_chain_of_the_thief_in_a_key_is_not_trusted() {
    let root = Issued::root(params("root", true));
    let thief = Issued::root(params("root", true));
    let leaf = root.issue(params("leaf", false), "ES256");
    let stolen = thief.issue(params("leaf", false), "ES256");
    let world = World::new(&root.certificate.pem(), &Value::Null);
    let mut jwk = stolen.signer.jwk_with_id(&root.signer.thumbprint());
    jwk["x5c"] = json!([stolen.x5c()]);
    let token = stolen
        .signer
        .token("ES256", &json!({ "jwk": jwk }), &good());
    assert_eq!(world.outcome(&token), "chain");
    // A good chain beside the thief's key: the chain's key verifies.
    jwk["x5c"] = json!([leaf.x5c()]);
    let token = stolen
        .signer
        .token("ES256", &json!({ "jwk": jwk }), &good());
    assert_eq!(world.outcome(&token), "signature");
}

#[test]
fn chains_lead_to_a_root() {
    let root = Issued::root(params("root", true));
    let middle = root.issue(params("middle", true), "ES384");
    let leaf = middle.issue(params("leaf", false), "EdDSA");
    let direct = root.issue(params("direct", false), "EdDSA");
    let foreign = Issued::root(params("root", true));
    let foreign_leaf = foreign.issue(params("leaf", false), "EdDSA");
    let below_leaf = direct.issue(params("below", false), "EdDSA");
    let world = World::new(&root.certificate.pem(), &Value::Null);
    let many = vec![root.x5c(); 11];
    for (signer, chain, outcome) in [
        (&leaf, json!([leaf.x5c(), middle.x5c()]), "ok"),
        (&leaf, json!([leaf.x5c(), middle.x5c(), root.x5c()]), "ok"),
        (
            &leaf,
            json!([leaf.x5c(), foreign.x5c(), middle.x5c()]),
            "ok",
        ),
        (&leaf, json!([leaf.x5c()]), "chain"),
        (&leaf, json!([leaf.x5c(), root.x5c()]), "chain"),
        (&direct, json!([direct.x5c()]), "ok"),
        (&foreign_leaf, json!([foreign_leaf.x5c()]), "chain"),
        (
            &foreign_leaf,
            json!([foreign_leaf.x5c(), foreign.x5c()]),
            "chain",
        ),
        (&foreign, json!([foreign.x5c()]), "chain"),
        // What is no authority signs nothing.
        (
            &below_leaf,
            json!([below_leaf.x5c(), direct.x5c()]),
            "chain",
        ),
        // A root may sign tokens itself.
        (&root, json!([root.x5c()]), "ok"),
        // The key is that of the first certificate.
        (
            &leaf,
            json!([direct.x5c(), leaf.x5c(), middle.x5c()]),
            "signature",
        ),
        (&direct, json!([direct.x5c(), "!"]), "chain"),
        (&direct, json!([""]), "chain"),
        (
            &direct,
            json!([base64url(direct.certificate.der())]),
            "chain",
        ),
        (&root, json!(many), "chain"),
    ] {
        let algorithm =
            if std::ptr::eq(signer, &raw const root) || std::ptr::eq(signer, &raw const foreign) {
                "ES256"
            } else {
                "EdDSA"
            };
        let token = signer
            .signer
            .token(algorithm, &json!({ "x5c": chain }), &good());
        assert_eq!(world.outcome(&token), outcome, "{chain}");
    }
}

#[test]
fn any_use_of_a_key_will_do() {
    use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
    let root = Issued::root(params("root", true));
    let world = World::new(&root.certificate.pem(), &Value::Null);
    for usage in [
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::EmailProtection,
        ExtendedKeyUsagePurpose::TimeStamping,
    ] {
        let mut own = params("leaf", false);
        own.extended_key_usages = vec![usage];
        own.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        let leaf = root.issue(own, "EdDSA");
        let hint = json!({ "x5c": [leaf.x5c()] });
        assert_eq!(
            world.outcome(&leaf.signer.token("EdDSA", &hint, &good())),
            "ok"
        );
    }
}

#[test]
fn certificates_have_their_time() {
    let root = Issued::root(params("root", true));
    let world = World::new(&root.certificate.pem(), &Value::Null);
    let now = rcgen::date_time_ymd(2027, 1, 15) + std::time::Duration::from_secs(8 * 3600);
    assert_eq!(now.unix_timestamp().unsigned_abs(), NOW);
    let second = std::time::Duration::from_secs(1);
    for (before, after, outcome) in [
        (now, now, "ok"),
        (now - second * 600, now - second * 60, "ok"),
        (now - second * 600, now - second * 61, "chain"),
        (now + second * 60, now + second * 600, "ok"),
        (now + second * 61, now + second * 600, "chain"),
    ] {
        let mut own = params("leaf", false);
        (own.not_before, own.not_after) = (before, after);
        let leaf = root.issue(own.clone(), "EdDSA");
        let hint = json!({ "x5c": [leaf.x5c()] });
        let token = leaf.signer.token("EdDSA", &hint, &good());
        assert_eq!(world.outcome(&token), outcome, "{before} to {after}");
        // The same for a root: above others, and itself.
        own.is_ca = params("", true).is_ca;
        let short = Issued::root(own);
        let below = short.issue(params("leaf", false), "EdDSA");
        let world = World::new(&short.certificate.pem(), &Value::Null);
        for (signer, algorithm) in [(&below, "EdDSA"), (&short, "ES256")] {
            let hint = json!({ "x5c": [signer.x5c()] });
            let token = signer.signer.token(algorithm, &hint, &good());
            assert_eq!(world.outcome(&token), outcome, "below {before} to {after}");
        }
    }
}

#[test]
fn certificates_of_the_bundle_are_known_by_the_ids_of_their_keys() {
    let root = Issued::root(params("root", true));
    let plain = Issued::root(params("signer", false));
    let bundle = format!("{}{}", root.certificate.pem(), plain.certificate.pem());
    let world = World::new(&bundle, &Value::Null);
    for signer in [&root.signer, &plain.signer] {
        for id in [signer.thumbprint(), signer.libtrust_id()] {
            let token = signer.token("ES256", &json!({ "kid": id }), &good());
            assert_eq!(world.outcome(&token), "ok", "{id}");
        }
    }
}
