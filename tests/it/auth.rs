//! Passwords over the wire: htpasswd files as Distribution has them, accounts with rules, machines'
//! tokens, and what the logs say of all that.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::image::{Image, digest};
use crate::support::{
    ADA, Client, HTPASSWD, Response, Server, coracle, eventually, start_configured,
};

const PASSWORD: &str = "correct horse battery";

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn with(server: &Server, authorization: &str) -> Client {
    server.client().with_header("Authorization", authorization)
}

fn challenge(answer: &Response) -> &str {
    answer.header("WWW-Authenticate").unwrap_or_default()
}

/// A server with this htpasswd file and these further settings, and the file's path.
fn htpasswd_server(lines: &str, toml: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("users"), lines).unwrap();
    let config = folder.path().join("coracle.toml");
    let users = folder.path().join("users");
    fs::write(
        &config,
        format!("[auth]\nhtpasswd = \"{}\"\n{toml}", users.display()),
    )
    .unwrap();
    let server = Server::start(&["--config", config.to_str().unwrap(), "--memory"]);
    (server, folder)
}

/// Runs `coracle` on a server's folder with this on its standard input.
#[track_caller]
fn admin(server: &Server, words: &[&str], input: &str) -> String {
    let mut command = coracle();
    command.args(words).arg("--data").arg(server.data());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("start coracle");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("write the input");
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn with_an_htpasswd_file_alone_it_is_as_in_distribution() {
    let (server, _folder) = htpasswd_server(HTPASSWD, "realm = \"team registry\"\n");
    let mut nobody = server.client();
    let answer = nobody.get("/v2/").expect_error(401, "UNAUTHORIZED");
    assert_eq!(challenge(&answer), "Basic realm=\"team registry\"");
    assert_eq!(answer.json()["errors"][0]["detail"], Value::Null);
    let answer = nobody.delete("/v2/a/manifests/v1").expect(401);
    assert_eq!(challenge(&answer), "Basic realm=\"team registry\"");
    assert_eq!(
        answer.json()["errors"][0]["detail"],
        json!([{ "Type": "repository", "Class": "", "Name": "a", "Action": "delete" }])
    );
    // Whoever is in the file may do everything.
    let mut ada = with(&server, ADA);
    ada.get("/v2/").expect(200);
    let image = Image::oci(1, &[1000]);
    ada.push_image("a", "v1", &image);
    ada.expect_image("a", "v1", &image);
    let names = ada.get("/v2/_catalog").expect(200).json();
    assert_eq!(names["repositories"], json!(["a"]));
    ada.delete("/v2/a/manifests/v1").expect(202);
    for wrong in [
        basic("ada", "wrong"),
        basic("bob", PASSWORD),
        basic("", ""),
        "Basic x".to_owned(),
        "Bearer x".to_owned(),
    ] {
        let answer = with(&server, &wrong).get("/v2/").expect(401);
        assert_eq!(
            challenge(&answer),
            "Basic realm=\"team registry\"",
            "{wrong}"
        );
    }
}

#[test]
fn only_bcrypt_lines_let_anybody_in_and_the_last_of_a_name_counts() {
    let hash = HTPASSWD.trim_end().strip_prefix("ada:").unwrap();
    let lines = format!(
        "# a comment\n\nada:$2y$04$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\
         old:$apr1$x$y\nplain:{PASSWORD}\nsha:{{SHA}}abc=\nada:{hash}\nbob:{}\n",
        hash.replace("$2y$", "$2a$")
    );
    let (server, _folder) = htpasswd_server(&lines, "");
    let mut client = with(&server, ADA);
    client.get("/v2/").expect(200);
    with(&server, &basic("bob", PASSWORD))
        .get("/v2/")
        .expect(200);
    for name in ["old", "plain", "sha"] {
        with(&server, &basic(name, PASSWORD))
            .get("/v2/")
            .expect(401);
        assert!(
            server.log().contains(name),
            "{name} is reported at the start"
        );
    }
}

#[test]
fn an_edit_of_the_htpasswd_file_counts_and_a_bad_one_does_not() {
    let (server, folder) = htpasswd_server(HTPASSWD, "");
    let path = folder.path().join("users");
    with(&server, ADA).get("/v2/").expect(200);
    let bob = basic("bob", PASSWORD);
    with(&server, &bob).get("/v2/").expect(401);
    fs::write(
        &path,
        format!("{HTPASSWD}{}", HTPASSWD.replace("ada", "bob")),
    )
    .unwrap();
    eventually("bob is let in", || {
        (with(&server, &bob).get("/v2/").status == 200).then_some(())
    });
    // A line without a colon locks nobody out, and health tells of it.
    fs::write(&path, "no colon here\n").unwrap();
    eventually("health names the line", || {
        with(&server, ADA).get("/v2/").expect(200);
        let text = server.client().get("/readyz").expect(200).text();
        text.contains("users:1").then_some(())
    });
    with(&server, &bob).get("/v2/").expect(200);
    fs::remove_file(&path).unwrap();
    with(&server, &bob).get("/v2/").expect(200);
    // Put right again, without bob.
    fs::write(&path, HTPASSWD).unwrap();
    eventually("bob is out", || {
        (with(&server, &bob).get("/v2/").status == 401).then_some(())
    });
    let text = server.client().get("/readyz").expect(200).text();
    assert!(!text.contains("users"), "{text}");
}

/// Accounts made beside a running server close it, and count at once.
#[test]
fn the_first_account_closes_an_open_registry() {
    let mut server = Server::start(&[]);
    let image = Image::oci(1, &[1000]);
    server.client().push_image("a", "v1", &image);
    admin(
        &server,
        &["user", "add", "ada", "--password-stdin"],
        PASSWORD,
    );
    let mut nobody = server.client();
    let answer = nobody.get("/v2/a/manifests/v1").expect(401);
    assert!(challenge(&answer).starts_with("Bearer realm=\"http://"));
    with(&server, ADA).expect_image("a", "v1", &image);
    with(&server, &basic("ada", "wrong"))
        .get("/v2/")
        .expect(401);
    admin(&server, &["user", "disable", "ada"], "");
    with(&server, ADA).get("/v2/").expect(401);
    admin(&server, &["user", "enable", "ada"], "");
    with(&server, ADA).get("/v2/").expect(200);
    admin(
        &server,
        &["user", "passwd", "ada", "--password-stdin"],
        "another password",
    );
    with(&server, ADA).get("/v2/").expect(401);
    let ada = basic("ada", "another password");
    with(&server, &ada).get("/v2/").expect(200);
    server.restart();
    with(&server, &ada).expect_image("a", "v1", &image);
    server.client().get("/v2/").expect(401);
    server.stop_and_check();
}

const TEAM: &str = "[[access]]\nwho = \"anyone\"\nrepositories = \"public/**\"\n\
                    actions = \"pull\"\n\
                    [[access]]\nwho = \"group:dev\"\nrepositories = \"team/**\"\n\
                    actions = [\"pull\", \"push\"]\n\
                    [[access]]\nwho = \"authenticated\"\nrepositories = \"team/**\"\n\
                    actions = \"pull\"\n\
                    [[access]]\nwho = \"authenticated\"\nrepositories = \"home/{user}/**\"\n\
                    actions = \"*\"\n\
                    [[access]]\nwho = \"token:ci\"\nrepositories = \"team/**\"\n\
                    actions = [\"pull\", \"push\", \"delete\"]\n";

#[test]
fn a_team_shares_a_registry() {
    let mut server = start_configured(TEAM, &[]);
    let add = ["user", "add", "ada", "--group", "dev", "--password-stdin"];
    admin(&server, &add, PASSWORD);
    admin(
        &server,
        &["user", "add", "bob", "--password-stdin"],
        PASSWORD,
    );
    let bob = basic("bob", PASSWORD);
    let image = Image::oci(1, &[1000]);
    let mut ada = with(&server, ADA);
    ada.push_image("team/app", "v1", &image);
    ada.push_image("home/ada/app", "v1", &image);
    let mut client = with(&server, &bob);
    client.expect_image("team/app", "v1", &image);
    // What is forbidden and what does not exist look alike.
    let forbidden = client.get("/v2/home/ada/app/tags/list").expect(403);
    let unknown = client.get("/v2/home/ada/none/tags/list").expect(403);
    let message = |answer: &Response| answer.json()["errors"][0]["message"].clone();
    assert_eq!(message(&forbidden), message(&unknown));
    client
        .post("/v2/team/app/blobs/uploads/", "")
        .expect_error(403, "DENIED");
    client.delete("/v2/team/app/manifests/v1").expect(403);
    client.push_image("home/bob/x", "v1", &image);
    client.delete("/v2/home/bob/x/manifests/v1").expect(202);
    let names = client.get("/v2/_catalog").expect(200).json();
    assert_eq!(names["repositories"], json!(["home/bob/x", "team/app"]));
    server.client().get("/v2/team/app/tags/list").expect(401);
    server.client().get("/v2/public/x/tags/list").expect(404);
    server.stop_and_check();
}

#[test]
fn a_machine_s_token_does_what_it_is_limited_to() {
    let mut server = start_configured(TEAM, &[]);
    let made = admin(
        &server,
        &[
            "token",
            "create",
            "ci",
            "--repository",
            "team/ci-*",
            "--actions",
            "pull,push",
            "--json",
        ],
        "",
    );
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let image = Image::oci(1, &[1000]);
    for authorization in [format!("Bearer {secret}"), basic("whatever", &secret)] {
        let mut ci = with(&server, &authorization);
        ci.push_image("team/ci-app", "v1", &image);
        ci.expect_image("team/ci-app", "v1", &image);
        // A rule allows it, the token does not; a token allows it, no rule does.
        assert_eq!(ci.post("/v2/team/app/blobs/uploads/", "").status / 100, 4);
        assert_eq!(ci.delete("/v2/team/ci-app/manifests/v1").status / 100, 4);
        assert_eq!(ci.get("/v2/home/ci/x/tags/list").status / 100, 4);
        let names = ci.get("/v2/_catalog").expect(200).json();
        assert_eq!(names["repositories"], json!(["team/ci-app"]));
    }
    let wrong = secret.replace("coracle_", "coracle_x");
    with(&server, &format!("Bearer {wrong}"))
        .get("/v2/")
        .expect(401);
    admin(&server, &["token", "revoke", "ci"], "");
    with(&server, &format!("Bearer {secret}"))
        .get("/v2/")
        .expect(401);
    with(&server, &basic("ci", &secret)).get("/v2/").expect(401);
    assert!(!server.log().contains(&secret), "no secret is ever logged");
    server.stop_and_check();
}

/// The members of the audit records with this event.
fn audited(server: &Server, event: &str) -> Vec<Value> {
    let log = server.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["target"] == "audit" && line["event"] == event)
        .collect()
}

#[test]
fn the_audit_log_tells_who_did_what() {
    let toml = format!("[log]\nformat = \"json\"\n{TEAM}");
    let server = start_configured(&toml, &[]);
    let add = ["user", "add", "ada", "--group", "dev", "--password-stdin"];
    admin(&server, &add, PASSWORD);
    let image = Image::oci(1, &[1000]);
    let mut ada = with(&server, ADA);
    ada.push_image("team/app", "v1", &image);
    ada.delete("/v2/team/app/manifests/v1").expect(403);
    with(&server, &basic("ada", "wrong"))
        .get("/v2/")
        .expect(401);
    with(&server, &basic("mallory", "secret-guess"))
        .get("/v2/")
        .expect(401);

    let added = &audited(&server, "user_added")[0];
    assert_eq!(
        (&added["actor"], &added["account"]),
        (&json!("local"), &json!("user:ada"))
    );
    let login = &audited(&server, "login")[0];
    assert_eq!(login["actor"], "user:ada");
    assert_eq!(login["client"], "127.0.0.1");
    let push = &audited(&server, "push")[0];
    assert_eq!(push["actor"], "user:ada");
    assert_eq!(push["repository"], "team/app");
    assert_eq!(push["reference"], "v1");
    assert_eq!(push["digest"], image.digest());
    assert!(push["request_id"].is_string());
    let layer = digest(&image.layers[0]);
    let mount = format!("/v2/team/other/blobs/uploads/?mount={layer}&from=team/app");
    ada.post(&mount, "").expect(201);
    let mounted = &audited(&server, "mount")[0];
    assert_eq!(mounted["repository"], "team/other");
    assert_eq!(mounted["digest"], layer);
    let denied = &audited(&server, "access_denied")[0];
    assert_eq!(denied["actor"], "user:ada");
    assert_eq!(denied["reference"], "repository:team/app:delete");
    assert_eq!(denied["outcome"], "refused");
    let failed = audited(&server, "login_failed");
    assert_eq!(failed.len(), 2);
    for (record, name) in failed.iter().zip(["ada", "mallory"]) {
        assert_eq!(record["attempted"], name);
        assert_eq!(record.get("actor"), None, "nobody was verified");
    }
    for secret in [PASSWORD, "secret-guess"] {
        assert!(!server.log().contains(secret));
    }
    // The access log names who was verified, and nobody else.
    let log = server.log();
    let actors: Vec<String> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["target"] == "access")
        .filter_map(|line| line["actor"].as_str().map(str::to_owned))
        .collect();
    assert!(actors.contains(&"user:ada".to_owned()));
    assert!(!actors.contains(&"user:mallory".to_owned()));
}

#[test]
fn a_flood_of_wrong_logins_is_slowed_down_and_disturbs_nobody() {
    let (server, _folder) = htpasswd_server(HTPASSWD, "");
    let mut ada = with(&server, ADA);
    ada.get("/v2/").expect(200);
    let mut statuses = Vec::new();
    for guess in 0..40 {
        let answer = with(&server, &basic("ada", &format!("guess {guess}"))).get("/v2/");
        if answer.status == 429 {
            assert!(answer.header("Retry-After").is_some());
        }
        statuses.push(answer.status);
        // Whoever was verified before is not locked out by others' guesses.
        ada.get("/v2/").expect(200);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)));
}
