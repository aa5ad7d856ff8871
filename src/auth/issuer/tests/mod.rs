//! Tokens of our own: issued, used, withdrawn, and mistaken for one another.

pub mod accounts;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::auth::jwt::tests::support::short;
use crate::auth::{Action, Resource, User, Who};
use crate::clock::ManualClock;
use accounts::{FakeAccounts, machine, user};

const NOW: u64 = 1_800_000_000;

pub struct World {
    pub issuer: Arc<Issuer>,
    pub accounts: Arc<FakeAccounts>,
    pub clock: Arc<ManualClock>,
}

impl World {
    pub fn new(secret: [u8; 32]) -> Self {
        let accounts = Arc::new(FakeAccounts::new());
        let clock = Arc::new(ManualClock::new(
            SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        ));
        let lifetimes = Lifetimes {
            access: Duration::from_secs(300),
            refresh: Duration::from_secs(10_000),
        };
        let issuer = Issuer::new(
            &secret,
            lifetimes,
            Arc::clone(&accounts) as Arc<_>,
            Arc::clone(&clock) as Arc<_>,
        );
        Self {
            issuer: Arc::new(issuer),
            accounts,
            clock,
        }
    }

    fn holder(&self, principal: &Principal) -> Holder {
        let version = self.issuer.resolve(principal).unwrap().unwrap().1;
        Holder {
            principal: principal.clone(),
            version,
        }
    }

    fn access(&self, principal: &Principal, scopes: &[&str]) -> String {
        let scopes: Vec<Scope> = scopes
            .iter()
            .map(|text| Scope::parse(text).unwrap())
            .collect();
        self.issuer
            .issue_access(&self.holder(principal), &scopes)
            .token
    }

    fn refresh(&self, principal: &Principal) -> String {
        self.issuer
            .issue_refresh(&self.holder(principal))
            .unwrap()
            .token
    }

    fn outcome(&self, token: &str) -> &'static str {
        self.issuer
            .verify(token)
            .map_or_else(|error| short(&error), |_| "ok")
    }

    fn refresh_outcome(&self, token: &str) -> &'static str {
        self.issuer
            .verify_refresh(token)
            .map_or_else(|error| short(&error), |_| "ok")
    }
}

fn allows(identity: &Identity, name: &str, action: Action) -> bool {
    identity.is_within_limit(&Resource::Repository(name.parse().unwrap()), action, false)
}

#[test]
fn a_token_comes_back_as_whom_it_was_issued_to() {
    let world = World::new([7; 32]);
    let token = world.access(
        &user("ada"),
        &["repository:a:pull,push", "registry:catalog:*"],
    );
    let identity = world.issuer.verify(&token).unwrap();
    let ada = User {
        name: "ada".to_owned(),
        groups: vec!["group-1".to_owned()],
    };
    assert_eq!(identity.who, Who::User(ada));
    assert!(allows(&identity, "a", Action::Push) && !allows(&identity, "a", Action::Delete));
    assert!(!allows(&identity, "b", Action::Pull));
    assert!(identity.is_within_limit(&Resource::Catalog, Action::Pull, false));
    // Nobody in particular has a token as well, which says that they asked for one.
    let token = world.access(&Principal::Anonymous, &["repository:a:pull"]);
    let identity = world.issuer.verify(&token).unwrap();
    assert_eq!(identity.who, Who::Anonymous);
    assert!(allows(&identity, "a", Action::Pull) && !allows(&identity, "b", Action::Pull));
    // A token that grants nothing is none of no limit.
    let identity = world
        .issuer
        .verify(&world.access(&user("ada"), &[]))
        .unwrap();
    assert_eq!(identity.limit, Some(Limit::Scopes(Vec::new())));
}

#[test]
fn a_machines_own_limit_stays() {
    let world = World::new([7; 32]);
    let scopes = ["repository:team/a:pull,push", "repository:other:pull"];
    let identity = world
        .issuer
        .verify(&world.access(&machine("ci"), &scopes))
        .unwrap();
    assert!(matches!(identity.limit, Some(Limit::Both(_, _))));
    assert!(allows(&identity, "team/a", Action::Pull));
    assert!(
        !allows(&identity, "team/a", Action::Push),
        "beyond its own limit"
    );
    assert!(
        !allows(&identity, "other", Action::Pull),
        "beyond its own limit"
    );
    assert!(
        !allows(&identity, "team/b", Action::Pull),
        "beyond what was granted"
    );
}

#[test]
fn what_was_withdrawn_is_good_no_more() {
    type Change = fn(&FakeAccounts);
    let rows: [(&str, Change, Principal, &str); 6] = [
        ("nothing", |_| {}, user("ada"), "ok"),
        (
            "somebody else",
            |all| all.put(&user("bob"), 9),
            user("ada"),
            "ok",
        ),
        (
            "new password",
            |all| all.put(&user("ada"), 3),
            user("ada"),
            "withdrawn",
        ),
        (
            "disabled",
            |all| all.remove(&user("ada")),
            user("ada"),
            "withdrawn",
        ),
        (
            "revoked",
            |all| all.remove(&machine("ci")),
            machine("ci"),
            "withdrawn",
        ),
        (
            "made again",
            |all| all.put(&machine("ci"), 8),
            machine("ci"),
            "withdrawn",
        ),
    ];
    for (what, change, principal, outcome) in rows {
        let world = World::new([7; 32]);
        let (access, refresh) = (world.access(&principal, &[]), world.refresh(&principal));
        assert_eq!(
            (world.outcome(&access), world.refresh_outcome(&refresh)),
            ("ok", "ok")
        );
        change(&world.accounts);
        let found = (world.outcome(&access), world.refresh_outcome(&refresh));
        assert_eq!(found, (outcome, outcome), "{what}");
    }
}

/// A user called like a machine's token is another one, and the reverse.
#[test]
fn users_and_machines_are_not_mixed_up() {
    let world = World::new([7; 32]);
    let token = world.access(&machine("ci"), &[]);
    world.accounts.remove(&machine("ci"));
    world.accounts.put(&user("ci"), 2);
    assert_eq!(world.outcome(&token), "withdrawn");
}

#[test]
fn who_somebody_is_today_is_looked_up_when_accounts_changed() {
    let world = World::new([7; 32]);
    let token = world.access(&user("ada"), &["repository:a:pull"]);
    let count = || world.accounts.resolved.load(Ordering::SeqCst);
    let groups = || match &world.issuer.verify(&token).unwrap().who {
        Who::User(user) => user.groups.clone(),
        who => panic!("{who}"),
    };
    assert_eq!(groups(), ["group-1"]);
    let before = count();
    for _ in 0..10 {
        assert_eq!(groups(), ["group-1"]);
    }
    assert_eq!(count(), before, "remembered");
    world.accounts.put(&user("bob"), 1);
    assert_eq!(groups(), ["group-1"]);
    assert_eq!(count(), before + 1, "looked up once more");
    // And each second, for what ends by the clock; also by one that was set back.
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(groups(), ["group-1"]);
    assert_eq!(count(), before + 2);
    world
        .clock
        .set(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - 1));
    assert_eq!(groups(), ["group-1"]);
    assert_eq!(count(), before + 3);
}

#[test]
fn a_token_of_one_kind_is_none_of_the_other() {
    let world = World::new([7; 32]);
    let (access, refresh) = (world.access(&user("ada"), &[]), world.refresh(&user("ada")));
    assert_eq!(world.outcome(&refresh), "kind");
    assert_eq!(world.refresh_outcome(&access), "kind");
    assert_eq!(world.outcome(&access), "ok");
    assert_eq!(world.refresh_outcome(&refresh), "ok");
}

#[test]
fn nobody_needs_no_refresh_token() {
    let world = World::new([7; 32]);
    let holder = world.holder(&Principal::Anonymous);
    assert_eq!(world.issuer.issue_refresh(&holder), None);
}

#[test]
fn tokens_end() {
    let world = World::new([7; 32]);
    let (access, refresh) = (world.access(&user("ada"), &[]), world.refresh(&user("ada")));
    for (after, expected) in [
        (0, ("ok", "ok")),
        (300, ("ok", "ok")),
        (301, ("expired", "ok")),
        (10_000, ("expired", "ok")),
        (10_001, ("expired", "expired")),
    ] {
        world
            .clock
            .set(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + after));
        let found = (world.outcome(&access), world.refresh_outcome(&refresh));
        assert_eq!(found, expected, "after {after} s");
    }
}

/// Also when it was looked at a moment before.
#[test]
fn a_token_ends_at_its_second() {
    let world = World::new([7; 32]);
    let token = world.access(&user("ada"), &[]);
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 300);
    for (after_ms, outcome) in [(500, "ok"), (999, "ok"), (1000, "expired")] {
        world.clock.set(last + Duration::from_millis(after_ms));
        assert_eq!(
            world.outcome(&token),
            outcome,
            "{after_ms} ms after its last second began"
        );
    }
}

#[test]
fn no_token_lives_shorter_than_clients_think() {
    let world = World::new([7; 32]);
    let lifetimes = Lifetimes {
        access: Duration::from_secs(1),
        refresh: Duration::from_secs(1),
    };
    let (accounts, clock) = (Arc::clone(&world.accounts), Arc::clone(&world.clock));
    let issuer = Issuer::new(&[7; 32], lifetimes, accounts, clock);
    let token = issuer.issue_access(&world.holder(&user("ada")), &[]);
    assert_eq!(token.lifetime, LIFETIME_MIN);
}

#[test]
fn a_token_of_another_registry_is_foreign() {
    let (own, other) = (World::new([7; 32]), World::new([8; 32]));
    assert_ne!(own.issuer.id(), other.issuer.id());
    assert_eq!(own.issuer.id(), World::new([7; 32]).issuer.id());
    let (access, refresh) = (other.access(&user("ada"), &[]), other.refresh(&user("ada")));
    assert_eq!(own.outcome(&access), "foreign");
    assert_eq!(own.refresh_outcome(&refresh), "foreign");
}

/// With the right key and the wrong words: only we could have said them, and yet.
#[test]
fn the_words_of_a_token_are_compared() {
    let world = World::new([7; 32]);
    let id = world.issuer.id().to_owned();
    let sign = |header: &str, claims: &Value| {
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mac = hmac::sign(&world.issuer.key, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac))
    };
    let good = json!({
        "iss": id, "aud": id, "sub": "user:ada", "ver": 1, "iat": NOW, "exp": NOW + 10,
    });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let header = Kind::Access.header();
    for (header, claims, outcome) in [
        (header, good.clone(), "ok"),
        (header, with("iss", json!("coracle:other")), "kind"),
        (header, with("aud", json!(format!("{id}/token"))), "kind"),
        (header, with("sub", json!("root")), "foreign"),
        (header, with("sub", json!("user:bob")), "withdrawn"),
        (header, with("ver", json!(2)), "withdrawn"),
        (header, with("ver", json!(-1)), "foreign"),
        (header, with("exp", json!(NOW - 1)), "expired"),
        (header, json!({}), "foreign"),
        (header, json!("x"), "foreign"),
        (Kind::Refresh.header(), good.clone(), "kind"),
        (r#"{"alg":"HS256"}"#, good.clone(), "kind"),
        (r#"{"alg":"none"}"#, good.clone(), "kind"),
    ] {
        assert_eq!(
            world.outcome(&sign(header, &claims)),
            outcome,
            "{header} {claims}"
        );
    }
}

#[test]
fn each_letter_matters() {
    let world = World::new([7; 32]);
    let token = world.access(&user("ada"), &["repository:a:pull"]);
    for at in 0..token.len() {
        for letter in ["A", "_", "."] {
            let mut changed = token.clone();
            changed.replace_range(at..=at, letter);
            if changed != token {
                assert_eq!(world.outcome(&changed), "foreign", "at {at}");
            }
        }
    }
    for text in [
        "",
        ".",
        "..",
        "a.b.c",
        &token[..token.len() - 1],
        &format!("{token}A"),
    ] {
        assert_eq!(world.outcome(text), "foreign", "{text}");
    }
    assert_eq!(world.outcome(&"a".repeat(TOKEN_BYTES_MAX + 1)), "large");
    assert_eq!(
        world.refresh_outcome(&"a".repeat(TOKEN_BYTES_MAX + 1)),
        "large"
    );
}

#[test]
fn a_catalog_that_fails_is_no_wrong_token() {
    let world = World::new([7; 32]);
    let holder = Holder {
        principal: user("broken"),
        version: 1,
    };
    let token = world.issuer.issue_access(&holder, &[]).token;
    let error = world.issuer.verify(&token).unwrap_err();
    assert_eq!(short(&error), "store");
    assert_eq!(error.code(), None);
}

#[test]
fn who_only_a_token_server_knows_gets_no_token() {
    let world = World::new([7; 32]);
    let subject = Identity {
        who: Who::Subject {
            name: "ada".to_owned(),
        },
        limit: None,
    };
    assert_eq!(world.issuer.holder(&subject).unwrap(), None);
    let gone = Identity::user(User {
        name: "gone".to_owned(),
        groups: Vec::new(),
    });
    assert_eq!(world.issuer.holder(&gone).unwrap(), None);
}

/// The most that can be asked for at once makes a token that is accepted again.
#[test]
fn the_largest_token_is_small_enough() {
    let world = World::new([7; 32]);
    let scopes: Vec<Scope> = (0..100)
        .map(|number| {
            let name = format!("{}{number:03}", "a".repeat(130));
            Scope::parse(&format!("repository:{name}:pull,push")).unwrap()
        })
        .collect();
    let token = world
        .issuer
        .issue_access(&world.holder(&user("ada")), &scopes)
        .token;
    assert!(
        token.len() > 16 << 10 && token.len() < TOKEN_BYTES_MAX,
        "{}",
        token.len()
    );
    let identity = world.issuer.verify(&token).unwrap();
    assert_eq!(identity.limit, Some(Limit::Scopes(scopes)));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_.-]{0,200}") {
        let world = World::new([7; 32]);
        prop_assert_eq!(world.outcome(&text), "foreign");
        prop_assert_eq!(world.refresh_outcome(&text), "foreign");
    }
}
