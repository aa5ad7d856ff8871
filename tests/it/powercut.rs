//! Power cuts: a real ext4 is shut down under concurrent pushes, and what was not made durable by
//! then is gone. Then everything that was acknowledged is asked for.

use crate::support::disk::{ServerOnDisk, skip};
use crate::support::session::last_byte;
use crate::support::{ConfigFile, ONLY_FILES, Pushers, SOME_FILES};

const ROUNDS: u64 = 3;

#[test]
fn a_power_cut_under_load_loses_nothing_that_was_acknowledged() {
    for toml in ["", SOME_FILES, ONLY_FILES] {
        eprintln!("--- {toml}");
        cut_power_under_load(&ConfigFile::new(toml));
    }
}

fn cut_power_under_load(file: &ConfigFile) {
    let mut disk = match ServerOnDisk::on_ext4(192, &file.flags()) {
        Ok(disk) => disk,
        Err(why) => return skip("the test with power cuts", &why),
    };
    let mut pushers = Pushers::new(6);
    for round in 0..ROUNDS {
        let mut cut = Ok(());
        pushers.run_into_power_cut(&disk.server, 60 + round * 37, || cut = disk.cut_power());
        if let Err(why) = cut {
            return skip("the test with power cuts", &why);
        }
        disk.server.kill();
        disk.unmount().unwrap();
        disk.remount().unwrap();
        disk.server.launch();
        pushers.verify_after_power_cut(&disk.server);
        disk.server.stop_and_check();
        disk.server.launch();
    }
    assert!(
        pushers.known() > 50,
        "only {} things were pushed",
        pushers.known()
    );
}

/// What an upload has acknowledged may be lost with the power, but never be other bytes.
#[test]
fn an_upload_after_a_power_cut_goes_on_right_or_is_gone() {
    let mut disk = match ServerOnDisk::on_ext4(64, &[]) {
        Ok(disk) => disk,
        Err(why) => return skip("the test of uploads after a power cut", &why),
    };
    let blob = crate::support::image::bytes(1, 3_000_000);
    let session = disk
        .server
        .client()
        .start_upload_with("a", &blob[..2_000_000]);
    if let Err(why) = disk.cut_power() {
        return skip("the test of uploads after a power cut", &why);
    }
    disk.server.kill();
    disk.unmount().unwrap();
    disk.remount().unwrap();
    disk.server.launch();
    let mut client = disk.server.client();
    let status = client.get(&session);
    let own = crate::support::image::digest(&blob);
    if status.status == 404 {
        client.push_blob("a", &blob);
    } else {
        let last = usize::try_from(last_byte(&status.expect(204))).unwrap();
        let offset = if last == 0 { 0 } else { last + 1 };
        assert!(offset <= 2_000_000, "{offset}");
        client
            .finish_upload(&session, &own, &blob[offset..])
            .expect(201);
    }
    client.expect_blob("a", &blob);
    disk.server.stop_and_check();
}
