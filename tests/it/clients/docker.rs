//! The docker daemon and its client: push, pull, run, and both builders.
//!
//! The daemon is one of the test's own, with its data, sockets and containerd in the sandbox and
//! without a network of its own. It takes loopback addresses as registries over plain HTTP.

use super::payload::{self, BUSYBOX};
use super::{Daemon, Sandbox, require};
use crate::support::Server;
use crate::support::image::{DOCKER_MANIFEST, Manifest};
use serde_json::json;

/// A daemon, its sandbox, and a registry to use.
struct Docker {
    server: Server,
    // Before the sandbox, which takes its log away.
    _daemon: Daemon,
    sandbox: Sandbox,
}

/// A daemon that its sandbox's `docker` talks to, where there can be one.
#[track_caller]
pub fn engine(also: &[&str]) -> Option<(Sandbox, Daemon)> {
    let programs = [
        "docker",
        "dockerd",
        "containerd",
        "runc",
        "setpriv",
        BUSYBOX,
    ];
    let mut sandbox = require(&[&programs[..], also].concat())?.with_containers()?;
    let socket = format!("unix://{}", sandbox.arg("docker.sock"));
    sandbox.set("DOCKER_HOST", &socket);
    let config = sandbox.write("daemon.json", &daemon_config(&sandbox, &socket));
    let ready = || {
        let answer = sandbox.command("docker").args(["version"]).output();
        answer.is_ok_and(|output| output.status.success())
    };
    let daemon = sandbox.daemon("dockerd", &["--config-file", &config], ready)?;
    Some((sandbox, daemon))
}

impl Docker {
    #[track_caller]
    fn start(also: &[&str]) -> Option<Docker> {
        let (sandbox, daemon) = engine(also)?;
        Some(Docker {
            server: Server::start(&[]),
            _daemon: daemon,
            sandbox,
        })
    }

    /// Runs `docker` with these arguments, which has to succeed.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        self.sandbox.run("docker", arguments)
    }

    /// Runs a container of an image; answers what it printed.
    #[track_caller]
    fn run_container(&self, image: &str, command: &[&str]) -> String {
        self.run(&[&["run", "--rm", "--network", "none", image][..], command].concat())
    }

    /// Removes an image from the daemon, pulls it, and fails unless it is the same one.
    #[track_caller]
    fn pull_back(&self, image: &str) {
        let id = ["image", "inspect", "--format", "{{.Id}}", image];
        let pushed = self.run(&id);
        self.run(&["image", "rm", "--force", &pushed]);
        self.sandbox.run_to_fail("docker", &id);
        self.run(&["pull", image]);
        assert_eq!(self.run(&id), pushed, "{image} came back as another image");
    }

    fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.server.host())
    }

    fn finish(mut self) {
        self.server.stop_and_check();
    }
}

fn daemon_config(sandbox: &Sandbox, socket: &str) -> String {
    let nofile = json!({"nofile": {"Name": "nofile", "Hard": 1024, "Soft": 1024}});
    json!({
        "data-root": sandbox.arg("data"), "exec-root": sandbox.arg("exec"),
        "pidfile": sandbox.arg("dockerd.pid"), "hosts": [socket],
        "bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false,
        "ip-masq": false, "default-ulimits": nofile,
    })
    .to_string()
}

#[test]
fn docker_pushes_pulls_and_runs() {
    let Some(docker) = Docker::start(&[]) else {
        return;
    };
    let root = payload::busybox_root(&docker.sandbox, "root", "hello from docker");
    docker.sandbox.run(
        "tar",
        &[
            "-C",
            root.to_str().unwrap(),
            "-cf",
            &docker.sandbox.arg("tar"),
            ".",
        ],
    );
    let image = docker.image("docker/base:v1");
    docker.run(&["import", &docker.sandbox.arg("tar"), &image]);
    docker.run(&["push", &image]);
    docker.pull_back(&image);
    assert_eq!(
        docker.run_container(&image, &["/bin/cat", "/message"]),
        "hello from docker"
    );

    // The second repository gets the layer by a mount, and serves it on its own.
    let other = docker.image("docker/other:v1");
    docker.run(&["tag", &image, &other]);
    docker.run(&["push", &other]);
    let accept = [("Accept", DOCKER_MANIFEST)];
    let mut client = docker.server.client();
    let manifest = client.request("GET", "/v2/docker/other/manifests/v1", &accept, None);
    let manifest = manifest
        .expect(200)
        .expect_header("Content-Type", DOCKER_MANIFEST)
        .json();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let size = manifest["layers"][0]["size"].to_string();
    let layer = client.head(&format!("/v2/docker/other/blobs/{layer}"));
    layer.expect(200).expect_header("Content-Length", &size);
    docker.finish();
}

#[test]
fn docker_pulls_its_platform_of_an_index() {
    let Some(docker) = Docker::start(&[]) else {
        return;
    };
    let image = payload::busybox_image(&docker.sandbox, "the right platform");
    let layers = [payload::message_tar(&docker.sandbox, "another platform")];
    let other = payload::image(&docker.sandbox, "s390x", &layers);
    let mut client = docker.server.client();
    for one in [&image, &other] {
        client.push_image("docker/multi", &one.digest(), one);
    }
    let index = Manifest::index(&[
        (&other.manifest, "s390x"),
        (&image.manifest, payload::host_architecture()),
    ]);
    client.push_manifest("docker/multi", "v1", &index);
    let by_tag = docker.image("docker/multi:v1");
    docker.run(&["pull", &by_tag]);
    assert_eq!(docker.run_container(&by_tag, &[]), "the right platform");
    docker.run(&[
        "pull",
        &docker.image(&format!("docker/multi@{}", index.digest())),
    ]);
    docker.finish();
}

#[test]
fn docker_builds_on_a_pulled_image_and_pushes_the_result() {
    let Some(docker) = Docker::start(&[]) else {
        return;
    };
    let base = payload::busybox_image(&docker.sandbox, "built");
    docker
        .server
        .client()
        .push_image("docker/base", "v1", &base);
    let recipe = format!(
        "FROM {}\nCOPY file /file\nRUN cat /message /file > /both\nCMD [\"/bin/cat\", \"/both\"]\n",
        docker.image("docker/base:v1"),
    );
    docker.sandbox.write("context/Dockerfile", &recipe);
    for builder in ["classic", "buildkit"] {
        // Different content for each, so that neither finds its layers already pushed.
        docker.sandbox.write("context/file", builder);
        let image = docker.image(&format!("docker/{builder}:v1"));
        let context = docker.sandbox.arg("context");
        let build = ["build", "--network", "none", "--tag", &image, &context];
        let mut command = docker.sandbox.command("docker");
        command.env(
            "DOCKER_BUILDKIT",
            if builder == "buildkit" { "1" } else { "0" },
        );
        let output = command.args(build).output().expect("run docker build");
        assert!(output.status.success(), "{builder}: {output:?}");
        docker.run(&["push", &image]);
        docker.pull_back(&image);
        assert_eq!(docker.run_container(&image, &[]), format!("built{builder}"));
    }
    docker.finish();
}

#[test]
fn docker_runs_a_debian_system_that_was_pushed() {
    let Some(docker) = Docker::start(&["dpkg-query"]) else {
        return;
    };
    let tar = payload::debian_root_tar(&docker.sandbox, "debian.tar");
    let image = docker.image("docker/debian:here");
    docker.run(&["import", tar.to_str().unwrap(), &image]);
    docker.run(&["push", &image]);
    docker.pull_back(&image);
    let shell = "set -e; stat -c %a /usr/bin/su; readlink /bin; perl -e 'print 6 * 7'";
    assert_eq!(
        docker.run_container(&image, &["/bin/bash", "-c", shell]),
        "4755\nusr/bin\n42"
    );
    docker.finish();
}
