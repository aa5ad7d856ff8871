//! Counts, the queue of the collection, what nothing holds, pasts and the history of tags: whatever
//! is done, the check finds that they are what counting gives.

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::store::catalog::schema;

const REPOSITORIES: [&str; 3] = ["a", "a/b", "z"];
const BLOBS: [&str; 5] = ["one", "twotwo", "threethree", "four", "five"];
const TAGS: [&str; 3] = ["latest", "v1", "v2"];
const SAMPLES: usize = 7;

/// Patterns, and which repositories fit.
type Group = (&'static str, fn(&str) -> bool);
const GROUPS: [Group; 2] = [("a/* z", |text| text != "a"), ("a", |text| text == "a")];

#[derive(Clone, Debug)]
enum Change {
    Link(usize, usize),
    Unlink(usize, usize),
    Put(usize, usize),
    Tag(usize, usize, usize),
    DeleteTag(usize, usize),
    Remove(usize, usize, Removal),
    Restore(usize, usize),
    Forget,
    Collect,
    Rename(usize, usize),
    /// A repository goes as a whole.
    RemoveAll(usize, Removal),
    ForgetPast(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let r = 0..REPOSITORIES.len();
    let (b, m, t) = (0..BLOBS.len(), 0..SAMPLES, 0..TAGS.len());
    prop_oneof![
        4 => (r.clone(), b.clone()).prop_map(|(r, b)| Change::Link(r, b)),
        1 => (r.clone(), b).prop_map(|(r, b)| Change::Unlink(r, b)),
        6 => (r.clone(), m.clone()).prop_map(|(r, m)| Change::Put(r, m)),
        4 => (r.clone(), t.clone(), m.clone()).prop_map(|(r, t, m)| Change::Tag(r, t, m)),
        1 => (r.clone(), t).prop_map(|(r, t)| Change::DeleteTag(r, t)),
        2 => (r.clone(), m.clone(), any::<bool>()).prop_map(|(r, m, undoable)| {
            let removal = if undoable { Removal::Undoable } else { Removal::Final };
            Change::Remove(r, m, removal)
        }),
        2 => (r.clone(), m).prop_map(|(r, m)| Change::Restore(r, m)),
        1 => Just(Change::Forget),
        2 => Just(Change::Collect),
        1 => (r.clone(), r.clone()).prop_map(|(r, to)| Change::Rename(r, to)),
        1 => (r.clone(), any::<bool>()).prop_map(|(r, undoable)| {
            let removal = if undoable { Removal::Undoable } else { Removal::Final };
            Change::RemoveAll(r, removal)
        }),
        1 => r.prop_map(Change::ForgetPast),
    ]
}

/// Images, one with a layer twice, an index of two of them, an index of a blob, two referrers, of
/// which one is about the other.
fn content(at: usize) -> Sample {
    use ReferenceKind::{Child, Config, Layer};
    let mut sample = sample(&format!("manifest {at}"));
    let image = |at: usize| content(at).digest();
    sample.references = match at {
        0 => vec![(Config, digest("one")), (Layer, digest("twotwo"))],
        1 => vec![
            (Config, digest("one")),
            (Layer, digest("threethree")),
            (Layer, digest("threethree")),
        ],
        2 => vec![(Config, digest("four"))],
        3 => vec![(Child, image(0)), (Child, image(1))],
        4 => vec![(Child, digest("five")), (Child, image(2))],
        _ => vec![(Config, digest("one")), (Layer, digest("five"))],
    };
    sample.subject = match at {
        5 => Some(image(3)),
        6 => Some(image(5)),
        _ => None,
    };
    sample
}

fn apply(tx: &mut WriteTx<'_>, change: &Change) -> Result<(), Error> {
    let repository = |at: &usize| name(REPOSITORIES[*at]);
    match change {
        Change::Link(r, b) => {
            tx.insert_blob(&stored(BLOBS[*b]))?;
            tx.link_blob(&repository(r), &digest(BLOBS[*b]))
        }
        Change::Unlink(r, b) => {
            tx.unlink_blob(&repository(r), &digest(BLOBS[*b]))?;
            tx.delete_blob_if_unused(&digest(BLOBS[*b])).map(|_| ())
        }
        Change::Put(r, m) => content(*m).put(tx, &repository(r)),
        Change::Tag(r, t, m) => {
            let (repository, digest) = (repository(r), content(*m).digest());
            if tx.manifest_facts(&repository, &digest)?.is_some() {
                tx.set_tag(&repository, &tag(TAGS[*t]), &digest, None)?;
            }
            Ok(())
        }
        Change::DeleteTag(r, t) => tx.delete_tag(&repository(r), &tag(TAGS[*t])).map(|_| ()),
        Change::Remove(r, m, removal) => {
            let digest = content(*m).digest();
            let gone = tx.remove_manifest(&repository(r), &digest, *removal)?;
            if gone.is_some() && *removal == Removal::Undoable {
                let past = tx.removed_manifests(&repository(r), None, 10)?;
                assert!(past.iter().any(|removed| removed.digest == digest));
            }
            Ok(())
        }
        Change::Restore(r, m) => {
            let digest = content(*m).digest();
            let past = tx.removed_manifests(&repository(r), None, 10)?;
            let expected = past.iter().any(|removed| removed.digest == digest);
            assert_eq!(tx.restore_manifest(&repository(r), &digest)?, expected);
            let back = tx.manifest_facts(&repository(r), &digest)?;
            assert!(!expected || back.is_some());
            Ok(())
        }
        Change::Forget => tx.forget_removed(tx.now(), 3).map(|_| ()),
        Change::Collect => collect(tx),
        Change::RemoveAll(r, removal) => remove_all(tx, &repository(r), *removal),
        Change::ForgetPast(r) => {
            tx.forget_past(&repository(r))?;
            assert_eq!(tx.removed_manifests(&repository(r), None, 10)?, []);
            let past = tx.past_row(&repository(r))?;
            assert!(past.is_none_or(|past| past.manifests == 0 && past.last_at.is_none()));
            Ok(())
        }
        Change::Rename(r, to) => {
            if !tx.repository_exists(&repository(to))? {
                tx.rename_repository(&repository(r), &repository(to))?;
            }
            Ok(())
        }
    }
}

/// Groups hold what their repositories do, whatever became of these.
fn groups_are_right(catalog: &Catalog) {
    for (pattern, is_member) in GROUPS {
        let (group, members) = read(catalog, |tx| {
            let mut sum = Held::default();
            for text in REPOSITORIES.into_iter().filter(|text| is_member(text)) {
                let held = tx.repository_held(&name(text))?;
                sum.bytes += held.bytes;
                sum.tags += held.tags;
            }
            Ok((tx.group_held(pattern)?, sum))
        });
        assert_eq!(group, members, "{pattern}");
    }
}

/// Nothing is left of it but what its past and the queue of the collection have.
fn remove_all(
    tx: &mut WriteTx<'_>,
    repository: &RepositoryName,
    removal: Removal,
) -> Result<(), Error> {
    let digests = tx.manifest_digests(repository, None, 100)?;
    for digest in &digests {
        tx.remove_manifest(repository, digest, removal)?;
    }
    tx.retire_blobs(repository)?;
    assert!(!tx.repository_exists(repository)?);
    assert_eq!(tx.repository_row(repository)?, None);
    let past = tx.past_row(repository)?.map_or(0, |past| past.manifests);
    assert!(removal == Removal::Final || past >= digests.len() as u64);
    Ok(())
}

/// Takes all that is in the queue, whatever its time.
fn collect(tx: &mut WriteTx<'_>) -> Result<(), Error> {
    let end = tx.now() + Duration::from_secs(86_400);
    let (mut last, mut all) = (None, Vec::new());
    loop {
        let page = tx.collectable(last.as_ref(), end, 2)?;
        let Some(item) = page.last() else { break };
        last = Some(item.clone());
        all.extend(page);
    }
    for item in &all {
        assert!(tx.collect(item, end)?);
        tx.delete_blob_if_unused(&item.digest)?;
    }
    tx.remove_if_empty(&all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_done_every_count_is_what_counting_gives(
        changes in proptest::collection::vec(change(), 1..80),
    ) {
        let catalog = in_memory();
        let groups = GROUPS.map(|(pattern, _)| pattern.to_owned());
        write(&catalog, move |tx| tx.add_quota_groups(&groups));
        for change in &changes {
            let own = change.clone();
            write(&catalog, move |tx| apply(tx, &own));
        }
        prop_assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
        groups_are_right(&catalog);
        // Once all is removed and collected, nothing is left.
        write(&catalog, |tx| {
            for text in REPOSITORIES {
                for at in 0..SAMPLES {
                    tx.remove_manifest(&name(text), &content(at).digest(), Removal::Undoable)?;
                }
            }
            while tx.forget_removed(tx.now(), 5)? > 0 {}
            collect(tx)
        });
        let totals = read(&catalog, |tx| tx.totals());
        let newest_at = totals.newest_at;
        prop_assert_eq!(totals, Totals { newest_at, ..Totals::default() });
        prop_assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_blob_waits_for_collection_exactly_while_nothing_uses_it() {
    everywhere(|catalog| {
        let app = name("app");
        let waiting = |until: fn(SystemTime) -> SystemTime| {
            write(catalog, move |tx| {
                let until = until(tx.now());
                Ok(tx.collectable(None, until, 10)?.len())
            })
        };
        let in_an_hour = |now: SystemTime| now + Duration::from_secs(3601);
        write(catalog, |tx| {
            for text in ["one", "twotwo"] {
                tx.insert_blob(&stored(text))?;
                tx.link_blob(&name("app"), &digest(text))?;
            }
            Ok(())
        });
        assert_eq!((waiting(|now| now), waiting(in_an_hour)), (0, 2));
        write(catalog, |tx| content(0).put(tx, &name("app")));
        assert_eq!(waiting(in_an_hour), 0);
        write(catalog, move |tx| {
            tx.remove_manifest(&app, &content(0).digest(), Removal::Final)
        });
        assert_eq!(waiting(|now| now), 2, "what was used waits for nobody");
    });
}

#[test]
fn what_is_removed_comes_back_with_its_blobs_until_it_is_forgotten() {
    everywhere(|catalog| {
        let app = name("app");
        write(catalog, |tx| {
            for text in ["one", "twotwo"] {
                tx.insert_blob(&stored(text))?;
                tx.link_blob(&name("app"), &digest(text))?;
            }
            content(0).put(tx, &name("app"))?;
            tx.set_tag(&name("app"), &tag("v1"), &content(0).digest(), None)?;
            let image = content(0).digest();
            let tags = tx.remove_manifest(&name("app"), &image, Removal::Undoable)?;
            assert_eq!(tags, Some(vec!["v1".to_owned()]));
            collect(tx)
        });
        read(catalog, |tx| {
            assert!(!tx.repository_exists(&app)?);
            assert_eq!(tx.repositories(None, 10)?, Vec::<String>::new());
            assert_eq!(tx.totals()?.past_bytes, 9);
            assert_eq!(tx.blob_repositories(&digest("one"), 10)?, []);
            let history = tx.tag_history(&app, &tag("v1"), None, 10)?;
            assert_eq!(history[0].ended, Ended::RemovedWithManifest);
            Ok(())
        });
        write(catalog, |tx| {
            assert!(tx.restore_manifest(&name("app"), &content(0).digest())?);
            assert!(!tx.restore_manifest(&name("app"), &content(0).digest())?);
            Ok(())
        });
        read(catalog, |tx| {
            assert!(tx.repository_blob(&app, &digest("twotwo"))?.is_some());
            assert!(tx.loose_since(&app, &content(0).digest())?.is_some());
            assert_eq!(tx.totals()?.past_bytes, 0);
            Ok(())
        });
    });
}

#[test]
fn a_tag_keeps_what_it_pointed_to_and_who_set_it() {
    everywhere(|catalog| {
        let app = name("app");
        write(catalog, |tx| {
            tx.set_actor(Some("ada".to_owned()));
            for at in [0, 1] {
                content(at).put(tx, &name("app"))?;
                tx.set_tag(&name("app"), &tag("v1"), &content(at).digest(), None)?;
            }
            tx.set_tag(&name("app"), &tag("v1"), &content(1).digest(), None)
        });
        write(catalog, |tx| tx.delete_tag(&name("app"), &tag("v1")));
        let history = read(catalog, |tx| tx.tag_history(&app, &tag("v1"), None, 10));
        let [removed, moved] = history.as_slice() else {
            panic!("{history:?}");
        };
        assert_eq!((removed.ended, &removed.ended_by), (Ended::Removed, &None));
        assert_eq!(removed.digest, content(1).digest());
        assert_eq!(moved.ended, Ended::Moved);
        assert_eq!(moved.digest, content(0).digest());
        assert_eq!(moved.set_by.as_deref(), Some("ada"));
        let first = read(catalog, |tx| tx.tag_history(&app, &tag("v1"), None, 1));
        let rest = read(catalog, |tx| {
            tx.tag_history(&app, &tag("v1"), Some(first[0].id), 10)
        });
        assert_eq!(rest, std::slice::from_ref(moved));
    });
}

#[test]
fn the_newest_tags_are_those_that_were_set_last() {
    let clock = Arc::new(ManualClock::new(
        SystemTime::UNIX_EPOCH + Duration::from_secs(9),
    ));
    let options = Options {
        clock: Arc::<ManualClock>::clone(&clock),
        ..relaxed(Location::Memory)
    };
    let catalog = Catalog::open(options, Box::new(|_| Ok(()))).expect("opens");
    for text in ["c", "a", "b", "a"] {
        clock.advance(Duration::from_secs(1));
        write(&catalog, move |tx| {
            content(0).put(tx, &name("app"))?;
            tx.set_tag(&name("app"), &tag(text), &content(0).digest(), None)
        });
    }
    let newest = |count| {
        let rows = read(&catalog, |tx| tx.newest_tags(&name("app"), count));
        rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(newest(2), ["a", "b"]);
    assert_eq!(newest(10), ["a", "b", "c"]);
    assert_eq!(newest(0), Vec::<String>::new());
    let row = read(&catalog, |tx| tx.tag_row(&name("app"), &tag("a"))).expect("a row");
    assert_eq!(row.size, content(0).content.len() as u64);
}

#[test]
fn the_history_of_a_tag_is_bounded_and_that_of_a_removed_one_is_forgotten() {
    everywhere(|catalog| {
        let app = name("app");
        write(catalog, |tx| {
            for at in [0, 1] {
                content(at).put(tx, &name("app"))?;
            }
            for at in 0..TAG_HISTORY_MAX + 50 {
                let digest = content(at % 2).digest();
                tx.set_tag(&name("app"), &tag("latest"), &digest, None)?;
                tx.set_tag(&name("app"), &tag("gone"), &digest, None)?;
                tx.set_tag(&name("app"), &tag("back"), &digest, None)?;
            }
            for text in ["gone", "back"] {
                tx.delete_tag(&name("app"), &tag(text))?;
            }
            tx.set_tag(&name("app"), &tag("back"), &content(0).digest(), None)?;
            while tx.forget_history(tx.now(), 1)?.looked_at > 0 {}
            Ok(())
        });
        let length = |text| {
            let history = read(catalog, |tx| tx.tag_history(&app, &tag(text), None, 1000));
            history.len()
        };
        assert_eq!(length("latest"), TAG_HISTORY_MAX);
        assert_eq!(length("gone"), 0);
        assert_eq!(length("back"), TAG_HISTORY_MAX);
    });
}

/// What an earlier version wrote is counted when its schema is brought up to date.
#[test]
fn a_catalog_of_an_earlier_version_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.db");
    let connection = Connection::open(&path).unwrap();
    for (_, sql) in &schema::FILES[..3] {
        connection.execute_batch(sql).unwrap();
    }
    let blob = |byte: u8| format!("x'01{}'", format!("{byte:02x}").repeat(32));
    let (used, unused, child, index) = (blob(1), blob(2), blob(3), blob(4));
    connection
        .execute_batch(&format!(
            "INSERT INTO repository (id, name, created_at) VALUES (1, 'a', 5), (2, 'b', 5);
            INSERT INTO blob (digest, size, created_at) VALUES ({used}, 10, 5), ({unused}, 7, 5);
            INSERT INTO repository_blob VALUES (1, {used}), (2, {used}), (2, {unused});
            INSERT INTO manifest (id, repository_id, digest, media_type, size, pushed_at, bytes)
                VALUES (1, 1, {child}, 'm/m', 2, 6, x'0000'),
                (2, 1, {index}, 'm/m', 3, 7, x'000000'),
                (3, 2, {index}, 'm/m', 3, 8, x'000000');
            INSERT INTO manifest_reference VALUES (1, 0, 1, {used}), (1, 1, 2, {used}),
                (2, 0, 3, {child}), (3, 0, 2, {child});
            INSERT INTO tag VALUES (1, 'latest', 2, 9);
            PRAGMA application_id = {}; PRAGMA user_version = 3;",
            schema::APPLICATION_ID
        ))
        .unwrap();
    drop(connection);
    let catalog = in_file(&path);
    assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
    let totals = read(&catalog, |tx| tx.totals());
    assert_eq!((totals.linked_bytes, totals.manifest_bytes), (27, 8));
    assert_eq!(totals.newest_at, 8);
    let waiting = write(&catalog, |tx| tx.collectable(None, tx.now(), 10));
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    let loose = write(&catalog, |tx| tx.loose_manifests(None, tx.now(), 10));
    assert_eq!(loose.len(), 1, "{loose:?}");
    assert_eq!(loose[0].repository, name("b"));
}
