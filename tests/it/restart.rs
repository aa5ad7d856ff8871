//! Stopped or killed in the middle of anything, then started again on the same folder.

use crate::support::image::{Image, bytes, digest};
use crate::support::{
    ConfigFile, ONLY_FILES, Pushers, SOME_FILES, Server, eventually, start_configured,
};

/// How the server ends in a test.
type End = fn(&mut Server);

const ENDS: [(&str, End); 2] = [("SIGTERM", Server::stop), ("SIGKILL", Server::kill)];

#[test]
fn an_upload_goes_on_where_it_was_acknowledged() {
    for (name, end) in ENDS {
        eprintln!("--- {name}");
        let mut server = Server::start(&[]);
        let blob = bytes(1, 300_000);
        let sessions: Vec<String> = (0..4)
            .map(|n| server.client().start_upload_with("a", &blob[..n * 50_000]))
            .collect();
        end(&mut server);
        server.launch();
        let mut client = server.client();
        for (session, n) in sessions.iter().zip(0..) {
            client.expect_offset(session, n * 50_000);
            let offset = usize::try_from(n * 50_000).unwrap();
            let range = format!("{offset}-{}", offset + 9999);
            client
                .patch_range(session, &range, &blob[offset..][..10_000])
                .expect(202);
            client
                .finish_upload(session, &digest(&blob), &blob[offset + 10_000..])
                .expect(201);
            client.expect_blob("a", &blob);
        }
        server.stop_and_check();
    }
}

#[test]
fn a_chunk_that_was_under_way_counts_for_nothing() {
    for (name, end) in ENDS {
        eprintln!("--- {name}");
        // Stopping waits for running requests, and this one would never end.
        let mut server = start_configured("[server]\nstop_seconds_max = 1\n", &[]);
        let blob = bytes(2, 400_000);
        let session = server.client().start_upload_with("a", &blob[..100_000]);
        let mut broken = server.client();
        broken.begin("PATCH", &session, &[("Content-Length", "300000")]);
        broken.send(&blob[100_000..300_000]);
        end(&mut server);
        server.launch();
        let mut client = server.client();
        client.expect_offset(&session, 100_000);
        client
            .finish_upload(&session, &digest(&blob), &blob[100_000..])
            .expect(201);
        client.expect_blob("a", &blob);
        server.stop_and_check();
    }
}

#[test]
fn a_cancelled_or_finished_upload_stays_so() {
    for (name, end) in ENDS {
        eprintln!("--- {name}");
        let mut server = Server::start(&[]);
        let mut client = server.client();
        let cancelled = client.start_upload_with("a", b"hello");
        client.delete(&cancelled).expect(204);
        let finished = client.start_upload_with("a", b"hello");
        client
            .finish_upload(&finished, &digest("hello"), b"")
            .expect(201);
        end(&mut server);
        server.launch();
        let mut client = server.client();
        for session in [&cancelled, &finished] {
            client.get(session).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        client.expect_blob("a", b"hello");
        server.stop_and_check();
    }
}

/// Listed as defect 4 of other registries: the secret in their upload URLs was new at each start.
#[test]
fn an_upload_survives_many_restarts() {
    let mut server = Server::start(&[]);
    let blob = bytes(3, 100_000);
    let session = server.client().start_upload("a");
    for (chunk, n) in blob.chunks(10_000).zip(0..) {
        let range = format!("{}-{}", n * 10_000, n * 10_000 + 9999);
        server
            .client()
            .patch_range(&session, &range, chunk)
            .expect(202);
        if n % 2 == 0 {
            server.restart();
        } else {
            server.kill();
            server.launch();
        }
    }
    let mut client = server.client();
    client
        .finish_upload(&session, &digest(&blob), b"")
        .expect(201);
    client.expect_blob("a", &blob);
    server.stop_and_check();
}

/// The bytes that a session has are those that were acknowledged, or it is gone: never others.
#[test]
fn an_upload_whose_bytes_were_changed_meanwhile_never_finishes_wrong() {
    let mut server = Server::start(&[]);
    let blob = bytes(4, 50_000);
    let session = server.client().start_upload_with("a", &blob);
    server.kill();
    // What a power cut can do to a file's unsynced tail: longer, with zeroes.
    for entry in std::fs::read_dir(server.data().join("uploads")).unwrap() {
        let path = entry.unwrap().path();
        if std::fs::metadata(&path).unwrap().len() == 50_000 {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_len(60_000).unwrap();
        }
    }
    server.launch();
    let mut client = server.client();
    client.expect_offset(&session, 50_000);
    client
        .finish_upload(&session, &digest(&blob), b"")
        .expect(201);
    client.expect_blob("a", &blob);
    server.stop_and_check();
}

#[test]
fn sigterm_lets_running_requests_finish() {
    let mut server = Server::start(&[]);
    let (mut client, blob) = (server.client(), bytes(5, 100_000));
    let session = client.start_upload("a");
    let path = crate::support::session::with_query(&session, &format!("digest={}", digest(&blob)));
    client.begin("PUT", &path, &[("Content-Length", "100000")]);
    client.send(&blob[..50_000]);
    server.signal(rustix::process::Signal::TERM);
    client.send(&blob[50_000..]);
    client.receive().expect(201);
    assert!(server.wait().success());
    server.launch();
    server.client().expect_blob("a", &blob);
    server.stop_and_check();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&[]);
    let session = server.client().start_upload("a");
    let mut client = server.client();
    client.begin("PATCH", &session, &[("Content-Length", "100000")]);
    client.send(b"some");
    server.signal(rustix::process::Signal::TERM);
    eventually("no new connections are taken", || {
        std::net::TcpStream::connect(server.host())
            .is_err()
            .then_some(())
    });
    server.signal(rustix::process::Signal::TERM);
    // The harness fails when this takes as long as a graceful stop would.
    server.wait();
    server.launch();
    server.client().expect_offset(&session, 0);
    server.stop_and_check();
}

#[test]
fn kill_9_again_and_again_under_load_loses_nothing() {
    for toml in ["", SOME_FILES, ONLY_FILES] {
        eprintln!("--- {toml}");
        let file = ConfigFile::new(toml);
        let mut server = Server::start(&file.flags());
        let mut pushers = Pushers::new(6);
        for round in 1..=7 {
            let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
            pushers.run(&server, 40 + round * 17, || {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            });
            server.wait();
            server.launch();
            pushers.verify(&server);
            server.stop_and_check();
            server.launch();
        }
        assert!(
            pushers.known() > 150,
            "only {} things were pushed",
            pushers.known()
        );
    }
}

/// The bound is another at each start: what is there keeps its form and is served as ever.
#[test]
fn blobs_of_both_forms_outlive_a_change_of_the_bound() {
    let mut server = Server::start(&[]);
    let short = |seed| bytes(seed, 3000 + usize::try_from(seed).unwrap());
    for (round, toml) in [(0, ""), (1, ONLY_FILES), (2, SOME_FILES), (3, ONLY_FILES)] {
        let file = ConfigFile::new(toml);
        server.stop();
        server.launch_with(&file.flags());
        let mut client = server.client();
        client.push_blob("a", short(round));
        // Again, from the start: it is there already.
        client.push_blob("b", short(0));
        for seed in 0..=round {
            client.expect_blob("a", short(seed));
        }
        client.expect_blob("b", short(0));
    }
    let mut client = server.client();
    for seed in 0..4 {
        client
            .delete(&format!("/v2/a/blobs/{}", digest(short(seed))))
            .expect(202);
    }
    client.expect_blob("b", short(0));
    server.stop_and_check();
}

#[test]
fn a_server_that_is_stopped_under_load_loses_nothing() {
    let file = ConfigFile::new(SOME_FILES);
    let mut server = Server::start(&file.flags());
    let mut pushers = Pushers::new(4);
    for _ in 0..3 {
        let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
        pushers.run(&server, 60, || {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        });
        assert!(server.wait().success());
        server.launch();
        pushers.verify(&server);
    }
    server.stop_and_check();
}

#[test]
fn memory_is_empty_after_a_restart_and_needs_no_folder() {
    let mut server = Server::memory();
    server.client().push_image("a", "v1", &Image::oci(1, &[10]));
    server.restart();
    server
        .client()
        .get("/v2/a/tags/list")
        .expect_error(404, "NAME_UNKNOWN");
    assert!(!server.data().exists());
}
