//! Lists of tags: order, pages, and the links between them.

use crate::support::image::{Image, Manifest, OCI_INDEX};
use crate::support::{Client, Response, for_each_shape};
use serde_json::{Value, json};

#[test]
fn tags_come_in_byte_order() {
    for_each_shape(|server| {
        let mut client = server.client();
        let mut tags = [
            "b", "a", "B", "A", "_", "10", "9", "a.b", "a-b", "a_b", "ab", "Z", "z",
        ];
        push_tags(&mut client, "a", &tags);
        tags.sort_unstable();
        assert_eq!(listed(&client.get("/v2/a/tags/list")), tags);
        let after = client.get("/v2/a/tags/list?last=a");
        assert_eq!(listed(&after), ["a-b", "a.b", "a_b", "ab", "b", "z"]);
        // What was asked to start after need not be there.
        assert_eq!(
            listed(&client.get("/v2/a/tags/list?last=a%2Cx")),
            ["a-b", "a.b", "a_b", "ab", "b", "z"]
        );
        assert_eq!(listed(&client.get("/v2/a/tags/list?last=zz")), [""; 0]);
    });
}

#[test]
fn pages_cover_the_list_exactly_once() {
    for_each_shape(|server| {
        let mut client = server.client();
        let tags: Vec<String> = (0..23).map(|n| format!("t{n:02}")).collect();
        push_tags(
            &mut client,
            "a/b",
            &tags.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        for size in [1, 2, 5, 22, 23, 24, 1000] {
            let (mut path, mut seen) = (format!("/v2/a/b/tags/list?n={size}"), Vec::new());
            loop {
                let page = client.get(&path).expect(200);
                let tags = listed(&page);
                let next = next_link(&page);
                // As many as were asked for when there are more, and no link at the end.
                assert_eq!(tags.len(), size.min(23 - seen.len()), "{page}");
                seen.extend(tags);
                assert_eq!(next.is_some(), seen.len() < 23, "{page}");
                match next {
                    Some(next) => path = next,
                    None => break,
                }
            }
            assert_eq!(seen, tags, "in pages of {size}");
        }
    });
}

#[test]
fn a_link_carries_size_and_place_and_is_relative() {
    for_each_shape(|server| {
        let mut client = server.client();
        push_tags(&mut client, "a", &["a", "b", "c"]);
        let page = client.get("/v2/a/tags/list?n=2").expect(200);
        let link = page.header("link").expect("Link");
        assert!(link.starts_with("</v2/a/tags/list?"), "{link}");
        assert!(link.ends_with(">; rel=\"next\""), "{link}");
        let next = next_link(&page).unwrap();
        assert!(next.contains("n=2") && next.contains("last=b"), "{next}");
    });
}

#[test]
fn a_repository_without_tags_has_an_empty_list_and_no_repository_none() {
    for_each_shape(|server| {
        let mut client = server.client();
        client
            .get("/v2/a/tags/list")
            .expect_error(404, "NAME_UNKNOWN");
        client.push_blob("a", b"x");
        let empty = client.get("/v2/a/tags/list").expect(200);
        assert_eq!(empty.json(), json!({"name": "a", "tags": []}));
        push_tags(&mut client, "a", &["v1"]);
        client.delete("/v2/a/manifests/v1").expect(202);
        let empty = client.get("/v2/a/tags/list").expect(200);
        assert_eq!(empty.json(), json!({"name": "a", "tags": []}));
        // A session alone makes no repository.
        client.start_upload("b");
        client
            .get("/v2/b/tags/list")
            .expect_error(404, "NAME_UNKNOWN");
    });
}

/// Listed as defect 20 of other registries: a tag that is listed must be there.
#[test]
fn every_listed_tag_can_be_pulled() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        for tag in ["v2", "v3", "v4"] {
            client.push_manifest("a", tag, &image.manifest);
        }
        client.delete("/v2/a/manifests/v2").expect(202);
        for tag in listed(&client.get("/v2/a/tags/list")) {
            client.expect_image("a", &tag, &image);
        }
    });
}

/// As CVE-2023-2253 was for catalogs: a page is bounded whatever the client asks for.
#[test]
fn cve_2023_2253_a_huge_n_is_a_bounded_page() {
    for_each_shape(|server| {
        let mut client = server.client();
        push_tags(&mut client, "a", &["a", "b"]);
        for n in [
            "4294967296",
            "9223372036854775807",
            "18446744073709551616",
            &"9".repeat(5000),
        ] {
            assert_eq!(
                listed(&client.get(&format!("/v2/a/tags/list?n={n}"))),
                ["a", "b"]
            );
        }
    });
}

fn push_tags(client: &mut Client, repository: &str, tags: &[&str]) {
    let index = Manifest::index(&[]);
    for chunk in tags.chunks(10) {
        let query: Vec<String> = chunk.iter().map(|tag| format!("tag={tag}")).collect();
        let path = format!(
            "/v2/{repository}/manifests/{}?{}",
            index.digest(),
            query.join("&")
        );
        let headers = [("Content-Type", OCI_INDEX)];
        client
            .request("PUT", &path, &headers, Some(&index.bytes))
            .expect(201);
    }
}

fn listed(response: &Response) -> Vec<String> {
    let response = response
        .clone()
        .expect(200)
        .expect_header("Content-Type", "application/json");
    let tags = &response.json()["tags"];
    let tags = tags
        .as_array()
        .unwrap_or_else(|| panic!("tags is no array\n{response}"));
    tags.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn next_link(response: &Response) -> Option<String> {
    let link = response.header("link")?;
    let (url, rel) = link.strip_prefix('<')?.split_once('>')?;
    assert_eq!(rel, "; rel=\"next\"", "{response}");
    Some(url.to_owned())
}
