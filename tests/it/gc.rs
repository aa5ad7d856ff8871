//! Collection: what nothing refers to goes, what is needed stays, beside a server and without one.

use crate::support::image::{Image, Manifest, OCI_EMPTY, bytes, descriptor, digest};
use crate::support::{ConfigFile, Server, check_clean, coracle, eventually, start_configured};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Every blob a file, and nothing in the background.
const BY_HAND: &str = "[storage]\ninline_bytes_max = 0\n[gc]\nenabled = false\n";
/// The same with one thing that clients do not see: a grace that is over at once.
const AT_ONCE: &str = "[storage]\ninline_bytes_max = 0\n[undo]\nwindow_seconds = 0\n\
                       [gc]\ngrace_seconds = 1\ninterval_seconds = 1\n";

/// `coracle gc` with these flags on this folder.
fn command(data: &Path, flags: &[&str]) -> Command {
    let mut command = coracle();
    command.arg("gc").args(flags).arg("--data").arg(data);
    command
}

/// Its report.
#[track_caller]
fn gc(data: &Path, flags: &[&str]) -> Value {
    report(
        &command(data, &[flags, &["--json"]].concat())
            .output()
            .unwrap(),
    )
}

#[track_caller]
fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("no report: {e}\n{output:?}"))
}

/// Files of blobs, and their bytes.
fn files(data: &Path) -> (usize, u64) {
    fn walk(folder: &Path, found: &mut (usize, u64)) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            // What goes meanwhile does not count.
            match entry.metadata() {
                Ok(facts) if facts.is_dir() => walk(&entry.path(), found),
                // Beside blobs there are files that keep room.
                Ok(facts) if entry.file_name().len() == 64 => {
                    *found = (found.0 + 1, found.1 + facts.len());
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    let mut found = (0, 0);
    walk(&data.join("blobs"), &mut found);
    found
}

fn delete(server: &Server, repository: &str, reference: &str) {
    let path = format!("/v2/{repository}/manifests/{reference}");
    server.client().delete(&path).expect(202);
}

#[test]
fn what_was_deleted_goes_by_itself() {
    let mut server = start_configured(AT_ONCE, &[]);
    let (kept, gone) = (Image::oci(1, &[100_000]), Image::oci(2, &[200_000, 50]));
    server.client().push_image("a", "kept", &kept);
    server.client().push_image("b", "gone", &gone);
    let before = files(server.data());
    assert_eq!(before.0, 5);
    delete(&server, "b", &gone.digest());
    eventually("the files are gone", || {
        (files(server.data()).0 == 2).then_some(())
    });
    let freed: usize = gone.blobs().map(<[u8]>::len).sum();
    assert_eq!(before.1 - files(server.data()).1, freed as u64);
    server.client().expect_image("a", "kept", &kept);
    let listed = server.client().get("/v2/_catalog").expect(200).json();
    assert_eq!(listed["repositories"], serde_json::json!(["a"]));
    // It can come again.
    server.client().push_image("b", "gone", &gone);
    server.client().expect_image("b", "gone", &gone);
    server.stop_and_check();
}

#[test]
fn in_memory_it_goes_too() {
    let server = start_configured(AT_ONCE, &["--memory"]);
    let gone = Image::oci(2, &[20_000]);
    server.client().push_image("b", "gone", &gone);
    delete(&server, "b", &gone.digest());
    let layer = format!("/v2/b/blobs/{}", digest(&gone.layers[0]));
    // Asked with GET: a HEAD would keep it.
    eventually("the layer is gone", || {
        (server.client().get(&layer).status == 404).then_some(())
    });
}

#[test]
fn by_hand_it_waits_unless_told_otherwise_and_a_dry_run_changes_nothing() {
    let mut server = start_configured(BY_HAND, &[]);
    let (kept, gone) = (Image::oci(1, &[100_000]), Image::oci(2, &[200_000]));
    server.client().push_image("a", "kept", &kept);
    server.client().push_image("b", "gone", &gone);
    let new = server.client().push_blob("c", bytes(9, 1000));
    delete(&server, "b", &gone.digest());
    let freed = gone.blobs().map(<[u8]>::len).sum::<usize>() as u64;

    let waits = gc(server.data(), &[]);
    assert_eq!(
        (&waits["blobs"], &waits["manifests"]),
        (&0.into(), &0.into())
    );
    let undo = &waits["waiting"]["undo"];
    assert_eq!((&undo["count"], &undo["bytes"]), (&1.into(), &freed.into()));
    assert!(undo["until"].is_string());
    let grace = &waits["waiting"]["grace"];
    assert_eq!(
        (&grace["count"], &grace["bytes"]),
        (&1.into(), &1000.into())
    );
    assert!(grace["until"].is_string());

    let before = files(server.data());
    let dry = gc(server.data(), &["--now", "--dry-run"]);
    assert_eq!(
        (&dry["blobs"], &dry["bytes"]),
        (&3.into(), &(freed + 1000).into())
    );
    assert_eq!(
        (&dry["manifests"], &dry["histories"]),
        (&1.into(), &1.into())
    );
    assert_eq!(files(server.data()), before);
    server
        .client()
        .head(&format!("/v2/c/blobs/{new}"))
        .expect(200);

    let now = gc(server.data(), &["--now"]);
    for figure in ["blobs", "bytes", "links", "manifests", "histories"] {
        assert_eq!(now[figure], dry[figure], "{figure}");
    }
    assert_eq!(before.1 - files(server.data()).1, freed + 1000);
    assert!(now["waiting"]["undo"]["until"].is_null());
    server
        .client()
        .head(&format!("/v2/c/blobs/{new}"))
        .expect(404);
    server.client().expect_image("a", "kept", &kept);
    server.stop_and_check();
}

#[test]
fn it_tells_people_what_went_and_programs_when_asked_and_nobody_when_quiet() {
    let server = start_configured(BY_HAND, &[]);
    server.client().push_blob("a", bytes(1, 10));
    let said = command(server.data(), &[]).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.starts_with("removed 0 blobs with 0 bytes"), "{text}");
    assert!(text.contains("1 blobs that nothing refers to"), "{text}");
    assert!(said.stderr.is_empty());
    let said = command(server.data(), &["--now", "--dry-run"])
        .output()
        .unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(
        text.starts_with("would remove 1 blobs with 10 bytes"),
        "{text}"
    );
    let said = command(server.data(), &["--now", "--quiet"])
        .output()
        .unwrap();
    assert!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty());
    assert_eq!(files(server.data()).0, 0);
    let nowhere = tempfile::tempdir().unwrap();
    let said = command(nowhere.path(), &[]).output().unwrap();
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(text.contains("there is no registry in"), "{text}");
}

#[test]
fn without_a_server_it_opens_the_folder() {
    let mut server = start_configured(BY_HAND, &[]);
    let gone = Image::oci(2, &[200_000]);
    server.client().push_image("b", "gone", &gone);
    delete(&server, "b", &gone.digest());
    server.stop();
    let waits = gc(server.data(), &[]);
    assert_eq!(waits["blobs"], 0);
    // The repository lets go of what its past keeps: nobody can have been told of it.
    assert_eq!(waits["links"], 2);
    assert_eq!(gc(server.data(), &["--now"])["blobs"], 2);
    assert_eq!(files(server.data()).0, 0);
    check_clean(server.data());
}

#[test]
fn an_index_keeps_its_children_and_a_subject_its_referrers() {
    let mut server = start_configured(BY_HAND, &[]);
    let mut client = server.client();
    let (amd, arm) = (Image::oci(1, &[5000]), Image::oci(2, &[6000]));
    for image in [&amd, &arm] {
        client.push_image("a", &image.digest(), image);
    }
    let index = Manifest::index(&[(&amd.manifest, "amd64"), (&arm.manifest, "arm64")]);
    client.push_manifest("a", "multi", &index);
    client.push_blob("a", b"{}");
    let signature = Manifest::artifact("application/x-signature", &index.descriptor());
    client.push_manifest("a", &signature.digest(), &signature);
    let loose = Image::oci(3, &[7000]);
    client.push_image("a", &loose.digest(), &loose);
    let report = gc(server.data(), &["--now", "--delete-untagged"]);
    assert_eq!(
        (&report["untagged"], &report["blobs"]),
        (&1.into(), &2.into())
    );
    client.expect_manifest("a", "multi", &index);
    for image in [&amd, &arm] {
        client.expect_image("a", &image.digest(), image);
    }
    client.expect_manifest("a", &signature.digest(), &signature);
    client.expect_blob("a", b"{}");
    let empty = descriptor(OCI_EMPTY, b"{}");
    assert_eq!(signature.json()["config"], empty);
    // Without its tag nothing is held any more.
    delete(&server, "a", "multi");
    let report = gc(server.data(), &["--now", "--delete-untagged"]);
    assert_eq!(
        (&report["untagged"], &report["blobs"]),
        (&4.into(), &5.into())
    );
    assert_eq!(files(server.data()).0, 0);
    server.stop_and_check();
}

#[test]
fn it_can_be_typed_as_for_distribution() {
    let mut server = start_configured(BY_HAND, &[]);
    let loose = Image::oci(3, &[7000]);
    server.client().push_image("a", &loose.digest(), &loose);
    let data = server.data().to_str().unwrap().to_owned();
    let file = ConfigFile::new(&format!("[storage]\ndata = \"{data}\"\n"));
    let [_, path] = file.flags();
    let run = |flags: &[&str]| {
        let said = coracle()
            .args(["garbage-collect", path])
            .args(flags)
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    // A client has just sent it.
    let text = run(&["--delete-untagged"]);
    assert!(text.contains("0 manifests had no tag"), "{text}");
    assert_eq!(run(&["-m", "-q", "--dry-run"]), "");
    server.client().expect_image("a", &loose.digest(), &loose);
    server.stop();
    let text = run(&["-m", "-d"]);
    assert!(text.contains("1 manifests had no tag"), "{text}");
    run(&["--delete-untagged"]);
    let waits = gc(server.data(), &[]);
    assert_eq!(waits["waiting"]["undo"]["count"], 1, "{waits}");
    // A configuration of Distribution's is none of ours.
    let yaml = ConfigFile::new("# a registry\nversion: 0.1\nstorage:\n  filesystem:\n");
    let [_, path] = yaml.flags();
    let said = coracle().args(["garbage-collect", path]).output().unwrap();
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(text.contains("Distribution's registry") && text.contains("coracle config default"));
}

#[test]
fn a_repository_with_an_upload_in_progress_keeps_what_it_has() {
    let server = start_configured(BY_HAND, &[]);
    let mut client = server.client();
    let (one, two) = (bytes(1, 1000), bytes(2, 1000));
    let session = client.post("/v2/a/blobs/uploads/", b"").expect(202);
    let own = client.push_blob("a", &one);
    client.push_blob("b", &two);
    assert_eq!(gc(server.data(), &["--now"])["blobs"], 1);
    client.head(&format!("/v2/a/blobs/{own}")).expect(200);
    client.delete(&session.location()).expect(204);
    assert_eq!(gc(server.data(), &["--now"])["blobs"], 1);
}

/// Whoever says `--now` takes what pushes may need: those are told. What was acknowledged stays.
#[test]
fn beside_pushes_nothing_that_was_acknowledged_is_lost() {
    let mut server = start_configured(BY_HAND, &[]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let pushers: Vec<_> = (0..3_u64)
            .map(|number| {
                let (server, over) = (&server, &over);
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for round in 0..40 {
                        let image = Image::oci(number * 1000 + round, &[2000, 300]);
                        let repository = format!("r{number}");
                        let mut client = server.client();
                        for blob in image.blobs() {
                            client.push_blob(&repository, blob);
                        }
                        let tag = format!("v{round}");
                        let pushed = client.put_manifest(&repository, &tag, &image.manifest);
                        if pushed.status == 201 {
                            kept.push((repository, tag, image));
                        } else {
                            pushed.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
                        }
                        if round % 4 == 3
                            && let Some((repository, tag, image)) = kept.pop()
                        {
                            delete(server, &repository, &image.digest());
                            let path = format!("/v2/{repository}/manifests/{tag}");
                            client.get(&path).expect(404);
                        }
                    }
                    over.store(true, Ordering::Relaxed);
                    kept
                })
            })
            .collect();
        while !over.load(Ordering::Relaxed) {
            gc(server.data(), &["--now", "--delete-untagged"]);
        }
        for pusher in pushers {
            for (repository, tag, image) in pusher.join().unwrap() {
                server.client().expect_image(&repository, &tag, &image);
            }
        }
    });
    server.stop_and_check();
}

/// Many files that nothing refers to.
fn fill(server: &Server, count: u64) {
    let mut client = server.client();
    for seed in 0..count {
        client.push_blob("a", bytes(seed, 500));
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_goes_on_afterwards() {
    const COUNT: usize = 400;
    let mut server = start_configured(BY_HAND, &[]);
    let kept = Image::oci(1, &[5000]);
    server.client().push_image("kept", "v1", &kept);
    let need = files(server.data()).0;
    fill(&server, COUNT as u64);
    let mut running = command(server.data(), &["--now", "--quiet"])
        .spawn()
        .unwrap();
    eventually("it has begun", || {
        (files(server.data()).0 < need + COUNT).then_some(())
    });
    server.kill();
    // It lost its server, or was done before.
    running.wait().unwrap();
    check_clean(server.data());
    server.launch();
    gc(server.data(), &["--now"]);
    server.client().expect_image("kept", "v1", &kept);
    server.stop();
    check_clean(server.data());
    let repaired = coracle()
        .args(["check", "--repair", "--quiet", "--data"])
        .arg(server.data())
        .status()
        .unwrap();
    assert!(repaired.success());
    assert_eq!(files(server.data()).0, need);
}

#[test]
fn a_command_that_is_killed_in_the_middle_leaves_nothing_wrong() {
    const COUNT: usize = 400;
    let mut server = start_configured(BY_HAND, &[]);
    let kept = Image::oci(1, &[5000]);
    server.client().push_image("kept", "v1", &kept);
    let need = files(server.data()).0;
    fill(&server, COUNT as u64);
    server.stop();
    let mut running = command(server.data(), &["--now", "--quiet"])
        .spawn()
        .unwrap();
    eventually("it has begun", || {
        (files(server.data()).0 < need + COUNT).then_some(())
    });
    running.kill().unwrap();
    running.wait().unwrap();
    check_clean(server.data());
    server.launch();
    server.client().expect_image("kept", "v1", &kept);
    gc(server.data(), &["--now"]);
    server.stop_and_check();
}
