//! `coracle access explain`, from outside: beside a running server and without one, in words and
//! as JSON, with accounts of every kind, and its exit codes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::program::{Run, run};
use crate::support::{HTPASSWD, Server, start_configured};

const ALLOWED: i32 = 0;
const REFUSED: i32 = 1;
const USAGE: i32 = 2;

/// Anyone pulls from `public/`, developers work in `team/`, everybody has a home, and the token
/// `ci` may do everything that its own limit lets it.
const RULES: &str = r#"
[[access]]
who = "anyone"
repositories = ["public/**"]
actions = ["pull"]

[[access]]
who = "group:dev"
repositories = ["team/**"]
actions = ["pull", "push"]

[[access]]
who = "authenticated"
repositories = ["home/{user}/**"]
actions = ["*"]

[[access]]
who = "token:ci"
repositories = ["**"]
actions = ["*"]
"#;

/// Asks about the registry in this folder, by this configuration file.
fn explain(config: &Path, data: &Path, question: &[&str]) -> Run {
    let (config, data) = (config.to_str().unwrap(), data.to_str().unwrap());
    let ask = ["--config", config, "access", "explain"];
    run(&[&ask, question, &["--data", data]].concat(), "")
}

/// Makes ada, a developer; bob, in no group; eve, who is disabled; and the token `ci`.
fn make_accounts(data: &Path) {
    let data = data.to_str().unwrap();
    for words in [
        &["user", "add", "ada", "--group", "dev", "--no-password"][..],
        &["user", "add", "bob", "--no-password"],
        &["user", "add", "eve", "--group", "dev", "--no-password"],
        &["user", "disable", "eve"],
        &[
            "token",
            "create",
            "ci",
            "--repository",
            "team/ci-*",
            "--actions",
            "pull,push",
        ],
    ] {
        run(&[words, &["--data", data]].concat(), "").expect(0);
    }
}

/// What is asked, the exit code, and what the answer says.
const QUESTIONS: [(&[&str], i32, &str); 16] = [
    (
        &["anyone", "public/a", "pull"],
        ALLOWED,
        "anyone may pull public/a: rule 1 (",
    ),
    (
        &["anyone", "public/a", "push"],
        REFUSED,
        "anyone may not push public/a: none of the 4 rules lets anyone push public/a",
    ),
    (
        &["user:ada", "team/a/b", "push"],
        ALLOWED,
        "who group:dev, repositories team/**, actions pull,push",
    ),
    (&["user:ada", "team/a", "delete"], REFUSED, "may not delete"),
    (&["user:ada", "home/ada/a", "admin"], ALLOWED, "rule 3 ("),
    (
        &["user:ada", "home/bob/a", "pull"],
        REFUSED,
        "none of the 4",
    ),
    (&["user:bob", "team/a", "pull"], REFUSED, "none of the 4"),
    (&["user:bob", "public/a", "pull"], ALLOWED, "rule 1 ("),
    (&["group:dev", "team/a", "push"], ALLOWED, "rule 2 ("),
    (&["group:ops", "team/a", "push"], REFUSED, "none of the 4"),
    (&["authenticated", "team/a", "pull"], REFUSED, "none of"),
    // Somebody is asked about, but nobody has this name.
    (&["authenticated", "home/a/b", "pull"], REFUSED, "none of"),
    (&["token:ci", "team/ci-linux", "push"], ALLOWED, "rule 4 ("),
    (
        &["token:ci", "team/a", "push"],
        REFUSED,
        "a rule allows it, but token:ci is limited to less than push team/a",
    ),
    (
        &["token:ci", "team/ci-linux", "delete"],
        REFUSED,
        "is limited to less than",
    ),
    (
        &["user:nobody", "team/a", "pull"],
        REFUSED,
        "nobody is let in as user:nobody; with such an account it would not be allowed: none",
    ),
];

#[track_caller]
fn check_questions(config: &Path, data: &Path) {
    for (question, code, said) in QUESTIONS {
        let answer = explain(config, data, question).expect(code);
        assert!(answer.stdout.contains(said), "{question:?}: {answer:?}");
        assert_eq!(answer.stderr, "", "{question:?}");
        let is_unknown = question[0] == "user:nobody";
        assert_eq!(
            answer.stdout.contains("nobody is let in as"),
            is_unknown,
            "{answer:?}"
        );
    }
}

#[test]
fn beside_a_running_server_and_without_one_the_answers_are_the_same() {
    let mut server = start_configured(RULES, &[]);
    let config = server.folder().join("coracle.toml");
    make_accounts(server.data());
    check_questions(&config, server.data());
    server.stop();
    check_questions(&config, server.data());
    server.launch();
    server.stop_and_check();
}

#[test]
fn a_running_server_answers_by_its_own_rules() {
    let server = start_configured(RULES, &[]);
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.toml");
    let rule = "[[access]]\nwho = \"anyone\"\nrepositories = \"**\"\nactions = \"*\"\n";
    fs::write(&other, rule).unwrap();
    let question = ["anyone", "team/a", "delete"];
    explain(&other, server.data(), &question).expect(REFUSED);
    let data = server.data().to_owned();
    let mut server = server;
    server.stop();
    let answer = explain(&other, &data, &question).expect(ALLOWED);
    assert!(answer.stdout.contains("other.toml"), "{answer:?}");
}

#[test]
fn json_has_every_part_of_the_answer() {
    let server = start_configured(RULES, &[]);
    let config = server.folder().join("coracle.toml");
    make_accounts(server.data());
    let answer = |question: &[&str], code| {
        let question = [question, &["--json"]].concat();
        explain(&config, server.data(), &question)
            .expect(code)
            .json()
    };
    let mut allowed = answer(&["user:ada", "team/a", "push"], ALLOWED);
    let place = allowed["where"].take();
    let place = place.as_str().expect("where the rule stands");
    assert!(
        place.ends_with(":7"),
        "{place} names the line of the second rule"
    );
    let reason = allowed["reason"].take();
    let reason = reason.as_str().expect("a reason");
    assert!(reason.contains(place), "{reason} names {place}");
    assert_eq!(
        allowed,
        json!({
            "who": "user:ada", "known": true, "repository": "team/a", "action": "push",
            "allowed": true, "reason": null, "rule": 2, "where": null,
        })
    );
    let refused = answer(&["token:nothing", "team/a", "push"], REFUSED);
    assert_eq!(refused["known"], false);
    assert_eq!(refused["allowed"], false);
    assert_eq!(
        (&refused["rule"], &refused["where"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn who_is_disabled_or_revoked_is_nobody() {
    let server = start_configured(RULES, &[]);
    let config = server.folder().join("coracle.toml");
    make_accounts(server.data());
    let note = |who: &str| {
        let answer = explain(&config, server.data(), &[who, "team/ci-a", "pull"]);
        answer.stdout.contains("nobody is let in as")
    };
    assert!(note("user:eve"), "she is disabled");
    assert!(!note("token:ci"));
    let data = server.data().to_str().unwrap();
    run(&["token", "revoke", "ci", "--data", data], "").expect(0);
    run(&["user", "enable", "eve", "--data", data], "").expect(0);
    assert!(note("token:ci"), "it was revoked");
    assert!(!note("user:eve"), "she is enabled");
}

#[test]
fn users_of_an_htpasswd_file_are_known_and_without_rules_may_do_everything() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    fs::write(&file, HTPASSWD).unwrap();
    let toml = format!("[auth]\nhtpasswd = {:?}\n", file.to_str().unwrap());
    let mut server = start_configured(&toml, &[]);
    let config = server.folder().join("coracle.toml");
    let check = |data: &Path| {
        let answer = explain(&config, data, &["user:ada", "team/a", "delete"]).expect(ALLOWED);
        assert_eq!(
            answer.stdout,
            "user:ada may delete team/a: there is no rule, so whoever has an account may do \
             everything\n"
        );
        let answer = explain(&config, data, &["anyone", "team/a", "pull"]).expect(REFUSED);
        assert!(
            answer
                .stdout
                .contains("nobody may do anything without an account"),
            "{answer:?}"
        );
        let answer = explain(&config, data, &["user:bob", "team/a", "pull"]);
        assert!(
            answer
                .stdout
                .contains("nobody is let in as user:bob; with such an account it would be allowed"),
            "{answer:?}"
        );
    };
    check(server.data());
    server.stop();
    check(server.data());
}

#[test]
fn without_rules_and_accounts_everything_is_open() {
    let server = Server::start(&[]);
    let data = server.data().to_str().unwrap();
    let ask = ["access", "explain", "anyone", "a", "admin", "--data", data];
    let answer = run(&ask, "").expect(ALLOWED);
    assert!(
        answer.stdout.contains("neither a rule nor an account"),
        "{answer:?}"
    );
    run(&["user", "add", "ada", "--no-password", "--data", data], "").expect(0);
    run(&ask, "").expect(REFUSED);
}

#[test]
fn a_token_server_alone_decides() {
    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("jwks.json");
    let key = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": key }] });
    fs::write(&jwks, keys.to_string()).unwrap();
    let toml = format!(
        "[token]\nrealm = \"https://auth.example/token\"\nservice = \"registry.example\"\n\
         issuer = \"auth.example\"\njwks = {:?}\n",
        jwks.to_str().unwrap()
    );
    let server = start_configured(&toml, &[]);
    let config = server.folder().join("coracle.toml");
    let answer = explain(&config, server.data(), &["user:ada", "a", "pull"]).expect(REFUSED);
    assert!(
        answer.stdout.contains("the token server alone decides"),
        "{answer:?}"
    );
}

#[test]
fn what_makes_no_sense_is_a_mistake_of_the_command_line() {
    let server = Server::start(&[]);
    let data = server.data().to_str().unwrap();
    for (question, word) in [
        (&["ada", "a", "pull"][..], "is nobody"),
        (&["user:", "a", "pull"], "lacks a name"),
        (&["anyone", "UPPER", "pull"], "UPPER"),
        (&["anyone", "a", "write"], "an action is pull"),
        (&["anyone", "a"], "ACTION"),
        (&["anyone", "a", "pull", "more"], "more"),
    ] {
        let words = [&["access", "explain"], question, &["--data", data]].concat();
        let answer = run(&words, "").expect(USAGE);
        assert!(answer.stderr.contains(word), "{answer:?}");
        assert_eq!(answer.stdout, "");
    }
}

#[test]
fn without_a_registry_there_is_nothing_to_explain() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let answer = run(
        &["access", "explain", "anyone", "a", "pull", "--data", data],
        "",
    );
    assert!(![ALLOWED, USAGE].contains(&answer.code), "{answer:?}");
    assert!(
        answer.stderr.contains("there is no registry in"),
        "{answer:?}"
    );
    assert!(!Path::new(data).exists(), "nothing was made");
}
