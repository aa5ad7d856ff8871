//! A full disk: a plain answer to who pushes, nothing lost, and everybody else is served.

mod foreign;
mod low_water;
mod reserve;

use crate::support::disk::{ServerOnDisk, fill, skip};
use crate::support::image::{Image, bytes, digest};
use crate::support::{Response, eventually};

#[test]
fn a_full_disk_is_507_and_everything_else_goes_on() {
    let mut disk = match ServerOnDisk::on_tmpfs(32, &[]) {
        Ok(disk) => disk,
        Err(why) => return skip("the test with a full disk", &why),
    };
    let server = &mut disk.server;
    let mut client = server.client();
    let (image, other) = (Image::oci(1, &[100_000]), Image::oci(2, &[200_000]));
    client.push_image("a", "v1", &image);
    client.push_image("a", "v2", &other);
    let blob = bytes(3, 2_000_000);
    let session = client.start_upload_with("a", &blob[..1_000_000]);

    let foreign = fill(server.data());
    is_full(&client.patch(&session, &blob[1_000_000..]));
    let mut client = server.client();
    client.expect_offset(&session, 1_000_000);
    let chunks: Vec<&[u8]> = blob[1_000_000..].chunks(50_000).collect();
    is_full(&client.request_chunked("PATCH", &session, &chunks));
    let mut client = server.client();
    client.expect_offset(&session, 1_000_000);
    is_full(&client.post(
        &format!("/v2/a/blobs/uploads/?digest={}", digest(&blob)),
        &blob,
    ));

    // Reading needs no room, and deleting makes some.
    let mut client = server.client();
    client.expect_image("a", "v1", &image);
    client.get("/v2/a/tags/list").expect(200);
    client.get("/v2/_catalog").expect(200);
    client.get("/healthz").expect(200);
    client.get("/readyz").expect(503);
    client.delete("/v2/a/manifests/v2").expect(202);
    client
        .delete(&format!("/v2/a/manifests/{}", other.digest()))
        .expect(202);
    client
        .delete(&format!("/v2/a/blobs/{}", digest(&other.layers[0])))
        .expect(202);
    client.get("/v2/a/manifests/v2").expect(404);

    std::fs::remove_file(foreign).unwrap();
    let mut client = server.client();
    eventually("ready again", || {
        (client.get("/readyz").status == 200).then_some(())
    });
    client
        .patch(&session, &blob[1_000_000..1_500_000])
        .expect(202);
    client
        .finish_upload(&session, &digest(&blob), &blob[1_500_000..])
        .expect(201);
    client.expect_blob("a", &blob);
    client.push_image("a", "v2", &other);
    client.expect_image("a", "v2", &other);
    server.stop_and_check();
}

/// What does not fit is refused before its bytes travel.
#[test]
fn a_blob_that_does_not_fit_is_refused_at_its_start() {
    let mut disk = match ServerOnDisk::on_tmpfs(16, &[]) {
        Ok(disk) => disk,
        Err(why) => return skip("the test with a small disk", &why),
    };
    let server = &mut disk.server;
    let session = server.client().start_upload("a");
    let mut client = server.client();
    let headers = [("Content-Length", "100000000"), ("Expect", "100-continue")];
    client.send_head("PATCH", &session, &headers);
    let answer = client.receive();
    assert_eq!(answer.interim, [0_u16; 0], "{answer}");
    is_full(&answer);
    let mut client = server.client();
    client.expect_offset(&session, 0);
    client
        .finish_upload(&session, &digest("hello"), b"hello")
        .expect(201);
    server.stop_and_check();
}

/// Pushes of many clients into a disk that fills up: each is told the truth. Whatever filled it,
/// content can be deleted then.
#[test]
fn a_disk_that_fills_under_load_loses_nothing() {
    // Long blobs, which are files; short ones, which go into the catalog as long as it is safe.
    for (length, count) in [(1_000_000, 12), (60_000, 160)] {
        eprintln!("--- blobs of {length} bytes");
        fill_under_load(length, count);
    }
}

fn fill_under_load(length: usize, count: u64) {
    let mut disk = match ServerOnDisk::on_tmpfs(24, &[]) {
        Ok(disk) => disk,
        Err(why) => return skip("the test of a disk that fills up", &why),
    };
    let server = &mut disk.server;
    let (mut stored, mut refused) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let push = |n: u64| {
            let mut client = server.client();
            let mut outcomes = Vec::new();
            for seed in n * 1000..n * 1000 + count {
                let blob = bytes(seed, length);
                let path = format!("/v2/a/blobs/uploads/?digest={}", digest(&blob));
                let answer = client.post(&path, &blob);
                if answer.status != 201 {
                    is_full(&answer);
                }
                outcomes.push((seed, answer.status == 201));
            }
            outcomes
        };
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || push(n))).collect();
        for (seed, kept) in threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
        {
            if kept {
                stored.push(seed);
            } else {
                refused += 1;
            }
        }
    });
    assert!(
        !stored.is_empty() && refused > 0,
        "{} stored, {refused} refused",
        stored.len()
    );
    let mut client = server.client();
    for seed in stored.drain(..stored.len() / 2) {
        let own = digest(bytes(seed, length));
        client.delete(&format!("/v2/a/blobs/{own}")).expect(202);
    }
    server.kill();
    server.launch();
    let mut client = server.client();
    for seed in &stored {
        client.expect_blob("a", bytes(*seed, length));
    }
    let blob = bytes(99_999, length);
    client.push_blob("a", &blob);
    client.expect_blob("a", &blob);
    server.stop_and_check();
}

/// Whether the answer says that the disk is full.
#[track_caller]
fn is_full(answer: &Response) {
    let answer = answer.clone().expect(507);
    let error = &answer.json()["errors"][0];
    assert!(
        error["code"] == "DENIED" || error["code"] == "UNKNOWN",
        "{answer}"
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap_or_default()
            .contains("full"),
        "{answer}"
    );
}
