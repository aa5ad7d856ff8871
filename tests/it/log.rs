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
