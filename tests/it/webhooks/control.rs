//! The configuration in force, bounds, pulls, and `coracle events`.

use serde_json::Value;

use super::{lines, server_for, webhook};
use crate::support::image::{Image, bytes, digest};
use crate::support::program::{Run, run_at};
use crate::support::receiver::{Answer, Receiver};
use crate::support::{Client, Configured, coracle, eventually, start_configured};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn push(client: &mut Client, seed: u64) -> String {
    let blob = bytes(seed, 40);
    client.push_blob("a", &blob);
    format!("push a@{}", digest(&blob))
}

fn events(server: &Configured, words: &[&str]) -> Run {
    run_at(server.data(), &[&["events"], words].concat())
}

/// How it stands with one webhook.
fn figures(server: &Configured, name: &str) -> Value {
    let list = events(server, &["list", "--json", "--endpoint", name]).expect(0);
    list.json()["webhooks"][0].clone()
}

fn wait_for_figures(server: &Configured, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually("the figures are so", || {
        Some(figures(server, name)).filter(|own| is_so(own))
    })
}

#[test]
fn the_configuration_is_read_again_and_each_webhook_goes_on_where_it_was() {
    let (one, two, three) = (Receiver::new(), Receiver::new(), Receiver::new());
    let both = format!(
        "{}{}",
        webhook("one", &one.url(), ""),
        webhook("two", &two.url(), "")
    );
    let mut server = start_configured(&both, &[]);
    let mut client = server.client();
    let mut expected = vec![push(&mut client, 0)];
    one.wait_for_events(1);
    two.wait_for_events(1);
    // One fails, and then has another address, where it gets all that waited.
    one.always(Answer::Status(500));
    expected.push(push(&mut client, 1));
    two.wait_for_events(2);
    one.wait_for_deliveries(3);
    let reload = |toml: &str, said: &str| {
        let before = server.log().matches(said).count();
        server.rewrite(toml);
        server.signal(Signal::HUP);
        eventually("it is read again", || {
            (server.log().matches(said).count() > before).then_some(())
        });
    };
    reload(&webhook("one", &three.url(), ""), "1 webhooks are in force");
    expected.push(push(&mut client, 2));
    assert_eq!(lines(&three.wait_for_events(2)), expected[1..]);
    assert_eq!(two.events().len(), 2);
    // What is wrong changes nothing.
    reload(
        "[[webhook]]\nname = \"one\"\n",
        "the rules stay as they were",
    );
    expected.push(push(&mut client, 3));
    three.wait_for_events(3);
    let broken = webhook("one", &three.url(), "secret_file = \"/nowhere/secret\"");
    reload(&broken, "the webhooks stay as they were");
    expected.push(push(&mut client, 4));
    three.wait_for_events(4);
    // Disabled, it is told of nothing; a new one from now on.
    let other = format!(
        "{}{}",
        webhook("one", &three.url(), "disabled = true"),
        webhook("late", &two.url(), "")
    );
    two.forget();
    reload(&other, "2 webhooks are in force");
    let last = push(&mut client, 5);
    assert_eq!(lines(&two.wait_for_events(1)), [last]);
    assert_eq!(lines(&three.events()), expected[1..]);
    server.rewrite("");
    server.restart();
    push(&mut server.client(), 6);
    let told = events(&server, &["list", "--json"]).expect(0).json();
    assert_eq!(told["webhooks"], serde_json::json!([]));
    server.stop_and_check();
}

#[test]
fn what_waits_is_bounded_and_what_is_dropped_is_counted() {
    let mut receiver = Receiver::new();
    receiver.disappear();
    let server = server_for(&receiver, "pending_max = 5");
    let mut client = server.client();
    let pushed: Vec<String> = (0..12).map(|seed| push(&mut client, seed)).collect();
    let own = wait_for_figures(&server, "ci", |own| own["dropped"] == 7);
    assert_eq!(own["pending"], 5);
    assert!(own["oldest_seconds"].is_u64(), "{own}");
    assert!(own["failed"].as_u64() > Some(0));
    assert!(
        own["last_error"].as_str().unwrap().contains("refused"),
        "{own}"
    );
    assert!(
        server
            .log()
            .contains("were dropped: more than 5 changes waited")
    );
    receiver.come_back();
    assert_eq!(lines(&receiver.wait_for_events(5)), pushed[7..]);
    let own = wait_for_figures(&server, "ci", |own| own["pending"] == 0);
    assert_eq!((&own["delivered"], &own["dropped"]), (&5.into(), &7.into()));
    assert_eq!(own["last_error"], Value::Null);
}

#[test]
fn pulls_are_told_from_memory_where_they_are_wanted() {
    let (all, gets, none) = (Receiver::new(), Receiver::new(), Receiver::new());
    let only = "actions = \"pull\"";
    let toml = format!(
        "{}{}{}",
        webhook("all", &all.url(), &format!("{only}\npull = true")),
        webhook(
            "gets",
            &gets.url(),
            &format!("{only}\npull = true\npull_head = false")
        ),
        webhook("none", &none.url(), "")
    );
    let server = start_configured(&toml, &[]);
    let mut client = server.client();
    let image = Image::oci(1, &[1000]);
    client.push_image("a", "v1", &image);
    let (manifest, layer) = (image.digest(), digest(&image.layers[0]));
    client.get("/v2/a/manifests/v1").expect(200);
    client
        .head(&format!("/v2/a/manifests/{manifest}"))
        .expect(200);
    client.get(&format!("/v2/a/blobs/{layer}")).expect(200);
    let part = [("Range", "bytes=0-9")];
    client
        .request("GET", &format!("/v2/a/blobs/{layer}"), &part, None)
        .expect(206);
    // What the client has already is not pulled.
    let known = [("If-None-Match", &*format!("\"{manifest}\""))];
    client
        .request("GET", "/v2/a/manifests/v1", &known, None)
        .expect(304);
    client.get("/v2/a/manifests/v2").expect(404);
    client.head(&format!("/v2/a/blobs/{layer}")).expect(200);
    let told = all.wait_for_events(5);
    let by_tag = format!("pull a:v1@{manifest}");
    let blob = format!("pull a@{layer}");
    let expected = [
        by_tag.clone(),
        format!("pull a@{manifest}"),
        blob.clone(),
        blob.clone(),
        blob.clone(),
    ];
    assert_eq!(lines(&told), expected);
    let methods: Vec<&Value> = told
        .iter()
        .map(|event| &event["request"]["method"])
        .collect();
    assert_eq!(methods, ["GET", "HEAD", "GET", "GET", "HEAD"]);
    assert_eq!(
        lines(&gets.wait_for_events(3)),
        [by_tag, blob.clone(), blob]
    );
    assert_eq!(none.wait_for_events(3).len(), 3);
    assert!(
        lines(&none.events())
            .iter()
            .all(|own| own.starts_with("push"))
    );
}

#[test]
fn a_queue_of_pulls_is_bounded() {
    let mut receiver = Receiver::new();
    receiver.disappear();
    let toml = format!(
        "[webhooks]\npulls_max = 3\n{}",
        webhook(
            "ci",
            &receiver.url(),
            "actions = \"pull\"\npull = true\nthreshold = 1000"
        )
        .replacen("threshold = 1\n", "", 1)
    );
    let server = start_configured(&toml, &[]);
    let mut client = server.client();
    client.push_image("a", "v1", &Image::oci(1, &[100]));
    for _ in 0..20 {
        client.get("/v2/a/manifests/v1").expect(200);
    }
    receiver.come_back();
    receiver.wait_for_events(3);
    let count = |own: &Value, key: &str| own[key].as_u64().unwrap();
    let own = wait_for_figures(&server, "ci", |own| {
        count(own, "delivered") + count(own, "pulls_dropped") == 20
    });
    let got = count(&own, "delivered");
    assert!(got <= 4, "one that was tried, and three that waited: {own}");
}

#[test]
fn events_are_listed_followed_replayed_and_purged() {
    let mut receiver = Receiver::new();
    let mut server = server_for(&receiver, "batch_max = 2");
    let mut client = server.client();
    let mut pushed: Vec<String> = (0..4).map(|seed| push(&mut client, seed)).collect();
    receiver.wait_for_events(4);
    wait_for_figures(&server, "ci", |own| own["delivered"] == 4);
    let list = events(&server, &["list"]).expect(0).stdout;
    assert!(list.starts_with("NAME"), "{list}");
    assert!(list.contains("ok"), "{list}");
    // Once more, all of it and a part.
    receiver.forget();
    let replayed = events(&server, &["replay", "--endpoint", "ci", "--json"])
        .expect(0)
        .json();
    let first = replayed["from"].as_i64().unwrap();
    assert_eq!(replayed["to"], first + 3);
    assert_eq!(lines(&receiver.wait_for_events(4)), pushed);
    receiver.forget();
    wait_for_figures(&server, "ci", |own| own["replaying"] == 0);
    let (from, to) = ((first + 1).to_string(), (first + 2).to_string());
    let part = ["replay", "--endpoint", "ci", "--from", &from, "--to", &to];
    let said = events(&server, &part).expect(0).stdout;
    assert_eq!(
        said,
        format!("ci: changes {from} to {to} are sent once more\n")
    );
    assert_eq!(lines(&receiver.wait_for_events(2)), pushed[1..3]);
    wait_for_figures(&server, "ci", |own| own["replaying"] == 0);
    let future = [
        "replay",
        "--endpoint",
        "ci",
        "--since",
        "2999-01-01T00:00:00Z",
    ];
    let said = events(&server, &future).expect(0).stdout;
    assert_eq!(
        said,
        "ci: nothing of that is kept that it has got already\n"
    );
    // What waits is given up.
    receiver.disappear();
    receiver.forget();
    pushed.extend((4..7).map(|seed| push(&mut client, seed)));
    wait_for_figures(&server, "ci", |own| own["pending"] == 3);
    let said = events(&server, &["purge", "--endpoint", "ci"])
        .expect(0)
        .stdout;
    assert_eq!(said, "ci: 3 events will not be delivered\n");
    receiver.come_back();
    let next = push(&mut client, 7);
    assert_eq!(lines(&receiver.wait_for_events(1)), [next]);
    let own = wait_for_figures(&server, "ci", |own| own["delivered"] == 4 + 4 + 2 + 1);
    assert_eq!(own["dropped"], 3);
    // Names that are none.
    for words in [
        &["purge"][..],
        &["replay"],
        &["list"],
        &["tail", "--no-follow"],
    ] {
        let run = events(&server, &[words, &["--endpoint", "x"]].concat());
        assert_ne!(run.code, 0);
        assert!(run.stderr.contains("there is no webhook \"x\""), "{run:?}");
    }
    // The same of a folder without a server.
    receiver.disappear();
    push(&mut client, 8);
    server.stop();
    let own = figures(&server, "ci");
    assert_eq!(
        (&own["pending"], &own["active"]),
        (&1.into(), &false.into())
    );
    let run = events(&server, &["replay", "--endpoint", "ci"]);
    assert!(
        run.code != 0 && run.stderr.contains("no server runs"),
        "{run:?}"
    );
    events(&server, &["purge", "--endpoint", "ci"]).expect(0);
    assert_eq!(figures(&server, "ci")["pending"], 0);
    let kept = events(&server, &["tail", "--json"]).expect(0).stdout;
    assert_eq!(kept.lines().count(), 9, "{kept}");
    server.stop_and_check();
}

#[test]
fn tail_prints_each_new_event_as_it_happens() {
    let receiver = Receiver::new();
    let server = server_for(&receiver, "");
    let mut client = server.client();
    let image = Image::oci(1, &[100]);
    client.push_image("a", "v1", &image);
    let mut tail = coracle();
    tail.args(["events", "tail", "--last", "1", "--data"])
        .arg(server.data())
        .stdout(Stdio::piped())
        .stdin(Stdio::null());
    let mut tail = tail.spawn().expect("start coracle events tail");
    let mut out = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || out.next().expect("a line").expect("text");
    let line = next();
    assert!(
        line.contains(&format!(" push a:v1@{}", image.digest())),
        "{line}"
    );
    client.delete("/v2/a/manifests/v1").expect(202);
    let line = next();
    assert!(line.ends_with(" delete a:v1"), "{line}");
    tail.kill().expect("end it");
    tail.wait().expect("its end");
}

/// What everybody has got goes again, but for what is kept to be sent once more.
#[test]
fn the_outbox_stays_short() {
    let receiver = Receiver::new();
    let toml = format!(
        "[webhooks]\nkeep_seconds = 0\nkeep_max = 1\n{}",
        webhook("ci", &receiver.url(), "batch_max = 10")
    );
    let mut server = start_configured(&toml, &[]);
    let mut client = server.client();
    for seed in 0..20 {
        push(&mut client, seed);
    }
    receiver.wait_for_events(20);
    // Removed with the next writing down.
    server.restart();
    let mut client = server.client();
    push(&mut client, 30);
    receiver.wait_for_events(21);
    server.stop();
    let kept = events(&server, &["tail", "--json"]).expect(0).stdout;
    assert!(kept.lines().count() <= 1, "{kept}");
    server.stop_and_check();
}
