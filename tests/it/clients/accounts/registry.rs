//! The registry that the scenes are played with: its accounts, its rules, its content.

use super::super::payload;
use super::Sandbox;
use crate::support::image::Image;
use crate::support::program::run;
use crate::support::{ADA, Client, Configured, HTPASSWD, start_configured};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The password of every user, and what nobody's password is.
pub const PASSWORD: &str = "correct horse battery";
pub const WRONG: &str = "wrong horse battery";

/// Anyone pulls from `public/`; ada, as a developer, works in `team/`, where bob only pulls; the
/// token `ci` may do what its own limit lets it; `ops` may do everything.
const RULES: &str = r#"
[[access]]
who = "anyone"
repositories = ["public/**"]
actions = ["pull"]

[[access]]
who = "group:dev"
repositories = ["team/**"]
actions = ["pull", "push"]

[[access]]
who = "user:bob"
repositories = ["team/**"]
actions = ["pull"]

[[access]]
who = "token:ci"
repositories = ["**"]
actions = ["pull", "push"]

[[access]]
who = "user:ops"
repositories = ["**"]
actions = ["*"]
"#;

/// A registry with accounts and content: `public/base:v1`, `team/base:v1` and `team/ci-base:v1`,
/// which are the same image, and `secret/base:v1`, of which no other repository has a layer.
pub struct Registry {
    server: Configured,
    /// Where the htpasswd file is, if there is one.
    _htpasswd: Option<TempDir>,
    /// The header of somebody who may do everything.
    ops: String,
    /// The secret of the token `ci`, which is limited to `team/ci-*`.
    pub token: String,
    /// What `team/base:v1` and its like are.
    pub base: Image,
    /// What `secret/base:v1` is.
    pub secret: Image,
}

impl Registry {
    /// With accounts and rules.
    #[track_caller]
    pub fn with_rules(sandbox: &Sandbox) -> Registry {
        let server = start_configured(RULES, &[]);
        let mut registry = Registry {
            server,
            _htpasswd: None,
            ops: basic("ops", PASSWORD),
            token: String::new(),
            base: payload::busybox_image(sandbox, "for everybody"),
            secret: secret_image(sandbox),
        };
        for (name, groups) in [("ops", &[][..]), ("bob", &[]), ("ada", &["--group", "dev"])] {
            let add = ["user", "add", name, "--password-stdin"];
            registry.administer(&[&add, groups].concat(), PASSWORD);
        }
        let create = ["token", "create", "ci", "--actions", "pull,push"];
        let limit = ["--repository", "team/ci-*"];
        let secret = registry.administer(&[&create[..], &limit].concat(), "");
        secret.trim_end().clone_into(&mut registry.token);
        registry.fill();
        registry
    }

    /// With an htpasswd file that lets ada in, and no rules.
    #[track_caller]
    pub fn with_htpasswd(sandbox: &Sandbox) -> Registry {
        let folder = tempfile::tempdir().expect("temp folder");
        let file = folder.path().join("htpasswd");
        fs::write(&file, HTPASSWD).expect("write the htpasswd file");
        let file = file.to_str().expect("a path of UTF-8");
        let registry = Registry {
            server: start_configured(&format!("[auth]\nhtpasswd = {file:?}\n"), &[]),
            _htpasswd: Some(folder),
            ops: ADA.to_owned(),
            token: String::new(),
            base: payload::busybox_image(sandbox, "for everybody"),
            secret: secret_image(sandbox),
        };
        registry.fill();
        registry
    }

    #[track_caller]
    fn fill(&self) {
        let mut ops = self.ops();
        for repository in ["public/base", "team/base", "team/ci-base"] {
            ops.push_image(repository, "v1", &self.base);
        }
        ops.push_image("secret/base", "v1", &self.secret);
    }

    /// Runs `coracle` on its accounts, beside the running server; answers what it printed.
    #[track_caller]
    pub fn administer(&self, words: &[&str], input: &str) -> String {
        let data = self.server.data().to_str().expect("a path of UTF-8");
        run(&[words, &["--data", data]].concat(), input)
            .expect(0)
            .stdout
    }

    /// A client that may do everything.
    pub fn ops(&self) -> Client {
        Client::new(self.server.url()).with_header("Authorization", &self.ops)
    }

    /// A client that shows nothing of who it is.
    pub fn anyone(&self) -> Client {
        Client::new(self.server.url())
    }

    /// The address as image names carry it.
    pub fn host(&self) -> &str {
        self.server.host()
    }

    /// An image's name with its registry and the tag `v1`.
    pub fn image(&self, repository: &str) -> String {
        format!("{}/{repository}:v1", self.host())
    }

    /// Everything that is stored: the list of repositories, and every file of a blob or an upload.
    pub fn stored(&self) -> (Value, BTreeSet<PathBuf>) {
        let mut files = BTreeSet::new();
        for folder in ["blobs", "uploads"] {
            add_files(&self.server.data().join(folder), &mut files);
        }
        let catalog = self.ops().get("/v2/_catalog").expect(200).json();
        (catalog, files)
    }

    /// How many records of the audit log have all of these fields.
    pub fn audited(&self, fields: &[&str]) -> usize {
        let log = self.server.log();
        let audit = log.lines().filter(|line| line.contains(" audit: "));
        let has_all = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            fields.iter().all(|field| words.contains(field))
        };
        audit.filter(has_all).count()
    }

    /// The program's whole log.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Stops it and looks at every byte of its folder.
    #[track_caller]
    pub fn finish(mut self) {
        self.server.stop_and_check();
    }
}

/// An image of its own bytes alone.
fn secret_image(sandbox: &Sandbox) -> Image {
    let layers = [payload::message_tar(sandbox, "for nobody")];
    payload::image(sandbox, payload::host_architecture(), &layers)
}

fn add_files(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            add_files(&entry.path(), files);
        } else {
            files.insert(entry.path());
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
