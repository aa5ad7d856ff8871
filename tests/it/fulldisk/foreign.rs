//! Somebody else's file takes the disk to the last byte: what is there is read and deleted, the
//! program starts, what was acknowledged stays, and everything recovers when the file goes.

use std::sync::atomic::{AtomicBool, Ordering};

use super::is_full;
use crate::support::disk::{Medium, ServerOnDisk, fill, run_coracle, skip};
use crate::support::image::{Image, bytes, digest};
use crate::support::{Client, eventually};

const SETTINGS: [(&str, &str); 1] = [("STORAGE_RESERVE", "16MiB")];

fn on(medium: Medium, mib: u64) -> Option<ServerOnDisk> {
    match ServerOnDisk::on(medium, mib, &[], &SETTINGS) {
        Ok(disk) => Some(disk),
        Err(why) => {
            skip("the test of a disk that others fill", &why);
            None
        }
    }
}

/// Deletes one image: its tag, its manifest, its blobs.
#[track_caller]
fn delete(client: &mut Client, tag: &str, image: &Image) {
    client.delete(&format!("/v2/a/manifests/{tag}")).expect(202);
    client
        .delete(&format!("/v2/a/manifests/{}", image.digest()))
        .expect(202);
    for blob in image.blobs() {
        client
            .delete(&format!("/v2/a/blobs/{}", digest(blob)))
            .expect(202);
    }
}

#[test]
fn a_disk_that_others_filled_is_read_deleted_from_and_started_on() {
    for medium in [Medium::Tmpfs, Medium::Ext4] {
        eprintln!("--- {medium:?}");
        let Some(mut disk) = on(medium, 64) else {
            return;
        };
        let server = &mut disk.server;
        let images: Vec<Image> = (0..6)
            .map(|seed| Image::oci(seed, &[300_000, 5_000]))
            .collect();
        let mut client = server.client();
        for (number, image) in images.iter().enumerate() {
            client.push_image("a", &format!("v{number}"), image);
        }
        let foreign = fill(server.data());
        is_full(&client.post("/v2/a/blobs/uploads/", b""));
        client.expect_image("a", "v0", &images[0]);
        delete(&mut client, "v0", &images[0]);

        // The end of the process, and a start where nothing is free.
        server.kill();
        fill(server.data());
        server.launch();
        let mut client = server.client();
        client.expect_image("a", "v1", &images[1]);
        delete(&mut client, "v1", &images[1]);
        client.get("/readyz").expect(503);

        // The same after a stop, which gives the log's room back.
        server.stop();
        fill(server.data());
        let data = server.data().to_str().unwrap().to_owned();
        for words in [&["check", "--deep"][..], &["user", "list"]] {
            let output = run_coracle(&[words, &["--data", &data]].concat());
            assert!(output.status.success(), "{medium:?} {words:?}: {output:?}");
            fill(server.data());
        }
        server.launch();
        let mut client = server.client();
        client.expect_image("a", "v2", &images[2]);
        delete(&mut client, "v2", &images[2]);
        for words in [&["check", "--deep"][..], &["user", "list"]] {
            let output = run_coracle(&[words, &["--data", &data]].concat());
            assert!(output.status.success(), "{medium:?} {words:?}: {output:?}");
        }

        std::fs::remove_file(foreign).unwrap();
        eventually("ready again", || {
            (client.get("/readyz").status == 200).then_some(())
        });
        let ballast = server.data().join("ballast");
        eventually("the ballast is there again", || {
            let length = std::fs::metadata(&ballast).map_or(0, |file| file.len());
            (length == 8 << 20).then_some(())
        });
        client.push_image("a", "v0", &images[0]);
        for number in [0, 3, 4, 5] {
            client.expect_image("a", &format!("v{number}"), &images[number]);
        }
        server.stop_and_check();
    }
}

/// So many deletions that the catalog's log is folded in, and begun anew, several times; on a disk
/// without a free byte.
#[test]
fn deletions_go_on_for_ever_on_a_disk_without_a_free_byte() {
    for medium in [Medium::Tmpfs, Medium::Ext4] {
        eprintln!("--- {medium:?}");
        let Some(mut disk) = on(medium, 64) else {
            return;
        };
        let server = &mut disk.server;
        let mut client = server.client();
        let image = Image::oci(1, &[1000]);
        client.push_image("a", "v", &image);
        let blobs: Vec<Vec<u8>> = (10..400).map(|seed| bytes(seed, 30_000)).collect();
        for blob in &blobs {
            client.push_blob("a", blob);
        }
        for number in 0..400 {
            client.push_manifest("a", &format!("t{number}"), &image.manifest);
        }
        let foreign = fill(server.data());
        for blob in &blobs {
            client
                .delete(&format!("/v2/a/blobs/{}", digest(blob)))
                .expect(202);
        }
        for number in 0..400 {
            client
                .delete(&format!("/v2/a/manifests/t{number}"))
                .expect(202);
        }
        client.expect_image("a", "v", &image);
        std::fs::remove_file(foreign).unwrap();
        client.push_blob("a", &blobs[0]);
        server.stop_and_check();
    }
}

/// The disk is filled while commits run, and the process ends: each push that was acknowledged is
/// there, and can be deleted.
#[test]
fn what_was_acknowledged_while_others_filled_the_disk_is_there() {
    for medium in [Medium::Tmpfs, Medium::Ext4] {
        eprintln!("--- {medium:?}");
        let Some(mut disk) = on(medium, 96) else {
            return;
        };
        let server = &mut disk.server;
        let began = AtomicBool::new(false);
        let (stored, foreign) = std::thread::scope(|scope| {
            let push = |own: u64| {
                let mut stored = Vec::new();
                let mut client = server.client();
                for seed in own * 10_000.. {
                    let blob = bytes(seed, if seed % 3 == 0 { 400_000 } else { 20_000 });
                    let path = format!("/v2/a/blobs/uploads/?digest={}", digest(&blob));
                    let answer = client.post(&path, &blob);
                    if answer.status != 201 {
                        is_full(&answer);
                        break;
                    }
                    began.store(true, Ordering::Release);
                    stored.push(blob);
                }
                stored
            };
            let pushers: Vec<_> = (0..4).map(|own| scope.spawn(move || push(own))).collect();
            eventually("pushes run", || began.load(Ordering::Acquire).then_some(()));
            let foreign = fill(server.data());
            let stored: Vec<_> = pushers
                .into_iter()
                .flat_map(|own| own.join().unwrap())
                .collect();
            (stored, foreign)
        });
        server.kill();
        server.launch();
        let mut client = server.client();
        for blob in &stored {
            client.expect_blob("a", blob);
        }
        let (gone, kept) = stored.split_at(stored.len() / 2);
        for blob in gone {
            client
                .delete(&format!("/v2/a/blobs/{}", digest(blob)))
                .expect(202);
        }
        std::fs::remove_file(foreign).unwrap();
        for blob in kept {
            client.expect_blob("a", blob);
        }
        client.push_blob("a", bytes(1, 30_000));
        server.stop_and_check();
    }
}

/// Where not even the ballast is left: a start is served or refused with a sentence, and never ends
/// with a signal. A little room is enough for it.
#[test]
fn a_start_without_any_room_is_no_crash() {
    for medium in [Medium::Tmpfs, Medium::Ext4] {
        eprintln!("--- {medium:?}");
        let settings = [("STORAGE_RESERVE", "0")];
        let mut disk = match ServerOnDisk::on(medium, 32, &[], &settings) {
            Ok(disk) => disk,
            Err(why) => return skip("the test of a start without room", &why),
        };
        let server = &mut disk.server;
        let image = Image::oci(1, &[300_000]);
        server.client().push_image("a", "v", &image);
        server.stop();
        let foreign = fill(server.data());
        let data = server.data().to_str().unwrap().to_owned();
        let output = run_coracle(&["check", "--data", &data]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code().is_some_and(|code| code > 0),
            "{medium:?}: {output:?}"
        );
        assert!(said.contains("no space left"), "{medium:?}: {said}");
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&foreign)
            .unwrap();
        file.set_len(file.metadata().unwrap().len() - (1 << 20))
            .unwrap();
        file.sync_all().unwrap();
        // As an older version leaves the folder.
        std::fs::remove_file(server.data().join("token.key")).unwrap();
        server.launch();
        let mut client = server.client();
        client.expect_image("a", "v", &image);
        delete(&mut client, "v", &image);
        server.stop_and_check();
    }
}
