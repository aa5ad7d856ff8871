//! What a token says, row by row: issuer, audience, times, what is granted.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::*;
use crate::auth::{Action, Identity, Limit, Policy, Resource, Who, WithoutRules};

fn token(signer: &Signer, changes: &Value) -> String {
    signer.token("EdDSA", &json!({ "kid": "k" }), &claims(changes))
}

#[test]
fn claims_row_by_row() {
    let signer = Signer::new("EdDSA");
    let world = World::of(&signer);
    for (changes, outcome) in [
        (json!({}), "ok"),
        (json!({ "iss": "other" }), "issuer"),
        (json!({ "iss": null }), "issuer"),
        (json!({ "iss": "ISSUER" }), "issuer"),
        (json!({ "iss": ["issuer"] }), "malformed"),
        (json!({ "aud": "other" }), "audience"),
        (json!({ "aud": null }), "audience"),
        (json!({ "aud": ["other", "service"] }), "ok"),
        (json!({ "aud": ["other"] }), "audience"),
        (json!({ "aud": [] }), "audience"),
        (json!({ "aud": 1 }), "malformed"),
        // At its end and its beginning, with the minute of leeway either way.
        (json!({ "exp": NOW }), "ok"),
        (json!({ "exp": NOW - 60 }), "ok"),
        (json!({ "exp": NOW - 61 }), "expired"),
        (json!({ "exp": 1_799_999_939.5 }), "expired"),
        (json!({ "exp": 0 }), "expired"),
        (json!({ "exp": null }), "expired"),
        (json!({ "exp": -1 }), "expired"),
        (json!({ "exp": i64::MIN }), "expired"),
        (json!({ "exp": u64::MAX }), "ok"),
        (json!({ "exp": 1e300 }), "ok"),
        (json!({ "exp": "1800000300" }), "malformed"),
        (json!({ "nbf": NOW }), "ok"),
        (json!({ "nbf": NOW + 60 }), "ok"),
        (json!({ "nbf": NOW + 61 }), "not yet"),
        (json!({ "nbf": 1_800_000_060.5 }), "not yet"),
        (json!({ "nbf": null }), "ok"),
        (json!({ "nbf": u64::MAX }), "not yet"),
        // Not looked at.
        (json!({ "iat": NOW + 100_000 }), "ok"),
        (json!({ "iat": "now" }), "ok"),
        (json!({ "jti": null }), "ok"),
        (json!({ "sub": null }), "ok"),
        (json!({ "sub": 1 }), "malformed"),
        (json!({ "access": null }), "ok"),
        (json!({ "access": [] }), "ok"),
        (json!({ "access": {} }), "malformed"),
        (json!({ "access": [{}] }), "ok"),
        (
            json!({ "access": [{ "type": "repository", "name": "a", "actions": null }] }),
            "ok",
        ),
        (
            json!({ "access": [{ "type": "repository", "name": "a", "actions": "pull" }] }),
            "malformed",
        ),
    ] {
        assert_eq!(
            world.outcome(&token(&signer, &changes)),
            outcome,
            "{changes}"
        );
    }
}

#[test]
fn of_several_faults_the_first_is_told() {
    let signer = Signer::new("EdDSA");
    let world = World::of(&signer);
    for (changes, outcome) in [
        (
            json!({ "iss": "x", "aud": "x", "exp": 0, "nbf": u64::MAX }),
            "issuer",
        ),
        (json!({ "aud": "x", "exp": 0, "nbf": u64::MAX }), "audience"),
        (json!({ "exp": 0, "nbf": u64::MAX }), "expired"),
    ] {
        assert_eq!(world.outcome(&token(&signer, &changes)), outcome);
        // And before all of them, that the signature is another's.
        let other = Signer::new("EdDSA");
        assert_eq!(world.outcome(&token(&other, &changes)), "signature");
    }
}

#[test]
fn the_leeway_is_what_was_configured() {
    let signer = Signer::new("EdDSA");
    let jwks = json!({ "keys": [signer.jwk_with_id("k")] });
    for leeway in [0, 1, 60, 86_400] {
        let world = World::with("", &jwks, |options| {
            options.leeway = Duration::from_secs(leeway);
        });
        for (changes, outcome) in [
            (json!({ "exp": NOW - leeway }), "ok"),
            (json!({ "exp": NOW - leeway - 1 }), "expired"),
            (json!({ "nbf": NOW + leeway }), "ok"),
            (json!({ "nbf": NOW + leeway + 1 }), "not yet"),
        ] {
            let found = world.outcome(&token(&signer, &changes));
            assert_eq!(found, outcome, "{leeway} s, {changes}");
        }
    }
}

/// The bounds are those of the milliseconds, not of the whole seconds.
#[test]
fn a_token_ends_at_its_millisecond() {
    let signer = Signer::new("EdDSA");
    let text = token(&signer, &json!({ "exp": NOW }));
    for (after, outcome) in [(60_000, "ok"), (60_001, "expired")] {
        let world = World::of(&signer);
        world.clock.set(at(NOW) + Duration::from_millis(after));
        assert_eq!(world.outcome(&text), outcome);
    }
}

#[test]
fn what_is_granted_is_what_the_token_says() {
    let signer = Signer::new("EdDSA");
    let world = World::of(&signer);
    let access = json!([
        { "type": "repository", "class": "image", "name": "a/b", "actions": ["push", "pull"] },
        { "type": "repository", "name": "all", "actions": ["*"] },
        { "type": "repository", "name": "nothing", "actions": [] },
        { "type": "repository", "name": "unknown", "actions": ["fly"] },
        { "type": "repository", "name": "UPPER", "actions": ["pull"] },
        { "type": "registry", "name": "catalog", "actions": ["*"] },
        { "type": "planet", "name": "a", "actions": ["*"] },
    ]);
    let identity = world
        .verify(&token(&signer, &json!({ "access": access })))
        .unwrap();
    let Identity {
        who: Who::Subject { name },
        limit: Some(Limit::Scopes(scopes)),
    } = identity.as_ref()
    else {
        panic!("{identity:?}");
    };
    assert_eq!(name, "ada");
    let texts: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "repository:a/b:pull,push",
            "repository:all:*",
            "registry:catalog:*"
        ]
    );
    // The star is all actions on that very name, and no pattern.
    let policy = Policy {
        rules: Vec::new(),
        without_rules: WithoutRules::Authenticated,
    };
    let may = |name: &str, action| {
        let resource = Resource::Repository(name.parse().unwrap());
        policy.decide(&identity, &resource, action).allowed
    };
    assert!(may("all", Action::Delete) && may("all", Action::Push));
    assert!(!may("all/b", Action::Pull) && !may("a/b", Action::Delete) && may("a/b", Action::Push));
}
