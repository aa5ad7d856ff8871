//! Accounts: what may be made, what is refused with which sentence, and what is answered.

use std::time::SystemTime;

use super::*;
use crate::clock::{MADE_AFTER, ManualClock};
use crate::store::catalog::{self, Location};

fn at(now: SystemTime) -> Administration {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
    let options = catalog::Options {
        clock: Arc::clone(&clock),
        ..catalog::Options::new(Location::Memory)
    };
    let catalog = Catalog::open(options, Box::new(|_| Ok(()))).unwrap();
    Administration::open(Arc::new(catalog), clock, 4).unwrap()
}

fn accounts() -> Administration {
    at(SystemTime::UNIX_EPOCH + MADE_AFTER)
}

fn add(name: &str, password: Option<&str>, groups: &[&str]) -> Command {
    Command::UserAdd {
        name: name.to_owned(),
        password: password.map(Secret::new),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn token(name: &str, repositories: &[&str], actions: &[&str]) -> Command {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Command::TokenCreate {
        name: name.to_owned(),
        owner: None,
        repositories: texts(repositories),
        actions: texts(actions),
        expires_seconds: None,
    }
}

fn groups(name: &str, groups: &[&str]) -> Command {
    Command::UserGroups {
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn user(reply: Result<Reply, AccountError>) -> UserView {
    match reply {
        Ok(Reply::User { user, .. }) => user,
        other => panic!("{other:?}"),
    }
}

fn refused(accounts: &Administration, command: Command) -> String {
    let generation = accounts.generation();
    let said = accounts.run(command).unwrap_err().to_string();
    assert_eq!(accounts.generation(), generation, "nothing was changed");
    assert!(!said.ends_with('.'), "{said}");
    said
}

#[test]
fn a_user_is_made_changed_and_removed() {
    let accounts = accounts();
    let made = user(accounts.run(add("ada", Some("hunter22"), &["ops", "dev", "ops"])));
    let expected = UserView {
        name: "ada".to_owned(),
        disabled: false,
        password: true,
        groups: vec!["dev".to_owned(), "ops".to_owned()],
        created_at: "2026-11-24T00:00:00Z".to_owned(),
    };
    assert_eq!(made, expected);
    let name = || "ada".to_owned();
    assert!(user(accounts.run(Command::UserDisable { name: name() })).disabled);
    assert!(!user(accounts.run(Command::UserEnable { name: name() })).disabled);
    let changed = user(accounts.run(groups("ada", &["qa"])));
    assert_eq!(changed.groups, ["qa"]);
    assert_eq!(
        user(accounts.run(groups("ada", &[]))).groups,
        Vec::<String>::new()
    );
    assert!(accounts.any());
    let removed = user(accounts.run(Command::UserRemove { name: name() }));
    assert_eq!(removed.name, "ada");
    assert!(!accounts.any());
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let accounts = accounts();
    accounts.run(add("ada", None, &[])).unwrap();
    accounts.run(token("ci", &["**"], &["pull"])).unwrap();
    let many: Vec<String> = (0..65).map(|at| format!("g{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (command, part) in [
        (add("Ada", None, &[]), "\"Ada\" is no name for a user"),
        (add("ada", None, &[]), "there is a user ada already"),
        (add("bob", Some("short"), &[]), "fewer than 8"),
        (
            add("bob", Some(&"x".repeat(73)), &[]),
            "73 bytes, more than the 72",
        ),
        (add("bob", Some("with\0 a NUL"), &[]), "NUL"),
        (add("bob", None, &["Dev"]), "\"Dev\" is no name for a group"),
        (add("bob", None, &many), "at most 64 groups"),
        (groups("ada", &["x/y"]), "no name for a group"),
        (groups("bob", &["x"]), "there is no user \"bob\""),
        (token("CI", &["**"], &["pull"]), "no name for a token"),
        (
            token("ci", &["**"], &["pull"]),
            "there is a token ci already",
        ),
        (token("x", &[], &["pull"]), "1 to 64 patterns"),
        (token("x", &many, &["pull"]), "1 to 64 patterns"),
        (
            token("x", &["Team"], &["pull"]),
            "the pattern \"Team\" has 'T'",
        ),
        (token("x", &["**"], &[]), "needs an action"),
        (token("x", &["**"], &["fly"]), "\"fly\" is no action"),
    ] {
        let said = refused(&accounts, command);
        assert!(said.contains(part), "{said}");
    }
    for (kind, command) in [
        (
            "user",
            Command::UserShow {
                name: "bob".to_owned(),
            },
        ),
        (
            "user",
            Command::UserRemove {
                name: "bob".to_owned(),
            },
        ),
        (
            "user",
            Command::UserEnable {
                name: "bob".to_owned(),
            },
        ),
        (
            "token",
            Command::TokenRevoke {
                name: "bob".to_owned(),
            },
        ),
    ] {
        let said = refused(&accounts, command);
        assert_eq!(
            said,
            format!("there is no {kind} \"bob\"; `coracle {kind} list` shows them all")
        );
    }
}

#[test]
fn a_token_shows_its_secret_once_and_ends_when_it_was_said() {
    let accounts = accounts();
    accounts.run(add("ada", None, &[])).unwrap();
    let create = |name: &str, owner: &str, seconds| Command::TokenCreate {
        name: name.to_owned(),
        owner: Some(owner.to_owned()),
        repositories: vec!["team/**".to_owned()],
        actions: vec!["push".to_owned(), "pull".to_owned()],
        expires_seconds: Some(seconds),
    };
    let Ok(Reply::Token {
        token,
        secret: Some(secret),
        ..
    }) = accounts.run(create("ci", "ada", 86_400))
    else {
        panic!("no token")
    };
    let expected = TokenView {
        name: "ci".to_owned(),
        owner: Some("ada".to_owned()),
        repositories: vec!["team/**".to_owned()],
        actions: vec!["pull".to_owned(), "push".to_owned()],
        created_at: "2026-11-24T00:00:00Z".to_owned(),
        expires_at: Some("2026-11-25T00:00:00Z".to_owned()),
        expired: false,
    };
    assert_eq!(token, expected);
    let listed = accounts.run(Command::Tokens { after: None }).unwrap();
    let listed = serde_json::to_string(&listed).unwrap();
    assert!(listed.contains("\"ci\"") && !listed.contains(secret.reveal()));
    let said = refused(&accounts, create("x", "bob", 60));
    assert!(said.contains("there is no user \"bob\""), "{said}");
    for seconds in [0, EXPIRES_MAX.as_secs() + 1, u64::MAX] {
        let said = refused(&accounts, create("x", "ada", seconds));
        assert!(said.contains("3650 days"), "{said}");
    }
    let wrong = at(SystemTime::UNIX_EPOCH);
    wrong.run(add("ada", None, &[])).unwrap();
    assert!(refused(&wrong, create("x", "ada", 60)).contains("clock"));
}

#[test]
fn lists_come_in_pages() {
    let accounts = accounts();
    for at in 0..=PAGE {
        accounts.run(add(&format!("u{at:04}"), None, &[])).unwrap();
    }
    let page = |after| match accounts.run(Command::Users { after }) {
        Ok(Reply::Users { users, more }) => (users, more),
        other => panic!("{other:?}"),
    };
    let (first, more) = page(None);
    assert_eq!((first.len(), more), (PAGE, true));
    let (rest, more) = page(first.last().map(|user| user.name.clone()));
    assert_eq!((rest.len(), more), (1, false));
    assert_eq!(rest[0].name, format!("u{PAGE:04}"));
}
