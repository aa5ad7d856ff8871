//! Clients that mean ill, or speak something else, on a port that speaks TLS.

use crate::support::tls::{Certificates, TLS_1_2};
use crate::support::{Client, Server, disk, eventually, start_configured};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

/// The server is the process that was started, and serves.
#[track_caller]
fn is_well(server: &Server, certificates: &Certificates) {
    server
        .tls_client(&certificates.client())
        .get("/v2/")
        .expect(200);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

fn threads(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/task", server.pid()))
        .unwrap()
        .count()
}

#[test]
fn five_hundred_silent_clients_cost_no_thread_and_keep_nobody_out() {
    let certificates = Certificates::new();
    let toml = certificates.toml("") + "[limits]\nhandshake_seconds_max = 3600\n";
    let server = start_configured(&toml, &["--memory"]);
    let mut client = server.tls_client(&certificates.client());
    client.get("/v2/").expect(200);
    let before = threads(&server);
    // The beginning of a hello, of which the rest never comes.
    let part = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let silent: Vec<TcpStream> = (0..500)
        .map(|index| {
            let mut stream = TcpStream::connect(server.host()).unwrap();
            stream.write_all(&part[..index % part.len()]).unwrap();
            if index % 50 == 0 {
                is_well(&server, &certificates);
            }
            stream
        })
        .collect();
    for _ in 0..20 {
        is_well(&server, &certificates);
        client.get("/v2/").expect(200);
    }
    // A burst is met with more threads; the silence after it needs none of them.
    eventually("the threads of the burst end", || {
        (threads(&server) < before + 4).then_some(())
    });
    drop(silent);
    is_well(&server, &certificates);
}

#[test]
fn a_silent_client_is_closed_in_time() {
    let certificates = Certificates::new();
    let toml = certificates.toml("") + "[limits]\nhandshake_seconds_max = 5\n";
    let server = start_configured(&toml, &["--memory"]);
    let mut silent = TcpStream::connect(server.host()).unwrap();
    assert_eq!(silent.read(&mut [0; 9]).unwrap(), 0);
    is_well(&server, &certificates);
}

#[test]
fn plain_http_on_a_port_that_speaks_https_is_told_so() {
    let certificates = Certificates::new();
    let server = certificates.start("");
    let mut client = Client::new(&server.url().replace("https://", "http://"));
    let answer = client.get("/v2/").expect(400);
    assert!(answer.text().contains("this port speaks HTTPS"), "{answer}");
    assert!(
        answer
            .header("Content-Type")
            .unwrap()
            .starts_with("text/plain")
    );
    client.expect_closed();
    is_well(&server, &certificates);
}

#[test]
fn https_on_a_port_that_speaks_plain_http_is_told_so() {
    let certificates = Certificates::new();
    let server = Server::memory();
    let mut client = Client::new(&server.url().replace("http://", "https://"))
        .with_tls(&certificates.client(), "localhost");
    assert!(client.try_connect().is_err());
    // Container clients look for an answer that begins so before they try plain HTTP.
    let mut raw = TcpStream::connect(server.host()).unwrap();
    raw.write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]).unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.client().get("/v2/").expect(200);
}

#[test]
fn an_upload_that_breaks_off_is_not_finished() {
    let certificates = Certificates::new();
    let mut server = start_configured(&certificates.toml(""), &[]);
    let mut client = server.tls_client(&certificates.client());
    let session = client.start_upload("a");
    client.send_head("PATCH", &session, &[("Content-Length", "10")]);
    client.send(b"abcde");
    // Without a word that it ends.
    client.disconnect();
    let mut client = server.tls_client(&certificates.client());
    let offset = eventually("the session is free", || {
        let answer = client.get(&session);
        (answer.status == 204).then(|| answer.header("Range").map(str::to_owned))
    });
    assert_eq!(
        offset.as_deref(),
        Some("0-0"),
        "a broken chunk does not count"
    );
    is_well(&server, &certificates);
    server.stop_and_check();
}

#[test]
fn noise_hurts_nobody() {
    let certificates = Certificates::new();
    let server = certificates.start("");
    thread::scope(|scope| {
        for seed in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..20 {
                    let mut stream = TcpStream::connect(server.host()).unwrap();
                    let mut noise = crate::support::image::bytes(seed * 100 + round, 3000);
                    if round % 2 == 0 {
                        noise[..5].copy_from_slice(&[0x16, 3, 1, 2, 0]);
                    }
                    // It may have been closed by now.
                    let _ = stream.write_all(&noise);
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            });
        }
    });
    is_well(&server, &certificates);
}

/// TLS 1.2 lets a client ask for another handshake; this server does not know of it.
#[test]
fn a_renegotiation_ends_its_connection_and_nothing_else() {
    let certificates = Certificates::new();
    let server = certificates.start("");
    let mut command = Command::new("openssl");
    command
        .args([
            "s_client",
            "-tls1_2",
            "-legacy_renegotiation",
            "-connect",
            server.host(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        disk::skip("a renegotiation", "openssl is not installed");
        return;
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"R\n").unwrap();
    // It reads on while the server has not closed: that this returns is the test.
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation"), "{said}");
    assert!(!said.contains("HTTP/1.1"), "{said}");
    let config = Arc::new(certificates.client_with(TLS_1_2, None));
    server.tls_client(&config).get("/v2/").expect(200);
    is_well(&server, &certificates);
}
