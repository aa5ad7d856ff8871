//! What the rules about content ask: what repositories hold, alone and in groups, what is known of
//! tags, what holds what, and pulls.

use super::*;

const CI: &str = "ci/* tmp";

/// Puts a manifest with these blobs into a repository.
fn image(tx: &mut WriteTx<'_>, at: &str, content: &str, blobs: &[&str]) -> Result<Digest, Error> {
    let mut image = sample(content);
    for blob in blobs {
        tx.insert_blob(&stored(blob))?;
        tx.link_blob(&name(at), &digest(blob))?;
        image.references.push((ReferenceKind::Layer, digest(blob)));
    }
    image.put(tx, &name(at))?;
    Ok(image.digest())
}

fn held(bytes: u64, tags: u64) -> Held {
    Held { bytes, tags }
}

#[test]
fn groups_count_those_whose_names_fit_whenever_they_come() {
    everywhere(|catalog| {
        write(catalog, |tx| {
            let early = image(tx, "ci/a", "one", &["layer"])?;
            tx.set_tag(&name("ci/a"), &tag("v1"), &early, None)?;
            image(tx, "other", "one", &["layer"])?;
            tx.add_quota_groups(&[CI.to_owned(), "**".to_owned()])
        });
        let groups = || read(catalog, |tx| Ok((tx.group_held(CI)?, tx.group_held("**")?)));
        assert_eq!(groups(), (held(8, 1), held(16, 1)));
        write(catalog, |tx| {
            image(tx, "tmp", "second", &["layer"])?;
            image(tx, "ci/a/b", "third", &[]).map(|_| ())
        });
        assert_eq!(groups(), (held(19, 1), held(32, 1)));
        write(catalog, |tx| {
            tx.rename_repository(&name("tmp"), &name("kept"))?;
            tx.rename_repository(&name("other"), &name("ci/z"))
        });
        assert_eq!(groups(), (held(16, 1), held(32, 1)));
        // Adding them again changes nothing; one that goes and comes back is counted anew.
        write(catalog, |tx| {
            tx.add_quota_groups(&["**".to_owned(), CI.to_owned()])?;
            tx.keep_quota_groups(&["**".to_owned()])
        });
        assert_eq!(groups(), (held(0, 0), held(32, 1)));
        assert_eq!(read(catalog, |tx| tx.quota_groups()), ["**"]);
        write(catalog, |tx| {
            tx.add_quota_groups(&["**".to_owned(), CI.to_owned()])?;
            tx.remove_manifest(&name("ci/a"), &digest("one"), Removal::Undoable)
        });
        assert_eq!(groups(), (held(13, 0), held(29, 0)));
        write(catalog, |tx| {
            tx.restore_manifest(&name("ci/a"), &digest("one"))
        });
        assert_eq!(groups(), (held(16, 0), held(32, 0)));
    });
}

#[test]
fn what_is_held_is_known_without_counting() {
    everywhere(|catalog| {
        let nothing = read(catalog, |tx| {
            assert!(tx.blob_growth(&name("a"), &digest("layer"))?.of_store);
            tx.repository_held(&name("a"))
        });
        assert_eq!(nothing, Held::default());
        write(catalog, |tx| {
            let one = image(tx, "a", "one", &["layer"])?;
            tx.set_tag(&name("a"), &tag("v1"), &one, None)?;
            image(tx, "b", "one", &["layer"]).map(|_| ())
        });
        read(catalog, |tx| {
            assert_eq!(tx.repository_held(&name("a"))?, held(8, 1));
            assert_eq!(tx.store_held()?, held(11, 1));
            let growth = |at| tx.blob_growth(&name(at), &digest("layer"));
            let (inside, outside) = (growth("a")?, growth("c")?);
            assert!(!inside.of_store && !inside.of_repository);
            assert!(!outside.of_store && outside.of_repository);
            assert!(tx.has_tag(&name("a"), &tag("v1"))?);
            assert!(!tx.has_tag(&name("a"), &tag("v2"))?);
            assert!(!tx.has_tag(&name("b"), &tag("v1"))?);
            Ok(())
        });
        write(catalog, |tx| {
            for at in ["a", "b"] {
                tx.remove_manifest(&name(at), &digest("one"), Removal::Undoable)?;
                tx.unlink_blob(&name(at), &digest("layer"))?;
            }
            Ok(())
        });
        read(catalog, |tx| {
            // Only pasts have it, and what they have is nobody's.
            assert!(tx.blob_growth(&name("a"), &digest("layer"))?.of_store);
            assert_eq!(tx.store_held()?.bytes, 6, "two manifests of pasts");
            Ok(())
        });
    });
}

#[test]
fn tags_are_listed_with_what_is_known_of_them() {
    everywhere(|catalog| {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        write(catalog, move |tx| {
            let (one, two) = (image(tx, "a", "one", &[])?, image(tx, "a", "two", &[])?);
            tx.set_tag(&name("a"), &tag("v2"), &two, None)?;
            tx.set_tag(&name("a"), &tag("v1"), &one, Some(end))?;
            tx.set_tag(&name("a"), &tag("also"), &one, None)
        });
        read(catalog, |tx| {
            let mut rows = Vec::new();
            tx.each_dated_tag(&name("a"), |row| {
                rows.push(row);
                true
            })?;
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(names, ["also", "v1", "v2"]);
            let own = tx.manifest_digest(rows[1].manifest)?;
            assert_eq!(own, Some(digest("one")));
            assert_eq!((rows[1].expires_at, rows[2].expires_at), (Some(7000), None));
            assert_eq!(
                tx.dated_tag(&name("a"), &tag("v1"))?.as_ref(),
                Some(&rows[1])
            );
            assert_eq!(tx.dated_tag(&name("a"), &tag("v3"))?, None);
            let on = tx.tags_on(&name("a"), &digest("one"))?;
            assert_eq!(on, [tag("also"), tag("v1")]);
            let over = tx.expired_tags(end, 10)?;
            assert_eq!(over, [(name("a"), rows[1].clone())]);
            let before = end - Duration::from_millis(1);
            assert_eq!(tx.expired_tags(before, 10)?, []);
            Ok(())
        });
    });
}

#[test]
fn the_history_tells_whether_tags_of_a_repository_were_moved_or_removed() {
    everywhere(|catalog| {
        let mark = read(catalog, |tx| tx.history_mark());
        write(catalog, |tx| {
            let one = image(tx, "a", "one", &[])?;
            let two = image(tx, "b", "two", &[])?;
            tx.set_tag(&name("a"), &tag("v1"), &one, None)?;
            tx.set_tag(&name("b"), &tag("v1"), &two, None)
        });
        let changed = |at, mark| read(catalog, |tx| tx.tags_changed(&name(at), mark));
        assert!(!changed("a", mark));
        write(catalog, |tx| tx.delete_tag(&name("a"), &tag("v1")));
        assert!(changed("a", mark) && !changed("b", mark));
        let mark = read(catalog, |tx| tx.history_mark());
        assert!(!changed("a", mark));
    });
}

#[test]
fn what_holds_a_manifest_and_what_it_holds_are_found() {
    everywhere(|catalog| {
        write(catalog, |tx| {
            image(tx, "a", "image", &["layer", "layer", "other"])?;
            image(tx, "b", "image", &["layer"])?;
            let mut index = sample("index");
            index.references = vec![(ReferenceKind::Child, digest("image"))];
            index.put(tx, &name("a"))?;
            let mut about = sample("about");
            about.subject = Some(digest("index"));
            about.put(tx, &name("a"))?;
            tx.set_tag(&name("a"), &tag("v1"), &digest("index"), None)?;
            tx.set_tag(&name("a"), &tag("image"), &digest("image"), None)?;
            tx.set_tag(&name("a"), &tag("about"), &digest("about"), None)
        });
        read(catalog, |tx| {
            let id = |text: &str| {
                let row = tx.dated_tag(&name("a"), &tag(text)).unwrap();
                row.unwrap().manifest
            };
            let (index, image, about) = (id("v1"), id("image"), id("about"));
            assert_eq!(tx.manifest_size(index)?, 5);
            assert_eq!(tx.manifest_tags(index)?, 1);
            assert_eq!(tx.manifests_above(index)?, Vec::<i64>::new());
            assert_eq!(tx.manifests_above(image)?, [index]);
            assert_eq!(tx.manifests_above(about)?, [index]);
            assert_eq!(tx.manifests_below(index)?, [image, about]);
            let blobs = tx.manifest_blobs(image)?;
            let figures: Vec<_> = blobs.iter().map(|b| (b.uses, b.size, b.holders)).collect();
            assert_eq!(figures, [(2, 5, 2), (2, 5, 2), (1, 5, 1)]);
            assert_eq!(tx.manifest_blobs(index)?, []);
            Ok(())
        });
    });
}

#[test]
fn pulls_add_up_and_those_of_what_is_gone_are_passed_over() {
    everywhere(|catalog| {
        write(catalog, |tx| {
            let one = image(tx, "a", "one", &[])?;
            let two = image(tx, "a", "two", &[])?;
            tx.set_tag(&name("a"), &tag("v1"), &one, None)?;
            let app = name("a");
            tx.add_pulls(&app, &one, Some(&tag("v1")), 3, 2000)?;
            tx.add_pulls(&app, &one, None, 1, 1000)?;
            // By a tag that has moved since, and by one that is gone.
            tx.add_pulls(&app, &two, Some(&tag("v1")), 5, 9000)?;
            tx.add_pulls(&app, &one, Some(&tag("v2")), 1, 500)?;
            tx.add_pulls(&app, &digest("gone"), None, 1, 1)?;
            tx.add_pulls(&name("gone"), &one, None, 1, 1)
        });
        let count = |pulls, ms| PullCount {
            pulls,
            last_at: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)),
        };
        read(catalog, |tx| {
            let app = name("a");
            assert_eq!(tx.tag_pulls(&app, &tag("v1"))?, Some(count(3, 2000)));
            assert_eq!(tx.tag_pulls(&app, &tag("v2"))?, None);
            assert_eq!(tx.manifest_pulls(&app, &digest("one"))?, count(5, 2000));
            assert_eq!(tx.manifest_pulls(&app, &digest("two"))?, count(5, 9000));
            let never = tx.manifest_pulls(&app, &digest("gone"))?;
            assert_eq!(never, PullCount::default());
            let row = tx.dated_tag(&app, &tag("v1"))?.unwrap();
            assert_eq!(row.pulled_at, Some(2000));
            Ok(())
        });
        // Pushing the same again does not forget them.
        write(catalog, |tx| {
            let one = image(tx, "a", "one", &[])?;
            tx.set_tag(&name("a"), &tag("v1"), &one, None)
        });
        let kept = read(catalog, |tx| tx.tag_pulls(&name("a"), &tag("v1")));
        assert_eq!(kept, Some(count(3, 2000)));
    });
}
