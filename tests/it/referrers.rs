//! Referrers: what is about a manifest, filtered and in pages.

use crate::support::image::{Image, Manifest, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, descriptor};
use crate::support::{Client, Response, for_each_shape, for_each_shape_configured};
use serde_json::{Value, json};
use std::slice::from_ref;

#[test]
fn every_kind_of_referrer_is_listed_with_its_own_type_and_annotations() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        client.push_blob("a", b"{}");
        let (subject, empty) = (image.manifest.descriptor(), descriptor(OCI_EMPTY, b"{}"));
        let artifact =
            Manifest::artifact("text/sbom", &subject).with("annotations", json!({"a": "b"}));
        let by_config = Manifest::new(&json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "subject": subject, "layers": [empty],
            "config": {"mediaType": "text/config", "digest": empty["digest"], "size": 2},
        }));
        let index = Manifest::index(&[]).with("subject", subject.clone());
        let typed = index.with("artifactType", json!("text/index"));
        for (reference, manifest) in [
            ("sbom", &artifact),
            (&by_config.digest(), &by_config),
            ("index", &index),
            (&typed.digest(), &typed),
        ] {
            client
                .put_manifest("a", reference, manifest)
                .expect(201)
                .expect_header("OCI-Subject", &image.digest());
        }
        let mut expected = [
            entry(&artifact, Some("text/sbom")),
            entry(&by_config, Some("text/config")),
            entry(&index, None),
            entry(&typed, Some("text/index")),
        ];
        expected[0]["annotations"] = json!({"a": "b"});
        assert_same(&listed(&mut client, "a", &image.digest(), ""), &expected);
    });
}

#[test]
fn referrers_may_come_before_their_subject_and_outlive_it() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_blob("a", b"{}");
        let artifact = Manifest::artifact("text/sbom", &image.manifest.descriptor());
        let answer = client
            .put_manifest("a", &artifact.digest(), &artifact)
            .expect(201);
        answer.expect_header("OCI-Subject", &image.digest());
        let expected = [entry(&artifact, Some("text/sbom"))];
        assert_same(&listed(&mut client, "a", &image.digest(), ""), &expected);
        client.push_image("a", "v1", &image);
        assert_same(&listed(&mut client, "a", &image.digest(), ""), &expected);
        client
            .delete(&format!("/v2/a/manifests/{}", image.digest()))
            .expect(202);
        assert_same(&listed(&mut client, "a", &image.digest(), ""), &expected);
        client.expect_manifest("a", &artifact.digest(), &artifact);
    });
}

#[test]
fn a_deleted_referrer_is_gone_from_the_list_at_once() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (image, [one, two]) = push_two(&mut client, "a");
        assert_eq!(listed(&mut client, "a", &image.digest(), "").len(), 2);
        client
            .delete(&format!("/v2/a/manifests/{}", one.digest()))
            .expect(202);
        let left = listed(&mut client, "a", &image.digest(), "");
        assert_same(&left, &[entry(&two, Some("text/two"))]);
        // A tag of the referrer is no referrer.
        client.push_manifest("a", "tagged", &two);
        client.delete("/v2/a/manifests/tagged").expect(202);
        assert_eq!(listed(&mut client, "a", &image.digest(), "").len(), 1);
    });
}

#[test]
fn referrers_stay_in_their_repository() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (image, _) = push_two(&mut client, "a");
        client.push_image("b", "v1", &image);
        assert!(listed(&mut client, "b", &image.digest(), "").is_empty());
        assert!(listed(&mut client, "c", &image.digest(), "").is_empty());
        assert_eq!(listed(&mut client, "a", &image.digest(), "").len(), 2);
    });
}

#[test]
fn filters_name_one_type_or_several() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (image, [one, two]) = push_two(&mut client, "a");
        let plus = Manifest::artifact("application/vnd.x+json", &image.manifest.descriptor());
        client.push_manifest("a", &plus.digest(), &plus);
        let (one, two) = (entry(&one, Some("text/one")), entry(&two, Some("text/two")));
        let plus = entry(&plus, Some("application/vnd.x+json"));
        for (filter, expected) in [
            ("?artifactType=text/one", from_ref(&one)),
            ("?artifactType=text%2Ftwo", from_ref(&two)),
            (
                "?artifactType=text/one&artifactType=text/two",
                &[one.clone(), two.clone()],
            ),
            ("?artifactType=application/vnd.x+json", from_ref(&plus)),
            ("?artifactType=application%2Fvnd.x%2Bjson", from_ref(&plus)),
            ("?artifactType=text/none", &[]),
            ("?artifactType=TEXT/ONE", &[]),
            ("?artifactType=", &[one.clone(), two.clone(), plus.clone()]),
            ("?unknown=x", &[one.clone(), two.clone(), plus.clone()]),
        ] {
            let path = format!("/v2/a/referrers/{}{filter}", image.digest());
            let answer = client.get(&path).expect(200);
            let applied = !matches!(filter, "?artifactType=" | "?unknown=x");
            let told = answer.header("oci-filters-applied");
            assert_eq!(told, applied.then_some("artifactType"), "{answer}");
            assert_same(&entries(&answer), expected);
        }
    });
}

#[test]
fn a_referrer_is_listed_by_the_digest_it_was_pushed_under() {
    for_each_shape(|server| {
        let mut client = server.client();
        let image = Image::oci(1, &[10]);
        client.push_image("a", "v1", &image);
        client.push_blob("a", b"{}");
        let artifact = Manifest::artifact("text/sbom", &image.manifest.descriptor());
        let long = crate::support::image::digest_sha512(&artifact.bytes);
        client.put_manifest("a", &long, &artifact).expect(201);
        let found = listed(&mut client, "a", &image.digest(), "");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["digest"], json!(long));
    });
}

/// What clients without the referrers API push: an index under the tag `sha256-<hex>`. Its
/// children carry their subject, so they are listed.
#[test]
fn what_was_pushed_for_the_fallback_tag_is_listed() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (image, [one, two]) = push_two(&mut client, "a");
        let index = Manifest::index(&[(&one, "unknown"), (&two, "unknown")]);
        let tag = image.digest().replace(':', "-");
        client.push_manifest("a", &tag, &index);
        client.expect_manifest("a", &tag, &index);
        assert_eq!(listed(&mut client, "a", &image.digest(), "").len(), 2);
    });
}

#[test]
fn pages_cover_the_list_exactly_once_and_keep_the_filter() {
    for_each_shape(|server| {
        let mut client = server.client();
        let (image, expected) = push_many(&mut client, 30, 10);
        let first = format!(
            "/v2/a/referrers/{}?n=7&artifactType=text%2Fa%2Bb",
            image.digest()
        );
        let found = walk(&mut client, &first, |page| assert!(page.len() <= 7));
        assert_same(&found, &expected);
    });
}

/// Clients refuse answers of more than a manifest's size, so long lists come in pages.
#[test]
fn a_list_beyond_the_size_of_a_manifest_comes_in_pages() {
    for_each_shape_configured("", |server| {
        let mut client = server.client();
        let (image, expected) = push_many(&mut client, 50, 100_000);
        let first = format!("/v2/a/referrers/{}", image.digest());
        let answer = client.get(&first).expect(200);
        assert!(answer.body.len() <= 4 << 20, "{} bytes", answer.body.len());
        assert!(answer.header("link").is_some());
        assert_same(&walk(&mut client, &first, |_| ()), &expected);
    });
}

fn push_two(client: &mut Client, repository: &str) -> (Image, [Manifest; 2]) {
    let image = Image::oci(1, &[10]);
    client.push_image(repository, "v1", &image);
    client.push_blob(repository, b"{}");
    let pushed = ["text/one", "text/two"].map(|artifact_type| {
        let artifact = Manifest::artifact(artifact_type, &image.manifest.descriptor());
        client.push_manifest(repository, &artifact.digest(), &artifact);
        artifact
    });
    (image, pushed)
}

/// This many referrers of the type `text/a+b`, each with an annotation of so many bytes, and one
/// of another type.
fn push_many(client: &mut Client, count: usize, bytes: usize) -> (Image, Vec<Value>) {
    let image = Image::oci(1, &[10]);
    client.push_image("a", "v1", &image);
    client.push_blob("a", b"{}");
    let subject = image.manifest.descriptor();
    let mut pushed = Vec::new();
    for n in 0..count {
        let annotations = json!({"n": n.to_string(), "pad": "x".repeat(bytes)});
        let artifact =
            Manifest::artifact("text/a+b", &subject).with("annotations", annotations.clone());
        client.push_manifest("a", &artifact.digest(), &artifact);
        let mut expected = entry(&artifact, Some("text/a+b"));
        expected["annotations"] = annotations;
        pushed.push(expected);
    }
    if bytes < 1000 {
        let other = Manifest::artifact("text/other", &subject);
        client.push_manifest("a", &other.digest(), &other);
    }
    (image, pushed)
}

fn walk(client: &mut Client, first: &str, check: impl Fn(&[Value])) -> Vec<Value> {
    let (mut path, mut found) = (first.to_owned(), Vec::new());
    for _ in 0..100 {
        let answer = client.get(&path).expect(200);
        let page = entries(&answer);
        check(&page);
        found.extend(page);
        let Some(link) = answer.header("link") else {
            return found;
        };
        let (url, rel) = link.trim_start_matches('<').split_once('>').unwrap();
        assert_eq!(rel, "; rel=\"next\"");
        url.clone_into(&mut path);
    }
    panic!("the pages have no end");
}

fn entry(manifest: &Manifest, artifact_type: Option<&str>) -> Value {
    let mut entry = manifest.descriptor();
    if let Some(artifact_type) = artifact_type {
        entry["artifactType"] = json!(artifact_type);
    }
    entry
}

fn listed(client: &mut Client, repository: &str, subject: &str, query: &str) -> Vec<Value> {
    entries(&client.get(&format!("/v2/{repository}/referrers/{subject}{query}")))
}

fn entries(response: &Response) -> Vec<Value> {
    let response = response
        .clone()
        .expect(200)
        .expect_header("Content-Type", OCI_INDEX);
    let index = response.json();
    assert_eq!(index["schemaVersion"], 2, "{response}");
    assert_eq!(index["mediaType"], OCI_INDEX, "{response}");
    index["manifests"]
        .as_array()
        .expect("manifests is an array")
        .clone()
}

/// The same descriptors in whatever order.
fn assert_same(found: &[Value], expected: &[Value]) {
    let sorted = |list: &[Value]| {
        let mut list: Vec<String> = list.iter().map(Value::to_string).collect();
        list.sort_unstable();
        list
    };
    assert_eq!(sorted(found), sorted(expected));
}
