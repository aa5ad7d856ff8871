//! `coracle backup` and `coracle restore`: beside a server that is written to, without one, and
//! what both refuse.

use crate::support::image::{Image, bytes, digest};
use crate::support::program::{Run, run};
use crate::support::{
    ConfigFile, ONLY_FILES, Pushers, SOME_FILES, Server, check_clean, coracle, eventually,
    start_configured,
};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A folder for backups and what is restored from them, on the file system of the data.
fn folder_beside(server: &Server) -> tempfile::TempDir {
    let parent = server.data().parent().unwrap().parent().unwrap();
    tempfile::tempdir_in(parent).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(data: &Path, to: &Path, flags: &[&str]) -> Run {
    let words = ["backup", text(to), "--data", text(data), "--json"];
    run(&[&words[..], flags].concat(), "")
}

fn restore(from: &Path, data: &Path, flags: &[&str]) -> Run {
    let words = ["restore", text(from), "--data", text(data), "--json"];
    run(&[&words[..], flags].concat(), "")
}

/// The backup's file of a blob.
fn file_of(folder: &Path, digest: &str) -> PathBuf {
    let (algorithm, hex) = digest.split_once(':').unwrap();
    folder
        .join("blobs")
        .join(algorithm)
        .join(&hex[..2])
        .join(hex)
}

/// Restores to a fresh folder and proves that all is there.
#[track_caller]
fn expect_whole(from: &Path, data: &Path, flags: &[&str]) -> Value {
    let report = restore(from, data, flags).expect(0).json();
    assert_eq!(report["restored"], true, "{report}");
    check_clean(data);
    report
}

/// What was restored is served from now on, and the data that was there is lost.
fn take_the_place_of(data: &Path, restored: &Path) {
    fs::remove_dir_all(data).unwrap();
    fs::rename(restored, data).unwrap();
}

#[test]
fn a_backup_of_a_running_server_is_restored_and_served() {
    for toml in ["", ONLY_FILES] {
        let mut server = start_configured(toml, &[]);
        let folder = folder_beside(&server);
        let (to, data) = (folder.path().join("backup"), folder.path().join("restored"));
        let mut client = server.client();
        let (first, second) = (Image::oci(1, &[100_000, 500]), Image::oci(2, &[200_000]));
        client.push_image("a", "v1", &first);
        let report = backup(server.data(), &to, &[]).expect(0).json();
        assert_eq!(report["blobs"], 3, "{report}");
        assert_eq!(report["tags"], 1, "{report}");
        client.push_image("b/c", "v2", &second);
        let report = backup(server.data(), &to, &["--verify"]).expect(0).json();
        let files = &report["files"];
        let is_file = |blob: &&[u8]| !toml.is_empty() || blob.len() > 64 << 10;
        let count = |image: &Image| image.blobs().filter(is_file).count();
        assert_eq!(files["kept"], count(&first), "{report}");
        assert_eq!(files["linked"], count(&second), "{report}");
        assert_eq!(report["verified"], true);
        // The server serves on, and what it serves is what was saved.
        client.expect_image("b/c", "v2", &second);
        server.stop();
        expect_whole(&to, &data, &[]);
        take_the_place_of(server.data(), &data);
        server.launch();
        let mut client = server.client();
        client.expect_image("a", "v1", &first);
        client.expect_image("b/c", "v2", &second);
        client.push_image("a", "v1", &second);
        server.stop_and_check();
    }
}

#[test]
fn a_backup_beside_pushes_and_deletes_is_whole_every_time() {
    let mut server = start_configured(SOME_FILES, &[]);
    let folder = folder_beside(&server);
    let to = folder.path().join("backup");
    let mut pushers = Pushers::new(4);
    pushers.run(&server, 40, || {
        for round in 0..5 {
            let flags: &[&str] = if round == 2 { &["--verify"] } else { &[] };
            let report = backup(server.data(), &to, flags).expect(0).json();
            assert_eq!(report["faults"]["count"], 0, "{report}");
            let data = folder.path().join(format!("restored-{round}"));
            expect_whole(&to, &data, if round % 2 == 0 { &[] } else { &["--link"] });
        }
        server.signal(Signal::KILL);
    });
    server.wait();
    server.launch();
    pushers.verify(&server);
    server.stop_and_check();
    let report = backup(server.data(), &to, &["--verify"]).expect(0).json();
    assert_eq!(report["faults"]["count"], 0, "{report}");
    let last = folder.path().join("last");
    expect_whole(&to, &last, &[]);
    take_the_place_of(server.data(), &last);
    server.launch();
    pushers.verify(&server);
}

/// Whatever the moment: the folder is the backup that it was, or the new one.
#[test]
fn kill_9_in_the_middle_leaves_a_whole_backup() {
    let mut server = start_configured(ONLY_FILES, &[]);
    let folder = folder_beside(&server);
    let to = folder.path().join("backup");
    for seed in 0..100 {
        server.client().push_blob("a", bytes(seed, 2000));
    }
    backup(server.data(), &to, &[]).expect(0);
    for round in 0..6_u64 {
        let first = 1000 + round * 200;
        let mut client = server.client();
        for seed in first..first + 200 {
            client.push_blob("a", bytes(seed, 1000));
        }
        let before = fs::metadata(to.join("coracle.db")).unwrap().ino();
        let mut command = coracle();
        command.args(["backup", text(&to), "--quiet", "--data"]);
        let mut child = command
            .arg(server.data())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the backup is under way, or done already", || {
            let started = to.join("coracle.db.part").exists();
            let ended = fs::metadata(to.join("coracle.db")).unwrap().ino() != before;
            (started || ended).then_some(())
        });
        server.kill();
        child.wait().unwrap();
        let data = folder.path().join(format!("restored-{round}"));
        let report = expect_whole(&to, &data, &["--link"]);
        let blobs = report["blobs"].as_u64().unwrap();
        assert!(blobs >= 100, "{report}");
        server.launch();
    }
    let report = backup(server.data(), &to, &["--verify"]).expect(0).json();
    assert_eq!(report["blobs"], 1300, "{report}");
    expect_whole(&to, &folder.path().join("last"), &[]);
    server.stop_and_check();
}

#[test]
fn a_backup_without_a_server_is_its_owners_alone_and_holds_no_key() {
    let mut server = start_configured(ONLY_FILES, &[]);
    let folder = folder_beside(&server);
    let to = folder.path().join("deep/backup");
    let blob = server.client().push_blob("a", bytes(1, 5000));
    server.stop();
    let report = backup(server.data(), &to, &[]).expect(0).json();
    assert_eq!(report["files"]["linked"], 1, "{report}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for own in [to.clone(), to.join("blobs")] {
        assert_eq!(mode(&own), 0o700, "{}", own.display());
    }
    for own in ["coracle.db", "backup.json", "lock"] {
        assert_eq!(mode(&to.join(own)), 0o600, "{own}");
    }
    let mut names: Vec<String> = fs::read_dir(&to)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["backup.json", "blobs", "coracle.db", "lock"]);
    let same =
        |a: &Path, b: &Path| fs::metadata(a).unwrap().ino() == fs::metadata(b).unwrap().ino();
    assert!(same(&file_of(&to, &blob), &file_of(server.data(), &blob)));
    // A person reads what it came to, and what is not in it.
    let words = ["backup", text(&to), "--data", text(server.data())];
    let told = run(&words, "").expect(0).stdout;
    assert!(
        told.contains("1 kept") && told.contains("token.key"),
        "{told}"
    );
}

#[test]
fn a_folder_that_will_not_do_is_refused_and_not_touched() {
    let server = start_configured(ONLY_FILES, &[]);
    server.client().push_blob("a", bytes(1, 5000));
    let folder = folder_beside(&server);
    let data = server.data();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.tex"), "x").unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(data, &link).unwrap();
    let cases = [
        (data.to_path_buf(), "data folder"),
        (data.join("backup"), "data folder"),
        (data.join("blobs/../x"), "data folder"),
        (data.parent().unwrap().to_path_buf(), "data folder"),
        (link.join("backup"), "data folder"),
        (other.clone(), "holds other things"),
        (file.clone(), "no folder"),
    ];
    for (to, why) in cases {
        let refused = backup(data, &to, &[]).expect(1);
        assert!(refused.stderr.contains(why), "{refused:?}");
    }
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    assert!(!data.join("backup").exists() && !data.join("coracle.db.part").exists());
    // Another backup is writing there.
    let to = folder.path().join("backup");
    backup(data, &to, &[]).expect(0);
    let lock = File::open(to.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let refused = backup(data, &to, &[]).expect(5);
    assert!(refused.stderr.contains("is using"), "{refused:?}");
    let refused = restore(&to, &folder.path().join("x"), &[]).expect(5);
    assert!(refused.stderr.contains("is using"), "{refused:?}");
    drop(lock);
    backup(data, &to, &[]).expect(0);
    // One of a later form.
    let description = fs::read_to_string(to.join("backup.json")).unwrap();
    let newer = description.replace("\"format\": 1", "\"format\": 2");
    fs::write(to.join("backup.json"), newer).unwrap();
    for refused in [
        backup(data, &to, &[]),
        restore(&to, &folder.path().join("x"), &[]),
    ] {
        assert!(refused.stderr.contains("newer program"), "{refused:?}");
        assert_ne!(refused.code, 0);
    }
    assert!(!folder.path().join("x").exists());
}

#[test]
fn a_restore_goes_only_to_an_empty_folder_and_only_from_a_backup() {
    let server = start_configured(ONLY_FILES, &[]);
    server.client().push_blob("a", bytes(1, 5000));
    let folder = folder_beside(&server);
    let to = folder.path().join("backup");
    backup(server.data(), &to, &[]).expect(0);
    let full = folder.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("thesis.tex"), "x").unwrap();
    let cases = [
        (&to, full.clone(), "holds something"),
        (&to, to.join("restored"), "the backup"),
        (&to, server.data().to_path_buf(), "holds something"),
        (&full, folder.path().join("x"), "is no backup"),
        (
            &server.data().to_path_buf(),
            folder.path().join("x"),
            "is no backup",
        ),
    ];
    for (from, data, why) in cases {
        let refused = restore(from, &data, &[]).expect(1);
        assert!(refused.stderr.contains(why), "{refused:?}");
    }
    assert!(!folder.path().join("x").exists());
    // What a fresh file system has is nothing.
    let fresh = folder.path().join("fresh");
    fs::create_dir_all(fresh.join("lost+found")).unwrap();
    expect_whole(&to, &fresh, &["--quick"]);
}

#[test]
fn damage_in_a_backup_is_named_and_nothing_is_served_from_it() {
    let mut server = start_configured(ONLY_FILES, &[]);
    let mut client = server.client();
    let own: Vec<String> = (1..=3)
        .map(|seed| client.push_blob("a", bytes(seed, 5000)))
        .collect();
    let folder = folder_beside(&server);
    let (to, data) = (folder.path().join("backup"), folder.path().join("restored"));
    backup(server.data(), &to, &[]).expect(0);
    server.stop();
    // Its own file, so that the data is not changed with it.
    fs::remove_file(file_of(&to, &own[0])).unwrap();
    fs::write(file_of(&to, &own[0]), bytes(99, 5000)).unwrap();
    let told = restore(&to, &data, &[]).expect(1);
    let report = told.json();
    assert_eq!(report["restored"], false, "{report}");
    let findings = report["faults"]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{report}");
    assert_eq!(findings[0]["subject"], own[0].as_str());
    let refused = run(
        &["serve", "--data", text(&data), "--listen", "127.0.0.1:0"],
        "",
    );
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("coracle restore"), "{refused:?}");
    let report = restore(&to, &data, &["--partial"]).expect(1).json();
    assert_eq!(report["restored"], true, "{report}");
    assert_eq!(report["files"]["kept"], 2, "{report}");
    take_the_place_of(server.data(), &data);
    server.launch();
    let mut client = server.client();
    client.head(&format!("/v2/a/blobs/{}", own[0])).expect(404);
    client.expect_blob("a", bytes(2, 5000));
    client.push_blob("a", bytes(1, 5000));
    client.expect_blob("a", bytes(1, 5000));
    server.stop_and_check();
}

#[test]
fn what_is_damaged_in_the_store_is_reported_by_its_backup() {
    let file = ConfigFile::new(ONLY_FILES);
    let server = Server::start(&file.flags());
    let mut client = server.client();
    let (good, bad) = (
        client.push_blob("a", bytes(1, 5000)),
        client.push_blob("a", bytes(2, 5000)),
    );
    let folder = folder_beside(&server);
    let (to, data) = (folder.path().join("backup"), folder.path().join("restored"));
    fs::write(file_of(server.data(), &bad), bytes(99, 5000)).unwrap();
    let report = backup(server.data(), &to, &["--verify"]).expect(1).json();
    assert_eq!(report["faults"]["count"], 1, "{report}");
    assert_eq!(report["faults"]["findings"][0]["subject"], bad.as_str());
    assert!(file_of(&to, &good).exists() && !file_of(&to, &bad).exists());
    let report = restore(&to, &data, &[]).expect(0).json();
    assert_eq!(report["out_of_service"], 1, "{report}");
    assert_eq!(digest(bytes(1, 5000)), good);
}
