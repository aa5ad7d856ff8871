//! Which change is told as which event, and what an event says.

use serde_json::Value;

use super::{lines, server_for, webhook};
use crate::support::image::{Image, OCI_LAYER, digest};
use crate::support::program::run_at;
use crate::support::receiver::Receiver;
use crate::support::{for_each_shape_configured, start_configured};

/// Row by row the table of Distribution's documentation: what a client does, and what is told.
#[test]
fn every_action_of_a_client_is_told_as_in_distribution() {
    let receiver = Receiver::new();
    let toml = webhook("ci", &receiver.url(), "");
    for_each_shape_configured(&toml, |server| {
        receiver.forget();
        let mut client = server.client();
        let image = Image::oci(1, &[1000]);
        let (layer, config) = (digest(&image.layers[0]), digest(&image.config));
        client.push_image("a", "v1", &image);
        let manifest = image.digest();
        let pushed = lines(&receiver.wait_for_events(3));
        assert_eq!(pushed.len(), 3, "{pushed:?}");
        assert_eq!(pushed[2], format!("push a:v1@{manifest}"));
        for blob in [&layer, &config] {
            assert!(pushed.contains(&format!("push a@{blob}")), "{pushed:?}");
        }
        // The same blob again, by a session: it is told again, as a push is.
        client.push_blob("a", &image.layers[0]);
        client
            .post(&format!("/v2/b/blobs/uploads/?mount={layer}&from=a"), b"")
            .expect(201);
        client.push_manifest("a", &manifest, &image.manifest);
        client
            .request(
                "PUT",
                &format!("/v2/a/manifests/{manifest}?tag=v2&tag=v3"),
                &[("Content-Type", &image.manifest.media_type)],
                Some(&image.manifest.bytes),
            )
            .expect(201);
        // What fails, and what only reads, is told of nothing.
        client.get("/v2/a/manifests/v9").expect(404);
        client.get("/v2/a/tags/list").expect(200);
        client.delete("/v2/a/manifests/v9").expect(404);
        client.delete("/v2/a/manifests/v2").expect(202);
        client
            .delete(&format!("/v2/a/manifests/{manifest}"))
            .expect(202);
        client.delete(&format!("/v2/b/blobs/{layer}")).expect(202);
        let events = receiver.wait_for_events(3 + 10);
        assert_eq!(
            lines(&events)[3..],
            [
                format!("push a@{layer}"),
                format!("mount b@{layer} from a"),
                format!("push a@{manifest}"),
                format!("push a:v2@{manifest}"),
                format!("push a:v3@{manifest}"),
                "delete a:v2".to_owned(),
                format!("delete a@{manifest}"),
                "delete a:v1".to_owned(),
                "delete a:v3".to_owned(),
                format!("delete b@{layer}"),
            ]
        );
        let mut ids: Vec<&Value> = events.iter().map(|event| &event["id"]).collect();
        ids.dedup();
        assert_eq!(ids.len(), events.len());
    });
}

#[test]
fn an_event_tells_all_that_distributions_do() {
    let receiver = Receiver::new();
    let server = server_for(
        &receiver,
        "include_references = true\nheaders = { X-Kind = \"a b\" }",
    );
    let mut client = server.client().with_header("User-Agent", "tester/1");
    let image = Image::oci(2, &[300]);
    client.push_image("team/app", "v1", &image);
    let events = receiver.wait_for_events(3);
    let event = &events[2];
    let target = &event["target"];
    let url = format!("{}/v2/team/app/manifests/{}", server.url(), image.digest());
    assert_eq!(target["mediaType"], image.manifest.media_type.as_str());
    assert_eq!(target["size"], image.manifest.bytes.len());
    assert_eq!(target["length"], image.manifest.bytes.len());
    assert_eq!(target["url"], url.as_str());
    client
        .get(url.strip_prefix(server.url()).unwrap())
        .expect(200);
    let references = target["references"].as_array().unwrap();
    assert_eq!(references[0]["digest"], digest(&image.config));
    assert_eq!(references[1]["digest"], digest(&image.layers[0]));
    assert_eq!(references[1]["mediaType"], OCI_LAYER);
    let request = &event["request"];
    assert_eq!(request["method"], "PUT");
    assert_eq!(request["useragent"], "tester/1");
    assert_eq!(request["host"], server.host());
    assert!(request["addr"].as_str().unwrap().starts_with("127.0.0.1:"));
    // The log names it by the same id.
    let id = request["id"].as_str().unwrap();
    assert!(server.log().contains(id), "{id}");
    let port = server.host().rsplit(':').next().unwrap();
    assert!(
        event["source"]["addr"]
            .as_str()
            .unwrap()
            .ends_with(&format!(":{port}"))
    );
    assert_eq!(event["actor"], serde_json::json!({}));
    let delivery = &receiver.deliveries()[0];
    assert_eq!(delivery.line, "POST /hook HTTP/1.1");
    assert_eq!(
        delivery.header("content-type"),
        Some("application/vnd.docker.distribution.events.v2+json")
    );
    assert_eq!(delivery.header("x-kind"), Some("a b"));
    assert_eq!(delivery.header("x-coracle-signature-256"), None);
    assert_eq!(
        delivery.header("x-coracle-delivery").map(str::len),
        Some(36)
    );
    assert!(
        delivery
            .body
            .starts_with(b"{\n   \"events\": [\n      {\n         \"id\": ")
    );
}

#[test]
fn what_the_command_line_and_the_background_do_is_told_too() {
    let receiver = Receiver::new();
    let toml = format!(
        "{}[[retention]]\nrepositories = \"old/*\"\nkeep_last = 1\n",
        webhook(
            "ci",
            &receiver.url(),
            "ignore_media_types = \"application/octet-stream\""
        )
    );
    let mut server = start_configured(&toml, &[]);
    let mut client = server.client();
    let (one, two) = (Image::oci(1, &[100]), Image::oci(2, &[100]));
    client.push_image("old/a", "v1", &one);
    client.push_image("old/a", "v2", &two);
    receiver.wait_for_events(2);
    receiver.forget();
    let data = server.data().to_owned();
    let done = |words: &[&str]| run_at(&data, words).expect(0);
    done(&["retention", "run"]);
    done(&["tag", "set", "old/a", "v3", "v2"]);
    done(&["tag", "rollback", "old/a", "v1"]);
    done(&["tag", "remove", "old/a", "v3"]);
    done(&["repo", "rename", "old/a", "new"]);
    done(&["repo", "remove", "new"]);
    done(&["undelete", "new:v1"]);
    let (first, second) = (one.digest(), two.digest());
    let events = receiver.wait_for_events(14);
    let mut found = lines(&events);
    // The manifests of a repository go and come by digest.
    found[5..7].sort();
    found[7..11].sort();
    let mut gone = [
        format!("delete new@{first}"),
        format!("delete new@{second}"),
        "delete new:v1".to_owned(),
        "delete new:v2".to_owned(),
    ];
    gone.sort();
    let mut named = [
        format!("push new:v1@{first}"),
        format!("push new:v2@{second}"),
    ];
    named.sort();
    let expected = [
        &[
            "delete old/a:v1".to_owned(),
            format!("push old/a:v3@{second}"),
            format!("push old/a:v1@{first}"),
            "delete old/a:v3".to_owned(),
            "delete old/a".to_owned(),
        ][..],
        &named,
        &gone,
        &[
            "delete new".to_owned(),
            // The manifest came back, and then its tag was set.
            format!("push new@{first}"),
            format!("push new:v1@{first}"),
        ],
    ]
    .concat();
    assert_eq!(found, expected);
    let actor = |at: usize| events[at]["actor"]["name"].as_str().unwrap_or_default();
    assert_eq!((actor(0), actor(1)), ("coracle retention", "local"));
    server.stop_and_check();
}

#[test]
fn a_webhook_gets_what_its_filter_lets_pass() {
    let all = Receiver::new();
    let some = Receiver::new();
    let toml = format!(
        "{}{}",
        webhook("all", &all.url(), ""),
        webhook(
            "some",
            &some.url(),
            "actions = [\"push\"]\nrepositories = [\"team/**\"]\n\
             ignore_media_types = [\"application/octet-stream\"]\n\
             media_type = \"application/vnd.docker.distribution.events.v1+json\""
        )
    );
    let server = start_configured(&toml, &[]);
    let mut client = server.client();
    let image = Image::oci(1, &[100]);
    for repository in ["other", "team/a"] {
        client.push_image(repository, "v1", &image);
    }
    client.delete("/v2/team/a/manifests/v1").expect(202);
    client.push_image("team/b", "v1", &image);
    let found = lines(&some.wait_for_events(2));
    let expected = ["team/a", "team/b"].map(|own| format!("push {own}:v1@{}", image.digest()));
    assert_eq!(found, expected);
    all.wait_for_events(10);
    assert_eq!(
        some.deliveries()[0].header("content-type"),
        Some("application/vnd.docker.distribution.events.v1+json")
    );
}

/// Ten thousand tags are one row of the outbox, and ten thousand and one events.
#[test]
fn a_manifest_goes_with_very_many_tags_at_once() {
    let mut receiver = Receiver::new();
    let server = server_for(&receiver, "batch_max = 1000\nactions = \"delete\"");
    let mut client = server.client();
    let image = Image::oci(1, &[100]);
    client.push_image("a", "v", &image);
    for hundred in 0..20 {
        let tags: Vec<String> = (0..100)
            .map(|n| format!("tag=t{hundred:02}{n:02}"))
            .collect();
        let path = format!("/v2/a/manifests/{}?{}", image.digest(), tags.join("&"));
        let kind = [("Content-Type", image.manifest.media_type.as_str())];
        client
            .request("PUT", &path, &kind, Some(&image.manifest.bytes))
            .expect(201);
    }
    receiver.disappear();
    client
        .delete(&format!("/v2/a/manifests/{}", image.digest()))
        .expect(202);
    receiver.come_back();
    let events = receiver.wait_for_events(2002);
    let found = lines(&events);
    assert_eq!(found[0], format!("delete a@{}", image.digest()));
    let tags: Vec<String> = (0..20)
        .flat_map(|hundred| (0..100).map(move |n| format!("delete a:t{hundred:02}{n:02}")))
        .chain(["delete a:v".to_owned()])
        .collect();
    assert_eq!(found[1..], tags);
    let sizes: Vec<usize> = receiver
        .deliveries()
        .iter()
        .map(|own| own.events().len())
        .collect();
    assert_eq!(sizes, [1000, 1000, 2]);
}
