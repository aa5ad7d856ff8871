//! Tags that never move.

use rustix::process::Signal;

use crate::support::image::Image;
use crate::support::program::run;
use crate::support::{Client, Response, eventually, for_each_shape_configured, start_configured};

const TOML: &str = "[[immutable]]\nrepositories = \"release/*\"\ntags = [\"v*\", \"final\"]\n";

#[track_caller]
fn expect_refused(response: Response, tag: &str, image: &Image) {
    let response = response.expect_error(409, "DENIED");
    let error = &response.json()["errors"][0];
    assert_eq!(error["detail"]["tag"], tag);
    assert_eq!(error["detail"]["digest"], image.digest());
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("tag {tag} never moves")),
        "{message}"
    );
    assert!(message.contains("coracle.toml:"), "{message}");
}

fn delete(client: &mut Client, repository: &str, reference: &str) -> Response {
    client.delete(&format!("/v2/{repository}/manifests/{reference}"))
}

#[test]
fn a_tag_that_never_moves_is_neither_moved_nor_deleted() {
    for_each_shape_configured(TOML, |server| {
        let mut client = server.client();
        let (one, two) = (Image::oci(1, &[100]), Image::oci(2, &[100]));
        client.push_image("release/a", "v1", &one);
        client.push_image("release/a", "latest", &two);
        // The same again is no move.
        client.push_manifest("release/a", "v1", &one.manifest);
        let moved = client.put_manifest("release/a", "v1", &two.manifest);
        expect_refused(moved, "v1", &one);
        let path = format!("/v2/release/a/manifests/{}?tag=new&tag=v1", two.digest());
        let headers = [("Content-Type", two.manifest.media_type.as_str())];
        let moved = client.request("PUT", &path, &headers, Some(&two.manifest.bytes));
        expect_refused(moved, "v1", &one);
        client.get("/v2/release/a/manifests/new").expect(404);
        expect_refused(delete(&mut client, "release/a", "v1"), "v1", &one);
        expect_refused(delete(&mut client, "release/a", &one.digest()), "v1", &one);
        client.expect_image("release/a", "v1", &one);
        // Other tags move and go, on the same manifest too, and other repositories are free.
        client.push_manifest("release/a", "latest", &one.manifest);
        delete(&mut client, "release/a", "latest").expect(202);
        delete(&mut client, "release/a", &two.digest()).expect(202);
        client.push_image("other", "v1", &one);
        client.push_image("other", "v1", &two);
        delete(&mut client, "other", "v1").expect(202);
        client.expect_image("release/a", "v1", &one);
    });
}

#[test]
fn the_rules_are_read_again_at_sighup() {
    let server = start_configured("", &[]);
    let mut client = server.client();
    let (one, two) = (Image::oci(1, &[100]), Image::oci(2, &[100]));
    client.push_image("release/a", "v1", &one);
    client.push_image("release/a", "v1", &two);
    server.rewrite(TOML);
    server.signal(Signal::HUP);
    eventually("the tag stays where it is", || {
        // Until then it moves, to the one and back.
        let mut moves = [&one, &two].into_iter();
        let refused = moves.find(|image| {
            let response = client.put_manifest("release/a", "v1", &image.manifest);
            response.status == 409
        });
        refused.map(|_| ())
    });
}

/// What an operator types is refused as well: whoever may change the rules changes them first.
#[test]
fn the_command_line_minds_them_too() {
    let mut server = start_configured(TOML, &[]);
    let mut client = server.client();
    let (one, two) = (Image::oci(1, &[100]), Image::oci(2, &[100]));
    client.push_image("release/a", "v1", &one);
    client.push_image("release/a", "latest", &one);
    client.push_image("release/a", "latest", &two);
    let data = server.data().to_str().unwrap().to_owned();
    let refused = |words: &[&str]| {
        let run = run(&[words, &["--data", &data]].concat(), "").expect(1);
        assert!(run.stderr.contains("tag v1 never moves"), "{run:?}");
    };
    refused(&["tag", "remove", "release/a", "latest", "v1"]);
    refused(&["tag", "set", "release/a", "v1", &two.digest()]);
    refused(&["repo", "remove", "release/a"]);
    client.expect_image("release/a", "v1", &one);
    client.expect_image("release/a", "latest", &two);
    let done = |words: &[&str]| run(&[words, &["--data", &data]].concat(), "").expect(0);
    done(&["tag", "set", "release/a", "v1", &one.digest()]);
    done(&["tag", "rollback", "release/a", "latest"]);
    done(&["tag", "remove", "release/a", "latest"]);
    client.expect_image("release/a", "v1", &one);
    server.stop_and_check();
}
