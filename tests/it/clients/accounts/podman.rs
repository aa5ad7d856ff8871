//! podman with accounts.

use super::super::podman::{place, sandbox};
use super::registry::Registry;
use super::{Attempt, Sandbox, Tool, attempt, scenes};

struct Podman {
    sandbox: Sandbox,
    host: String,
}

impl Podman {
    fn new(sandbox: Sandbox, registry: &Registry) -> Self {
        let host = registry.host().to_owned();
        Self { sandbox, host }
    }

    fn run(&self, words: &[&str], input: Option<&str>) -> Attempt {
        let place = place(&self.sandbox);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        attempt(
            &self.sandbox,
            "podman",
            &[&place[..], words].concat(),
            input,
        )
    }
}

impl Tool for Podman {
    fn login(&self, user: &str, password: &str) -> Attempt {
        let words = ["login", "--tls-verify=false", "--password-stdin"];
        let whose = ["--username", user, &self.host];
        self.run(&[&words[..], &whose].concat(), Some(password))
    }

    fn logout(&self) {
        // Where there was no login there is none to forget.
        let _ = self.run(&["logout", &self.host], None);
    }

    fn pull(&self, image: &str) -> Attempt {
        self.run(&["pull", "--tls-verify=false", image], None)
    }

    fn push(&self, pulled: &str, image: &str) -> Attempt {
        self.run(&["push", "--tls-verify=false", pulled, image], None)
    }

    fn forget(&self, image: &str) {
        // Where it was pushed only, there is nothing to remove.
        let _ = self.run(&["image", "rm", "--force", image], None);
    }
}

/// Plays a scene against a registry with rules.
#[track_caller]
fn play(scene: fn(&Registry, &dyn Tool)) {
    let Some(sandbox) = sandbox() else { return };
    let registry = Registry::with_rules(&sandbox);
    scene(&registry, &Podman::new(sandbox, &registry));
    registry.finish();
}

#[test]
fn podman_without_a_login() {
    play(scenes::without_a_login);
}

#[test]
fn podman_with_passwords() {
    play(scenes::with_passwords);
}

#[test]
fn podman_with_a_token() {
    play(scenes::with_a_token);
}

#[test]
fn podman_of_somebody_disabled() {
    play(scenes::of_somebody_disabled);
}

#[test]
fn podman_with_mounts() {
    play(scenes::with_mounts);
}

#[test]
fn podman_with_htpasswd() {
    let Some(sandbox) = sandbox() else { return };
    let registry = Registry::with_htpasswd(&sandbox);
    scenes::with_htpasswd(&registry, &Podman::new(sandbox, &registry));
    registry.finish();
}
