//! `coracle user` and `coracle token`, on a folder and beside a running server; htpasswd files;
//! the audit log.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::image::Image;
use crate::support::{Server, coracle, eventually, start_configured};

const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const CONFIGURATION: i32 = 3;
const DENIED: i32 = 6;

const PASSWORD: &str = "correct horse";
const OTHER: &str = "battery staple";
const CLOSED: &str = "the registry is closed now";

/// What one run of the program came to.
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Outcome {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(self.code, code, "stdout: {stdout}\nstderr: {stderr}");
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("JSON on stdout")
    }
}

/// Runs the program with these words, and with this on its standard input.
fn run_with(words: &[&str], data: &Path, input: &str) -> Outcome {
    let mut command = coracle();
    command.args(words).arg("--data").arg(data);
    finish(command, input)
}

fn finish(mut command: Command, input: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that refuses its words does not read on.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(words: &[&str], data: &Path) -> Outcome {
    run_with(words, data, "")
}

fn add(name: &str, password: &str, data: &Path) -> Outcome {
    run_with(&["user", "add", name, "--password-stdin"], data, password)
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    (folder, data)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// What `GET /v2/` answers to this credential, or to none.
fn status(server: &Server, authorization: Option<&str>) -> u16 {
    let client = server.client();
    let mut client = match authorization {
        Some(value) => client.with_header("Authorization", value),
        None => client,
    };
    client.get("/v2/").status
}

fn lets_in(server: &Server, user: &str, password: &str) -> bool {
    match status(server, Some(&basic(user, password))) {
        200 => true,
        401 => false,
        other => panic!("{user}: {other}"),
    }
}

/// Both ways to work on accounts must do the same.
fn in_both_ways(test: impl Fn(&Path)) {
    let (_folder, data) = folder();
    test(&data);
    let server = Server::start(&[]);
    test(server.data());
}

#[test]
fn users_are_made_changed_listed_and_removed() {
    in_both_ways(|data| {
        let made = add("ada", PASSWORD, data).expect(OK);
        assert_eq!(made.stdout, "user ada was made\n");
        assert!(made.stderr.starts_with(CLOSED), "{}", made.stderr);
        let words = ["user", "add", "bob", "--no-password", "--json"];
        let words = [&words[..], &["--group", "ops", "--group", "dev"]].concat();
        let made = run(&words, data).expect(OK);
        assert_eq!(made.stderr, "", "it was closed before");
        let bob = made.json();
        assert_eq!(bob["groups"], json!(["dev", "ops"]));
        assert_eq!(
            (&bob["password"], &bob["disabled"]),
            (&json!(false), &json!(false))
        );
        assert!(bob["created_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(bob.as_object().unwrap().len(), 5, "{bob}");
        let listed = run(&["user", "list", "--json"], data).expect(OK).json();
        assert_eq!(listed["users"][0]["name"], "ada");
        assert_eq!(listed["users"][1], bob);
        let lines = run(&["user", "list"], data).expect(OK).stdout;
        assert!(lines.starts_with("ada; since 20"), "{lines}");
        assert!(
            lines.contains("\nbob; no password; in dev, ops; since 20"),
            "{lines}"
        );
        run(&["user", "disable", "bob"], data).expect(OK);
        let lines = run(&["user", "list"], data).expect(OK).stdout;
        assert!(lines.contains("bob; disabled; "), "{lines}");
        let bob = run(&["user", "enable", "bob", "--json"], data)
            .expect(OK)
            .json();
        assert_eq!(bob["disabled"], false);
        let groups = run(&["user", "groups", "bob"], data).expect(OK).stdout;
        assert_eq!(groups, "dev\nops\n");
        let groups = run(&["user", "groups", "bob", "qa"], data)
            .expect(OK)
            .stdout;
        assert_eq!(groups, "qa\n");
        let groups = run(&["user", "groups", "bob", "--none"], data)
            .expect(OK)
            .stdout;
        assert_eq!(groups, "");
        let words = ["user", "passwd", "ada", "--password-stdin"];
        let said = run_with(&words, data, "battery staple\n").expect(OK).stdout;
        assert_eq!(said, "user ada has a new password\n");
        let removed = run(&["user", "remove", "ada"], data).expect(OK);
        assert_eq!(removed.stderr, "", "bob is left");
        let removed = run(&["user", "remove", "bob"], data).expect(OK);
        assert!(
            removed.stderr.contains("the registry is open now"),
            "{}",
            removed.stderr
        );
        let listed = run(&["user", "list", "--json"], data).expect(OK).json();
        assert_eq!(listed, json!({ "users": [] }));
    });
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    in_both_ways(|data| {
        let words = ["token", "create", "ci", "--repository", "team/**"];
        let words = [
            &words[..],
            &["--repository", "base", "--actions", "pull,push"],
        ]
        .concat();
        let made = run(&words, data).expect(OK);
        let secret = made.stdout.trim_end();
        assert_eq!((secret.len(), secret.starts_with("coracle_")), (51, true));
        assert!(!made.stderr.contains(secret) && made.stderr.contains(CLOSED));
        add("ada", PASSWORD, data).expect(OK);
        let words = [
            "token",
            "create",
            "laptop",
            "--repository",
            "**",
            "--user",
            "ada",
        ];
        let words = [&words[..], &["--expires", "90d", "--json"]].concat();
        let laptop = run(&words, data).expect(OK).json();
        assert_eq!(laptop["actions"], json!(["pull"]));
        assert_eq!(laptop["owner"], "ada");
        assert!(laptop["secret"].as_str().unwrap().starts_with("coracle_"));
        assert!(laptop["expires_at"].is_string() && laptop["expired"] == false);
        let listed = run(&["token", "list", "--json"], data).expect(OK);
        let laptop_secret = laptop["secret"].as_str().unwrap();
        assert!(!listed.stdout.contains(secret) && !listed.stdout.contains(laptop_secret));
        let expected = json!({
            "name": "ci", "owner": null, "repositories": ["team/**", "base"],
            "actions": ["pull", "push"], "expires_at": null, "expired": false,
            "created_at": listed.json()["tokens"][0]["created_at"],
        });
        assert_eq!(listed.json()["tokens"][0], expected);
        let lines = run(&["token", "list"], data).expect(OK).stdout;
        assert!(
            lines.starts_with("ci; pull,push on team/** base; without an end\n"),
            "{lines}"
        );
        assert!(
            lines.contains("laptop; pull on **; for ada; until 20"),
            "{lines}"
        );
        run(&["token", "revoke", "ci"], data).expect(OK);
        run(&["user", "remove", "ada"], data).expect(OK);
        let listed = run(&["token", "list", "--json"], data).expect(OK).json();
        assert_eq!(
            listed,
            json!({ "tokens": [] }),
            "the laptop's went with its owner"
        );
    });
}

#[test]
fn what_cannot_be_done_is_told_with_what_to_do_next() {
    in_both_ways(|data| {
        add("ada", PASSWORD, data).expect(OK);
        for (words, input, part) in [
            (
                &["user", "add", "ada", "--password-stdin"][..],
                PASSWORD,
                "user ada already",
            ),
            (
                &["user", "add", "Ada", "--password-stdin"],
                PASSWORD,
                "lower-case letters",
            ),
            (
                &["user", "add", "bob", "--password-stdin"],
                "short",
                "fewer than 8",
            ),
            (
                &["user", "add", "bob", "--password-stdin"],
                "",
                "no password came",
            ),
            (&["user", "add", "bob"], "", "--password-stdin"),
            (
                &["user", "passwd", "bob", "--password-stdin"],
                PASSWORD,
                "no user \"bob\"",
            ),
            (
                &["user", "disable", "bob"],
                "",
                "`coracle user list` shows them all",
            ),
            (&["user", "remove", "bob"], "", "no user \"bob\""),
            (&["user", "groups", "ada", "Dev"], "", "no name for a group"),
            (&["token", "revoke", "ci"], "", "no token \"ci\""),
            (
                &[
                    "token",
                    "create",
                    "ci",
                    "--repository",
                    "**",
                    "--user",
                    "bob",
                ],
                "",
                "no user \"bob\"",
            ),
        ] {
            let outcome = run_with(words, data, input).expect(FAILED);
            assert_eq!(outcome.stdout, "", "{words:?}");
            assert!(
                outcome.stderr.starts_with("coracle: "),
                "{}",
                outcome.stderr
            );
            assert!(
                outcome.stderr.contains(part),
                "{words:?}: {}",
                outcome.stderr
            );
            assert!(!outcome.stderr.contains(PASSWORD), "{}", outcome.stderr);
        }
    });
}

#[test]
fn words_that_make_no_sense_are_refused_before_anything_is_opened() {
    let (_folder, data) = folder();
    for (words, part) in [
        (&["user", "add", "ada", PASSWORD][..], PASSWORD),
        (&["token", "create", "ci"], "--repository"),
        (
            &["token", "create", "ci", "--repository", "Team"],
            "lower-case",
        ),
        (
            &[
                "token",
                "create",
                "ci",
                "--repository",
                "**",
                "--actions",
                "fly",
            ],
            "pull, push, delete or admin",
        ),
        (
            &[
                "token",
                "create",
                "ci",
                "--repository",
                "**",
                "--expires",
                "90",
            ],
            "as in 90d",
        ),
        (&["user", "lst"], "list"),
    ] {
        let outcome = run(words, &data).expect(USAGE);
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    for words in [
        &["user", "list"][..],
        &["user", "remove", "ada"],
        &["token", "list"],
    ] {
        let outcome = run(words, &data).expect(FAILED);
        assert!(
            outcome.stderr.contains("there is no registry"),
            "{}",
            outcome.stderr
        );
    }
    assert!(!data.exists());
}

#[test]
fn what_is_changed_beside_a_running_server_holds_at_once() {
    let server = Server::start(&[]);
    let data = server.data().to_owned();
    assert_eq!(status(&server, None), 200, "open");
    add("ada", PASSWORD, &data).expect(OK);
    assert_eq!(status(&server, None), 401, "closed");
    assert!(lets_in(&server, "ada", PASSWORD) && !lets_in(&server, "ada", OTHER));
    assert!(!lets_in(&server, "bob", PASSWORD));
    run(&["user", "disable", "ada"], &data).expect(OK);
    assert!(!lets_in(&server, "ada", PASSWORD));
    run(&["user", "enable", "ada"], &data).expect(OK);
    assert!(lets_in(&server, "ada", PASSWORD));
    run_with(&["user", "passwd", "ada", "--password-stdin"], &data, OTHER).expect(OK);
    assert!(!lets_in(&server, "ada", PASSWORD) && lets_in(&server, "ada", OTHER));
    let words = [
        "token",
        "create",
        "ci",
        "--repository",
        "**",
        "--actions",
        "pull,push",
    ];
    let secret = run(&words, &data).expect(OK).stdout.trim_end().to_owned();
    let bearer = format!("Bearer {secret}");
    assert!(lets_in(&server, "anybody", &secret));
    assert_eq!(status(&server, Some(&bearer)), 200);
    run(&["token", "revoke", "ci"], &data).expect(OK);
    assert!(!lets_in(&server, "anybody", &secret));
    assert_eq!(status(&server, Some(&bearer)), 401);
    run(&["user", "remove", "ada"], &data).expect(OK);
    assert_eq!(status(&server, None), 200, "open again");
}

#[test]
fn accounts_may_come_before_the_first_start_and_survive_a_crash() {
    let mut server = Server::start(&[]);
    server.stop();
    add("ada", PASSWORD, server.data()).expect(OK);
    server.launch();
    assert!(lets_in(&server, "ada", PASSWORD) && status(&server, None) == 401);
    add("bob", OTHER, server.data()).expect(OK);
    server.kill();
    server.launch();
    assert!(lets_in(&server, "bob", OTHER));
    let image = Image::oci(1, &[1000]);
    let mut client = server
        .client()
        .with_header("Authorization", &basic("bob", OTHER));
    client.push_image("team/app", "v1", &image);
    client.expect_image("team/app", "v1", &image);
    server.stop_and_check();
}

#[test]
fn a_new_folder_is_made_for_its_first_account_only() {
    let (_folder, data) = folder();
    let words = ["token", "create", "ci", "--repository", "**"];
    let made = run(&words, &data).expect(OK);
    assert!(made.stderr.contains(CLOSED), "{}", made.stderr);
    assert_eq!(
        run(&["token", "list"], &data)
            .expect(OK)
            .stdout
            .lines()
            .count(),
        1
    );
}

/// The prompt, typed on a terminal: nothing of the password is shown.
#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let (_folder, data) = folder();
    for (typed, code) in [
        (["correct horse\r", "correct horse\r"], OK),
        (["correct horse\r", "battery staple\r"], FAILED),
        (["correct\u{3}", ""], FAILED),
    ] {
        let name = format!("ada{}", typed.concat().len());
        let (screen, exit) = on_a_terminal(&["user", "add", &name], &data, &typed);
        assert_eq!(exit, code, "{screen}");
        assert!(
            screen.contains(&format!("new password of {name}: ")),
            "{screen}"
        );
        assert!(
            !screen.contains("horse") && !screen.contains("staple"),
            "{screen}"
        );
        let was_made = screen.contains(&format!("user {name} was made"));
        assert_eq!(was_made, code == OK, "{screen}");
    }
}

/// Runs the program on a terminal, types an answer after each question, and returns all that was
/// shown and the exit code.
fn on_a_terminal(words: &[&str], data: &Path, typed: &[&str]) -> (String, i32) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let no_controlling_terminal = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let theirs = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(no_controlling_terminal)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut command = coracle();
    command
        .args(words)
        .arg("--data")
        .arg(data)
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs);
    let mut child = command.spawn().unwrap();
    // Its ends of the terminal are its own now, so that we see the end when it ends.
    drop(command);
    let mut ours = fs::File::from(ours);
    let mut screen = Vec::new();
    let mut answers = typed.iter();
    let mut buffer = [0; 1024];
    let mut questions = 0;
    while let Ok(length @ 1..) = ours.read(&mut buffer) {
        screen.extend_from_slice(&buffer[..length]);
        let asked = String::from_utf8_lossy(&screen).matches(": ").count();
        let is_question = screen.ends_with(b": ") && !screen.ends_with(b"coracle: ");
        if asked > questions && is_question {
            questions = asked;
            // The question stands before the terminal is quiet, and what is typed before that
            // is thrown away: the echo goes first.
            eventually("the terminal is quiet", || {
                let modes = rustix::termios::tcgetattr(&ours).unwrap().local_modes;
                (!modes.contains(rustix::termios::LocalModes::ECHO)).then_some(())
            });
            let answer = answers.next().copied().unwrap_or("\u{3}");
            ours.write_all(answer.as_bytes()).unwrap();
        }
    }
    let code = child.wait().unwrap().code().unwrap_or(-1);
    (String::from_utf8_lossy(&screen).into_owned(), code)
}

/// A line of an htpasswd file; the cost is the lowest there is.
fn line(user: &str, password: &str) -> String {
    let hash = bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap();
    format!("{user}:{hash}\n")
}

#[test]
fn an_edit_of_the_htpasswd_file_is_taken_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.htpasswd");
    let apache = "carol:$apr1$salt$hash\n";
    fs::write(&path, line("ada", PASSWORD) + apache).unwrap();
    let toml = format!("[auth]\nhtpasswd = {:?}\n", path.to_str().unwrap());
    let server = start_configured(&toml, &[]);
    let lines = |part: &str| server.log().matches(part).count();
    let ignored = format!("{}:2: carol cannot log in: an MD5 hash", path.display());
    assert_eq!(lines(&ignored), 1, "{}", server.log());
    assert!(lets_in(&server, "ada", PASSWORD) && status(&server, None) == 401);
    // A login that is always good has the file looked at, and counts for no failure.
    let words = ["token", "create", "ci", "--repository", "**"];
    let secret = run(&words, server.data())
        .expect(OK)
        .stdout
        .trim_end()
        .to_owned();
    let wait_for = |part: &str, count: usize| {
        eventually(part, || {
            assert!(lets_in(&server, "x", &secret));
            (lines(part) == count).then_some(())
        });
    };
    fs::write(&path, line("bob", OTHER)).unwrap();
    wait_for("1 users can log in", 2);
    assert!(lets_in(&server, "bob", OTHER) && !lets_in(&server, "ada", PASSWORD));
    fs::write(&path, line("ada", PASSWORD) + "\nnonsense\n").unwrap();
    let problem = format!("{}:3: has no colon", path.display());
    wait_for(&problem, 1);
    assert!(lets_in(&server, "bob", OTHER), "the last good version");
    fs::remove_file(&path).unwrap();
    wait_for("No such file", 1);
    assert!(lets_in(&server, "bob", OTHER), "the last good version");
    fs::write(&path, line("ada", PASSWORD)).unwrap();
    wait_for("is good again", 1);
    assert!(lets_in(&server, "ada", PASSWORD) && !lets_in(&server, "bob", OTHER));
    assert_eq!(
        (lines(&problem), lines("No such file")),
        (1, 1),
        "once each"
    );
}

#[test]
fn a_server_does_not_start_on_an_htpasswd_file_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.htpasswd");
    let start = || {
        let mut command = coracle();
        command.args(["serve", "--memory", "--listen", "127.0.0.1:0"]);
        command.env("CORACLE_AUTH_HTPASSWD", &path);
        finish(command, "")
    };
    let missing = start().expect(CONFIGURATION);
    assert!(
        missing.stderr.contains("auth.htpasswd"),
        "{}",
        missing.stderr
    );
    assert!(
        missing.stderr.contains("No such file"),
        "{}",
        missing.stderr
    );
    fs::write(&path, "# users\n\nada secret-word\n").unwrap();
    let bad = start().expect(CONFIGURATION);
    assert!(
        bad.stderr.contains("coracle.htpasswd:3: has no colon"),
        "{}",
        bad.stderr
    );
    assert!(!bad.stderr.contains("secret-word"), "{}", bad.stderr);
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a file that may not be read: root reads every file");
        return;
    }
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    start().expect(DENIED);
}

#[test]
fn commands_on_accounts_do_not_need_the_htpasswd_file() {
    let (folder, data) = folder();
    let mut command = coracle();
    command.args(["user", "add", "ada", "--no-password", "--data"]);
    command.arg(&data);
    command.env("CORACLE_AUTH_HTPASSWD", folder.path().join("missing"));
    let made = finish(command, "").expect(OK);
    assert_eq!(made.stderr, "", "the file had closed it already");
}

fn audit_lines(server: &Server) -> Vec<Value> {
    let log = server.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "audit").collect()
}

#[test]
fn who_was_let_in_and_who_changed_what_is_in_the_audit_log_and_no_secret_is() {
    let server = Server::start(&["--log-format", "json"]);
    let data = server.data().to_owned();
    add("ada", PASSWORD, &data).expect(OK);
    let words = ["token", "create", "ci", "--repository", "**"];
    let secret = run(&words, &data).expect(OK).stdout.trim_end().to_owned();
    for _ in 0..3 {
        assert!(lets_in(&server, "ada", PASSWORD) && lets_in(&server, "x", &secret));
    }
    assert!(!lets_in(&server, "ada", OTHER) && !lets_in(&server, "eve\" x=\"", OTHER));
    run(&["token", "revoke", "ci"], &data).expect(OK);
    assert!(!lets_in(&server, "ci", &secret));
    let lines = eventually("all events are there", || {
        Some(audit_lines(&server)).filter(|lines| lines.len() >= 8)
    });
    let told: Vec<[&str; 5]> = lines
        .iter()
        .map(|line| {
            ["event", "actor", "attempted", "account", "outcome"]
                .map(|field| line[field].as_str().unwrap_or_default())
        })
        .collect();
    let expected = [
        ["user_added", "local", "", "user:ada", "ok"],
        ["token_created", "local", "", "token:ci", "ok"],
        ["login", "user:ada", "", "", "ok"],
        ["login", "token:ci", "", "", "ok"],
        ["login_failed", "", "ada", "", "refused"],
        ["login_failed", "", "eve\" x=\"", "", "refused"],
        ["token_revoked", "local", "", "token:ci", "ok"],
        ["login_failed", "", "ci", "", "refused"],
    ];
    assert_eq!(told, expected);
    for line in lines.iter().filter(|line| line["event"] != "user_added") {
        assert!(
            line["time"].is_string() && line["level"] == "info",
            "{line}"
        );
    }
    assert!(
        lines[2]["client"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1")
    );
    assert!(lines[2]["request_id"].is_string(), "{}", lines[2]);
    assert_eq!(lines[4]["reason"], "wrong password");
    assert_eq!(lines[5]["reason"], "unknown user");
    let log = server.log();
    let encoded = basic("ada", PASSWORD);
    for hidden in [PASSWORD, OTHER, &secret, &secret[8..], &encoded, "$2b$"] {
        assert!(!log.contains(hidden), "{hidden} in\n{log}");
    }
}

#[test]
fn the_audit_log_can_be_switched_off() {
    let server = start_configured("[log]\naudit = false\n", &[]);
    add("ada", PASSWORD, server.data()).expect(OK);
    assert!(lets_in(&server, "ada", PASSWORD) && !lets_in(&server, "ada", OTHER));
    assert!(!server.log().contains("audit"), "{}", server.log());
}
