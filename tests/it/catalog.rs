//! The list of repositories.

use crate::support::image::Image;
use crate::support::{Client, for_each_shape};
use serde_json::json;

#[test]
fn repositories_come_in_byte_order_and_in_pages() {
    for_each_shape(|server| {
        let mut client = server.client();
        assert_eq!(
            client.get("/v2/_catalog").expect(200).json(),
            json!({"repositories": []})
        );
        let mut names = ["b", "a", "a/b", "a-b", "a.b", "a0", "a_b", "aa", "0"];
        for name in names {
            client.push_blob(name, b"x");
        }
        names.sort_unstable();
        let all = client.get("/v2/_catalog").expect(200);
        assert_eq!(all.json()["repositories"], json!(names));
        assert_eq!(all.header("link"), None);
        for size in 1..=10 {
            assert_eq!(walk(&mut client, &format!("/v2/_catalog?n={size}")), names);
        }
        let after = client.get("/v2/_catalog?last=a").expect(200);
        assert_eq!(after.json()["repositories"], json!(names[2..]));
    });
}

/// 100 without `n`, and no more than 1000 whatever `n` is.
#[test]
fn cve_2023_2253_a_page_is_bounded() {
    for_each_shape(|server| {
        let mut client = server.client();
        let blob = client.push_blob("r0000", b"x");
        for n in 1..1005 {
            let path = format!("/v2/r{n:04}/blobs/uploads/?mount={blob}&from=r0000");
            client.post(&path, b"").expect(201);
        }
        let count = |client: &mut Client, path: &str| {
            let page = client.get(path).expect(200);
            assert!(page.header("link").is_some(), "{path}");
            page.json()["repositories"].as_array().unwrap().len()
        };
        assert_eq!(count(&mut client, "/v2/_catalog"), 100);
        assert_eq!(count(&mut client, "/v2/_catalog?n=1000"), 1000);
        assert_eq!(count(&mut client, "/v2/_catalog?n=1001"), 1000);
        assert_eq!(
            count(&mut client, "/v2/_catalog?n=9223372036854775807"),
            1000
        );
        assert_eq!(walk(&mut client, "/v2/_catalog").len(), 1005);
    });
}

/// Other registries listed deleted repositories for ever.
#[test]
fn a_repository_of_nothing_is_not_listed() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("gone", "v1", &image);
        client
            .delete(&format!("/v2/gone/manifests/{}", image.digest()))
            .expect(202);
        for blob in image.blobs() {
            let digest = crate::support::image::digest(blob);
            client
                .delete(&format!("/v2/gone/blobs/{digest}"))
                .expect(202);
        }
        client.push_blob("kept", b"x");
        let all = client.get("/v2/_catalog").expect(200).json();
        assert_eq!(all["repositories"], json!(["kept"]));
        client
            .get("/v2/gone/tags/list")
            .expect_error(404, "NAME_UNKNOWN");
    });
}

fn walk(client: &mut Client, first: &str) -> Vec<String> {
    let (mut path, mut names) = (first.to_owned(), Vec::new());
    loop {
        let page = client.get(&path).expect(200);
        let json = page.json();
        let part = json["repositories"].as_array().unwrap();
        names.extend(part.iter().map(|name| name.as_str().unwrap().to_owned()));
        match page.header("link") {
            Some(link) => {
                let (url, rel) = link.trim_start_matches('<').split_once('>').unwrap();
                assert_eq!(rel, "; rel=\"next\"");
                url.clone_into(&mut path);
            }
            None => return names,
        }
    }
}
