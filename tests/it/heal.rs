//! What is wrong on disk is never served, is reported, and heals when it is pushed again.

use crate::support::image::{Image, bytes, digest};
use crate::support::{ConfigFile, ONLY_FILES, Server, coracle, eventually, start_configured};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The file of a blob.
fn file_of(data: &Path, digest: &str) -> PathBuf {
    let (algorithm, hex) = digest.split_once(':').unwrap();
    let path = data.join("blobs").join(algorithm).join(&hex[..2]).join(hex);
    assert!(path.exists(), "{}", path.display());
    path
}

/// `coracle check` with these flags: its exit code and its report.
fn check(data: &Path, flags: &[&str]) -> (i32, Value) {
    let output = coracle()
        .arg("check")
        .args(flags)
        .args(["--json", "--data"])
        .arg(data)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("no report: {e}\n{output:?}"));
    (output.status.code().unwrap_or(-1), report)
}

fn kinds(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// Listed as defect 5 of other registries: served short with 200, and pushing again repaired
/// nothing.
#[test]
fn a_truncated_blob_is_never_served_and_heals_when_it_is_pushed_again() {
    let mut server = Server::start(&[]);
    let image = Image::oci(1, &[100_000]);
    server.client().push_image("a", "v1", &image);
    let layer = digest(&image.layers[0]);
    let file = file_of(server.data(), &layer);
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(50_000)
        .unwrap();
    let mut client = server.client();
    let path = format!("/v2/a/blobs/{layer}");
    client.get(&path).expect_error(404, "BLOB_UNKNOWN");
    client.head(&path).expect(404);
    client
        .request("GET", &path, &[("Range", "bytes=0-9")], None)
        .expect_error(404, "BLOB_UNKNOWN");
    client
        .post(&format!("/v2/b/blobs/uploads/?mount={layer}&from=a"), b"")
        .expect(202);
    // A manifest above it is not accepted either: the client is to send the blob again.
    client
        .put_manifest("a", "v2", &image.manifest)
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    let (code, report) = check(server.data(), &[]);
    assert_eq!(code, 1, "{report}");
    server.restart();
    let mut client = server.client();
    client.head(&path).expect(404);
    client.push_image("a", "v1", &image);
    client.expect_image("a", "v1", &image);
    server.stop_and_check();
}

#[test]
fn a_blob_that_is_gone_from_the_disk_heals_when_it_is_pushed_again() {
    let mut server = start_configured(ONLY_FILES, &[]);
    let mut client = server.client();
    let blob = bytes(1, 10_000);
    let own = client.push_blob("a", &blob);
    client.push_blob("b", &blob);
    fs::remove_file(file_of(server.data(), &own)).unwrap();
    client.head(&format!("/v2/a/blobs/{own}")).expect(404);
    client
        .get(&format!("/v2/b/blobs/{own}"))
        .expect_error(404, "BLOB_UNKNOWN");
    client.push_blob("a", &blob);
    // The bytes are back for everybody who holds them.
    client.expect_blob("a", &blob);
    client.expect_blob("b", &blob);
    server.stop_and_check();
}

#[test]
fn check_reports_what_is_short_missing_or_changed() {
    let mut server = start_configured(ONLY_FILES, &[]);
    let mut client = server.client();
    let own: Vec<String> = (0..4)
        .map(|seed| client.push_blob("a", bytes(seed, 5000)))
        .collect();
    server.stop();
    let data = server.data().to_path_buf();
    assert_eq!(check(&data, &["--deep"]).0, 0);
    File::options()
        .write(true)
        .open(file_of(&data, &own[0]))
        .unwrap()
        .set_len(1)
        .unwrap();
    fs::remove_file(file_of(&data, &own[1])).unwrap();
    fs::write(file_of(&data, &own[2]), bytes(99, 5000)).unwrap();
    let (code, report) = check(&data, &[]);
    let mut found = kinds(&report);
    found.sort_unstable();
    assert_eq!(
        (code, found),
        (
            1,
            vec!["blob-missing".to_owned(), "blob-wrong-size".to_owned()]
        )
    );
    let (code, report) = check(&data, &["--deep"]);
    assert_eq!((code, kinds(&report).len()), (1, 3), "{report}");
    assert!(
        kinds(&report).contains(&"blob-corrupt".to_owned()),
        "{report}"
    );
    check(&data, &["--deep", "--repair"]);
    server.launch();
    let mut client = server.client();
    for broken in &own[..3] {
        client
            .get(&format!("/v2/a/blobs/{broken}"))
            .expect_error(404, "BLOB_UNKNOWN");
    }
    client.expect_blob("a", bytes(3, 5000));
    for seed in 0..3 {
        client.push_blob("a", bytes(seed, 5000));
        client.expect_blob("a", bytes(seed, 5000));
    }
    server.stop_and_check();
}

/// The same with bytes that the catalog keeps.
#[test]
fn check_reports_inline_bytes_that_are_short_or_changed() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let own: Vec<String> = (0..3)
        .map(|seed| client.push_blob("a", bytes(seed, 5000)))
        .collect();
    server.stop();
    let data = server.data().to_path_buf();
    assert_eq!(check(&data, &["--deep"]).0, 0);
    let damage = |digest: &str, bytes: &[u8]| {
        let hex = digest.replace("sha256:", "01").to_uppercase();
        let catalog = rusqlite::Connection::open(data.join("coracle.db")).unwrap();
        let sql = "UPDATE inline_blob SET bytes = ?1 WHERE hex(digest) = ?2";
        assert_eq!(catalog.execute(sql, (bytes, hex)).unwrap(), 1);
    };
    damage(&own[0], b"short");
    damage(&own[1], &bytes(99, 5000));
    let (code, report) = check(&data, &[]);
    assert_eq!(
        (code, kinds(&report)),
        (1, vec!["blob-wrong-size".to_owned()])
    );
    let (code, report) = check(&data, &["--deep"]);
    assert_eq!((code, kinds(&report).len()), (1, 2), "{report}");
    let (_, report) = check(&data, &["--deep", "--repair"]);
    assert_eq!(report["repaired"], 2, "{report}");
    server.launch();
    let mut client = server.client();
    for broken in &own[..2] {
        let path = format!("/v2/a/blobs/{broken}");
        client.head(&path).expect(404);
        client.get(&path).expect_error(404, "BLOB_UNKNOWN");
    }
    client.expect_blob("a", bytes(2, 5000));
    for seed in 0..2 {
        client.push_blob("a", bytes(seed, 5000));
        client.expect_blob("a", bytes(seed, 5000));
    }
    server.stop_and_check();
}

/// From a file that broke to inline bytes, whose old file goes, and back.
#[test]
fn a_blob_heals_in_whichever_form_the_bound_asks_for() {
    let files = ConfigFile::new(ONLY_FILES);
    let mut server = Server::start(&files.flags());
    let blob = bytes(1, 5000);
    let own = server.client().push_blob("a", &blob);
    let file = file_of(server.data(), &own);
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(17)
        .unwrap();
    server.stop();
    server.launch_with(&[]);
    let mut client = server.client();
    client.push_blob("a", &blob);
    client.expect_blob("a", &blob);
    assert!(!file.exists());
    server.stop();
    let catalog = rusqlite::Connection::open(server.data().join("coracle.db")).unwrap();
    let damaged = catalog.execute("UPDATE inline_blob SET bytes = x'00'", []);
    assert_eq!(damaged.unwrap(), 1);
    drop(catalog);
    server.launch_with(&files.flags());
    let mut client = server.client();
    client
        .get(&format!("/v2/a/blobs/{own}"))
        .expect_error(404, "BLOB_UNKNOWN");
    client.push_blob("a", &blob);
    client.expect_blob("a", &blob);
    assert!(file.exists());
    server.stop_and_check();
}

#[test]
fn an_orphan_is_reported_and_removed_by_repair() {
    let mut server = Server::start(&[]);
    let image = Image::oci(1, &[10]);
    server.client().push_image("a", "v1", &image);
    server.stop();
    let hex = digest("an orphan").replace("sha256:", "");
    let orphan = server
        .data()
        .join("blobs/sha256")
        .join(&hex[..2])
        .join(&hex);
    fs::write(&orphan, "an orphan").unwrap();
    let (code, report) = check(server.data(), &[]);
    assert_eq!(
        (code, kinds(&report)),
        (0, vec!["orphan".to_owned()]),
        "an orphan is harmless"
    );
    assert!(orphan.exists(), "a check alone changes nothing");
    let (_, report) = check(server.data(), &["--repair"]);
    assert_eq!(report["repaired"], 1, "{report}");
    assert!(!orphan.exists());
    server.launch();
    server.client().expect_image("a", "v1", &image);
    server.stop_and_check();
}

/// A file without a row means nothing: it is not served, and a push makes a blob of it.
#[test]
fn an_orphan_is_not_served() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let other = client.push_blob("a", b"something");
    let hex = digest("an orphan").replace("sha256:", "");
    fs::write(
        server
            .data()
            .join("blobs/sha256")
            .join(&hex[..2])
            .join(&hex),
        "another",
    )
    .unwrap();
    client
        .head(&format!("/v2/a/blobs/sha256:{hex}"))
        .expect(404);
    client.push_blob("a", b"an orphan");
    client.expect_blob("a", b"an orphan");
    client.head(&format!("/v2/a/blobs/{other}")).expect(200);
    server.stop_and_check();
}

#[test]
fn check_asks_the_running_server_and_leaves_it_running() {
    let mut server = start_configured(ONLY_FILES, &[]);
    let mut client = server.client();
    let image = Image::oci(1, &[10_000]);
    client.push_image("a", "v1", &image);
    let (code, report) = check(server.data(), &["--deep"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["blobs"], 2, "{report}");
    fs::write(
        file_of(server.data(), &digest(&image.layers[0])),
        bytes(9, 10_000),
    )
    .unwrap();
    let (code, report) = check(server.data(), &["--deep", "--repair"]);
    assert_eq!(
        (code, kinds(&report)),
        (1, vec!["blob-corrupt".to_owned()]),
        "{report}"
    );
    // What the repair took out of service is so at once, in the process that serves.
    client
        .head(&format!("/v2/a/blobs/{}", digest(&image.layers[0])))
        .expect(404);
    client.push_image("a", "v1", &image);
    client.expect_image("a", "v1", &image);
    server.stop_and_check();
}

/// Uploads expire by the age of their last chunk; the files are made older here than any clock
/// would within a test.
#[test]
fn an_expired_upload_is_swept_and_a_fresh_one_is_not() {
    let mut server = start_configured("[uploads]\nexpire_seconds = 60\nsweep_seconds = 1\n", &[]);
    let mut client = server.client();
    let old = client.start_upload_with("a", b"hello");
    age(&server.data().join("uploads"));
    let fresh = client.start_upload_with("a", b"hello");
    eventually("the old upload is swept", || {
        (client.get(&old).status == 404).then_some(())
    });
    client.expect_offset(&fresh, 5);
    client
        .finish_upload(&fresh, &digest("hello"), b"")
        .expect(201);
    eventually("no file of them is left, save as a spare one", || {
        let left = fs::read_dir(server.data().join("uploads")).unwrap();
        let mut names = left.map(|entry| entry.unwrap().file_name());
        let is_spare = |name: std::ffi::OsString| name.to_string_lossy().starts_with("spare-");
        names.all(is_spare).then_some(())
    });
    server.stop_and_check();
}

#[test]
fn an_upload_that_expired_while_the_server_was_down_is_swept_after_the_start() {
    let mut server = start_configured("[uploads]\nexpire_seconds = 60\nsweep_seconds = 1\n", &[]);
    let session = server.client().start_upload_with("a", b"hello");
    server.stop();
    age(&server.data().join("uploads"));
    server.launch();
    let mut client = server.client();
    eventually("the upload is swept", || {
        (client.get(&session).status == 404).then_some(())
    });
    server.stop_and_check();
}

/// Makes all files of a folder a day old.
fn age(folder: &Path) {
    let then = SystemTime::now() - Duration::from_secs(86_400);
    for entry in fs::read_dir(folder).unwrap() {
        let file = File::options()
            .write(true)
            .open(entry.unwrap().path())
            .unwrap();
        file.set_modified(then).unwrap();
    }
}

/// Listed as defects 6 and 19 of other registries: one empty or odd file in the folder stopped
/// deletes, and collection, for the whole store.
#[test]
fn strange_files_in_the_folder_stop_nothing() {
    let mut server = Server::start(&[]);
    let image = Image::oci(1, &[10]);
    server.client().push_image("a", "v1", &image);
    server.stop();
    let data = server.data();
    for (folder, name) in [
        ("blobs/sha256/00", "empty"),
        ("blobs/sha256", "a file"),
        ("blobs", "md5"),
        ("uploads", "empty"),
        ("uploads", "x.state"),
        ("blobs/sha256/ab", &"a".repeat(200)),
    ] {
        fs::create_dir_all(data.join(folder)).unwrap();
        fs::write(data.join(folder).join(name), "").unwrap();
    }
    fs::create_dir_all(data.join("blobs/sha256/zz/folder")).unwrap();
    fs::create_dir_all(data.join("uploads/folder")).unwrap();
    let (code, report) = check(data, &["--deep"]);
    assert_eq!(code, 0, "{report}");
    server.launch();
    let mut client = server.client();
    client.expect_image("a", "v1", &image);
    client.push_image("a", "v2", &Image::oci(2, &[20]));
    client.delete("/v2/a/manifests/v1").expect(202);
    client
        .delete(&format!("/v2/a/blobs/{}", digest(&image.layers[0])))
        .expect(202);
    server.stop_and_check();
}

#[test]
fn the_control_socket_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let server = Server::start(&[]);
    let socket = fs::metadata(server.data().join("control.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
}
