//! The programs that people push and pull with, against a registry with accounts and rules, and
//! against one with an htpasswd file alone.
//!
//! What happens is written once, in `scenes`, and played by each program: one file a program says
//! how it logs in, pulls and pushes.

mod buildah;
mod containerd;
mod docker;
mod podman;
mod registry;
mod scenes;
mod skopeo;

use super::Sandbox;
use std::fs::File;

/// The end of one step of a program: nothing, or all that it said when it failed.
type Attempt = Result<(), String>;

/// How a program does what the scenes ask for. Images are named with their registry, as in
/// `127.0.0.1:5000/team/app:v1`.
trait Tool {
    /// Logs in at the registry.
    fn login(&self, user: &str, password: &str) -> Attempt;

    /// Forgets that login.
    fn logout(&self);

    /// Pulls an image into a store of the program's own.
    fn pull(&self, image: &str) -> Attempt;

    /// Pushes an image that was pulled under another name.
    fn push(&self, pulled: &str, image: &str) -> Attempt;

    /// Removes a pulled image from that store, so that the next pull asks the registry.
    fn forget(&self, image: &str);

    /// Whether a login asks the registry; else the password is only remembered for later.
    fn login_asks(&self) -> bool {
        true
    }
}

/// Runs a program that may succeed or fail, with this on its standard input.
#[track_caller]
fn attempt(sandbox: &Sandbox, program: &str, arguments: &[&str], input: Option<&str>) -> Attempt {
    let mut command = sandbox.command(program);
    command.args(arguments);
    if let Some(text) = input {
        let path = sandbox.write("input", text);
        command.stdin(File::open(path).expect("open what was just written"));
    }
    let output = command.output().expect("run timeout");
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.code() {
        Some(0) => Ok(()),
        // 124, 126 and 127 are what `timeout` has to say.
        Some(1..=123 | 125) => Err(format!("{program} {arguments:?}: {said}")),
        other => panic!("{program} {arguments:?} did not end by itself: {other:?}\n{said}"),
    }
}
