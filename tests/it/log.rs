//! The log: one line for each request, as text and as JSON, which no client can forge.

use crate::support::image::{Image, digest};
use crate::support::{Server, eventually};
use serde_json::Value;

/// The access log's line of a request id.
fn line_of(server: &Server, id: &str) -> String {
    eventually("the request's line", || {
        let log = server.log();
        let line = log
            .lines()
            .find(|line| line.contains(id) && line.contains("status"))?;
        Some(line.to_owned())
    })
}

#[test]
fn a_request_is_one_line_of_text() {
    let server = Server::start(&["--memory"]);
    let image = Image::oci(1, &[1000]);
    let mut client = server.client().with_header("User-Agent", "it/1");
    client.push_image("a", "v1", &image);
    let path = format!("/v2/a/blobs/{}?x=y", digest(&image.layers[0]));
    let answer = client.get(&path).expect(200);
    let line = line_of(&server, answer.header("x-request-id").unwrap());
    for field in [
        "INFO ",
        "access: ",
        "method=GET ",
        &format!("path={path} "),
        "status=200 ",
        "bytes_in=0 ",
        "bytes_out=1000 ",
        "duration_ms=",
        "client=127.0.0.1:",
        "user_agent=it/1 ",
        "request_id=",
        "complete=true",
    ] {
        assert!(line.contains(field), "{field:?} in {line}");
    }
    let answer = client.request(
        "PUT",
        "/v2/a/manifests/v2",
        &[],
        Some(&image.manifest.bytes),
    );
    let line = line_of(&server, answer.expect(201).header("x-request-id").unwrap());
    assert!(
        line.contains(&format!("bytes_in={}", image.manifest.bytes.len())),
        "{line}"
    );
}

#[test]
fn a_request_is_one_object_of_json() {
    let server = Server::start(&["--memory", "--log-format", "json"]);
    let answer = server
        .client()
        .with_header("User-Agent", "say \"hi\"\\ \u{e4}")
        .get("/v2/a/tags/list?q=%22")
        .expect(404);
    let id = answer.header("x-request-id").unwrap();
    let line: Value = serde_json::from_str(&line_of(&server, id)).unwrap();
    for (field, value) in [
        ("level", "info"),
        ("target", "access"),
        ("method", "GET"),
        ("path", "/v2/a/tags/list?q=%22"),
        ("request_id", id),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!(line["status"], 404);
    assert_eq!(line["bytes_out"], answer.body.len());
    assert!(
        line["duration_ms"].is_number() && line["complete"] == true,
        "{line}"
    );
    assert!(
        line["user_agent"]
            .as_str()
            .unwrap()
            .starts_with("say \"hi\"\\"),
        "{line}"
    );
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    for line in server.log().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn what_a_client_sends_can_neither_forge_a_line_nor_fill_the_log() {
    let server = Server::start(&["--memory"]);
    let long = "x".repeat(10_000);
    let mut client = server
        .client()
        .with_header("User-Agent", &format!("a\tb \u{1b}[31m status=200 {long}"));
    let path = format!(
        "/v2/a%0A2026-01-01T00:00:00Z%20INFO%20forged/tags/list?{}",
        "y".repeat(9000)
    );
    let answer = client.get(&path);
    // A control character may well be refused below the routes; the line is there either way.
    let answer = if answer.header("x-request-id").is_some() {
        answer
    } else {
        client.get("/v2/")
    };
    let line = line_of(&server, answer.header("x-request-id").unwrap());
    assert!(line.len() < 4096, "{} bytes", line.len());
    let all = server.log();
    assert!(
        !all.contains('\u{1b}'),
        "an escape character reached the log"
    );
    assert!(
        !all.lines()
            .any(|line| line.starts_with("2026-01-01T00:00:00Z INFO forged"))
    );
}

#[test]
fn what_is_refused_below_the_routes_is_logged_too() {
    let server = Server::start(&["--memory"]);
    let mut client = server.client();
    client.about("GET with two lengths");
    client.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    let answer = client.receive().expect(400);
    let line = line_of(&server, answer.header("x-request-id").unwrap());
    assert!(line.contains("status=400"), "{line}");
}

#[test]
fn the_access_log_can_be_switched_off() {
    let server = Server::start(&["--memory", "--access-log", "false"]);
    let mut client = server.client();
    let ids: Vec<String> = (0..20)
        .map(|_| {
            client
                .get("/v2/")
                .expect(200)
                .header("x-request-id")
                .unwrap()
                .to_owned()
        })
        .collect();
    // The next start's first line comes after all of them would have.
    let log = server.log();
    assert!(!ids.iter().any(|id| log.contains(id)), "{log}");
    assert!(log.contains("serving on"), "{log}");
}

/// A log that nobody reads must not stop the registry.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    use std::io::BufRead;
    use std::process::Stdio;
    let mut child = crate::support::coracle()
        .args(["serve", "--memory", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    std::io::BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut url)
        .unwrap();
    let mut client = crate::support::Client::new(url.trim_end());
    for _ in 0..2000 {
        client.get("/v2/").expect(200);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_id_and_a_trace_of_the_client_are_kept() {
    let server = Server::memory();
    let mut client = server.client();
    let id = "f058ebd6-02f7-4d3f-942e-904344e8cde5";
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("X-Request-Id", id), ("traceparent", trace)];
    let answer = client.request("GET", "/v2/a/tags/list", &headers, None);
    assert_eq!(answer.expect(404).header("x-request-id"), Some(id));
    let line = line_of(&server, id);
    assert!(
        line.contains("trace_id=0af7651916cd43dd8448eb211c80319c"),
        "{line}"
    );
    // What could be something else than an id is replaced, and what is no trace is left out.
    for bad in ["a b", "x\"y", &"x".repeat(129)] {
        let headers = [("X-Request-Id", bad), ("traceparent", "00-xyz")];
        let answer = client.request("GET", "/v2/", &headers, None).expect(200);
        let own = answer.header("x-request-id").unwrap();
        assert_ne!(own, bad);
        assert!(!line_of(&server, own).contains("trace_id"));
    }
}

/// What systemd does for a service: a socket on standard error, and its name in the environment.
#[test]
fn the_journal_gets_priorities_and_no_time() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    let (mut journal, stderr) = UnixStream::pair().unwrap();
    let socket = rustix::fs::fstat(&stderr).unwrap();
    let start = |journal_stream: String, stderr: UnixStream| {
        crate::support::coracle()
            .args(["serve", "--memory", "--listen", "127.0.0.1:0"])
            .env("JOURNAL_STREAM", journal_stream)
            .stdout(std::process::Stdio::null())
            .stderr(OwnedFd::from(stderr))
            .spawn()
            .unwrap()
    };
    let is_all = |text: &str| text.contains("serving on");
    let until_served = |journal: &mut UnixStream, mut child: std::process::Child| {
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        while !is_all(&text) {
            let length = journal.read(&mut buffer).unwrap();
            assert!(length > 0, "it ended: {text}");
            text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        journal.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        text
    };
    let child = start(format!("{}:{}", socket.st_dev, socket.st_ino), stderr);
    let text = until_served(&mut journal, child);
    for line in text.lines() {
        let is_told = line.starts_with("<6>coracle::") || line.starts_with("<4>coracle::");
        assert!(is_told, "{line}");
    }
    // The variable was inherited, and the output goes elsewhere.
    let (mut other, stderr) = UnixStream::pair().unwrap();
    let child = start(format!("{}:{}", socket.st_dev, socket.st_ino + 1), stderr);
    let text = until_served(&mut other, child);
    assert!(text.lines().all(|line| line.starts_with("20")), "{text}");
}
