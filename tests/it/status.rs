//! `coracle status`: what the running server is doing, once and as a live view.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::image::Image;
use crate::support::program::run_at;
use crate::support::{Server, coracle, eventually};

fn status(server: &Server) -> Value {
    run_at(server.data(), &["status", "--json"])
        .expect(0)
        .json()
}

#[test]
fn an_upload_is_told_with_its_progress() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.push_image("a", "v1", &Image::oci(1, &[1000]));
    let start = client.request("POST", "/v2/team/app/blobs/uploads/", &[], None);
    let place = start.expect(202).header("location").unwrap().to_owned();
    let length = [("Content-Length", "1000000")];
    client.send_head("PATCH", &place, &length);
    client.send(&vec![7; 250_000]);
    let told = eventually("a quarter has arrived", || {
        let told = status(&server);
        (told["uploads"][0]["bytes"] == 250_000).then_some(told)
    });
    let upload = &told["uploads"][0];
    assert_eq!(upload["repository"], "team/app");
    assert_eq!(upload["bytes_total"], 1_000_000);
    assert_eq!(upload["client"], "127.0.0.1");
    assert_eq!(told["uploads_running"], 1);
    assert_eq!(told["upload_sessions"], 1);
    let text = run_at(server.data(), &["status"]).expect(0).stdout;
    for words in [
        "team/app",
        "of 976.5 KiB (25 %)",
        "1 upload and 0 downloads running",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    client.send(&vec![7; 750_000]);
    client.receive().expect(202);
    eventually("it has ended", || {
        (status(&server)["uploads_running"] == 0).then_some(())
    });
}

#[test]
fn a_server_tells_what_it_is_and_what_it_has() {
    let server = Server::start(&[]);
    server
        .client()
        .push_image("a", "v1", &Image::oci(1, &[1000]));
    let told = status(&server);
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["pid"], server.pid());
    assert_eq!(told["listeners"][0]["url"], server.url());
    assert_eq!(told["content"]["tags"], 1);
    assert_eq!(told["content"]["blobs"], 2);
    assert_eq!(told["requests"]["pushes"], 1);
    assert!(told["room"]["free_bytes"].as_u64() > Some(0));
    assert_eq!(told["health"]["is_ready"], true);
    let works: Vec<&str> = told["activities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["work"].as_str().unwrap())
        .collect();
    assert_eq!(
        works,
        ["collection", "scrub", "retention", "backup", "check"]
    );
    // Work that was asked for is told afterwards.
    run_at(server.data(), &["check", "--quiet"]).expect(0);
    run_at(server.data(), &["gc", "--quiet"]).expect(0);
    let told = status(&server);
    assert_eq!(told["activities"][4]["runs"], 1);
    assert_eq!(told["activities"][4]["last"]["figures"][0][0], "blobs");
    assert_eq!(told["activities"][0]["runs"], 1);
    let text = run_at(server.data(), &["status"]).expect(0).stdout;
    for words in [
        "coracle ",
        "serving",
        server.url(),
        "ready        yes",
        "1 repository, 1 tag",
        "check        last ended",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
}

#[test]
fn without_a_server_there_is_nothing_to_tell() {
    let mut server = Server::start(&[]);
    server.stop();
    let ended = run_at(server.data(), &["status"]).expect(1);
    assert!(ended.stderr.contains("no server runs on"), "{ended:?}");
    let folder = tempfile::tempdir().unwrap();
    run_at(&folder.path().join("nothing"), &["status", "--watch"]).expect(1);
}

#[test]
fn a_program_can_watch_until_the_server_ends() {
    let mut server = Server::start(&[]);
    let mut child = coracle()
        .args(["status", "--watch", "--json", "--data"])
        .arg(server.data())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().expect("another line").unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["pid"], server.pid());
    }
    server.stop();
    for line in lines {
        let _: Value = serde_json::from_str(&line.unwrap()).unwrap();
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_terminal_is_given_back() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let server = Server::start(&[]);
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let no_controlling_terminal = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let theirs = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(no_controlling_terminal)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut command = coracle();
    command
        .args(["status", "--watch", "--data"])
        .arg(server.data())
        .stdout(theirs);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut ours = fs::File::from(ours);
    let (mut shown, mut buffer, mut is_asked) = (Vec::new(), [0; 4096], false);
    while let Ok(length @ 1..) = ours.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..length]);
        let pages = String::from_utf8_lossy(&shown).matches("\u{1b}[J").count();
        if pages >= 2 && !is_asked {
            is_asked = true;
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        }
    }
    assert!(child.wait().unwrap().success());
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(
        shown.starts_with("\u{1b}[?1049h\u{1b}[?25l\u{1b}[H"),
        "{shown:?}"
    );
    assert!(shown.ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{shown:?}");
    assert!(shown.contains("coracle ") && shown.contains("requests"));
}
