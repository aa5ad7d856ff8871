//! Access rules where nobody has an account: what anyone may do, and how the rest is refused.

use crate::support::image::{Image, digest as digest_of};
use crate::support::{
    Client, Response, Server, eventually, for_each_shape_configured, start_configured,
};
use rustix::process::Signal;
use serde_json::json;

/// Anyone pulls from `public/`, nobody does anything else.
const PUBLIC: &str = "[[access]]\nwho = \"anyone\"\nrepositories = [\"public/**\"]\n\
                      actions = [\"pull\"]\n";

/// Anyone does everything below `open/` and pulls from `public/`.
const OPEN: &str = "[[access]]\nwho = \"anyone\"\nrepositories = [\"open/**\"]\nactions = [\"*\"]\n\
                    [[access]]\nwho = \"anyone\"\nrepositories = [\"public/**\"]\n\
                    actions = [\"pull\"]\n";

fn challenge(answer: &Response) -> &str {
    answer.header("WWW-Authenticate").unwrap_or_default()
}

/// A 401 whose challenge asks for `scope`.
#[track_caller]
fn expect_challenge(answer: &Response, host: &str, scope: &str) {
    assert_eq!(answer.status, 401, "{answer}");
    let scope = if scope.is_empty() {
        String::new()
    } else {
        format!(",scope=\"{scope}\"")
    };
    assert_eq!(
        challenge(answer),
        format!("Bearer realm=\"http://{host}/v2/token\",service=\"coracle\"{scope}")
    );
    assert_eq!(answer.json()["errors"][0]["code"], "UNAUTHORIZED");
}

#[test]
fn what_no_rule_allows_is_refused_with_what_is_needed() {
    for_each_shape_configured(PUBLIC, |server: &mut Server| {
        let host = server.host().to_owned();
        let mut client = server.client();
        let digest = format!("sha256:{}", "0".repeat(64));
        for (method, path, scope) in [
            ("GET", "/v2/", String::new()),
            ("GET", "/v2", String::new()),
            ("GET", "/v2/a/b/tags/list", "repository:a/b:pull".to_owned()),
            ("HEAD", "/v2/a/manifests/v1", "repository:a:pull".to_owned()),
            (
                "PUT",
                "/v2/public/a/manifests/v1",
                "repository:public/a:pull,push".to_owned(),
            ),
            (
                "DELETE",
                "/v2/public/a/manifests/v1",
                "repository:public/a:delete".to_owned(),
            ),
            (
                "POST",
                "/v2/public/a/blobs/uploads/",
                "repository:public/a:pull,push".to_owned(),
            ),
            (
                "POST",
                "/v2/a/b/blobs/uploads/?mount=sha256:x&from=c%2Fd",
                "repository:a/b:pull,push repository:c/d:pull".to_owned(),
            ),
        ] {
            let answer = client.request(method, path, &[], None);
            if method == "HEAD" {
                assert_eq!(answer.status, 401, "{answer}");
                assert!(challenge(&answer).contains(&format!("scope=\"{scope}\"")));
            } else {
                expect_challenge(&answer, &host, &scope);
            }
        }
        // What does not exist and may be looked at is just unknown.
        client
            .get(&format!("/v2/public/a/blobs/{digest}"))
            .expect(404);
        client.get("/v2/public/a/manifests/v1").expect(404);
        // Without a route there is nothing to protect, and probes need no account.
        client.get("/v2/nothing").expect(404);
        client.get("/nothing").expect(404);
        client.get("/healthz").expect(200);
        client.get("/readyz").expect(200);
        client.get("/").expect(200);
    });
}

#[test]
fn the_records_of_a_refusal_are_those_of_distribution() {
    let server = start_configured(PUBLIC, &[]);
    let mut client = server.client();
    let detail = |answer: Response| answer.json()["errors"][0]["detail"].clone();
    assert_eq!(detail(client.get("/v2/")), json!(null));
    assert_eq!(
        detail(client.request("PUT", "/v2/a/manifests/v1", &[], None)),
        json!([
            { "Type": "repository", "Class": "", "Name": "a", "Action": "pull" },
            { "Type": "repository", "Class": "", "Name": "a", "Action": "push" },
        ])
    );
}

#[test]
fn a_credential_that_nobody_has_is_refused_everywhere() {
    let server = start_configured(PUBLIC, &[]);
    let mut client = server.client();
    for header in [
        "Basic YWRhOnNlY3JldA==",
        "Bearer nonsense",
        "Digest x",
        "Basic",
    ] {
        let answer = client.request(
            "GET",
            "/v2/public/a/tags/list",
            &[("Authorization", header)],
            None,
        );
        answer.expect(401);
    }
}

#[test]
fn without_rules_credentials_mean_nothing_and_everything_is_open() {
    let server = start_configured("", &[]);
    let mut client = server.client();
    let header = [("Authorization", "Basic YWRhOnNlY3JldA==")];
    client.request("GET", "/v2/", &header, None).expect(200);
    client
        .request("POST", "/v2/a/blobs/uploads/", &header, None)
        .expect(202);
}

#[test]
fn lists_and_mounts_show_only_what_may_be_pulled() {
    let image = Image::oci(1, &[1000]);
    let mut server = start_configured("", &[]);
    let digest = {
        let mut client = server.client();
        for name in ["hidden/a", "open/a", "public/a", "public/b", "zone/z"] {
            client.push_image(name, "v1", &image);
        }
        client.push_image("hidden/only", "v1", &Image::oci(2, &[2000]));
        client.push_blob("hidden/a", b"a secret")
    };
    server.restart_with(OPEN);
    let mut client = server.client();
    let answer = client.get("/v2/_catalog").expect(200);
    assert_eq!(
        answer.json()["repositories"],
        json!(["open/a", "public/a", "public/b"])
    );
    let answer = client.get("/v2/_catalog?n=1&last=open/a").expect(200);
    assert_eq!(answer.json()["repositories"], json!(["public/a"]));
    assert!(
        answer
            .header("Link")
            .is_some_and(|link| link.contains("last=public"))
    );
    let answer = client.get("/v2/_catalog?n=1&last=public/a").expect(200);
    assert_eq!(answer.json()["repositories"], json!(["public/b"]));
    assert_eq!(answer.header("Link"), None, "nothing may be seen after it");
    // An unreadable source, and no source, become an upload.
    for query in [
        format!("mount={digest}&from=hidden/a"),
        format!("mount={digest}"),
    ] {
        let path = format!("/v2/open/a/blobs/uploads/?{query}");
        client.request("POST", &path, &[], None).expect(202);
    }
    client
        .get(&format!("/v2/open/a/blobs/{digest}"))
        .expect(404);
    client
        .get(&format!("/v2/hidden/a/blobs/{digest}"))
        .expect(401);
    // A readable one is mounted, also without a name.
    let layer = digest_of(&image.layers[0]);
    for query in [
        format!("mount={layer}&from=public/a"),
        format!("mount={layer}"),
    ] {
        let path = format!("/v2/open/new/blobs/uploads/?{query}");
        client.request("POST", &path, &[], None).expect(201);
    }
    server.stop_and_check();
}

#[test]
fn malformed_names_are_told_only_to_those_who_may_ask() {
    let closed = "[[access]]\nwho = \"authenticated\"\nrepositories = \"**\"\nactions = \"*\"\n";
    let server = start_configured(closed, &[]);
    for path in [
        "/v2/UPPER/tags/list",
        "/v2/a/blobs/sha256:x",
        "/v2/a/manifests/.x",
    ] {
        server.client().get(path).expect(401);
    }
    let server = start_configured(OPEN, &[]);
    let mut client: Client = server.client();
    client.get("/v2/open/a/blobs/sha256:x").expect(400);
    client.get("/v2/open/a/manifests/.x").expect(404);
}

#[test]
fn a_read_only_registry_says_so() {
    let image = Image::oci(1, &[1000]);
    let mut server = start_configured("", &[]);
    server.client().push_image("a", "v1", &image);
    server.restart_with(
        "[server]
read_only = true
",
    );
    let mut client = server.client();
    client.expect_image("a", "v1", &image);
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        (
            "POST",
            format!(
                "/v2/b/blobs/uploads/?mount={}&from=a",
                digest_of(&image.layers[0])
            ),
        ),
        ("PUT", "/v2/a/manifests/v2".to_owned()),
        ("DELETE", "/v2/a/manifests/v1".to_owned()),
        (
            "DELETE",
            format!("/v2/a/blobs/{}", digest_of(&image.layers[0])),
        ),
    ] {
        let answer = client.request(method, &path, &[], None).expect(405);
        let error = &answer.json()["errors"][0];
        assert_eq!(error["code"], "UNSUPPORTED");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.contains("read-only"))
        );
    }
    client.expect_image("a", "v1", &image);
    server.stop_and_check();
}

#[test]
fn a_client_has_so_many_requests_a_second() {
    let server = start_configured("[limits]\nrequests_per_second_per_client = 1\n", &[]);
    let mut client = server.client();
    client.get("/v2/").expect(200);
    // However slow this is: of a hundred requests in a row, some come within a second.
    let refused = (0..100).find_map(|_| {
        let answer = client.get("/v2/");
        (answer.status == 429).then_some(answer)
    });
    let refused = refused.expect("one of them is refused");
    assert_eq!(refused.header("Retry-After"), Some("1"));
    refused.expect_error(429, "TOOMANYREQUESTS");
}

#[test]
fn a_client_has_so_many_unfinished_uploads() {
    for_each_shape_configured("[limits]\nuploads_per_client_max = 2\n", |server| {
        let mut client = server.client();
        let first = client.start_upload("a");
        let second = client.start_upload("b");
        let start = "/v2/c/blobs/uploads/";
        let refused = client.post(start, "").expect_error(429, "TOOMANYREQUESTS");
        assert_eq!(refused.header("Retry-After"), Some("30"));
        // What is there goes on, and one that ends makes room.
        client
            .finish_upload(&first, &digest_of(b"hello"), b"hello")
            .expect(201);
        let third = client.start_upload("c");
        client.post(start, "").expect(429);
        client.delete(&second).expect(204);
        client.delete(&third).expect(204);
        client.start_upload("a");
        client.push_blob("a", b"in one request");
    });
}

#[test]
fn an_open_registry_on_a_public_address_says_so() {
    let warning = "closes it";
    let mut public = start_configured(
        "[server]\nlisten = [\"0.0.0.0:0\"]\n",
        &["--listen", "0.0.0.0:0"],
    );
    assert!(public.log().contains(warning));
    public.stop();
    let ruled = start_configured(PUBLIC, &["--listen", "0.0.0.0:0"]);
    assert!(!ruled.log().contains(warning));
    let loopback = start_configured("", &[]);
    assert!(!loopback.log().contains(warning));
}

#[test]
fn rules_are_read_again_at_sighup_and_a_mistake_changes_nothing() {
    let server = start_configured(PUBLIC, &[]);
    let status = |path: &str| server.client().get(path).status;
    assert_eq!(status("/v2/open/a/tags/list"), 401);
    server.rewrite(OPEN);
    server.signal(Signal::HUP);
    eventually("the new rules are in force", || {
        (status("/v2/open/a/tags/list") == 404).then_some(())
    });
    server.rewrite("[[access]]\nwho = \"nonsense\"\n");
    server.signal(Signal::HUP);
    eventually("the mistake is logged", || {
        server.log().contains("stay as they were").then_some(())
    });
    assert_eq!(status("/v2/open/a/tags/list"), 404);
    server.rewrite("");
    server.signal(Signal::HUP);
    eventually("everything is open", || {
        (status("/v2/a/tags/list") == 404).then_some(())
    });
}
