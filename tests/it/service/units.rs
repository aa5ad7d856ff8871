//! The unit files: what systemd's own tools make of them, and that the program understands what
//! they have it run.

use crate::clients::require;
use crate::support::program::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd")
}

#[test]
fn systemd_finds_them_sound_and_as_closed_as_they_promise() {
    let tools = ["systemd-analyze", "systemd-sysusers", "systemd-tmpfiles"];
    let Some(_sandbox) = require(&tools) else {
        return;
    };
    let output = Command::new(units().join("check.sh")).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the units are sound"), "{said}");
}

#[test]
fn the_program_understands_what_it_is_started_with() {
    let unit = fs::read_to_string(units().join("coracle.service")).unwrap();
    let commands: Vec<&str> = unit
        .lines()
        .filter(|line| line.starts_with("Exec"))
        .filter_map(|line| line.split_once("=/usr/bin/coracle "))
        .map(|(_, words)| words)
        .collect();
    assert_eq!(commands.len(), 3, "{unit}");
    for words in commands {
        let words: Vec<&str> = words.split(' ').chain(["--help"]).collect();
        run(&words, "").expect(0);
    }
}

/// What an example in a drop-in names has to be what the program reads.
#[test]
fn credentials_of_the_drop_in_are_those_of_its_example() {
    let text = fs::read_to_string(units().join("drop-ins/credentials.conf")).unwrap();
    let named: Vec<&str> = text
        .split("\"credential:")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(named, ["cert.pem", "key.pem", "htpasswd"]);
    for name in named {
        assert!(
            text.contains(&format!("\nLoadCredential={name}:/")),
            "{name}"
        );
    }
}
