//! Settings: file, environment and flags, in this order, and what is said of mistakes.

use crate::support::coracle;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

const CONFIGURATION: i32 = 3;

struct Settings {
    folder: TempDir,
    file: PathBuf,
}

impl Settings {
    fn new(toml: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("coracle.toml");
        fs::write(&file, toml).unwrap();
        Settings { folder, file }
    }

    fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
        let mut command = coracle();
        command
            .current_dir(self.folder.path())
            .args(words)
            .arg("--config")
            .arg(&self.file);
        command.envs(environment.iter().copied());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status.code().unwrap_or(-1), text(stdout), text(stderr))
    }

    fn show(&self, words: &[&str], environment: &[(&str, &str)]) -> Value {
        let words = [&["config", "show", "--json"][..], words].concat();
        let (code, stdout, stderr) = self.run(&words, environment);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let settings = Settings::new("[storage]\ndata = \"from-file\"\n[log]\nlevel = \"warn\"\n");
    let data = |words: &[&str], environment: &[(&str, &str)]| {
        let shown = settings.show(words, environment);
        let entry = &shown["storage"]["data"];
        (entry["value"].clone(), entry["from"].clone())
    };
    let variable = [("CORACLE_STORAGE_DATA", "from-variable")];
    assert_eq!(data(&[], &[]), (json!("from-file"), json!("file")));
    assert_eq!(
        data(&[], &variable),
        (json!("from-variable"), json!("environment"))
    );
    assert_eq!(
        data(&["--data", "from-flag"], &variable),
        (json!("from-flag"), json!("flag"))
    );
    let shown = settings.show(&[], &variable);
    assert_eq!(shown["log"]["level"]["from"], "file");
    assert_eq!(shown["log"]["format"]["from"], "default");
    assert_eq!(shown["storage"]["data"]["where"], "CORACLE_STORAGE_DATA");
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let settings = Settings::new("[log]\nlevel = \"debug\"\n");
    let output = coracle()
        .args(["config", "show", "--json"])
        .env("CORACLE_CONFIG", &settings.file)
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["log"]["level"]["value"], "debug");
}

#[test]
fn the_default_file_is_accepted_and_changes_nothing() {
    let default = coracle().args(["config", "default"]).output().unwrap();
    assert!(default.status.success());
    let settings = Settings::new(&String::from_utf8(default.stdout).unwrap());
    let (code, stdout, stderr) = settings.run(&["config", "check"], &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("coracle.toml"), "{stdout}");
    let (with, without) = (settings.show(&[], &[]), Settings::new("").show(&[], &[]));
    for (section, keys) in without.as_object().unwrap() {
        if keys.is_array() {
            // Tables that come in lists: there are none.
            assert_eq!(with[section], json!([]));
            continue;
        }
        for (key, entry) in keys.as_object().unwrap() {
            assert_eq!(
                with[section][key]["value"], entry["value"],
                "{section}.{key}"
            );
        }
    }
}

/// What `config show` prints is itself a file with the same meaning.
#[test]
fn what_is_shown_can_be_used() {
    let toml = "[limits]\nworkers_max = 7\nblob_bytes_max = \"5GiB\"\n\
        [[retention]]\nrepositories = \"ci/**\"\nkeep_last = 3\nkeep_semver = 2\n\
        keep_tags = \"v*\"\nkeep_pulled = \"2w\"\nexpire = \"36h\"\nuntagged = \"90m\"\n\
        [[retention]]\nrepositories = [\"a\", \"b\"]\n\
        [[quota]]\nrepositories = \"**\"\nbytes = \"10GiB\"\neach = false\n\
        [[quota]]\nrepositories = \"**\"\ntags = 3\n\
        [[immutable]]\nrepositories = \"**\"\n";
    let settings = Settings::new(toml);
    let (_, shown, _) = settings.run(&["config", "show"], &[]);
    assert!(shown.contains("[[quota]]"), "{shown}");
    let (mut first, mut again) = (
        settings.show(&[], &[]),
        Settings::new(&shown).show(&[], &[]),
    );
    for kind in ["retention", "quota", "immutable"] {
        for tables in [&mut first, &mut again] {
            for table in tables[kind].as_array_mut().unwrap() {
                let place = table.as_object_mut().unwrap().remove("where");
                assert!(place.unwrap().as_str().unwrap().contains("coracle.toml:"));
            }
        }
        assert_eq!(first[kind], again[kind]);
    }
    let expected = json!({
        "repositories": ["ci/**"], "keep_last": 3, "keep_semver": 2, "keep_tags": ["v*"],
        "keep_pulled": "14d", "expire": "36h", "untagged": "90m",
    });
    assert_eq!(again["retention"][0], expected);
    assert_eq!(again["quota"][0]["bytes"], 10_u64 << 30);
    assert_eq!(again["limits"]["workers_max"]["value"], 7);
    assert_eq!(again["limits"]["blob_bytes_max"]["value"], 5_u64 << 30);
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_a_suggestion() {
    let toml = "[servr]\nlisten = [\"x\"]\n[limits]\nworker_max = 3\nworkers_max = 0\n\
        head_seconds_max = \"soon\"\n";
    let settings = Settings::new(toml);
    let variables = [
        ("CORACLE_LOG_LEVLE", "info"),
        ("CORACLE_STORAGE_MEMORY", "perhaps"),
    ];
    for words in [
        &["config", "check"][..],
        &["config", "show"],
        &["serve"],
        &["check"],
    ] {
        let (code, stdout, stderr) = settings.run(words, &variables);
        assert_eq!(code, CONFIGURATION, "{words:?}");
        // What a check finds is its result; for all others it is why they failed.
        let (said, other) = match words {
            ["config", "check"] => (stdout, stderr),
            _ => (stderr, stdout),
        };
        assert_eq!(other, "", "{words:?}");
        for part in [
            "[servr]",
            "[server]",
            "limits.worker_max",
            "limits.workers_max",
            "coracle.toml:4",
            "between 1 and",
            "head_seconds_max",
            "soon",
            "CORACLE_LOG_LEVLE",
            "CORACLE_LOG_LEVEL",
            "CORACLE_STORAGE_MEMORY",
            "perhaps",
        ] {
            assert!(said.contains(part), "{part} in\n{said}");
        }
        assert!(!settings.folder.path().join("coracle-data").exists());
    }
    let (code, stdout, _) = settings.run(&["config", "check", "--json"], &variables);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["ok"]), (CONFIGURATION, &json!(false)));
    assert!(
        report["problems"].as_array().unwrap().len() >= 6,
        "{report}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let settings = Settings::new("");
    for content in [&b"[server\n"[..], b"listen = \xff\xfe", b"a = {", b"\0"] {
        fs::write(&settings.file, content).unwrap();
        let (code, _, stderr) = settings.run(&["config", "show"], &[]);
        assert_eq!(code, CONFIGURATION, "{stderr}");
        assert!(stderr.contains("coracle.toml"), "{stderr}");
    }
    fs::write(&settings.file, "#".repeat(2 << 20)).unwrap();
    assert_eq!(settings.run(&["config", "check"], &[]).0, CONFIGURATION);
    fs::remove_file(&settings.file).unwrap();
    let (code, _, stderr) = settings.run(&["serve"], &[]);
    assert_eq!(code, CONFIGURATION, "{stderr}");
    assert!(stderr.contains("coracle.toml"), "{stderr}");
}

#[test]
fn addresses_that_are_none_are_named() {
    for address in [
        "localhost",
        "127.0.0.1",
        "127.0.0.1:99999",
        "unix:",
        "http://x",
        "",
    ] {
        let settings = Settings::new("");
        let (code, _, stderr) = settings.run(&["serve", "--listen", address], &[]);
        assert_eq!(code, CONFIGURATION, "{address:?}: {stderr}");
        assert!(stderr.contains("listen"), "{stderr}");
    }
}
