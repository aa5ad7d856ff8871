//! The draft extension of the specification: the history of a tag, and which extensions there are.

use crate::support::image::{Image, OCI_MANIFEST};
use crate::support::program::run_at;
use crate::support::{Response, Server, for_each_shape};
use serde_json::{Value, json};

const CREATED: &str = "org.opencontainers.distribution.tag.created";
const DELETED: &str = "org.opencontainers.distribution.tag.deleted";
const BY: &str = "coracle.by";

/// Event, digest and time of each entry.
fn told(response: &Response) -> Vec<(&'static str, String, String)> {
    let entries = response.json();
    let entry = |entry: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let annotations = entry["annotations"].as_object().unwrap();
        let mut events = [CREATED, DELETED]
            .into_iter()
            .filter(|own| annotations.contains_key(*own));
        let event = events.next().unwrap();
        assert_eq!(events.next(), None, "exactly one: {entry}");
        assert_eq!(entry["mediaType"], OCI_MANIFEST);
        assert!(entry["size"].as_u64().unwrap() > 100);
        (event, text(&entry["digest"]), text(&annotations[event]))
    };
    entries.as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn the_history_of_a_tag_is_told_latest_first_and_outlives_tag_and_manifest() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (first, second) = (Image::oci(1, &[10]), Image::oci(2, &[20]));
        client.push_image("a/b", "v1", &first);
        client.push_image("a/b", "v1", &second);
        client.push_manifest("a/b", "v1", &second.manifest);
        client.delete("/v2/a/b/manifests/v1").expect(202);
        client.push_manifest("a/b", "v1", &first.manifest);
        client
            .delete(&format!("/v2/a/b/manifests/{}", first.digest()))
            .expect(202);
        let path = "/v2/a/b/_oci/tag-history/v1";
        let answer = client
            .get(path)
            .expect(200)
            .expect_header("Content-Type", "application/json");
        let told = told(&answer);
        let expected = [
            (DELETED, first.digest()),
            (CREATED, first.digest()),
            (DELETED, second.digest()),
            (CREATED, second.digest()),
            (CREATED, first.digest()),
        ];
        let events: Vec<(&str, String)> = told
            .iter()
            .map(|(event, digest, _)| (*event, digest.clone()))
            .collect();
        assert_eq!(events, expected);
        assert!(told.is_sorted_by(|a, b| a.2 >= b.2), "{told:?}");
        client.head(path).expect(200);
        // No history, no repository.
        let none = client.get("/v2/a/b/_oci/tag-history/v9").expect(200);
        assert_eq!(none.json(), json!([]));
        client
            .get("/v2/a/_oci/tag-history/v1")
            .expect_error(404, "NAME_UNKNOWN");
        client
            .get("/v2/a/b/_oci/tag-history/.v1")
            .expect_error(404, "MANIFEST_UNKNOWN");
        client.delete(path).expect_error(405, "UNSUPPORTED");
    });
}

#[test]
fn the_history_comes_in_pages_by_link_and_by_time() {
    for_each_shape(|server| {
        let mut client = server.client();
        let images = [1, 2].map(|seed| Image::oci(seed, &[10]));
        for image in &images {
            client.push_image("a", &image.digest(), image);
        }
        for at in 0..9 {
            client.push_manifest("a", "v1", &images[at % 2].manifest);
        }
        let path = "/v2/a/_oci/tag-history/v1";
        let whole = told(&client.get(path).expect(200));
        assert_eq!(whole.len(), 9);
        for size in [1, 2, 8, 9, 1000] {
            let (mut next, mut seen) = (format!("{path}?n={size}"), Vec::new());
            loop {
                let page = client.get(&next).expect(200);
                seen.extend(told(&page));
                let Some(link) = page.header("Link") else {
                    break;
                };
                let (link, _) = link.split_once(">; rel=\"next\"").unwrap();
                next = link.trim_start_matches('<').to_owned();
            }
            assert_eq!(seen, whole, "in pages of {size}");
        }
        assert_eq!(
            client.get(&format!("{path}?n=0")).expect(200).json(),
            json!([])
        );
        // Strictly before the time of an entry.
        let before = whole[3].2.replace(':', "%3A");
        let page = client.get(&format!("{path}?before={before}")).expect(200);
        let expected: Vec<_> = whole
            .iter()
            .filter(|own| own.2 < whole[3].2)
            .cloned()
            .collect();
        assert_eq!(told(&page), expected);
        // Whether it ever pointed to a manifest.
        let digest = images[1].digest();
        let page = client.get(&format!("{path}?digest={digest}")).expect(200);
        assert_eq!(told(&page).len(), 4);
        let never = Image::oci(3, &[]).digest();
        client
            .get(&format!("{path}?digest={never}"))
            .expect_error(400, "MANIFEST_UNKNOWN");
        for wrong in ["n=x", "before=yesterday", "last=x", "digest=x"] {
            client.get(&format!("{path}?{wrong}")).expect(400);
        }
    });
}

#[test]
fn names_are_told_to_those_who_are_logged_in() {
    let server = Server::with_accounts();
    let mut client = server.client();
    let image = Image::oci(1, &[10]);
    client.push_image("a", "v1", &image);
    let path = "/v2/a/_oci/tag-history/v1";
    let answer = client.get(path).expect(200).json();
    assert_eq!(answer[0]["annotations"][BY], "user:ada");
    client.get("/v2/_oci/ext/discover").expect(200);
    let mut nobody = crate::support::Client::new(server.url());
    nobody.get(path).expect(401);
    nobody.get("/v2/_oci/ext/discover").expect(401);
    nobody.get("/v2/a/_oci/ext/discover").expect(401);
    // In an open registry nobody is logged in, also when the command line has set a tag.
    let server = Server::start(&[]);
    let mut client = server.client();
    client.push_image("a", "v1", &image);
    run_at(server.data(), &["tag", "set", "a", "v2", "v1"]).expect(0);
    let answer = client.get("/v2/a/_oci/tag-history/v2").expect(200).json();
    assert_eq!(
        answer[0]["annotations"].as_object().unwrap().len(),
        1,
        "{answer}"
    );
}

#[test]
fn what_extensions_there_are_can_be_asked() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a/tag-history", "v1", &image);
        for path in [
            "/v2/_oci/ext/discover",
            "/v2/a/tag-history/_oci/ext/discover",
        ] {
            let answer = client.get(path).expect(200).json();
            let extension = &answer["extensions"][0];
            assert_eq!(extension["name"], "_oci");
            assert_eq!(
                extension["endpoints"],
                json!(["_oci/ext/discover", "_oci/tag-history/{tag}"])
            );
            assert!(extension["url"].as_str().unwrap().starts_with("https://"));
            assert!(extension["description"].is_string());
        }
        client
            .get("/v2/b/_oci/ext/discover")
            .expect_error(404, "NAME_UNKNOWN");
        client.get("/v2/a/tag-history/_oci/ext/other").expect(404);
        client
            .get("/v2/a/tag-history/_oci/tag-history/v1")
            .expect(200);
    });
}
