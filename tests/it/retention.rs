//! `coracle retention`, beside a server and in a folder; its background job; times to live.

use serde_json::{Value, json};

use crate::support::image::{Image, Manifest};
use crate::support::program::{Run, run};
use crate::support::{Client, ConfigFile, Configured, eventually, start_configured};

fn ask(server: &Configured, words: &[&str]) -> Run {
    let data = server.data().to_str().unwrap();
    run(&[words, &["--data", data]].concat(), "")
}

fn tags(client: &mut Client, repository: &str) -> Vec<String> {
    let list = client.get(&format!("/v2/{repository}/tags/list"));
    if list.status == 404 {
        return Vec::new();
    }
    serde_json::from_value(list.expect(200).json()["tags"].clone()).unwrap()
}

fn names(report: &Value) -> Vec<String> {
    let items = report["items"].as_array().unwrap().iter();
    items
        .map(|item| match item["tag"].as_str() {
            Some(tag) => format!("{}:{tag}", item["repository"].as_str().unwrap()),
            None => format!(
                "{}@{}",
                item["repository"].as_str().unwrap(),
                item["digest"].as_str().unwrap()
            ),
        })
        .collect()
}

/// Pushes an image of its own under each tag, the last one last.
fn push_all(client: &mut Client, repository: &str, tags: &[&str]) -> Vec<Image> {
    let images: Vec<Image> = (1_u64..)
        .zip(tags)
        .map(|(seed, _)| Image::oci(seed, &[1000]))
        .collect();
    for (image, tag) in images.iter().zip(tags) {
        client.push_image(repository, tag, image);
    }
    images
}

const VERSIONS: [&str; 5] = ["1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1", "latest"];

#[test]
fn the_run_removes_exactly_what_the_plan_prints() {
    let toml = "[[retention]]\nrepositories = \"team/*\"\nkeep_semver = 2\nkeep_tags = \"latest\"\n\
                untagged = \"1d\"\n";
    let mut server = start_configured(toml, &[]);
    let mut client = server.client();
    let images = push_all(&mut client, "team/app", &VERSIONS);
    push_all(&mut client, "other", &VERSIONS);
    let plan = ask(&server, &["retention", "plan", "--json"])
        .expect(0)
        .json();
    assert_eq!(names(&plan), ["team/app:1.0.0", "team/app:1.9.0"]);
    let item = &plan["items"][0];
    assert_eq!(item["digest"], images[0].digest());
    assert!(item["rule"].as_str().unwrap().ends_with("coracle.toml:1"));
    assert_eq!(item["reason"], "none of the rule's keep_* names it");
    assert_eq!(
        item["bytes"],
        json!(images[0].manifest.bytes.len()),
        "the other repository has the blobs too"
    );
    assert_eq!(
        tags(&mut client, "team/app"),
        VERSIONS,
        "a plan removes nothing"
    );
    let text = ask(&server, &["retention", "plan"]).expect(0).stdout;
    assert!(
        text.contains("team/app:1.0.0: none of the rule's keep_* names it"),
        "{text}"
    );
    assert!(text.contains("2 tags and 0 manifests would go"), "{text}");
    let done = ask(&server, &["retention", "run", "--json"])
        .expect(0)
        .json();
    assert_eq!(done, plan);
    assert_eq!(
        tags(&mut client, "team/app"),
        ["1.10.0", "2.0.0-rc.1", "latest"]
    );
    assert_eq!(tags(&mut client, "other"), VERSIONS);
    // The manifest stays until its own time comes.
    client
        .get(&format!("/v2/team/app/manifests/{}", images[0].digest()))
        .expect(200);
    let again = ask(&server, &["retention", "run"]).expect(0).stdout;
    assert!(again.contains("0 tags and 0 manifests went"), "{again}");
    server.stop_and_check();
}

#[test]
fn a_folder_without_a_server_is_asked_by_the_rules_of_the_configuration() {
    let mut server = start_configured("", &[]);
    let mut client = server.client();
    push_all(&mut client, "a", &["1", "2", "3"]);
    push_all(&mut client, "b", &["1", "2", "3"]);
    server.stop();
    let none = ask(&server, &["retention", "plan", "--json"])
        .expect(0)
        .json();
    assert_eq!(names(&none), [""; 0]);
    let file = ConfigFile::new("[[retention]]\nrepositories = \"**\"\nkeep_last = 1\n");
    let with_rules = |words: &[&str]| ask(&server, &[words, &file.flags()].concat());
    let plan = with_rules(&["retention", "plan", "--json"])
        .expect(0)
        .json();
    assert_eq!(names(&plan), ["a:1", "a:2", "b:1", "b:2"]);
    let plan = with_rules(&["retention", "plan", "b", "--json"])
        .expect(0)
        .json();
    assert_eq!(names(&plan), ["b:1", "b:2"]);
    let done = with_rules(&["retention", "run", "b", "--json"])
        .expect(0)
        .json();
    assert_eq!(done, plan);
    server.launch();
    let mut client = server.client();
    assert_eq!(tags(&mut client, "a"), ["1", "2", "3"]);
    assert_eq!(tags(&mut client, "b"), ["3"]);
    server.stop_and_check();
}

#[test]
fn the_server_does_it_by_itself_and_leaves_what_is_held() {
    let toml = "[housekeeping]\nretention_seconds = 1\n\n[[retention]]\nrepositories = \"a\"\n\
                keep_tags = \"keep*\"\nuntagged = \"1s\"\n";
    let mut server = start_configured(toml, &[]);
    let mut client = server.client();
    // An index whose child has no tag, a referrer of it, and the same with nothing to hold them.
    let child = Image::oci(1, &[100]);
    let loose = Image::oci(2, &[100]);
    let index = Manifest::index(&[(&child.manifest, "amd64")]);
    client.push_blob("a", b"{}");
    let about = Manifest::artifact("test/signature", &index.descriptor());
    for blob in child.blobs() {
        client.push_blob("a", blob);
    }
    client.push_manifest("a", &child.digest(), &child.manifest);
    client.push_manifest("a", "keep", &index);
    client.push_manifest("a", &about.digest(), &about);
    client.push_image("a", "go", &loose);
    client.push_image("b", &loose.digest(), &loose);
    eventually("the tag goes, and then its manifest", || {
        let path = format!("/v2/a/manifests/{}", loose.digest());
        (client.get(&path).status == 404).then_some(())
    });
    assert_eq!(tags(&mut client, "a"), ["keep"]);
    client.expect_image("a", &child.digest(), &child);
    client.expect_manifest("a", "keep", &index);
    client.expect_manifest("a", &about.digest(), &about);
    client.expect_image("b", &loose.digest(), &loose);
    eventually("it is said in the log", || {
        server.log().contains("retention removed").then_some(())
    });
    server.stop_and_check();
}

fn with_life(life: &str) -> Manifest {
    let index = Manifest::index(&[]);
    index.with("annotations", json!({ "io.coracle.ttl": life }))
}

#[test]
fn a_time_to_live_ends_without_any_rule() {
    let toml = "[housekeeping]\nretention_seconds = 1\n\n[[immutable]]\nrepositories = \"**\"\n\
                tags = \"fixed\"\n";
    let mut server = start_configured(toml, &[]);
    let mut client = server.client();
    for tag in ["short", "fixed"] {
        client.push_manifest("a", tag, &with_life("1s"));
    }
    client.push_manifest("a", "long", &with_life("1d"));
    eventually("its time ends", || {
        let all = tags(&mut client, "a");
        (!all.contains(&"short".to_owned())).then_some(())
    });
    assert_eq!(tags(&mut client, "a"), ["fixed", "long"]);
    server.stop_and_check();
}

#[test]
fn a_tag_can_be_given_a_time_to_live() {
    let mut server = start_configured("", &[]);
    let mut client = server.client();
    push_all(&mut client, "a", &["v1", "v2"]);
    let words = ["tag", "set", "a", "v1", "v1", "--expires", "1s"];
    ask(&server, &words).expect(0);
    eventually("its time ends", || {
        let plan = ask(&server, &["retention", "plan", "--json"])
            .expect(0)
            .json();
        (names(&plan) == ["a:v1"]).then_some(())
    });
    let done = ask(&server, &["retention", "run", "--json"])
        .expect(0)
        .json();
    assert_eq!(done["items"][0]["rule"], "time to live");
    assert_eq!(tags(&mut client, "a"), ["v2"]);
    // What it removed has a history and comes back like anything else.
    let history = ask(&server, &["tag", "history", "a", "v1"])
        .expect(0)
        .stdout;
    assert!(history.contains("coracle retention"), "{history}");
    ask(&server, &["undelete", "a:v1"]).expect(0);
    assert_eq!(tags(&mut client, "a"), ["v1", "v2"]);
    server.stop_and_check();
}

#[test]
fn a_life_that_is_none_is_refused_with_a_sentence() {
    let server = start_configured("", &[]);
    let mut client = server.client();
    for life in ["soon", "0s", "1y", ""] {
        let refused = client.put_manifest("a", "v1", &with_life(life));
        let refused = refused.expect_error(400, "MANIFEST_INVALID");
        let message = refused.json()["errors"][0]["message"].to_string();
        assert!(message.contains("io.coracle.ttl"), "{message}");
    }
    assert_eq!(tags(&mut client, "a"), [""; 0]);
}

#[test]
fn what_is_no_repository_is_a_mistake_of_whoever_typed_it() {
    let server = start_configured("", &[]);
    let run = ask(&server, &["retention", "plan", "Not/One"]).expect(2);
    assert!(run.stderr.contains("repository name"), "{}", run.stderr);
}
