//! Clients that take their time: cut off at their bound, and nobody waits for them.

use super::{head, is_refusal, is_well};
use crate::support::image::{bytes, digest};
use crate::support::{Client, eventually, for_each_shape_configured, start_configured};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

const HEADS: &str = "[limits]\nhead_seconds_max = 1\nidle_seconds_max = 1\n";

#[test]
fn a_head_that_never_ends_is_408() {
    let server = start_configured(HEADS, &["--memory"]);
    let starts = [
        &b"G"[..],
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\n",
        b"GET /v2/ HTTP/1.1\r\n\r",
    ];
    let mut clients = starts.map(|start| {
        let mut client = server.client();
        client.about("a head that stands still");
        client.send(start);
        client
    });
    for client in &mut clients {
        is_refusal(client.receive().expect(408));
        client.expect_closed();
    }
    is_well(&server);
}

#[test]
fn a_head_that_comes_byte_by_byte_is_408() {
    let server = start_configured(HEADS, &["--memory"]);
    let mut stream = TcpStream::connect(server.host()).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let dribble = thread::spawn(move || {
        // Each byte comes well within the bound; all of them together never would.
        let bytes = head(
            "GET /v2/ HTTP/1.1",
            &[&format!("X: {}", "y".repeat(10_000))],
        );
        for byte in bytes {
            if sending.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut answer = String::new();
    // A reset may follow the answer, as bytes go on arriving.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    dribble.join().unwrap();
    is_well(&server);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = start_configured(HEADS, &["--memory"]);
    let (mut fresh, mut used) = (server.client(), server.client());
    fresh.send(b"");
    used.get("/v2/").expect(200);
    fresh.expect_closed();
    used.expect_closed();
    is_well(&server);
}

const IMPATIENT: &str = "[limits]\nbody_grace_seconds = 1\nbody_rate_bytes_min = \"1MiB\"\n";

#[test]
fn a_body_that_stands_still_or_crawls_is_cut_off_and_counts_for_nothing() {
    for_each_shape_configured(IMPATIENT, |server| {
        let mut client = server.client();
        let session = client.start_upload_with("a", b"hello");
        for framing in [
            ("Content-Length", "1000000"),
            ("Transfer-Encoding", "chunked"),
        ] {
            let mut slow = server.client();
            slow.send_head("PATCH", &session, &[framing]);
            if framing.1 == "chunked" {
                slow.send(b"f4240\r\n");
            }
            slow.send(b"some");
            is_refusal(slow.receive().expect(408));
            slow.expect_closed();
            client.expect_offset(&session, 5);
        }
        client
            .finish_upload(&session, &digest("hello"), b"")
            .expect(201);
    });
}

/// A reader that stops reading must not hold a worker, a file or memory for ever.
#[test]
fn a_reader_that_stands_still_is_cut_off() {
    let toml = format!(
        "{IMPATIENT}write_stall_seconds_max = 1\nworkers_max = 2\n\
         requests_per_client_max = 0\n"
    );
    for_each_shape_configured(&toml, |server| {
        let blob = bytes(1, 32 << 20);
        let path = format!("/v2/a/blobs/{}", server.client().push_blob("a", &blob));
        let line = format!("GET {path} HTTP/1.1");
        let stalled: Vec<TcpStream> = (0..4)
            .map(|_| {
                let mut stream = TcpStream::connect(server.host()).unwrap();
                stream.write_all(&head(&line, &[])).unwrap();
                stream
            })
            .collect();
        // More readers than workers, and none of them reads: others are served all the same.
        server.client().get("/v2/").expect(200);
        for mut stream in stalled {
            let mut received = Vec::new();
            let _ = stream.read_to_end(&mut received);
            assert!(received.len() < blob.len(), "it was not cut off");
        }
        is_well(server);
    });
}

#[test]
fn slow_heads_take_no_worker() {
    let toml = "[limits]\nworkers_max = 2\nhead_seconds_max = 60\n";
    for_each_shape_configured(toml, |server| {
        let slow: Vec<Client> = (0..50)
            .map(|_| {
                let mut client = server.client();
                client.send(b"GET /v2/ HTTP/1.1\r\nHost");
                client
            })
            .collect();
        let mut client = server.client();
        client.push_blob("a", b"hello");
        client.expect_blob("a", b"hello");
        drop(slow);
    });
}

#[test]
fn slow_bodies_hold_their_workers_only_as_long_as_they_may() {
    let server = start_configured(&format!("{IMPATIENT}workers_max = 2\n"), &[]);
    let mut setup = server.client();
    let sessions: Vec<String> = (0..6).map(|_| setup.start_upload("a")).collect();
    let slow: Vec<Client> = sessions
        .iter()
        .map(|session| {
            let mut client = server.client();
            client.send_head("PATCH", session, &[("Content-Length", "1000000")]);
            client.send(b"some");
            client
        })
        .collect();
    eventually("a worker is free again", || {
        let answer = server.client().get("/v2/");
        (answer.status == 200).then_some(())
    });
    drop(slow);
    is_well(&server);
}
