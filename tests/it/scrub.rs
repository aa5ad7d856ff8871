//! The scrub: what rots on the disk is found without being asked for, told, and healed by a push.

use crate::support::image::bytes;
use crate::support::program::run;
use crate::support::{eventually, start_configured};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Everything is read again each second.
const ALWAYS: &str = "[storage]\ninline_bytes_max = \"1KiB\"\n[scrub]\nperiod_seconds = 1\n";

fn check(data: &Path) -> Value {
    let data = data.to_str().unwrap();
    run(&["check", "--json", "--data", data], "").json()
}

#[test]
fn damage_is_found_told_and_healed_by_a_push() {
    let mut server = start_configured(ALWAYS, &[]);
    let mut client = server.client();
    let (good, bad) = (bytes(1, 5000), bytes(2, 5000));
    client.push_blob("a", &good);
    let own = client.push_blob("a", &bad);
    let hex = own.replace("sha256:", "");
    let file = server
        .data()
        .join("blobs/sha256")
        .join(&hex[..2])
        .join(&hex);
    eventually("a whole round", || {
        check(server.data())["scrub"]["last"]
            .is_object()
            .then_some(())
    });
    let notes = |client: &mut crate::support::Client| {
        client.get("/readyz").expect(200).json()["notes"].to_string()
    };
    assert!(!notes(&mut client).contains(&own));
    // The same length, so that no pull would tell.
    fs::write(&file, bytes(3, 5000)).unwrap();
    eventually("it is found", || {
        notes(&mut client).contains(&own).then_some(())
    });
    client.head(&format!("/v2/a/blobs/{own}")).expect(404);
    client.expect_blob("a", &good);
    assert!(
        server.log().contains(&format!("blob {own} is damaged")),
        "{}",
        server.log()
    );
    let report = check(server.data());
    assert_eq!(report["scrub"]["is_damaged"], true, "{report}");
    // It is told after a restart as well.
    server.restart();
    let mut client = server.client();
    assert!(notes(&mut client).contains(&own));
    client.push_blob("a", &bad);
    client.expect_blob("a", &bad);
    assert!(!notes(&mut client).contains(&own));
    let told = run(&["check", "--data", server.data().to_str().unwrap()], "").expect(0);
    assert!(told.stdout.contains("last scrub: ended "), "{told:?}");
    server.stop_and_check();
}

/// A kibibyte a second would take hours for this; a stop need not wait for it.
#[test]
fn a_stop_does_not_wait_for_the_scrub() {
    let toml = format!("{ALWAYS}bytes_per_second_max = \"1KiB\"\n");
    let mut server = start_configured(&toml, &[]);
    server.client().push_blob("a", bytes(1, 10_000_000));
    eventually("it has begun", || {
        check(server.data())["scrub"]["running"]
            .is_object()
            .then_some(())
    });
    server.stop();
    let report = check(server.data());
    assert_eq!(report["scrub"]["running"]["blobs"], 0, "{report}");
    server.stop_and_check();
}

#[test]
fn without_a_period_nothing_is_read() {
    let server = start_configured("[scrub]\nperiod_seconds = 0\n", &[]);
    server.client().push_blob("a", bytes(1, 100_000));
    let report = check(server.data());
    assert_eq!(report["scrub"]["running"], Value::Null, "{report}");
    assert_eq!(report["scrub"]["last"], Value::Null, "{report}");
}
