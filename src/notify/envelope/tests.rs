//! Bodies byte for byte, in both forms.

use super::*;
use crate::registry::events::tests::{blob_change, manifest_change};

fn source() -> Source {
    Source {
        addr: "edge:5000".to_owned(),
        instance_id: "a53db899-3b4b-4a62-a067-8dd013beaca4".to_owned(),
        base: "http://edge:5000".to_owned(),
    }
}

fn request() -> Option<String> {
    let facts = RequestFacts {
        id: "6df24a34-0959-4923-81ca-14f09767db19".to_owned(),
        addr: "192.168.64.11:42961".to_owned(),
        host: "192.168.100.227:5000".to_owned(),
        method: "PUT".to_owned(),
        useragent: "curl/7.38.0".to_owned(),
        base: "http://192.168.100.227:5000".to_owned(),
    };
    serde_json::to_string(&facts).ok()
}

fn text(change: &Change, form: EventsMediaType) -> String {
    let events: Vec<_> = (0..count(change)).map(|part| (change, part)).collect();
    String::from_utf8(body(&events, form, &source())).expect("text")
}

#[test]
fn a_push_by_tag_in_the_form_of_distribution_3() {
    let change = Change {
        tags: vec!["latest".to_owned()],
        actor: Some("user:ada".to_owned()),
        request: request(),
        refers_to: Some(r#"[{"mediaType":"c","digest":"sha256:a","size":1}]"#.to_owned()),
        ..manifest_change("hello-world", ChangeAction::Push)
    };
    let expected = r#"{
   "events": [
      {
         "id": "018df4dc-5495-7012-a789-abcdef000000",
         "timestamp": "2024-02-29T12:34:56.789Z",
         "action": "push",
         "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "DIGEST",
            "size": 8,
            "length": 8,
            "repository": "hello-world",
            "url": "http://192.168.100.227:5000/v2/hello-world/manifests/DIGEST",
            "tag": "latest",
            "references": [
               {
                  "mediaType": "c",
                  "digest": "sha256:a",
                  "size": 1
               }
            ]
         },
         "request": {
            "id": "6df24a34-0959-4923-81ca-14f09767db19",
            "addr": "192.168.64.11:42961",
            "host": "192.168.100.227:5000",
            "method": "PUT",
            "useragent": "curl/7.38.0"
         },
         "actor": {
            "name": "ada"
         },
         "source": {
            "addr": "edge:5000",
            "instanceID": "a53db899-3b4b-4a62-a067-8dd013beaca4"
         }
      }
   ]
}"#;
    let own = crate::oci::Digest::of(crate::oci::Algorithm::Sha256, b"manifest").to_string();
    let found = text(&change, EventsMediaType::V2).replace(&own, "DIGEST");
    assert_eq!(found, expected);
    // The older form: another order, and nothing that is empty.
    let found = text(&change, EventsMediaType::V1).replace(&own, "DIGEST");
    let older = expected
        .replace(
            "            \"digest\": \"DIGEST\",\n            \"size\": 8,\n",
            "            \"size\": 8,\n            \"digest\": \"DIGEST\",\n",
        )
        .replace(
            "                  \"digest\": \"sha256:a\",\n                  \"size\": 1\n",
            "                  \"size\": 1,\n                  \"digest\": \"sha256:a\"\n",
        );
    assert_eq!(found, older);
}

#[test]
fn what_went_says_no_more_than_it_must() {
    let delete = Change {
        tags: vec!["v1".to_owned(), "v2".to_owned()],
        ..manifest_change("a", ChangeAction::Delete)
    };
    let targets = |form| -> Vec<String> {
        let body: serde_json::Value = serde_json::from_str(&text(&delete, form)).unwrap();
        let events = body["events"].as_array().unwrap().clone();
        events.iter().map(|own| own["target"].to_string()).collect()
    };
    let digest = crate::oci::Digest::of(crate::oci::Algorithm::Sha256, b"manifest");
    assert_eq!(
        targets(EventsMediaType::V2),
        [
            format!(r#"{{"digest":"{digest}","mediaType":"","repository":"a","size":0}}"#),
            r#"{"digest":"","mediaType":"","repository":"a","size":0,"tag":"v1"}"#.to_owned(),
            r#"{"digest":"","mediaType":"","repository":"a","size":0,"tag":"v2"}"#.to_owned(),
        ]
    );
    assert_eq!(
        targets(EventsMediaType::V1),
        [
            format!(r#"{{"digest":"{digest}","repository":"a"}}"#),
            r#"{"repository":"a","tag":"v1"}"#.to_owned(),
            r#"{"repository":"a","tag":"v2"}"#.to_owned(),
        ]
    );
    // Nobody asked, and nobody was logged in.
    let body = text(&delete, EventsMediaType::V2);
    assert!(body.contains(r#""actor": {},"#), "{body}");
    assert!(body.contains("\"request\": {\n            \"id\": \"\",\n            \"method\": \"\",\n            \"useragent\": \"\"\n"), "{body}");
}

#[test]
fn a_change_is_as_many_events_as_distribution_makes_of_it() {
    let with = |change: Change, tags: &[&str]| Change {
        tags: tags.iter().map(ToString::to_string).collect(),
        ..change
    };
    let push = || manifest_change("a", ChangeAction::Push);
    let delete = || manifest_change("a", ChangeAction::Delete);
    let tags = Change {
        target: ChangeTarget::Tags,
        ..delete()
    };
    let repository = Change {
        target: ChangeTarget::Repository,
        ..delete()
    };
    for (change, events) in [
        (push(), 1),
        (with(push(), &["v1"]), 1),
        (with(push(), &["v1", "v2"]), 2),
        (delete(), 1),
        (with(delete(), &["v1", "v2"]), 3),
        (with(tags, &["v1", "v2"]), 2),
        (repository, 1),
        (blob_change("a", ChangeAction::Push), 1),
        (blob_change("a", ChangeAction::Delete), 1),
    ] {
        assert_eq!(count(&change), events, "{change:?}");
    }
}

#[test]
fn a_mount_names_where_it_came_from_and_a_url_is_made_where_no_request_said_one() {
    let mount = Change {
        from: Some("b/c".parse().unwrap()),
        actor: Some("token:ci".to_owned()),
        ..blob_change("a", ChangeAction::Mount)
    };
    let body: serde_json::Value = serde_json::from_str(&text(&mount, EventsMediaType::V2)).unwrap();
    let event = &body["events"][0];
    let target = &event["target"];
    assert_eq!(event["action"], "mount");
    assert_eq!(target["fromRepository"], "b/c");
    assert_eq!(target["mediaType"], "application/octet-stream");
    assert_eq!(event["actor"]["name"], "token:ci");
    let digest = crate::oci::Digest::of(crate::oci::Algorithm::Sha256, b"blob");
    assert_eq!(
        target["url"],
        format!("http://edge:5000/v2/a/blobs/{digest}")
    );
    assert_eq!(super::event(&mount, 0, &source()), *event);
}
