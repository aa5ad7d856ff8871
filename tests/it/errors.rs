//! Error bodies, methods that do not exist, and the ids that lead from an answer to the log.

use crate::support::image::{Image, digest};
use crate::support::{Client, Response, for_each_shape};

/// The closed list of the specification, and `UNKNOWN` for faults of the server.
const CODES: [&str; 15] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
    "UNKNOWN",
];

/// Requests that fail, and with what.
const FAILING: [(&str, &str, u16); 16] = [
    ("GET", "/v2/a/blobs/sha256:bad", 400),
    ("GET", "/v2/a/blobs/uploads/none", 404),
    ("GET", "/v2/a/manifests/none", 404),
    ("GET", "/v2/a/manifests/sha256:bad", 400),
    ("GET", "/v2/a/tags/list?n=x", 400),
    ("GET", "/v2/none/tags/list", 404),
    ("GET", "/v2/A/tags/list", 400),
    ("GET", "/v2/a/referrers/x", 400),
    ("GET", "/v2/_catalog?n=-1", 400),
    ("GET", "/v2/a/what/is/this", 404),
    ("GET", "/v2/a", 404),
    ("GET", "/what", 404),
    ("PUT", "/v2/a/manifests/v1", 400),
    ("DELETE", "/v2/a/manifests/none", 404),
    ("POST", "/v2/a/manifests/v1", 405),
    ("BREW", "/v2/", 405),
];

#[test]
fn every_error_has_a_body_of_the_specifications_shape() {
    for_each_shape(|server| {
        let mut client = server.client();
        client.push_blob("a", b"x");
        for (method, path, status) in FAILING {
            let body: Option<&[u8]> = matches!(method, "PUT" | "POST").then_some(b"{");
            let answer = client.request(method, path, &[], body).expect(status);
            has_shape(&answer);
        }
        assert!(client.is_kept_alive(), "an error is no reason to close");
    });
}

#[test]
fn head_errors_have_the_status_of_get_and_no_body() {
    for_each_shape(|server| {
        let mut client = server.client();
        client.push_blob("a", b"x");
        for (_, path, status) in FAILING.iter().filter(|(method, _, _)| *method == "GET") {
            let answer = client.head(path).expect(*status);
            assert!(answer.body.is_empty());
            // Nothing may follow the head: the next answer on this connection must be this one's.
            client.get("/v2/").expect(200);
        }
    });
}

#[test]
fn the_id_in_an_error_is_the_one_in_the_header_and_in_the_log() {
    for_each_shape(|server| {
        let mut client = server.client();
        let mut seen = Vec::new();
        for path in ["/v2/a/manifests/none", "/v2/a/blobs/sha256:bad", "/nothing"] {
            let answer = client.get(path);
            let id = answer
                .header("x-request-id")
                .expect("X-Request-Id")
                .to_owned();
            assert_eq!(
                answer.json()["errors"][0]["detail"]["request_id"],
                id.as_str()
            );
            crate::support::eventually("the request's line in the log", || {
                let log = server.log();
                let mut lines = log.lines().filter(|line| line.contains(&id));
                lines.any(|line| line.contains(path)).then_some(())
            });
            assert!(!seen.contains(&id), "{id} twice");
            seen.push(id);
        }
        let fine = client.get("/v2/").expect(200);
        assert!(
            fine.header("x-request-id")
                .is_some_and(|id| !seen.contains(&id.to_owned()))
        );
    });
}

#[test]
fn a_method_that_a_route_does_not_have_is_405_with_allow() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        let session = client.start_upload("a");
        let blob = format!("/v2/a/blobs/{}", digest(&image.layers[0]));
        let referrers = format!("/v2/a/referrers/{}", image.digest());
        for (path, allowed) in [
            ("/v2/", "GET HEAD"),
            ("/v2/_catalog", "GET HEAD"),
            ("/v2/a/tags/list", "GET HEAD"),
            (&referrers, "GET HEAD"),
            ("/v2/a/manifests/v1", "GET HEAD PUT DELETE"),
            (&blob, "GET HEAD DELETE"),
            ("/v2/a/blobs/uploads/", "POST"),
            (&session, "GET HEAD PATCH PUT DELETE"),
        ] {
            for method in [
                "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "X",
            ] {
                if allowed.split(' ').any(|own| own == method) {
                    continue;
                }
                let answer = client.request(method, path, &[], None).expect(405);
                let allow = answer.header("allow").expect("Allow");
                let told: Vec<&str> = allow.split(", ").filter(|own| *own != "OPTIONS").collect();
                assert_eq!(told.join(" "), allowed, "{answer}");
                if method != "HEAD" {
                    has_shape(&answer.expect_error(405, "UNSUPPORTED"));
                }
            }
            let options = client.request("OPTIONS", path, &[], None).expect(200);
            assert!(options.header("allow").is_some(), "{options}");
        }
        client.expect_image("a", "v1", &image);
        client.expect_offset(&session, 0);
    });
}

#[test]
fn the_home_page_and_the_probes_answer_without_the_api() {
    for_each_shape(|server| {
        let mut client = server.client();
        for path in ["/", "/healthz", "/readyz"] {
            client
                .get(path)
                .expect(200)
                .expect_header("Cache-Control", "no-cache");
            client.head(path).expect(200);
        }
        assert_eq!(client.get("/readyz").json()["status"], "ok");
    });
}

#[test]
fn an_unknown_path_is_404() {
    for_each_shape(|server| {
        let mut client: Client = server.client();
        for path in [
            "/v1/",
            "/v2x",
            "/v2/a/b",
            "/v2//",
            "/v2/a/tags",
            "/v2/a/tags/list/",
            "/favicon.ico",
            "/v2/a/blobs/",
            "/v2/a/manifests/",
            "/v2/a/_oci/ext/discover",
            "/.env",
            "/v2/%2e%2e",
        ] {
            let answer = client.get(path);
            assert!(matches!(answer.status, 400 | 404), "{answer}");
            has_shape(&answer);
        }
    });
}

fn has_shape(answer: &Response) {
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{answer}"
    );
    let json = answer.json();
    let errors = json["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("no errors\n{answer}"));
    assert!(!errors.is_empty(), "{answer}");
    for error in errors {
        let code = error["code"].as_str().unwrap_or_default();
        assert!(CODES.contains(&code), "{code} is not in the list\n{answer}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty() && !message.ends_with('.'), "{answer}");
        assert!(error["detail"]["request_id"].is_string(), "{answer}");
    }
}
