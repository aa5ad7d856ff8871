//! `coracle reload`: what is read again, what is not, and what a mistake comes to.

use super::manager::Manager;
use crate::support::program::{Run, run, run_at};
use crate::support::tls::Certificates;
use crate::support::{HTPASSWD, Server, eventually, start_configured};
use std::fs;

const FAILED: i32 = 1;
const CONFIGURATION: i32 = 3;

fn reload(server: &Server) -> Run {
    run_at(server.data(), &["reload", "--json"])
}

/// The part of this name in what was printed.
#[track_caller]
fn part(run: &Run, name: &str) -> (bool, String) {
    let value = run.json();
    let parts = value["parts"].as_array().expect("parts");
    let found = parts.iter().find(|part| part["part"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {value}"));
    let detail = found["detail"].as_str().expect("a detail").to_owned();
    (found["taken"] == true, detail)
}

#[test]
fn rules_and_the_level_of_the_log_change_while_it_runs() {
    let server = start_configured("[log]\nlevel = \"warn\"\n", &[]);
    server.client().get("/v2/").expect(200);
    assert!(!server.log().contains("GET"), "{}", server.log());
    server.rewrite(
        "[log]\nlevel = \"debug\"\n[[access]]\nwho = \"anyone\"\nrepositories = \"open/**\"\n\
         actions = \"pull\"\n",
    );
    let run = reload(&server).expect(0);
    assert_eq!(run.json()["ok"], true);
    assert_eq!(run.json()["restart"].as_array().map(Vec::len), Some(0));
    assert_eq!(part(&run, "access rules"), (true, "1 in force".to_owned()));
    assert_eq!(part(&run, "log"), (true, "level debug".to_owned()));
    assert!(part(&run, "configuration").0 && part(&run, "accounts").0);
    server.client().get("/v2/shut/tags/list").expect(401);
    server.client().get("/v2/open/a/tags/list").expect(404);
    eventually("requests are logged", || {
        server.log().contains("/v2/open/a/tags/list").then_some(())
    });
    server.rewrite("[log]\nlevel = \"off\"\n");
    reload(&server).expect(0);
    let length = server.log().len();
    server.client().get("/v2/shut/tags/list").expect(404);
    assert_eq!(server.log().len(), length);
}

#[test]
fn a_mistake_keeps_what_was_and_says_where_it_is() {
    let server = start_configured("[delete]\nenabled = false\n", &[]);
    server.rewrite("[[access]]\nwho = \"nonsense\"\n[delete]\nenabled = maybe\n");
    let run = reload(&server).expect(CONFIGURATION);
    assert_eq!(run.json()["ok"], false);
    let (taken, why) = part(&run, "configuration");
    assert!(!taken && why.contains("coracle.toml:"), "{why}");
    assert!(part(&run, "accounts").0, "files do not depend on it");
    server.client().get("/v2/a/tags/list").expect(404);
    let run = run_at(server.data(), &["reload"]).expect(CONFIGURATION);
    assert!(
        run.stderr.contains("configuration") && run.stderr.contains("coracle.toml:"),
        "{run:?}"
    );
    assert!(
        server.log().contains("stay as they were"),
        "{}",
        server.log()
    );
}

#[test]
fn what_needs_a_restart_is_named() {
    let server = start_configured("", &[]);
    server.rewrite("[limits]\nworkers_max = 7\n[log]\nlevel = \"warn\"\n[gc]\nenabled = false\n");
    for _ in 0..2 {
        let run = reload(&server).expect(0);
        let keys = run.json()["restart"].to_string();
        assert_eq!(keys, r#"["gc.enabled","limits.workers_max"]"#);
    }
    let run = run_at(server.data(), &["reload"]).expect(0);
    let line = "only after a restart: gc.enabled, limits.workers_max";
    assert!(run.stdout.contains(line), "{run:?}");
    server.rewrite("");
    let run = reload(&server).expect(0);
    assert_eq!(run.json()["restart"].to_string(), "[]");
}

#[test]
fn bad_files_keep_the_good_ones() {
    let certificates = Certificates::new();
    let users = certificates.write("users", HTPASSWD);
    let toml = certificates.toml("") + &format!("[auth]\nhtpasswd = \"{}\"\n", users.display());
    let manager = Manager::new();
    let program = manager.start(&toml);
    manager.expect("READY=1");
    let reload = || run_at(&manager.path("data"), &["reload", "--json"]);
    let run = reload().expect(0);
    assert_eq!(part(&run, "certificates"), (true, "1 loaded".to_owned()));
    certificates.write("key.pem", "nonsense");
    fs::write(&users, "ada\n").unwrap();
    let run = reload().expect(FAILED);
    let (taken, why) = part(&run, "certificates");
    assert!(!taken && why.contains("key.pem"), "{why}");
    let (taken, why) = part(&run, "accounts");
    assert!(!taken && why.contains("users:1: has no colon"), "{why}");
    assert!(part(&run, "configuration").0);
    let config = certificates.client();
    let mut client = program.client().with_tls(&config, "localhost");
    client.get("/v2/").expect(401);
    certificates.renew();
    fs::write(&users, HTPASSWD).unwrap();
    reload().expect(0);
}

#[test]
fn without_a_server_there_is_nothing_to_reload() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_at(folder.path(), &["reload"]).expect(FAILED);
    assert!(run.stderr.contains("no registry runs in"), "{run:?}");
}

/// The server says what is wrong with its file, also to whom has the same wrong file, and needs no
/// credentials of his own for that.
#[test]
fn the_folder_is_found_in_a_file_that_is_wrong() {
    let manager = Manager::new();
    let data = manager.path("data");
    let text = format!("[storage]\ndata = \"{}\"\n", data.display());
    let _program = manager.start(&text);
    let config = manager.path("coracle.toml");
    let words = ["reload", "--config", config.to_str().unwrap()];
    run(&words, "").expect(0);
    fs::write(&config, format!("{text}nonsense = 1\n")).unwrap();
    let said = run(&words, "").expect(CONFIGURATION).stderr;
    assert!(said.contains("storage.nonsense"), "{said}");
    let credential = "[tls]\ncertificate = \"credential:c\"\nkey = \"credential:k\"\n";
    fs::write(&config, format!("{text}{credential}")).unwrap();
    let said = run(&words, "").expect(CONFIGURATION).stderr;
    assert!(said.contains("CREDENTIALS_DIRECTORY is not set"), "{said}");
    // Other commands read no certificate either.
    run(&["repo", "list", words[1], words[2]], "").expect(0);
}
