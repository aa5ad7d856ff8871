//! The decision, as a table.

use super::*;
use crate::auth::identity::{Limit, User};

fn rule(who: &[&str], repositories: &[&str], actions: &[&str]) -> Rule {
    Rule {
        who: who.iter().map(|who| Subject::parse(who).unwrap()).collect(),
        repositories: repositories
            .iter()
            .map(|glob| Glob::parse(glob).unwrap())
            .collect(),
        actions: Actions::of_names(actions.iter().copied()),
        origin: String::new(),
    }
}

/// What most teams want: everybody pulls, developers push, everybody owns their corner.
fn team() -> Policy {
    Policy {
        rules: vec![
            rule(&["anyone"], &["public/**", "base"], &["pull"]),
            rule(&["authenticated"], &["**"], &["pull"]),
            rule(&["group:dev", "token:ci"], &["team/**"], &["push", "pull"]),
            rule(&["authenticated"], &["home/{user}/**"], &["*"]),
            rule(&["user:root"], &["**"], &["admin"]),
        ],
        without_rules: WithoutRules::Authenticated,
    }
}

fn user(name: &str, groups: &[&str]) -> User {
    User {
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

/// `anyone`, `ada` (in dev), `bob`, `root`, `token:ci`, `token:ada-laptop` (hers).
fn identity(name: &str) -> Identity {
    let who = match name {
        "anyone" => Who::Anonymous,
        "ada" => Who::User(user("ada", &["dev", "ops"])),
        "token:ada-laptop" => Who::Token {
            name: "ada-laptop".to_owned(),
            owner: Some(user("ada", &["dev", "ops"])),
        },
        token if token.starts_with("token:") => Who::Token {
            name: token["token:".len()..].to_owned(),
            owner: None,
        },
        name => Who::User(user(name, &[])),
    };
    Identity { who, limit: None }
}

fn repository(name: &str) -> Resource {
    Resource::Repository(name.parse().unwrap())
}

#[test]
fn the_rules_decide() {
    use Action::{Admin, Delete, Pull, Push};
    let rows = [
        ("anyone", "public/a", Pull, Some(0)),
        ("anyone", "base", Pull, Some(0)),
        ("anyone", "public/a", Push, None),
        ("anyone", "team/a", Pull, None),
        ("anyone", "public", Pull, None),
        ("bob", "public/a", Pull, Some(0)),
        ("bob", "team/a", Pull, Some(1)),
        ("bob", "team/a", Push, None),
        ("bob", "home/bob/x", Push, Some(3)),
        ("bob", "home/bob/x", Delete, Some(3)),
        ("bob", "home/bob/x", Admin, Some(3)),
        ("bob", "home/ada/x", Push, None),
        ("ada", "team/a", Push, Some(2)),
        ("ada", "team/a", Delete, None),
        ("ada", "home/ada/x", Push, Some(3)),
        ("token:ci", "team/a", Push, Some(2)),
        ("token:ci", "home/ci/x", Push, None),
        ("token:other", "team/a", Push, None),
        ("token:other", "team/a", Pull, Some(1)),
        ("token:ada-laptop", "team/a", Push, Some(2)),
        ("token:ada-laptop", "home/ada/x", Push, Some(3)),
        ("root", "anything/at/all", Push, Some(4)),
        ("root", "anything/at/all", Delete, Some(4)),
        ("root", "anything/at/all", Admin, Some(4)),
    ];
    let policy = team();
    for (who, name, action, rule) in rows {
        let decision = policy.decide(&identity(who), &repository(name), action);
        let expected = Decision {
            allowed: rule.is_some(),
            basis: rule.map_or(Basis::NoRule, Basis::Rule),
        };
        assert_eq!(decision, expected, "{who} {name} {action}");
    }
}

#[test]
fn a_user_called_like_a_token_is_none() {
    let policy = team();
    let decision = policy.decide(&identity("ci"), &repository("team/a"), Action::Push);
    assert!(!decision.allowed);
}

#[test]
fn without_a_rule_accounts_decide() {
    let mut policy = Policy {
        rules: Vec::new(),
        without_rules: WithoutRules::Open,
    };
    let decide = |policy: &Policy, who: &str| {
        let decision = policy.decide(&identity(who), &repository("a"), Action::Delete);
        (decision.allowed, decision.basis)
    };
    assert!(policy.is_open());
    assert_eq!(decide(&policy, "anyone"), (true, Basis::Open));
    policy.without_rules = WithoutRules::Authenticated;
    assert!(!policy.is_open());
    assert_eq!(decide(&policy, "anyone"), (false, Basis::Authenticated));
    assert_eq!(decide(&policy, "bob"), (true, Basis::Authenticated));
    assert_eq!(decide(&policy, "token:ci"), (true, Basis::Authenticated));
}

#[test]
fn a_credential_only_takes_away() {
    let policy = team();
    let limited = |limit: Limit| Identity {
        limit: Some(limit),
        ..identity("ada")
    };
    let of_token = |globs: &[&str], actions| Limit::Repositories {
        globs: globs
            .iter()
            .map(|glob| Glob::parse(glob).unwrap())
            .collect(),
        actions,
    };
    let of_scopes = |scopes: &[&str]| {
        let scopes = scopes.iter().map(|text| Scope::parse(text).unwrap());
        Limit::Scopes(scopes.collect())
    };
    let pull = Actions::of(Action::Pull);
    let rows = [
        (
            of_token(&["team/*"], Actions::ALL),
            "team/a",
            true,
            Basis::Rule(2),
        ),
        (
            of_token(&["team/*"], pull),
            "team/a",
            false,
            Basis::Credential,
        ),
        (
            of_token(&["other"], Actions::ALL),
            "team/a",
            false,
            Basis::Credential,
        ),
        (
            of_token(&[], Actions::ALL),
            "team/a",
            false,
            Basis::Credential,
        ),
        (
            of_token(&["**"], Actions::ALL),
            "public/a",
            false,
            Basis::NoRule,
        ),
        (
            of_scopes(&["repository:team/a:pull,push"]),
            "team/a",
            true,
            Basis::Rule(2),
        ),
        (
            of_scopes(&["repository:team/b:*"]),
            "team/a",
            false,
            Basis::Credential,
        ),
        (of_scopes(&[]), "team/a", false, Basis::Credential),
        (
            Limit::Both(
                Box::new(of_token(&["team/*"], Actions::ALL)),
                Box::new(of_scopes(&["repository:team/a:pull"])),
            ),
            "team/a",
            false,
            Basis::Credential,
        ),
    ];
    for (limit, name, allowed, basis) in rows {
        let about = format!("{limit:?} {name}");
        let decision = policy.decide(&limited(limit), &repository(name), Action::Push);
        assert_eq!(decision, Decision { allowed, basis }, "{about}");
    }
}

#[test]
fn an_external_token_alone_decides() {
    let subject = |limit| Identity {
        who: Who::Subject {
            name: "ada".to_owned(),
        },
        limit,
    };
    let scopes = |text: &str| Some(Limit::Scopes(vec![Scope::parse(text).unwrap()]));
    for policy in [
        team(),
        Policy {
            rules: Vec::new(),
            without_rules: WithoutRules::Open,
        },
    ] {
        let decide = |limit, name: &str, action| {
            policy
                .decide(&subject(limit), &repository(name), action)
                .allowed
        };
        assert!(decide(scopes("repository:x:push"), "x", Action::Push));
        assert!(decide(scopes("repository:x:*"), "x", Action::Delete));
        assert!(!decide(scopes("repository:x:push"), "x", Action::Pull));
        assert!(!decide(scopes("repository:x:*"), "public/a", Action::Pull));
        assert!(!decide(None, "x", Action::Pull));
    }
}

#[test]
fn a_token_server_grants_what_is_asked_and_allowed() {
    let policy = team();
    for (who, asked, granted) in [
        ("ada", "repository:team/a:push,pull", "pull,push"),
        ("bob", "repository:team/a:push,pull", "pull"),
        ("anyone", "repository:team/a:push,pull", ""),
        ("anyone", "repository:base:*", "pull"),
        ("root", "repository:team/a:*", "*"),
        ("ada", "repository:team/a:*", "pull,push"),
        ("ada", "registry:catalog:*", "*"),
    ] {
        let scope = Scope::parse(asked).unwrap();
        let actions = policy.intersection(&identity(who), &scope);
        assert_eq!(actions.to_string(), granted, "{who} {asked}");
    }
}

#[test]
fn subjects_are_read_and_written() {
    for text in [
        "anyone",
        "authenticated",
        "user:ada",
        "group:dev",
        "token:ci",
        "user:a:b",
    ] {
        assert_eq!(Subject::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "ada", "Anyone", "user:", "robot:x", "anyone:x"] {
        assert!(Subject::parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_anyone_may_a_machine_s_token_may_too() {
    let policy = team();
    let token = |limit| Identity {
        who: Who::Token {
            name: "ci".to_owned(),
            owner: None,
        },
        limit: Some(limit),
    };
    let globs = || vec![Glob::parse("team/ci-*").unwrap()];
    let own = || Limit::Repositories {
        globs: globs(),
        actions: Actions::PULL_PUSH,
    };
    let may = |identity: &Identity, name: &str, action| {
        policy.decide(identity, &repository(name), action).allowed
    };
    let ci = token(own());
    assert!(may(&ci, "public/a", Action::Pull) && may(&ci, "team/ci-a", Action::Push));
    assert!(!may(&ci, "public/a", Action::Push) && !may(&ci, "team/a", Action::Pull));
    // A Bearer token is good for what it names, and for nothing else.
    let scopes = Limit::Scopes(vec![Scope::parse("repository:team/ci-a:pull").unwrap()]);
    let bearer = token(Limit::Both(Box::new(own()), Box::new(scopes)));
    assert!(may(&bearer, "team/ci-a", Action::Pull));
    assert!(!may(&bearer, "public/a", Action::Pull));
}
