//! skopeo with accounts, and what it reuses of other repositories. What it pulls is a folder.

use super::super::skopeo::sandbox;
use super::registry::{PASSWORD, Registry};
use super::scenes::{self, done, mounted, refused};
use super::{Attempt, Sandbox, Tool, attempt};
use std::fs;

struct Skopeo {
    sandbox: Sandbox,
    host: String,
}

impl Skopeo {
    fn new(sandbox: Sandbox, registry: &Registry) -> Self {
        let host = registry.host().to_owned();
        Self { sandbox, host }
    }

    /// The folder of a pulled image.
    fn folder(&self, image: &str) -> String {
        self.sandbox.arg(&image.replace(['/', ':'], "-"))
    }

    fn copy(&self, from: &str, to: &str) -> Attempt {
        let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        let words = [&["copy"][..], &plain, &[from, to]].concat();
        attempt(&self.sandbox, "skopeo", &words, None)
    }
}

impl Tool for Skopeo {
    fn login(&self, user: &str, password: &str) -> Attempt {
        let words = ["login", "--tls-verify=false", "--password-stdin"];
        let whose = ["--username", user, &self.host];
        let words = [&words[..], &whose].concat();
        attempt(&self.sandbox, "skopeo", &words, Some(password))
    }

    fn logout(&self) {
        // Where there was no login there is none to forget.
        let _ = attempt(&self.sandbox, "skopeo", &["logout", &self.host], None);
    }

    fn pull(&self, image: &str) -> Attempt {
        let folder = format!("oci:{}:v1", self.folder(image));
        self.copy(&format!("docker://{image}"), &folder)
    }

    fn push(&self, pulled: &str, image: &str) -> Attempt {
        let folder = format!("oci:{}:v1", self.folder(pulled));
        self.copy(&folder, &format!("docker://{image}"))
    }

    fn forget(&self, image: &str) {
        let _ = fs::remove_dir_all(self.folder(image));
    }
}

/// Plays a scene against a registry with rules.
#[track_caller]
fn play(scene: fn(&Registry, &dyn Tool)) {
    let Some(sandbox) = sandbox() else { return };
    let registry = Registry::with_rules(&sandbox);
    scene(&registry, &Skopeo::new(sandbox, &registry));
    registry.finish();
}

#[test]
fn skopeo_without_a_login() {
    play(scenes::without_a_login);
}

#[test]
fn skopeo_with_passwords() {
    play(scenes::with_passwords);
}

#[test]
fn skopeo_with_a_token() {
    play(scenes::with_a_token);
}

#[test]
fn skopeo_of_somebody_disabled() {
    play(scenes::of_somebody_disabled);
}

#[test]
fn skopeo_with_htpasswd() {
    let Some(sandbox) = sandbox() else { return };
    let registry = Registry::with_htpasswd(&sandbox);
    scenes::with_htpasswd(&registry, &Skopeo::new(sandbox, &registry));
    registry.finish();
}

#[test]
fn skopeo_with_mounts() {
    play(scenes::with_mounts);
}

#[test]
fn skopeo_copies_between_repositories_by_mounts() {
    let Some(sandbox) = sandbox() else { return };
    let registry = Registry::with_rules(&sandbox);
    let skopeo = Skopeo::new(sandbox, &registry);
    let (team, copy) = (registry.image("team/base"), registry.image("team/copy"));
    done(skopeo.login("ada", PASSWORD));
    // What it pulls it remembers: from then on it knows in which repository a layer is.
    done(skopeo.pull(&team));
    done(skopeo.copy(&format!("docker://{team}"), &format!("docker://{copy}")));
    mounted(&registry, "team/copy");
    registry
        .ops()
        .expect_image("team/copy", "v1", &registry.base);
    // Of what she may not read there is nothing to copy.
    let secret = format!("docker://{}", registry.image("secret/base"));
    let copy = registry.image("team/secret");
    refused(skopeo.copy(&secret, &format!("docker://{copy}")));
    registry.finish();
}
