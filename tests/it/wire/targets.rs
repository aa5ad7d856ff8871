//! Request targets: forms, encodings, queries, and attempts to leave the API.

use super::{exchange, head, is_refusal, is_well, refused};
use crate::support::image::{Image, Manifest, OCI_INDEX, digest};
use crate::support::session::with_query;
use crate::support::{Response, for_each_open_shape};
use serde_json::json;

#[test]
fn all_forms_of_a_target_are_understood() {
    for_each_open_shape(|server| {
        for target in [
            "/v2/",
            "http://x/v2/",
            "HTTP://127.0.0.1:5000/v2/",
            "https://x/v2/?a=b",
        ] {
            let (_, answer) = exchange(server, &head(&format!("GET {target} HTTP/1.1"), &[]));
            answer.expect(200).expect_body("{}");
        }
        let (_, home) = exchange(server, &head("GET http://x HTTP/1.1", &[]));
        home.expect(200);
        for line in ["OPTIONS * HTTP/1.1", "CONNECT x:443 HTTP/1.1"] {
            let (_, answer) = exchange(server, &head(line, &[]));
            assert!(answer.status < 500, "{answer}");
            assert!(
                !(answer.status == 200 && line.starts_with("CONNECT")),
                "{answer}"
            );
        }
    });
}

#[test]
fn targets_of_no_form_are_400() {
    for_each_open_shape(|server| {
        for target in [
            "v2/",
            "*",
            "ftp://x/v2/",
            "//x/v2/\\",
            "?a",
            "file:///etc/passwd",
            "/v2/#x",
            "/\"",
            "/v2/\u{e4}",
            "/v2/<a>",
            "x:443",
        ] {
            let (_, answer) = exchange(server, &head(&format!("GET {target} HTTP/1.1"), &[]));
            assert!(matches!(answer.status, 400 | 404), "{answer}");
            is_refusal(answer);
        }
        refused(server, &head("GET /v2/\0 HTTP/1.1", &[]), 400);
        refused(server, b"GET /v2/\x80 HTTP/1.1\r\nHost: x\r\n\r\n", 400);
        is_well(server);
    });
}

#[test]
fn what_is_not_percent_encoded_utf_8_is_400() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        for path in [
            "/v2/a%/tags/list",
            "/v2/a%2/tags/list",
            "/v2/a%zz/tags/list",
            "/v2/a%2x/tags/list",
            "/v2/%ff/tags/list",
            "/v2/%c3%28/tags/list",
            "/v2/%c0%af/tags/list",
            "/v2/%ed%a0%80/tags/list",
            "/v2/a%00/tags/list",
            "/v2/a%0d%0aX:%20y/tags/list",
        ] {
            is_refusal(client.get(path).expect_error(400, "NAME_INVALID"));
        }
        // Decoded once and no more: %2541 is %41, not A.
        client
            .get("/v2/%2561/tags/list")
            .expect_error(400, "NAME_INVALID");
        assert!(client.is_kept_alive());
    });
}

#[test]
fn no_path_leads_out_of_the_api() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        client.push_image("a", "v1", &Image::oci(1, &[10]));
        for path in [
            "/v2/../etc/passwd",
            "/v2/..%2f..%2fetc%2fpasswd/blobs/x",
            "/../../../etc/passwd",
            "/v2/a/blobs/../../../coracle.db",
            "/v2/a/blobs/%2e%2e%2f%2e%2e%2flock",
            "/v2/a/blobs/uploads/..%2f..%2fcoracle.db",
            "/v2/a/blobs/uploads/%2e%2e",
            "/v2/a/blobs/uploads/.",
            "/v2/a/blobs/sha256:..%2f..%2f..%2flock",
            "/v2/a/manifests/..",
            "/v2/a/manifests/..%2f..%2flock",
            "/v2/a/manifests/%00",
            "/v2/a/manifests/v1%00",
            "/v2/./a/tags/list",
            "/v2/a/./tags/list",
            "//v2/",
            "/v2/a//tags/list",
            "/v2/a/tags//list",
            "/V2/",
            "/v2%2fa/tags/list%00",
        ] {
            for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE"] {
                let body: Option<&[u8]> = matches!(method, "PUT" | "PATCH").then_some(b"x");
                let answer = client.request(method, path, &[], body);
                assert!((400..500).contains(&answer.status), "{answer}");
            }
        }
        client.expect_image("a", "v1", &Image::oci(1, &[10]));
    });
}

/// Of repeated parameters one counts, always the same; what is stored is what was hashed.
#[test]
fn repeated_parameters_confuse_nothing() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        let (right, wrong) = (digest("hello"), digest("something else"));
        for (first, second) in [(&right, &wrong), (&wrong, &right)] {
            let session = client.start_upload("a");
            let path = with_query(&session, &format!("digest={first}&digest={second}"));
            let answer = client.put(&path, b"hello");
            assert!(matches!(answer.status, 201 | 400), "{answer}");
            if answer.status == 201 {
                answer.expect_header("Docker-Content-Digest", &right);
                client.expect_blob("a", b"hello");
            }
            client.head(&format!("/v2/a/blobs/{wrong}")).expect(404);
        }
        let mount = format!("/v2/b/blobs/uploads/?mount={wrong}&mount={right}&from=x&from=a");
        client.post(&mount, b"").expect(202);
        client.head(&format!("/v2/b/blobs/{right}")).expect(404);
        let index = Manifest::index(&[]);
        let path = format!("/v2/a/manifests/{}?tag=x&tag=x&tag=y&tag=x", index.digest());
        let headers = [("Content-Type", OCI_INDEX)];
        client
            .request("PUT", &path, &headers, Some(&index.bytes))
            .expect(201);
        let tags = client
            .get("/v2/a/tags/list?n=5&n=1&last=&last=zzz")
            .expect(200);
        assert_eq!(tags.json()["tags"], json!(["x", "y"]));
    });
}

#[test]
fn odd_queries_are_ignored() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        client.push_image("a", "v1", &Image::oci(1, &[10]));
        for query in [
            "", "&", "&&&", "=", "=x", "a", "a=", "a=b=c", "%ff=%ff", "%", "?", "n", "n=",
        ] {
            let tags: Response = client.get(&format!("/v2/a/tags/list?{query}")).expect(200);
            assert_eq!(tags.json()["tags"], json!(["v1"]));
        }
    });
}

#[test]
fn ten_thousand_tag_parameters_are_414() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        let index = Manifest::index(&[]);
        client.push_blob("a", b"x");
        let tags: Vec<String> = (0..10_000).map(|n| format!("tag=t{n}")).collect();
        let path = format!("/v2/a/manifests/{}?{}", index.digest(), tags.join("&"));
        is_refusal(client.put(&path, &index.bytes).expect(414));
        let mut client = server.client();
        // Within the bound of the request line, beyond the bound of tags.
        let path = format!(
            "/v2/a/manifests/{}?{}",
            index.digest(),
            tags[..101].join("&")
        );
        is_refusal(client.put(&path, &index.bytes).expect(414));
        let path = format!(
            "/v2/a/manifests/{}?{}",
            index.digest(),
            tags[..100].join("&")
        );
        client.put(&path, &index.bytes).expect(201);
        let listed = client.get("/v2/a/tags/list").expect(200).json();
        assert_eq!(listed["tags"].as_array().unwrap().len(), 100);
    });
}
