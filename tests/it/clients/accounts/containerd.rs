//! containerd's `ctr` with accounts. It has no login: a name and a password go with each command,
//! and it asks the token endpoint by a form first.

use super::super::Daemon;
use super::super::containerd::engine;
use super::registry::Registry;
use super::{Attempt, Sandbox, Tool, attempt, scenes};
use std::cell::RefCell;

struct Ctr {
    // Stopped before its sandbox goes.
    _daemon: Daemon,
    sandbox: Sandbox,
    login: RefCell<Option<String>>,
}

impl Ctr {
    /// Runs `ctr images` with this command and these words, as whoever is logged in.
    fn run(&self, command: &str, words: &[&str]) -> Attempt {
        let socket = self.sandbox.arg("containerd.sock");
        let base = ["--address", &socket, "images", command];
        let login = self.login.borrow();
        let user = login.iter().flat_map(|login| ["--user", login]);
        let user: Vec<&str> = user.filter(|_| command != "rm").collect();
        attempt(
            &self.sandbox,
            "ctr",
            &[&base, &user[..], words].concat(),
            None,
        )
    }
}

impl Tool for Ctr {
    fn login(&self, user: &str, password: &str) -> Attempt {
        self.login.replace(Some(format!("{user}:{password}")));
        Ok(())
    }

    fn logout(&self) {
        self.login.replace(None);
    }

    fn pull(&self, image: &str) -> Attempt {
        self.run("pull", &["--plain-http", "--snapshotter", "native", image])
    }

    fn push(&self, pulled: &str, image: &str) -> Attempt {
        self.run("push", &["--plain-http", image, pulled])
    }

    fn forget(&self, image: &str) {
        self.run("rm", &["--sync", image]).unwrap();
    }

    fn login_asks(&self) -> bool {
        false
    }
}

/// Plays a scene against a registry with rules.
#[track_caller]
fn play(scene: fn(&Registry, &dyn Tool)) {
    let Some((sandbox, daemon)) = engine() else {
        return;
    };
    let registry = Registry::with_rules(&sandbox);
    let ctr = Ctr {
        _daemon: daemon,
        sandbox,
        login: RefCell::new(None),
    };
    scene(&registry, &ctr);
    registry.finish();
}

#[test]
fn containerd_without_a_login() {
    play(scenes::without_a_login);
}

#[test]
fn containerd_with_passwords() {
    play(scenes::with_passwords);
}

#[test]
fn containerd_with_a_token() {
    play(scenes::with_a_token);
}

#[test]
fn containerd_of_somebody_disabled() {
    play(scenes::of_somebody_disabled);
}

#[test]
fn containerd_with_mounts() {
    play(scenes::with_mounts);
}
