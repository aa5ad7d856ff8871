//! Users, groups and tokens as rows.

use super::*;

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn new_token(name: &str, secret: u8, owner: Option<&str>) -> NewToken {
    NewToken {
        name: name.to_owned(),
        secret_hash: [secret; 32],
        owner: owner.map(str::to_owned),
        repositories: groups(&["team/**", "home/{user}/*"]),
        actions: "pull,push".to_owned(),
        expires_at: Some(7),
    }
}

fn user(catalog: &Catalog, name: &'static str) -> Option<UserRow> {
    read(catalog, |tx| tx.user(name))
}

fn insert(catalog: &Catalog, token: NewToken) -> TokenInserted {
    write(catalog, move |tx| tx.insert_token(&token))
}

#[test]
fn users_are_found_as_they_were_written() {
    everywhere(|catalog| {
        assert!(!read(catalog, |tx| tx.has_accounts()));
        assert!(write(catalog, |tx| {
            tx.insert_user("ada", Some("$2b$x"), &groups(&["ops", "dev"]))
        }));
        assert!(write(catalog, |tx| tx.insert_user("bob", None, &[])));
        assert!(
            !write(catalog, |tx| tx.insert_user("ada", None, &[])),
            "taken"
        );
        let ada = user(catalog, "ada").unwrap();
        assert_eq!(ada.password_hash.as_deref(), Some("$2b$x"));
        assert_eq!(
            (ada.groups.clone(), ada.disabled),
            (groups(&["dev", "ops"]), false)
        );
        assert_eq!(user(catalog, "Ada"), None, "case counts");
        assert!(read(catalog, |tx| tx.has_accounts()));
        let all = read(catalog, |tx| tx.users(None, 10));
        let names: Vec<&str> = all.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["ada", "bob"]);
        assert_eq!(read(catalog, |tx| tx.users(None, 1)), [ada]);
        assert_eq!(read(catalog, |tx| tx.users(Some("ada"), 10)).len(), 1);
    });
}

#[test]
fn a_change_of_a_credential_takes_a_version_that_never_was() {
    everywhere(|catalog| {
        let mut seen = Vec::new();
        let mut is_new = |version: u64| {
            let is_new = !seen.contains(&version);
            seen.push(version);
            is_new
        };
        let version = || user(catalog, "ada").unwrap().version;
        write(catalog, |tx| tx.insert_user("ada", None, &[]));
        assert!(is_new(version()));
        assert!(write(catalog, |tx| tx.set_password("ada", "h")));
        assert!(is_new(version()));
        assert!(write(catalog, |tx| tx.set_disabled("ada", true)));
        assert!(user(catalog, "ada").unwrap().disabled && is_new(version()));
        let before = version();
        assert!(write(catalog, |tx| tx.set_groups("ada", &groups(&["x"]))));
        assert_eq!(version(), before);
        assert_eq!(user(catalog, "ada").unwrap().groups, ["x"]);
        assert!(write(catalog, |tx| tx.delete_user("ada")));
        write(catalog, |tx| tx.insert_user("ada", None, &[]));
        assert!(is_new(version()));
        insert(catalog, new_token("ci", 1, None));
        let token = read(catalog, |tx| tx.token("ci")).unwrap();
        assert!(is_new(token.version));
        for missing in [
            write(catalog, |tx| tx.set_password("eve", "h")),
            write(catalog, |tx| tx.set_disabled("eve", true)),
            write(catalog, |tx| tx.set_groups("eve", &[])),
            write(catalog, |tx| tx.delete_user("eve")),
        ] {
            assert!(!missing);
        }
    });
}

#[test]
fn tokens_are_found_by_their_secret_and_go_with_their_owner() {
    everywhere(|catalog| {
        write(catalog, |tx| tx.insert_user("ada", None, &groups(&["dev"])));
        assert_eq!(
            insert(catalog, new_token("ci", 1, Some("ada"))),
            TokenInserted::Yes
        );
        assert_eq!(
            insert(catalog, new_token("free", 2, None)),
            TokenInserted::Yes
        );
        assert_eq!(
            insert(catalog, new_token("ci", 3, None)),
            TokenInserted::NameTaken
        );
        assert_eq!(
            insert(catalog, new_token("x", 3, Some("eve"))),
            TokenInserted::NoOwner
        );
        let ci = read(catalog, |tx| tx.token_by_secret(&[1; 32])).unwrap();
        assert_eq!((ci.name.as_str(), ci.expires_at), ("ci", Some(7)));
        assert_eq!(ci.repositories, ["team/**", "home/{user}/*"]);
        assert_eq!(ci.owner, user(catalog, "ada"));
        assert_eq!(read(catalog, |tx| tx.token("ci")), Some(ci.clone()));
        assert_eq!(read(catalog, |tx| tx.token_by_secret(&[9; 32])), None);
        assert_eq!(read(catalog, |tx| tx.tokens(None, 1)), [ci]);
        assert_eq!(read(catalog, |tx| tx.tokens(Some("ci"), 10)).len(), 1);
        write(catalog, |tx| tx.delete_user("ada"));
        assert_eq!(read(catalog, |tx| tx.token("ci")), None);
        assert!(read(catalog, |tx| tx.has_accounts()), "the other one");
        assert!(write(catalog, |tx| tx.delete_token("free")));
        assert!(!write(catalog, |tx| tx.delete_token("free")));
        assert!(!read(catalog, |tx| tx.has_accounts()));
    });
}

/// Two secrets with one hash cannot be: the write that would make them is undone.
#[test]
fn a_secret_is_of_one_token() {
    everywhere(|catalog| {
        insert(catalog, new_token("a", 1, None));
        let same = new_token("b", 1, None);
        let outcome: Result<TokenInserted, Error> = catalog.write(move |tx| tx.insert_token(&same));
        assert!(outcome.is_err());
        assert_eq!(read(catalog, |tx| tx.tokens(None, 10)).len(), 1);
    });
}

/// A catalog from before there were accounts has none, and everything else.
#[test]
fn a_catalog_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    let (_, first) = super::super::schema::FILES[0];
    old.execute_batch(first).unwrap();
    old.pragma_update(None, "application_id", super::super::schema::APPLICATION_ID)
        .unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let catalog = in_file(&path);
    push(&catalog, "a", &["m"]);
    assert!(write(&catalog, |tx| tx.insert_user("ada", None, &[])));
    assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
}
