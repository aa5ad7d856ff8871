//! Random changes to manifests and tags beside a plain map; both must answer the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Change {
    Put {
        repository: usize,
        manifest: usize,
    },
    Tag {
        repository: usize,
        tag: usize,
        manifest: usize,
    },
    DeleteManifest {
        repository: usize,
        manifest: usize,
    },
    DeleteTag {
        repository: usize,
        tag: usize,
    },
}

const REPOSITORIES: [&str; 4] = ["a", "a/b", "a-b", "z"];
const TAGS: [&str; 7] = ["_", "A", "Z", "a", "a.b", "a1", "z"];
const MANIFESTS: usize = 6;

fn change() -> impl Strategy<Value = Change> {
    let repository = 0..REPOSITORIES.len();
    let (tag, manifest) = (0..TAGS.len(), 0..MANIFESTS);
    let pair = (repository.clone(), manifest.clone());
    prop_oneof![
        3 => pair.clone().prop_map(|(repository, manifest)| Change::Put { repository, manifest }),
        4 => (repository.clone(), tag.clone(), manifest)
            .prop_map(|(repository, tag, manifest)| Change::Tag { repository, tag, manifest }),
        1 => pair.prop_map(|(repository, manifest)| {
            Change::DeleteManifest { repository, manifest }
        }),
        1 => (repository, tag).prop_map(|(repository, tag)| Change::DeleteTag { repository, tag }),
    ]
}

#[derive(Default)]
struct Repository {
    manifests: BTreeMap<Digest, String>,
    tags: BTreeMap<String, Digest>,
}

type Model = BTreeMap<String, Repository>;

fn content(manifest: usize) -> String {
    format!("manifest {manifest}")
}

/// Makes the change in both; both must say the same about it.
fn apply(catalog: &Catalog, model: &mut Model, change: &Change) {
    match *change {
        Change::Put {
            repository,
            manifest,
        } => {
            let text = content(manifest);
            let into = model
                .entry(REPOSITORIES[repository].to_owned())
                .or_default();
            into.manifests.insert(digest(&text), text.clone());
            write(catalog, move |tx| {
                sample(&text).put(tx, &name(REPOSITORIES[repository]))
            });
        }
        Change::Tag {
            repository,
            tag: text,
            manifest,
        } => {
            let digest = digest(&content(manifest));
            let known = model
                .get_mut(REPOSITORIES[repository])
                .filter(|repository| repository.manifests.contains_key(&digest));
            let expected = known.is_some();
            if let Some(repository) = known {
                repository.tags.insert(TAGS[text].to_owned(), digest);
            }
            let result = catalog.write(move |tx| {
                tx.set_tag(
                    &name(REPOSITORIES[repository]),
                    &tag(TAGS[text]),
                    &digest,
                    None,
                )
            });
            assert_eq!(result.is_ok(), expected);
        }
        Change::DeleteManifest {
            repository,
            manifest,
        } => {
            let digest = digest(&content(manifest));
            let expected = model
                .get_mut(REPOSITORIES[repository])
                .and_then(|repository| {
                    repository.manifests.remove(&digest)?;
                    let gone = repository
                        .tags
                        .iter()
                        .filter(|(_, tagged)| **tagged == digest);
                    let gone: Vec<String> = gone.map(|(tag, _)| tag.clone()).collect();
                    repository.tags.retain(|_, tagged| *tagged != digest);
                    Some(gone)
                });
            model.retain(|_, repository| !repository.manifests.is_empty());
            let gone = write(catalog, move |tx| {
                tx.remove_manifest(&name(REPOSITORIES[repository]), &digest, Removal::Final)
            });
            assert_eq!(gone, expected);
        }
        Change::DeleteTag {
            repository,
            tag: text,
        } => {
            let expected = model
                .get_mut(REPOSITORIES[repository])
                .is_some_and(|repository| repository.tags.remove(TAGS[text]).is_some());
            let gone = write(catalog, move |tx| {
                tx.delete_tag(&name(REPOSITORIES[repository]), &tag(TAGS[text]))
            });
            assert_eq!(gone, expected);
        }
    }
}

/// A whole listing, `limit` at a time.
fn pages(limit: usize, page: impl Fn(Option<&str>) -> Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let next = page(all.last().map(String::as_str));
        assert!(next.len() <= limit);
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

fn compare(catalog: &Catalog, model: &Model, limit: usize) {
    let names = pages(limit, |last| {
        read(catalog, |tx| tx.repositories(last, limit))
    });
    assert_eq!(names, model.keys().cloned().collect::<Vec<_>>());
    for text in REPOSITORIES {
        let name = name(text);
        let empty = Repository::default();
        let repository = model.get(text).unwrap_or(&empty);
        let tags = pages(limit, |last| {
            read(catalog, |tx| tx.tags(&name, last, limit))
        });
        assert_eq!(tags, repository.tags.keys().cloned().collect::<Vec<_>>());
        read(catalog, |tx| {
            assert_eq!(tx.repository_exists(&name)?, model.contains_key(text));
            for text in TAGS {
                let expected = repository.tags.get(text);
                let row = tx.manifest_by_tag(&name, &tag(text))?;
                assert_eq!(row.as_ref().map(|row| &row.digest), expected);
                let content = expected.map(|digest| repository.manifests[digest].as_bytes());
                assert_eq!(row.as_ref().map(|row| &*row.bytes), content);
            }
            for manifest in 0..MANIFESTS {
                let digest = digest(&content(manifest));
                let facts = tx.manifest_facts(&name, &digest)?;
                assert_eq!(facts.is_some(), repository.manifests.contains_key(&digest));
            }
            Ok(())
        });
    }
    let totals = read(catalog, |tx| tx.totals());
    let sum = |of: fn(&Repository) -> usize| model.values().map(of).sum::<usize>() as u64;
    assert_eq!(totals.repositories, model.len() as u64);
    assert_eq!(
        totals.manifests,
        sum(|repository| repository.manifests.len())
    );
    assert_eq!(totals.tags, sum(|repository| repository.tags.len()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_catalog_agrees_with_a_map(
        changes in proptest::collection::vec(change(), 1..60),
        limit in 1..5_usize,
    ) {
        let catalog = in_memory();
        let mut model = Model::new();
        for change in &changes {
            apply(&catalog, &mut model, change);
        }
        compare(&catalog, &model, limit);
        prop_assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
    }
}
