//! buildah with accounts.

use super::super::buildah::sandbox;
use super::registry::Registry;
use super::{Attempt, Sandbox, Tool, attempt, scenes};

struct Buildah {
    sandbox: Sandbox,
    host: String,
}

impl Buildah {
    fn new(sandbox: Sandbox, registry: &Registry) -> Self {
        let host = registry.host().to_owned();
        Self { sandbox, host }
    }

    fn run(&self, words: &[&str], input: Option<&str>) -> Attempt {
        let (root, run) = (self.sandbox.arg("storage"), self.sandbox.arg("storage-run"));
        let place = ["--root", &root, "--runroot", &run];
        attempt(
            &self.sandbox,
            "buildah",
            &[&place[..], words].concat(),
            input,
        )
    }
}

impl Tool for Buildah {
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
        let _ = self.run(&["rmi", "--force", image], None);
    }
}

/// Plays a scene against a registry with rules.
#[track_caller]
fn play(scene: fn(&Registry, &dyn Tool)) {
    let Some(sandbox) = sandbox() else { return };
    let registry = Registry::with_rules(&sandbox);
    scene(&registry, &Buildah::new(sandbox, &registry));
    registry.finish();
}

#[test]
fn buildah_without_a_login() {
    play(scenes::without_a_login);
}

#[test]
fn buildah_with_passwords() {
    play(scenes::with_passwords);
}

#[test]
fn buildah_with_a_token() {
    play(scenes::with_a_token);
}

#[test]
fn buildah_of_somebody_disabled() {
    play(scenes::of_somebody_disabled);
}

#[test]
fn buildah_with_mounts() {
    play(scenes::with_mounts);
}

#[test]
fn buildah_with_htpasswd() {
    let Some(sandbox) = sandbox() else { return };
    let registry = Registry::with_htpasswd(&sandbox);
    scenes::with_htpasswd(&registry, &Buildah::new(sandbox, &registry));
    registry.finish();
}
