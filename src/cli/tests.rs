//! What can be typed, what help says, and that flags and settings agree.

use clap::CommandFactory;

use super::*;
use crate::config::{Effective, KEYS, Kind};

fn typed(words: &[&str]) -> Result<Cli, clap::Error> {
    parse(std::iter::once("coracle").chain(words.iter().copied()))
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_lists_every_command_and_every_exit_code() {
    let help = typed(&["help"]).unwrap_err();
    assert_eq!(Exit::of_usage(&help), Exit::Ok);
    let text = help.to_string();
    for command in [
        "serve", "reload", "check", "repo", "tag", "undelete", "du", "user", "token", "config",
        "version", "help",
    ] {
        assert!(
            text.contains(&format!("\n  {command} ")),
            "{command} in {text}"
        );
    }
    let config = typed(&["config", "--help"]).unwrap_err().to_string();
    for command in ["check", "show", "default"] {
        assert!(
            config.contains(&format!("\n  {command} ")),
            "{command} in {config}"
        );
    }
    let long = typed(&["--help"]).unwrap_err().to_string();
    assert!(long.contains(&Exit::help().trim_end().to_owned()), "{long}");
}

#[test]
fn nothing_typed_and_nonsense_are_usage_errors() {
    for words in [
        &[][..],
        &["srve"],
        &["config"],
        &["serve", "--lisen", "x"],
        &["check", "extra"],
        &["--config"],
        &["user"],
        &["user", "add"],
        &["user", "add", "ada", "secret-as-an-argument"],
        &["user", "add", "ada", "--password", "x"],
        &["user", "add", "ada", "--no-password", "--password-stdin"],
        &["user", "groups", "ada", "dev", "--none"],
        &["repo"],
        &["repo", "show"],
        &["repo", "show", "App"],
        &["repo", "rename", "app"],
        &["tag", "list"],
        &["tag", "remove", "app"],
        &["tag", "remove", "app", ".v1"],
        &["tag", "set", "app", "v1"],
        &["tag", "set", "app", "v1", "sha256:x"],
        &["tag", "set", "app", "v1", "v2", "--expires", "soon"],
        &["tag", "rollback", "app", "v1", "--at", "yesterday"],
        &["tag", "rollback", "app", "v1", "--to", "v2"],
        &["undelete"],
        &["undelete", "app", "other"],
        &["undelete", "app:"],
        &["du", "App"],
        &["token", "create", "ci"],
        &["token", "create", "ci", "--repository", "Team"],
        &[
            "token",
            "create",
            "ci",
            "--repository",
            "**",
            "--actions",
            "fly",
        ],
        &[
            "token",
            "create",
            "ci",
            "--repository",
            "**",
            "--expires",
            "soon",
        ],
    ] {
        let error = typed(words).unwrap_err();
        assert_eq!(Exit::of_usage(&error), Exit::Usage, "{words:?}");
    }
    let error = typed(&["srve"]).unwrap_err().to_string();
    assert!(error.contains("'serve'"), "{error}");
}

#[test]
fn every_flag_of_a_setting_is_a_flag_of_serve_and_the_other_way_round() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let mut on_serve: Vec<String> = serve
        .get_arguments()
        .filter(|argument| !argument.is_global_set())
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .filter(|flag| flag != "--help")
        .collect();
    let mut of_settings: Vec<&str> = KEYS.iter().filter_map(|key| key.flag).collect();
    on_serve.sort();
    of_settings.sort_unstable();
    assert_eq!(on_serve, of_settings);
}

#[test]
fn every_flag_sets_its_key() {
    for key in KEYS {
        let Some(flag) = key.flag else { continue };
        let (words, value): (Vec<&str>, &str) = match key.kind {
            Kind::Switch if matches!(flag, "--memory" | "--read-only") => (vec![flag], "true"),
            Kind::Switch => (vec![flag, "false"], "false"),
            Kind::Choice(names) => (vec![flag, names[1]], names[1]),
            Kind::Addresses => (vec![flag, "unix:/run/x"], "unix:/run/x"),
            _ => (vec![flag, "/some/path"], "/some/path"),
        };
        let cli = typed(&[&["serve"], &words[..]].concat()).unwrap();
        let sources = Sources {
            flags: cli.flags(),
            ..Sources::default()
        };
        let effective = Effective::load(&sources).unwrap();
        let json = effective.to_json();
        let entry = &json[key.section][key.name];
        assert_eq!(entry["from"], "flag", "{flag}");
        assert_eq!(entry["where"], flag);
        assert!(
            entry["value"].to_string().contains(value),
            "{flag}: {entry}"
        );
    }
}

#[test]
fn addresses_add_up_and_a_flag_may_come_after_the_command() {
    let cli = typed(&[
        "serve",
        "--listen",
        ":1",
        "--config",
        "f.toml",
        "--listen=unix:/x",
    ])
    .unwrap();
    assert_eq!(cli.config.as_deref(), Some(std::path::Path::new("f.toml")));
    let flags = cli.flags();
    assert_eq!(flags.len(), 1);
    assert_eq!(flags[0].flag, "--listen");
    assert_eq!(flags[0].values, [":1", "unix:/x"]);
    let cli = typed(&["--config", "g.toml", "check", "--data", "d"]).unwrap();
    assert_eq!(cli.config.as_deref(), Some(std::path::Path::new("g.toml")));
    assert_eq!(cli.flags()[0].flag, "--data");
}
