//! Rules that are exact: what a chunk must say, what a manifest must bring, what a switch turns
//! off.

use super::{digest, image, in_memory, name, tag};
use crate::oci::{Algorithm, Reference};
use crate::registry::upload::Chunk;
use crate::registry::{Error, Options, Registry};
use crate::store::blobs::UploadKey;

fn started(registry: &Registry) -> UploadKey {
    let repository = name("a");
    let id = registry
        .start_upload(&repository, Algorithm::Sha256)
        .expect("a session");
    UploadKey { repository, id }
}

fn append(
    registry: &Registry,
    key: &UploadKey,
    range: Option<(u64, u64)>,
    bytes: &[u8],
) -> Result<u64, Error> {
    let chunk = Chunk {
        range,
        length: Some(bytes.len() as u64),
    };
    registry.append(key, chunk, &mut &bytes[..])
}

/// A range and the bytes that come with it.
type Case = (Option<(u64, u64)>, &'static [u8]);

#[test]
fn a_chunk_counts_whole_or_not_at_all() {
    let registry = in_memory(Options::default());
    let key = started(&registry);
    assert_eq!(
        append(&registry, &key, Some((0, 3)), b"abcd").expect("taken"),
        4
    );
    let refused: [Case; 6] = [
        (Some((0, 3)), b"abcd"),
        (Some((5, 6)), b"ab"),
        (Some((4, 3)), b""),
        (Some((4, 9)), b"abcd"),
        (Some((4, 5)), b"abcd"),
        (Some((4, u64::MAX)), b"abcd"),
    ];
    for (range, bytes) in refused {
        let error = append(&registry, &key, range, bytes).expect_err("refused");
        assert!(
            matches!(
                error,
                Error::OffsetMismatch { expected: 4, .. } | Error::SizeMismatch { .. }
            ),
            "{range:?}: {error}"
        );
        assert_eq!(registry.upload_offset(&key).expect("still there"), 4);
    }
    let content = digest(b"abcdef");
    let last = Chunk {
        range: Some((4, 5)),
        length: Some(2),
    };
    registry
        .finish_upload(&key, last, &mut &b"ef"[..], &content)
        .expect("finished");
    assert_eq!(
        registry
            .blob_size(&key.repository, &content)
            .expect("there"),
        6
    );
}

#[test]
fn a_body_of_another_length_than_its_range_is_refused_also_when_its_length_is_not_told() {
    let registry = in_memory(Options::default());
    let key = started(&registry);
    for bytes in [&b"abc"[..], b"abcde"] {
        let chunk = Chunk {
            range: Some((0, 3)),
            length: None,
        };
        let error = registry
            .append(&key, chunk, &mut &bytes[..])
            .expect_err("refused");
        assert!(
            matches!(error, Error::SizeMismatch { declared: 4, .. }),
            "{error}"
        );
        assert_eq!(registry.upload_offset(&key).expect("still there"), 0);
    }
}

#[test]
fn a_wrong_digest_ends_the_session() {
    let registry = in_memory(Options::default());
    let key = started(&registry);
    append(&registry, &key, None, b"abc").expect("taken");
    let wrong = digest(b"other");
    let error = registry.finish_upload(&key, Chunk::default(), &mut &b""[..], &wrong);
    assert!(matches!(error, Err(Error::DigestMismatch { .. })));
    assert!(matches!(
        registry.upload_offset(&key),
        Err(Error::UploadUnknown { .. })
    ));
}

#[test]
fn a_session_is_out_of_reach_of_other_repositories() {
    let registry = in_memory(Options::default());
    let key = started(&registry);
    let foreign = UploadKey {
        repository: name("b"),
        id: key.id.clone(),
    };
    assert!(matches!(
        registry.upload_offset(&foreign),
        Err(Error::UploadUnknown { .. })
    ));
    assert!(matches!(
        registry.cancel_upload(&foreign),
        Err(Error::UploadUnknown { .. })
    ));
    assert_eq!(registry.upload_offset(&key).expect("untouched"), 0);
}

#[test]
fn a_blob_longer_than_the_bound_is_refused_before_and_while_it_arrives() {
    let registry = in_memory(Options {
        blob_bytes_max: 10,
        ..Options::default()
    });
    let bytes = [7u8; 11];
    for length in [Some(11), None] {
        let content = digest(&bytes);
        let error = registry.push_blob(&name("a"), length, &mut &bytes[..], &content);
        assert!(
            matches!(error, Err(Error::BlobTooLarge { limit: 10 })),
            "{error:?}"
        );
    }
}

#[test]
fn a_manifest_without_its_content_is_refused_unless_that_is_switched_off() {
    let manifest = image(&[b"config", b"layer"], None);
    let reference = Reference::Tag(tag("v1"));
    let strict = in_memory(Options::default());
    match strict.push_manifest(
        &name("a"),
        &reference,
        Vec::new(),
        None,
        manifest.clone(),
        None,
    ) {
        Err(Error::ManifestReferencesMissing { digests }) => assert_eq!(digests.len(), 2),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        strict.tags(&name("a"), None, 10),
        Err(Error::NameUnknown { .. })
    ));
    let lenient = in_memory(Options {
        references_check: false,
        ..Options::default()
    });
    lenient
        .push_manifest(&name("a"), &reference, Vec::new(), None, manifest, None)
        .expect("taken");
}

#[test]
fn nothing_can_be_deleted_when_deleting_is_off() {
    let registry = in_memory(Options {
        delete_enabled: false,
        ..Options::default()
    });
    let content = digest(b"x");
    registry
        .push_blob(&name("a"), None, &mut &b"x"[..], &content)
        .expect("taken");
    let refused = [
        registry.delete_blob(&name("a"), &content),
        registry.delete_manifest(&name("a"), &Reference::Digest(content), None),
        registry.delete_manifest(&name("a"), &Reference::Tag(tag("v1")), None),
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::DeleteDisabled)), "{outcome:?}");
    }
    assert!(registry.blob_size(&name("a"), &content).is_ok());
}

#[test]
fn a_manifest_with_too_many_descriptors_is_refused() {
    let registry = in_memory(Options {
        references_max: 2,
        ..Options::default()
    });
    let manifest = image(&[b"1", b"2", b"3"], None);
    let outcome = registry.push_manifest(
        &name("a"),
        &Reference::Tag(tag("v1")),
        Vec::new(),
        None,
        manifest,
        None,
    );
    assert!(matches!(
        outcome,
        Err(Error::ManifestReferencesTooMany { count: 3, limit: 2 })
    ));
}

#[test]
fn no_file_is_taken_away_for_want_of_a_row_while_a_commit_is_unclear() {
    let registry = in_memory(Options::default());
    let content = digest(b"x");
    let mut session = registry
        .blobs
        .start_anonymous_upload(Algorithm::Sha256)
        .expect("a session");
    session.append(b"x").expect("taken");
    let staged = session.finish(&content).expect("staged");
    registry
        .blobs
        .publish(staged)
        .expect("a file without a row");
    registry.catalog.set_unclear();
    assert!(!registry.remove_orphan(&content).expect("an answer"));
    assert!(registry.probe_catalog().is_err());
    // A commit that succeeds makes it clear again.
    let other = digest(b"y");
    registry
        .push_blob(&name("a"), None, &mut &b"y"[..], &other)
        .expect("taken");
    assert!(registry.probe_catalog().is_ok());
    assert!(registry.remove_orphan(&content).expect("an answer"));
}
