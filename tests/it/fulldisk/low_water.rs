//! The low-water mark: below it uploads that rest go, the oldest first, and no more than is needed.

use std::time::{Duration, SystemTime};

use crate::support::disk::{Medium, ServerOnDisk, fill_up_to, skip};
use crate::support::image::bytes;
use crate::support::{Server, eventually};

const MIB: u64 = 1 << 20;

/// Waits until every upload has rested for more than the second that the setting below asks for.
fn rested(server: &Server) {
    let uploads = server.data().join("uploads");
    eventually("all uploads have rested", || {
        let now = SystemTime::now();
        let is_old = |entry: std::fs::DirEntry| {
            let modified = entry.metadata().unwrap().modified().unwrap();
            now.duration_since(modified)
                .is_ok_and(|age| age > Duration::from_millis(1200))
        };
        let mut entries = std::fs::read_dir(&uploads).unwrap();
        entries.all(|entry| is_old(entry.unwrap())).then_some(())
    });
}

#[test]
fn uploads_that_rest_make_room_when_there_is_little() {
    let settings = [
        ("STORAGE_RESERVE", "4MiB"),
        ("STORAGE_LOW_WATER", "32MiB"),
        ("UPLOADS_LOW_WATER_IDLE_SECONDS", "1"),
    ];
    let mut disk = match ServerOnDisk::on(Medium::Tmpfs, 96, &[], &settings) {
        Ok(disk) => disk,
        Err(why) => return skip("the test of the low-water mark", &why),
    };
    let server = &mut disk.server;
    let mut client = server.client();
    let mut start = |seed| client.start_upload_with("a", &bytes(seed, 6_000_000));
    let (oldest, next, last) = (start(1), start(2), start(3));
    rested(server);
    // One of them gives what is missing: the mark and a little more, of which 2 MiB are ballast.
    let foreign = fill_up_to(server.data(), 29 * MIB);
    let mut client = server.client();
    let ready = client.get("/readyz").expect(200).json();
    let note = ready["notes"][0].as_str().unwrap_or_default();
    assert!(
        note.starts_with("there is little room: 31 MiB free, less than 32 MiB"),
        "{ready}"
    );
    eventually("the oldest is gone", || {
        (client.get(&oldest).status == 404).then_some(())
    });
    eventually("there is room again", || {
        (client.get("/readyz").expect(200).json()["notes"].is_null()).then_some(())
    });
    client.expect_offset(&next, 6_000_000);
    client.expect_offset(&last, 6_000_000);
    let log = server.log();
    for words in ["there is little room: ", "there is enough room again: "] {
        assert_eq!(log.matches(words).count(), 1, "{words}");
    }
    assert!(log.contains("removed 1 resting upload sessions"), "{log}");

    // All of them, when that is not enough.
    std::fs::remove_file(&foreign).unwrap();
    rested(server);
    fill_up_to(server.data(), 10 * MIB);
    client.get("/readyz").expect(200);
    for session in [&next, &last] {
        eventually("all are gone", || {
            (client.get(session).status == 404).then_some(())
        });
    }
    server.stop_and_check();
}

/// One that a client is busy with stays, however little room there is.
#[test]
fn an_upload_that_is_in_use_stays() {
    let settings = [
        ("STORAGE_RESERVE", "4MiB"),
        ("STORAGE_LOW_WATER", "32MiB"),
        ("UPLOADS_LOW_WATER_IDLE_SECONDS", "1"),
    ];
    let mut disk = match ServerOnDisk::on(Medium::Tmpfs, 64, &[], &settings) {
        Ok(disk) => disk,
        Err(why) => return skip("the test of uploads in use", &why),
    };
    let server = &mut disk.server;
    let mut client = server.client();
    let idle = client.start_upload_with("a", &bytes(1, 500_000));
    let used = client.start_upload_with("a", &bytes(2, 500_000));
    let mut busy = server.client();
    busy.begin("PATCH", &used, &[("Content-Length", "500000")]);
    rested(server);
    fill_up_to(server.data(), 10 * MIB);
    client.get("/readyz").expect(200);
    eventually("the idle one is gone", || {
        (client.get(&idle).status == 404).then_some(())
    });
    busy.send(&bytes(3, 500_000));
    busy.receive().expect(202);
    client.expect_offset(&used, 1_000_000);
    server.stop_and_check();
}
