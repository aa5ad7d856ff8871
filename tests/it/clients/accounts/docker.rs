//! The docker daemon and its client with accounts. The client logs in and keeps what it was given,
//! a refresh token or the password; the daemon gets its tokens with it.

use super::super::Daemon;
use super::super::docker::engine;
use super::registry::Registry;
use super::{Attempt, Sandbox, Tool, attempt, scenes};

struct Docker {
    // Stopped before its sandbox goes.
    _daemon: Daemon,
    sandbox: Sandbox,
    host: String,
}

impl Docker {
    fn run(&self, words: &[&str], input: Option<&str>) -> Attempt {
        attempt(&self.sandbox, "docker", words, input)
    }
}

impl Tool for Docker {
    fn login(&self, user: &str, password: &str) -> Attempt {
        let words = ["login", "--username", user, "--password-stdin", &self.host];
        self.run(&words, Some(password))
    }

    fn logout(&self) {
        self.run(&["logout", &self.host], None).unwrap();
    }

    fn pull(&self, image: &str) -> Attempt {
        self.run(&["pull", image], None)
    }

    fn push(&self, pulled: &str, image: &str) -> Attempt {
        self.run(&["tag", pulled, image], None)?;
        self.run(&["push", image], None)
    }

    fn forget(&self, image: &str) {
        self.run(&["image", "rm", "--force", image], None).unwrap();
    }
}

/// Starts a daemon and a registry, and plays scenes.
#[track_caller]
fn play(start: fn(&Sandbox) -> Registry, scene: impl Fn(&Registry, &dyn Tool)) {
    let Some((sandbox, daemon)) = engine(&[]) else {
        return;
    };
    let registry = start(&sandbox);
    let docker = Docker {
        _daemon: daemon,
        sandbox,
        host: registry.host().to_owned(),
    };
    scene(&registry, &docker);
    registry.finish();
}

#[test]
fn docker_without_a_login() {
    play(Registry::with_rules, scenes::without_a_login);
}

#[test]
fn docker_with_passwords() {
    play(Registry::with_rules, scenes::with_passwords);
}

#[test]
fn docker_with_a_token() {
    play(Registry::with_rules, scenes::with_a_token);
}

#[test]
fn docker_of_somebody_disabled() {
    play(Registry::with_rules, scenes::of_somebody_disabled);
}

#[test]
fn docker_with_htpasswd() {
    play(Registry::with_htpasswd, scenes::with_htpasswd);
}

#[test]
fn docker_with_mounts() {
    play(Registry::with_rules, |registry, docker| {
        scenes::with_mounts(registry, docker);
        let log = registry.log();
        let asked = |line: &&str| line.contains("team/secret") && line.contains("from=secret");
        let line = log.lines().find(asked);
        let line = line.unwrap_or_else(|| panic!("it did not ask for a mount\n{log}"));
        assert!(line.contains("status=202"), "it is told to upload: {line}");
    });
}
