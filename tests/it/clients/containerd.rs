//! containerd and its client `ctr`: pull, push, run, and the registry as a mirror of another.
//!
//! Unlike docker it asks for no `/v2/` first, pushes a blob by one PUT, and as a client of a
//! mirror adds `?ns=` with the name of the registry that is mirrored.

use super::payload::{self, BUSYBOX};
use super::{Daemon, Sandbox, require};
use crate::support::Server;

/// A containerd, its sandbox, and a registry to use.
struct Containerd {
    server: Server,
    // Before the sandbox, which takes its log away.
    _daemon: Daemon,
    sandbox: Sandbox,
}

/// A daemon in a sandbox, listening on its `containerd.sock`, where there can be one.
#[track_caller]
pub fn engine() -> Option<(Sandbox, Daemon)> {
    let sandbox = require(&["ctr", "containerd", "runc", "setpriv", BUSYBOX])?.with_containers()?;
    let config = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
        sandbox.arg("root"),
        sandbox.arg("state"),
        sandbox.arg("containerd.sock"),
        sandbox.arg("ttrpc.sock"),
    );
    let config = sandbox.write("config.toml", &config);
    let socket = sandbox.arg("containerd.sock");
    let ready = || {
        let answer = sandbox
            .command("ctr")
            .args(["--address", &socket, "version"])
            .output();
        answer.is_ok_and(|output| output.status.success())
    };
    let daemon = sandbox.daemon("containerd", &["--config", &config], ready)?;
    Some((sandbox, daemon))
}

impl Containerd {
    #[track_caller]
    fn start() -> Option<Containerd> {
        let (sandbox, daemon) = engine()?;
        Some(Containerd {
            server: Server::start(&[]),
            _daemon: daemon,
            sandbox,
        })
    }

    /// Runs `ctr` with these arguments, which has to succeed.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let socket = self.sandbox.arg("containerd.sock");
        self.sandbox
            .run("ctr", &[&["--address", &socket][..], arguments].concat())
    }

    /// Runs a container of an image; answers what it printed. Its name is the sandbox's, because
    /// below it are state and a control group that the machine shares: of a container of one name
    /// there may be remains of a test that was killed.
    #[track_caller]
    fn run_container(&self, image: &str) -> String {
        let name = self.sandbox.name();
        self.run(&["run", "--rm", "--snapshotter", "native", image, &name])
    }

    /// Pulls with these further arguments. The native snapshotter works on every file system.
    #[track_caller]
    fn pull(&self, arguments: &[&str]) {
        let pull = ["images", "pull", "--snapshotter", "native"];
        self.run(&[&pull[..], arguments].concat());
    }

    /// The digest that containerd holds under a name.
    #[track_caller]
    fn digest(&self, image: &str) -> String {
        let table = self.run(&["images", "list", &format!("name=={image}")]);
        let row = table.lines().find(|line| line.starts_with(image));
        let row = row.unwrap_or_else(|| panic!("no {image} in\n{table}"));
        row.split_whitespace()
            .nth(2)
            .expect("a column of digests")
            .to_owned()
    }
}

#[test]
fn containerd_pulls_runs_and_pushes() {
    let Some(mut containerd) = Containerd::start() else {
        return;
    };
    let image = payload::busybox_image(&containerd.sandbox, "hello from containerd");
    containerd
        .server
        .client()
        .push_image("ctr/base", "v1", &image);
    let host = containerd.server.host().to_owned();
    let (base, copy) = (format!("{host}/ctr/base:v1"), format!("{host}/ctr/copy:v2"));
    containerd.pull(&["--plain-http", &base]);
    assert_eq!(containerd.digest(&base), image.digest());
    assert_eq!(containerd.run_container(&base), "hello from containerd");
    containerd.run(&["images", "tag", &base, &copy]);
    containerd.run(&["images", "push", "--plain-http", &copy]);
    containerd
        .server
        .client()
        .expect_image("ctr/copy", "v2", &image);
    containerd.server.stop_and_check();
}

#[test]
fn containerd_pulls_through_us_as_a_mirror() {
    let Some(mut containerd) = Containerd::start() else {
        return;
    };
    let image = payload::busybox_image(&containerd.sandbox, "from the mirror");
    containerd
        .server
        .client()
        .push_image("library/coracle-mirrored", "v1", &image);
    let url = containerd.server.url();
    // Both places are ours: whatever happens, nothing outside is asked.
    let hosts =
        format!("server = \"{url}\"\n[host.\"{url}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
    containerd
        .sandbox
        .write("hosts/docker.io/hosts.toml", &hosts);
    let name = "docker.io/library/coracle-mirrored:v1";
    containerd.pull(&["--hosts-dir", &containerd.sandbox.arg("hosts"), name]);
    assert_eq!(containerd.digest(name), image.digest());
    assert_eq!(containerd.run_container(name), "from the mirror");
    containerd.server.stop_and_check();
}
