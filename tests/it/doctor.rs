//! `coracle doctor`: what it finds on this host, beside a server and without one, and that it
//! leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::{Run, run};
use crate::support::tls::Authority;
use crate::support::{HTPASSWD, Server};

const OK: i32 = 0;
const FAILED: i32 = 1;
const CONFIGURATION: i32 = 3;

/// Runs it with `--json` and these words.
#[track_caller]
fn doctor(words: &[&str]) -> Run {
    run(&[&["doctor", "--json"], words].concat(), "")
}

/// What was found of one kind: level and message.
fn findings(report: &Value, check: &str) -> Vec<(String, String)> {
    let all = report["findings"].as_array().expect("findings");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    all.iter()
        .filter(|own| own["check"] == check)
        .map(|own| (text(&own["level"]), text(&own["message"])))
        .collect()
}

/// Fails unless a finding of this kind and level says this.
#[track_caller]
fn expect(report: &Value, check: &str, level: &str, part: &str) {
    let found = findings(report, check);
    assert!(
        found
            .iter()
            .any(|(own, message)| own == level && message.contains(part)),
        "{check} {level} {part:?} in {report:#}"
    );
}

/// Everything below a folder.
fn names(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            found.insert(entry.path());
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn beside_a_server_it_finds_the_server_and_leaves_nothing() {
    let server = Server::start(&[]);
    let before = names(server.data());
    let run = doctor(&["--data", text(server.data()), "--listen", server.host()]).expect(OK);
    let report = run.json();
    assert_eq!(report["ok"], true, "{report:#}");
    expect(&report, "data folder", "ok", "has a registry");
    expect(
        &report,
        "server",
        "ok",
        &format!("process {} ", server.pid()),
    );
    expect(&report, "address", "ok", "is served by it and ready");
    expect(&report, "access", "ok", "open to everybody");
    expect(&report, "clock", "ok", "says 20");
    for check in ["room", "disk speed", "open files", "memory"] {
        assert!(
            !findings(&report, check).is_empty(),
            "{check} in {report:#}"
        );
    }
    let disk = &report["disk"];
    assert!(disk["write_bytes_per_second"].as_u64() > Some(0), "{disk}");
    assert!(disk["flush_ms_median"].as_f64() > Some(0.0), "{disk}");
    let after: BTreeSet<PathBuf> = names(server.data());
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
}

#[test]
fn every_finding_that_is_not_ok_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(data.join("token.key"), "secret").unwrap();
    fs::set_permissions(data.join("token.key"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(data.join("restoring"), "").unwrap();
    let report = doctor(&["--data", text(&data), "--quick", "--listen", "127.0.0.1:0"])
        .expect(FAILED)
        .json();
    assert_eq!(report["ok"], false);
    expect(&report, "data folder", "warn", "may look into");
    expect(&report, "data folder", "fail", "token.key");
    expect(&report, "data folder", "fail", "restore");
    assert!(
        report["disk"].is_null(),
        "--quick measures nothing: {report:#}"
    );
    for finding in report["findings"].as_array().unwrap() {
        let is_ok = finding["level"] == "ok";
        assert_eq!(finding["advice"].is_null(), is_ok, "{finding}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_made_by_the_first_start() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("a/b");
    let report = doctor(&["--data", text(&data), "--quick", "--listen", "127.0.0.1:0"])
        .expect(OK)
        .json();
    expect(&report, "data folder", "ok", "is made by the first start");
    expect(&report, "server", "ok", "none runs");
    assert!(!data.exists());
}

#[test]
fn an_address_that_another_program_has_is_named_with_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = TempDir::new().unwrap();
    let words = [
        "--data",
        text(folder.path()),
        "--quick",
        "--listen",
        &address,
    ];
    let report = doctor(&words).expect(FAILED).json();
    let own = format!("taken by process {} ", std::process::id());
    expect(&report, "address", "fail", &own);
    // An address of a network for documentation is nobody's.
    let words = [
        "--data",
        text(folder.path()),
        "--quick",
        "--listen",
        "192.0.2.1:5000",
    ];
    let report = doctor(&words).expect(FAILED).json();
    expect(&report, "address", "fail", "192.0.2.1:5000");
    expect(&report, "certificates", "warn", "in the clear");
}

#[test]
fn what_is_wrong_with_the_settings_ends_with_their_code() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("coracle.toml");
    fs::write(&file, "[server]\nlisen = 1\n").unwrap();
    let run = doctor(&["--config", text(&file)]).expect(CONFIGURATION);
    expect(&run.json(), "configuration", "fail", "listen");
}

#[test]
fn certificates_must_fit_their_keys_and_names() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, what: &str| {
        let path = folder.path().join(name);
        fs::write(&path, what).unwrap();
        path
    };
    let authority = Authority::new("test");
    let (own, other) = (
        authority.issue(&["a.example"]),
        authority.issue(&["b.example"]),
    );
    let certificate = write("cert.pem", &own.certificate);
    let (key, wrong) = (write("key.pem", &own.key), write("wrong.pem", &other.key));
    let htpasswd = write("htpasswd", HTPASSWD);
    let config = |key: &Path| {
        let toml = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nurl = \"https://b.example\"\n[storage]\n\
             data = {:?}\n[tls]\ncertificate = [{certificate:?}]\nkey = [{key:?}]\n[auth]\n\
             htpasswd = {htpasswd:?}\n",
            folder.path().join("data")
        );
        write("coracle.toml", &toml)
    };
    let report = doctor(&["--quick", "--config", text(&config(&wrong))])
        .expect(FAILED)
        .json();
    expect(&report, "certificates", "fail", "key");
    let report = doctor(&["--quick", "--config", text(&config(&key))])
        .expect(OK)
        .json();
    expect(
        &report,
        "certificates",
        "ok",
        "fits its key, is for a.example",
    );
    expect(&report, "certificates", "warn", "none is for b.example");
    expect(&report, "htpasswd", "warn", "everybody on this machine");
    assert_eq!(report["clients"]["host"], "b.example");
    assert_eq!(report["clients"]["scheme"], "https");
}

#[test]
fn a_person_reads_lines_that_fit_and_what_clients_are_told() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let words = [
        "doctor",
        "--quick",
        "--data",
        text(&data),
        "--listen",
        ":5000",
    ];
    let run = run(&[&words[..], &["--host", "registry.example"]].concat(), "");
    assert!([OK, FAILED].contains(&run.code), "{run:?}");
    assert!(run.stdout.starts_with("ok    configuration  "), "{run:?}");
    let head = run.stdout.split("\nClients of ").next().unwrap();
    let deep = text(&data).len();
    assert!(
        head.lines().all(|line| line.chars().count() <= 100 + deep),
        "{head}"
    );
    for part in [
        "Clients of registry.example:5000:",
        "docker: in /etc/docker/daemon.json",
        "\"insecure-registries\": [\"registry.example:5000\"]",
        "hosts.toml",
        "location = \"registry.example:5000\"",
        "registries.yaml",
    ] {
        assert!(run.stdout.contains(part), "{part} in {}", run.stdout);
    }
}

/// The files in `packaging/clients` are what it prints for a registry of this name.
#[test]
fn the_packaged_client_files_are_what_it_prints() {
    let folder = TempDir::new().unwrap();
    let words = [
        "--quick",
        "--data",
        text(folder.path()),
        "--listen",
        ":5000",
    ];
    let report = doctor(&[&words[..], &["--host", "registry.example"]].concat()).json();
    for client in report["clients"]["lines"].as_array().unwrap() {
        let file = client["file"].as_str().unwrap();
        let name = Path::new(file).file_name().unwrap();
        let kind = client["client"].as_str().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("packaging/clients")
            .join(kind)
            .join(name);
        let expected = client["text"].as_str().unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, expected).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap();
        assert_eq!(
            found, expected,
            "run `UPDATE_DOCS=1 cargo test client_files`: {file}"
        );
    }
}
