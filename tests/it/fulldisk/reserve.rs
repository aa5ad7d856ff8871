//! The reserve: a push that would break into it is refused before its bytes travel, with figures,
//! and no number of clients at a time gets around that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::is_full;
use crate::support::disk::{Medium, ServerOnDisk, fill_up_to, free, skip};
use crate::support::image::{Image, bytes, digest};
use crate::support::{Client, Response, eventually};

const MIB: u64 = 1 << 20;

/// Fails unless the answer has these figures, in bytes.
#[track_caller]
fn has_figures(answer: &Response, asked_min: u64, reserve: u64) {
    is_full(answer);
    let error = &answer.json()["errors"][0];
    let figure = |name: &str| error["detail"][name].as_u64().expect("a figure");
    assert!(figure("asked") >= asked_min, "{answer}");
    assert_eq!(figure("reserve"), reserve, "{answer}");
    assert!(figure("free") < reserve + figure("asked"), "{answer}");
    let message = error["message"].as_str().unwrap();
    for word in ["asked for", "free", "reserved", "storage.reserve"] {
        assert!(message.contains(word), "{answer}");
    }
}

/// Announces a body and waits for the answer, without sending a byte of it.
#[track_caller]
fn announce(client: &mut Client, method: &str, path: &str, length: u64) -> Response {
    let length = length.to_string();
    let headers = [
        ("Content-Length", length.as_str()),
        ("Expect", "100-continue"),
    ];
    client.send_head(method, path, &headers);
    let answer = client.receive();
    assert_eq!(answer.interim, [0_u16; 0], "{answer}");
    answer
}

#[test]
fn a_push_that_would_break_into_the_reserve_is_refused_before_its_bytes_travel() {
    let settings = [("STORAGE_RESERVE", "16MiB")];
    let mut disk = match ServerOnDisk::on(Medium::Tmpfs, 64, &[], &settings) {
        Ok(disk) => disk,
        Err(why) => return skip("the test of the reserve", &why),
    };
    let server = &mut disk.server;
    let mut client = server.client();
    let image = Image::oci(1, &[100_000]);
    client.push_image("a", "v1", &image);
    let blob = bytes(2, 3_000_000);
    let session = client.start_upload_with("a", &blob[..1_000_000]);
    // 5 MiB above the reserve, 8 MiB of which are the ballast.
    let foreign = fill_up_to(server.data(), 13 * MIB);
    let answer = announce(&mut server.client(), "PATCH", &session, 6 * MIB);
    has_figures(&answer, 6 * MIB, 16 * MIB);
    let put = format!("{session}?digest={}", digest(&blob));
    has_figures(
        &announce(&mut server.client(), "PUT", &put, 6 * MIB),
        6 * MIB,
        16 * MIB,
    );
    let single = format!("/v2/a/blobs/uploads/?digest={}", digest(&blob));
    let answer = announce(&mut server.client(), "POST", &single, 6 * MIB);
    has_figures(&answer, 6 * MIB, 16 * MIB);
    // Where nobody says how long it is, it is refused when it comes to that.
    let pieces: Vec<Vec<u8>> = (0..24).map(|n| bytes(n, 250_000)).collect();
    let chunks: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let answer = server.client().request_chunked("PATCH", &session, &chunks);
    has_figures(&answer, 1, 16 * MIB);
    // What was acknowledged stays, and what fits is taken.
    let mut client = server.client();
    client.expect_offset(&session, 1_000_000);
    client
        .finish_upload(&session, &digest(&blob), &blob[1_000_000..])
        .expect(201);
    client.expect_blob("a", &blob);
    std::fs::remove_file(&foreign).unwrap();

    // The smallest pushes, when there is nothing above the reserve.
    let foreign = fill_up_to(server.data(), 8 * MIB);
    let mut client = server.client();
    let path = "/v2/a/manifests/v2";
    has_figures(
        &announce(&mut client, "PUT", path, image.manifest.bytes.len() as u64),
        1,
        16 * MIB,
    );
    let mut client = server.client();
    has_figures(&client.post("/v2/a/blobs/uploads/", b""), 1, 16 * MIB);
    let mount = format!(
        "/v2/b/blobs/uploads/?from=a&mount={}",
        digest(&image.layers[0])
    );
    has_figures(&client.post(&mount, b""), 1, 16 * MIB);
    let ready = client.get("/readyz").expect(503);
    let reason = ready.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("writes are refused: "), "{reason}");
    assert!(reason.ends_with(" free, 16 MiB reserved"), "{reason}");
    client.expect_image("a", "v1", &image);
    client.delete("/v2/a/manifests/v1").expect(202);
    std::fs::remove_file(foreign).unwrap();
    client.push_image("a", "v2", &image);
    client.get("/readyz").expect(200);
    let log = server.log();
    let count = |words: &str| log.matches(words).count();
    let told = (
        count("writes are refused: "),
        count("writes are taken again: "),
    );
    assert_eq!(told, (2, 2), "once for each time and not for each push");
    server.stop_and_check();
}

/// Small and large ones, with and without a length, from many clients.
#[test]
fn many_clients_at_a_time_do_not_break_into_the_reserve() {
    for medium in [Medium::Tmpfs, Medium::Ext4] {
        push_into_the_reserve(medium);
    }
}

/// What the catalog may add after a push was acknowledged, in bytes: what its log holds when it is
/// full, which is in the database file only when it was folded in. And what the file system keeps
/// for itself: folders, extents.
const LATE_BYTES: u64 = 7 * MIB;

fn push_into_the_reserve(medium: Medium) {
    // No ballast to reckon with: half of the reserve is in a file.
    const RESERVE: u64 = 24 * MIB;
    const BALLAST: u64 = 12 * MIB;
    let settings = [("STORAGE_RESERVE", "24MiB")];
    let mut disk = match ServerOnDisk::on(medium, 80, &[], &settings) {
        Ok(disk) => disk,
        Err(why) => return skip("the test of the reserve under load", &why),
    };
    let server = &mut disk.server;
    let ballast = std::fs::metadata(server.data().join("ballast")).unwrap();
    assert_eq!(ballast.len(), BALLAST);
    let (least, done) = (AtomicU64::new(u64::MAX), AtomicBool::new(false));
    let stored = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                least.fetch_min(free(server.data()), Ordering::AcqRel);
                std::thread::yield_now();
            }
        });
        let push = |own: u64| push_until_refused(&mut server.client(), own);
        let pushers: Vec<_> = (0..8).map(|own| scope.spawn(move || push(own))).collect();
        let stored: Vec<_> = pushers.into_iter().map(|own| own.join().unwrap()).collect();
        done.store(true, Ordering::Release);
        stored
    });
    let least = least.into_inner() + BALLAST;
    assert!(
        least + LATE_BYTES >= RESERVE,
        "{medium:?}: {least} were free"
    );
    assert!(
        least < RESERVE + 2 * LATE_BYTES,
        "{medium:?}: {least}, so it was never close"
    );
    let mut client = server.client();
    for (seed, length) in stored.into_iter().flatten() {
        client.expect_blob("a", bytes(seed, length));
    }
    server.stop_and_check();
}

/// Pushes until even the shortest is refused; seeds and lengths of what was acknowledged.
fn push_until_refused(client: &mut Client, own: u64) -> Vec<(u64, usize)> {
    let lengths = [3_000_000, 60_000, 900_000, 5_000_000, 20_000];
    let (mut stored, mut refused) = (Vec::new(), 0);
    for step in 0.. {
        let (seed, length) = (
            own * 1_000_000 + step,
            lengths[usize::try_from((step + own) % 5).unwrap()],
        );
        let blob = bytes(seed, length);
        let path = format!("/v2/a/blobs/uploads/?digest={}", digest(&blob));
        let answer = if step % 2 == 0 {
            client.post(&path, &blob)
        } else {
            let chunks: Vec<&[u8]> = blob.chunks(200_000).collect();
            client.request_chunked("POST", &path, &chunks)
        };
        if answer.status == 201 {
            stored.push((seed, length));
            refused = 0;
        } else {
            is_full(&answer);
            // Its connection may be closed with the rest of the body.
            client.disconnect();
            refused += 1;
        }
        // Each of the lengths, both ways.
        if refused == 10 {
            break;
        }
    }
    stored
}

/// The ballast is there from the start, comes back when there is room, and follows its setting.
#[test]
fn the_ballast_is_made_when_there_is_room() {
    let settings = [("STORAGE_RESERVE", "16MiB")];
    let mut disk = match ServerOnDisk::on(Medium::Ext4, 64, &[], &settings) {
        Ok(disk) => disk,
        Err(why) => return skip("the test of the ballast", &why),
    };
    let server = &mut disk.server;
    let path = server.data().join("ballast");
    let length = || std::fs::metadata(&path).map_or(0, |file| file.len());
    assert_eq!(length(), 8 * MIB);
    server.stop();
    std::fs::remove_file(&path).unwrap();
    let foreign = fill_up_to(server.data(), 9 * MIB);
    server.launch();
    assert_eq!(length(), 0, "there is no room above the reserve");
    std::fs::remove_file(foreign).unwrap();
    eventually("the ballast is there again", || {
        (length() == 8 * MIB).then_some(())
    });
    server.stop();
    server.set_variable("STORAGE_RESERVE", "0");
    server.launch();
    assert_eq!(length(), 0, "nothing is kept");
    server.stop_and_check();
}
