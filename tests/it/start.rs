//! Starts that cannot succeed: one sentence that says what to do, and the documented exit code.

use crate::support::image::Image;
use crate::support::{Server, check_clean, coracle};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

const STORE: i32 = 4;
const BUSY: i32 = 5;
const DENIED: i32 = 6;

/// `coracle serve` on this folder, which must fail: its exit code and what it said.
#[track_caller]
fn fails(data: &Path, code: i32) -> String {
    refused(
        coracle()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data),
        code,
    )
}

/// Runs a command that must fail with this code, with one sentence on stderr and nothing on
/// stdout; answers the sentence.
#[track_caller]
fn refused(command: &mut Command, code: i32) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("run coracle");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(code), "{command:?}\n{said}");
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "not one sentence: {said}");
    assert!(
        !said.contains("panicked") && !said.contains("RUST_BACKTRACE"),
        "{said}"
    );
    said
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_and_told_the_pid_of_the_first() {
    let mut server = Server::start(&[]);
    let said = fails(server.data(), BUSY);
    assert!(said.contains(&server.pid().to_string()), "{said}");
    assert!(said.contains(server.data().to_str().unwrap()), "{said}");
    server.client().push_image("a", "v1", &Image::oci(1, &[10]));
    // The lock goes with the process, however it ends.
    server.kill();
    server.launch();
    server.stop_and_check();
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut command = coracle();
    command
        .args(["serve", "--listen", &address, "--data"])
        .arg(folder.path().join("data"));
    let said = refused(&mut command, BUSY);
    assert!(said.contains(&address), "{said}");
}

#[test]
fn a_socket_path_in_use_is_named_and_a_stale_one_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}/a.sock", folder.path().display());
    let mut first = Server::start(&["--listen", &listen]);
    let mut command = coracle();
    command.args(["serve", "--memory", "--listen", &listen]);
    let said = refused(&mut command, BUSY);
    assert!(said.contains("a.sock"), "{said}");
    first.client().get("/v2/").expect(200);
    first.kill();
    first.launch();
    first.client().get("/v2/").expect(200);
}

#[test]
fn a_newer_schema_is_refused_naming_both_versions() {
    let mut server = Server::start(&[]);
    server.client().push_image("a", "v1", &Image::oci(1, &[10]));
    server.stop();
    let catalog = rusqlite::Connection::open(server.data().join("coracle.db")).unwrap();
    let own: i64 = catalog
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    catalog.pragma_update(None, "user_version", 9876).unwrap();
    drop(catalog);
    let said = fails(server.data(), STORE);
    assert!(
        said.contains("9876") && said.contains(&own.to_string()),
        "{said}"
    );
    // Refusing changes nothing: the version that wrote it still opens it.
    let catalog = rusqlite::Connection::open(server.data().join("coracle.db")).unwrap();
    catalog.pragma_update(None, "user_version", own).unwrap();
    drop(catalog);
    server.launch();
    server
        .client()
        .expect_image("a", "v1", &Image::oci(1, &[10]));
    server.stop_and_check();
}

#[test]
fn a_file_that_is_no_catalog_is_refused_and_left_alone() {
    for content in [
        &b"this is not a database, it is a letter to a friend, and a long one"[..],
        &[0xff; 8192],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("coracle.db"), content).unwrap();
        let said = fails(&data, STORE);
        assert!(said.contains("coracle.db"), "{said}");
        assert_eq!(fs::read(data.join("coracle.db")).unwrap(), content);
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let other = rusqlite::Connection::open(data.join("coracle.db")).unwrap();
    other
        .execute_batch("CREATE TABLE letters (text TEXT); INSERT INTO letters VALUES ('x')")
        .unwrap();
    drop(other);
    fails(&data, STORE);
    let other = rusqlite::Connection::open(data.join("coracle.db")).unwrap();
    let tables: i64 = other
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(tables, 1, "nothing was added to it");
}

#[test]
fn a_damaged_header_is_refused() {
    let server = stopped_with_content();
    let path = server.data().join("coracle.db");
    let mut content = fs::read(&path).unwrap();
    content[..100].fill(0x5a);
    fs::write(&path, &content).unwrap();
    fails(server.data(), STORE);
    assert_eq!(
        fs::read(&path).unwrap(),
        content,
        "it is left for a person to look at"
    );
}

/// A page in the middle may go unnoticed at the start, but not by a check, and whatever is asked:
/// the answer is never a crash and never other bytes.
#[test]
fn a_damaged_page_is_found_by_check_and_ends_nothing() {
    let mut server = stopped_with_content();
    let path = server.data().join("coracle.db");
    let mut content = fs::read(&path).unwrap();
    let (page, middle) = (4096, content.len() / 4096 / 2 * 4096);
    assert!(
        content.len() >= 8 * page,
        "a catalog of {} bytes",
        content.len()
    );
    content[middle..middle + page].fill(0xa5);
    fs::write(&path, &content).unwrap();
    let check = coracle()
        .args(["check", "--data"])
        .arg(server.data())
        .output()
        .unwrap();
    let code = check.status.code().unwrap_or_default();
    assert!([1, STORE].contains(&code), "{check:?}");
    if let Some(code) = start_or_exit_code(&mut server) {
        assert_eq!(code, STORE);
        return;
    }
    let mut client = server.client();
    for n in 0..40 {
        let image = Image::oci(n, &[10]);
        let answer = client.get(&format!("/v2/a/manifests/{}", image.digest()));
        assert!(matches!(answer.status, 200 | 404 | 500), "{answer}");
        if answer.status == 200 {
            answer.expect_body(&image.manifest.bytes);
        }
    }
    client.get("/v2/").expect(200);
}

/// Starts the server, or answers the code it left with.
fn start_or_exit_code(server: &mut Server) -> Option<i32> {
    let data = server.data().to_path_buf();
    let mut probe = coracle();
    probe
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data);
    probe
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let mut child = probe.spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    if line.is_empty() {
        return child.wait().unwrap().code();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    server.launch();
    None
}

#[test]
fn a_lost_catalog_beside_blobs_is_no_crash() {
    let mut server = stopped_with_content();
    for name in ["coracle.db", "coracle.db-wal", "coracle.db-shm"] {
        let _ = fs::remove_file(server.data().join(name));
    }
    server.launch();
    let mut client = server.client();
    client
        .get("/v2/a/tags/list")
        .expect_error(404, "NAME_UNKNOWN");
    client.push_image("a", "v1", &Image::oci(1, &[10]));
    client.expect_image("a", "v1", &Image::oci(1, &[10]));
    server.stop();
    check_clean(server.data());
}

#[test]
fn a_file_in_place_of_the_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(&data, "a file").unwrap();
    let Output { status, stderr, .. } = coracle()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(matches!(status.code(), Some(1 | DENIED)), "{status} {said}");
    assert!(said.lines().count() == 1 && said.contains("data"), "{said}");
}

/// Root may write anywhere, so the folder is made unwritable in a way that binds root too.
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let mount = |options: &str| {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&data)
            .output();
        mount.is_ok_and(|output| output.status.success())
    };
    if !mount("ro,size=1m") {
        crate::support::disk::skip(
            "the start in a folder that cannot be written",
            "mount failed",
        );
        return;
    }
    let said = std::panic::catch_unwind(|| fails(&data, DENIED));
    let unmounted = Command::new("umount").arg("-l").arg(&data).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    let said = said.unwrap();
    assert!(said.contains(data.to_str().unwrap()), "{said}");
}

#[test]
fn a_disk_that_is_full_at_the_first_start_is_temporary() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&data)
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        crate::support::disk::skip("the start on a full disk", "mount failed");
        return;
    }
    crate::support::disk::fill(&data);
    let said = std::panic::catch_unwind(|| fails(&data, 75));
    let unmounted = Command::new("umount").arg("-l").arg(&data).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert!(said.unwrap().contains("full"));
}

/// A stopped server whose catalog has some pages.
fn stopped_with_content() -> Server {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    for n in 0..40 {
        client.push_image("a", &format!("v{n}"), &Image::oci(n, &[10]));
    }
    server.stop();
    server
}
