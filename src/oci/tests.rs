//! The grammar of every word, row by row, and round trips by property.

use proptest::prelude::*;

use super::media_type::{
    DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, OCI_ARTIFACT_MANIFEST, OCI_IMAGE_INDEX,
    OCI_IMAGE_MANIFEST,
};
use super::*;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn digests() {
    let hex64 = "a".repeat(64);
    let rows = [
        (EMPTY.to_owned(), Ok(())),
        (format!("sha512:{}", "0".repeat(128)), Ok(())),
        (hex64.clone(), Err(DigestError::Malformed)),
        (":abc".to_owned(), Err(DigestError::Malformed)),
        ("sha256:".to_owned(), Err(DigestError::Malformed)),
        (format!("SHA256:{hex64}"), Err(DigestError::Malformed)),
        (
            format!("sha384:{}", "a".repeat(96)),
            Err(DigestError::UnknownAlgorithm),
        ),
        (
            "md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            Err(DigestError::UnknownAlgorithm),
        ),
        (
            "sha256:totallywrong".to_owned(),
            Err(DigestError::WrongLength),
        ),
        (format!("sha512:{hex64}"), Err(DigestError::WrongLength)),
        (
            format!("sha256:{}", "A".repeat(64)),
            Err(DigestError::NotLowerHex),
        ),
        (
            format!("sha256:{}", "g".repeat(64)),
            Err(DigestError::NotLowerHex),
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(text.parse::<Digest>().map(|_| ()), expected, "{text}");
    }
    assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), EMPTY);
}

#[test]
fn repository_names() {
    let long = "a".repeat(256);
    let good = [
        "a",
        "library/ubuntu",
        "a.b/c_d/e__f/g-h/i---j",
        "blobs/uploads",
        "0/1",
        &long[1..],
    ];
    let bad = [
        "", "/", "a/", "/a", "a//b", "A", "a..b", "a._b", "a___b", ".a", "a.", "-a", "a-", "_a",
        "a_", "a-.b", "ü", "a b", &long,
    ];
    for name in good {
        assert_eq!(
            name.parse::<RepositoryName>().map(|n| n.to_string()),
            Ok(name.to_owned())
        );
    }
    for name in bad {
        assert!(name.parse::<RepositoryName>().is_err(), "{name:?}");
    }
}

#[test]
fn tags_and_references() {
    let long = "t".repeat(129);
    for tag in ["latest", "_x", "A.b-c_1", &long[1..]] {
        assert!(tag.parse::<Tag>().is_ok(), "{tag:?}");
    }
    for tag in ["", ".x", "-x", "a+b", "a b", "a/b", &long] {
        assert!(tag.parse::<Tag>().is_err(), "{tag:?}");
    }
    assert!(matches!(EMPTY.parse(), Ok(Reference::Digest(_))));
    assert!(matches!("v1".parse(), Ok(Reference::Tag(_))));
    assert!(matches!(
        "a:b".parse::<Reference>(),
        Err(ReferenceError::Digest(_))
    ));
    assert!(matches!(
        ".a".parse::<Reference>(),
        Err(ReferenceError::Tag(_))
    ));
}

#[test]
fn media_types() {
    let parsed = |text| MediaType::parse(text).map(|own| own.to_string());
    assert_eq!(
        parsed("text/plain; charset=utf-8"),
        Some("text/plain".to_owned())
    );
    assert_eq!(
        parsed(" application/vnd.x+json "),
        Some("application/vnd.x+json".to_owned())
    );
    for bad in [
        "",
        "text",
        "text/",
        "/plain",
        "te xt/plain",
        "text/pl\u{e4}in",
        "a/b/c",
    ] {
        assert_eq!(parsed(bad), None, "{bad:?}");
    }
}

fn image(extra: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/x","digest":"{EMPTY}","size":0}},"layers":[]{extra}}}"#
    )
}

#[test]
fn manifest_types_are_decided_by_header_body_and_fields() {
    let index = r#"{"schemaVersion":2,"manifests":[]}"#.to_owned();
    let ok = |body: &str, header| {
        Manifest::parse(body.as_bytes(), header).map(|m| m.media_type.to_string())
    };
    assert_eq!(
        ok(&image(""), Some(OCI_IMAGE_MANIFEST)),
        Ok(OCI_IMAGE_MANIFEST.to_owned())
    );
    assert_eq!(ok(&image(""), None), Ok(OCI_IMAGE_MANIFEST.to_owned()));
    assert_eq!(ok(&index, None), Ok(OCI_IMAGE_INDEX.to_owned()));
    assert_eq!(
        ok(
            &image(",\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\""),
            None
        ),
        Ok(DOCKER_MANIFEST.to_owned())
    );
    let artifact = format!(r#"{{"mediaType":"{OCI_ARTIFACT_MANIFEST}","blobs":null}}"#);
    assert_eq!(ok(&artifact, None), Ok(OCI_ARTIFACT_MANIFEST.to_owned()));
}

#[test]
fn manifests_that_are_refused() {
    use ManifestError as E;
    let check = |body: &str, header: Option<&str>| {
        Manifest::parse(body.as_bytes(), header)
            .map(|_| ())
            .unwrap_err()
    };
    assert!(matches!(check("", None), E::Json(_)));
    assert!(matches!(check("[]", None), E::Json(_)));
    assert_eq!(check("{}", None), E::MediaTypeMissing);
    assert_eq!(check("{}", Some(OCI_IMAGE_MANIFEST)), E::SchemaVersion);
    assert_eq!(
        check("{\"schemaVersion\":2}", Some(OCI_IMAGE_MANIFEST)),
        E::ConfigMissing
    );
    assert_eq!(
        check("{\"schemaVersion\":1}", Some(OCI_IMAGE_MANIFEST)),
        E::Schema1
    );
    assert_eq!(check(&image(""), Some(DOCKER_SCHEMA1_SIGNED)), E::Schema1);
    assert!(matches!(
        check(&image(""), Some("application/json")),
        E::MediaTypeUnsupported(_)
    ));
    assert!(matches!(
        check(
            &image(",\"mediaType\":\"application/vnd.oci.image.index.v1+json\""),
            Some(OCI_IMAGE_MANIFEST)
        ),
        E::MediaTypeMismatch { .. }
    ));
    assert_eq!(
        check(&image(",\"manifests\":[]"), Some(OCI_IMAGE_MANIFEST)),
        E::Ambiguous
    );
    assert_eq!(
        check(&image(",\"manifests\":[]"), Some(OCI_IMAGE_INDEX)),
        E::Ambiguous
    );
    let bad_digest = image("").replace("sha256:e3", "sha256:zz");
    assert!(matches!(check(&bad_digest, None), E::Digest(_)));
}

#[test]
fn unknown_fields_are_skipped_however_deep_they_nest() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Manifest::parse(image(&format!(",\"x\":{deep}")).as_bytes(), None).is_ok());
}

#[test]
fn artifact_type_falls_back_to_the_config_of_an_image_only() {
    let of = |body: &str| {
        Manifest::parse(body.as_bytes(), None)
            .unwrap()
            .artifact_type
    };
    assert_eq!(of(&image("")), Some("application/x".to_owned()));
    assert_eq!(
        of(&image(",\"artifactType\":\"a/b\"")),
        Some("a/b".to_owned())
    );
    assert_eq!(of("{\"schemaVersion\":2,\"manifests\":[]}"), None);
}

proptest! {
    #[test]
    fn a_digest_survives_its_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, &bytes);
            prop_assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
            prop_assert_eq!(Digest::from_raw(algorithm, digest.raw()), Ok(digest));
        }
    }

    #[test]
    fn a_saved_hash_goes_on_where_it_stopped(
        head in proptest::collection::vec(any::<u8>(), 0..300),
        tail in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&head);
            let mut restored = Hasher::restore(algorithm, &hasher.save()).expect("own state");
            restored.update(&tail);
            let whole = [&head[..], &tail[..]].concat();
            prop_assert_eq!(restored.finish(), Digest::of(algorithm, &whole));
        }
    }

    #[test]
    fn parsers_take_any_text(text in ".{0,300}") {
        let _ = text.parse::<Digest>();
        let _ = text.parse::<Reference>();
        let _ = MediaType::parse(&text);
        if let Ok(name) = text.parse::<RepositoryName>() {
            prop_assert!(!name.as_str().contains(".."));
        }
    }

    #[test]
    fn manifests_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = Manifest::parse(&bytes, None);
        let _ = Manifest::parse(&bytes, Some(OCI_IMAGE_INDEX));
    }
}

#[test]
fn lists_and_maps_are_bounded_while_they_are_read() {
    let many = |entry: &str, count: usize| vec![entry; count].join(",");
    let descriptor = format!(r#"{{"digest":"{EMPTY}"}}"#);
    let index = |count| {
        let list = many(&descriptor, count);
        let body = format!(r#"{{"schemaVersion":2,"manifests":[{list}]}}"#);
        Manifest::parse(body.as_bytes(), None).map(|own| own.children.len())
    };
    assert_eq!(
        index(super::bounded::ENTRIES_MAX),
        Ok(super::bounded::ENTRIES_MAX)
    );
    assert!(matches!(
        index(super::bounded::ENTRIES_MAX + 1),
        Err(ManifestError::Json(_))
    ));
    let keys: Vec<String> = (0..=super::bounded::ENTRIES_MAX)
        .map(|n| format!(r#""{n}":"""#))
        .collect();
    let body = image(&format!(",\"annotations\":{{{}}}", keys.join(",")));
    assert!(matches!(
        Manifest::parse(body.as_bytes(), None),
        Err(ManifestError::Json(_))
    ));
    let urls = image("").replace(
        "\"size\":0",
        &format!("\"urls\":[{}]", many("\"\"", 500_000)),
    );
    let parsed = Manifest::parse(urls.as_bytes(), None).unwrap();
    assert!(parsed.config.is_some_and(|config| config.has_urls));
}
