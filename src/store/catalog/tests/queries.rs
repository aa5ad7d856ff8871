//! Every question and every change, in memory and in a file.

use super::*;

#[test]
fn an_empty_catalog_answers_everything() {
    everywhere(|catalog| {
        let app = name("app");
        let nothing = digest("nothing");
        read(catalog, |tx| {
            assert!(!tx.repository_exists(&app)?);
            assert!(tx.repositories(None, 10)?.is_empty());
            assert_eq!(tx.blob(&nothing)?, None);
            assert_eq!(tx.repository_blob(&app, &nothing)?, None);
            assert!(tx.blob_repositories(&nothing, 10)?.is_empty());
            assert!(tx.blobs(None, 10)?.is_empty());
            assert_eq!(tx.manifest_by_tag(&app, &tag("v1"))?, None);
            assert_eq!(tx.manifest(&app, &nothing)?, None);
            assert_eq!(tx.manifest_facts_by_tag(&app, &tag("v1"))?, None);
            assert_eq!(tx.manifest_facts(&app, &nothing)?, None);
            assert!(tx.manifests(None, 10)?.is_empty());
            assert!(tx.manifest_references(&app, &nothing)?.is_empty());
            assert!(tx.tags(&app, None, 10)?.is_empty());
            let referrers = tx.referrers(&app, &nothing, &[], None, 10, 1000)?;
            assert_eq!(referrers, (Vec::new(), false));
            assert_eq!(tx.totals()?, Totals::default());
            Ok(())
        });
        write(catalog, move |tx| {
            assert!(!tx.unlink_blob(&app, &nothing)?);
            assert!(tx.delete_blob_if_unused(&nothing)?);
            assert!(!tx.set_quarantine(&nothing, true)?);
            assert_eq!(tx.remove_manifest(&app, &nothing, Removal::Final)?, None);
            assert!(!tx.delete_tag(&app, &tag("v1"))?);
            Ok(())
        });
    });
}

#[test]
fn blobs_are_written_linked_quarantined_healed_and_removed() {
    everywhere(|catalog| {
        let (one, two) = (name("one"), name("two"));
        let blob = digest("blob");
        let row = |size, quarantined| {
            Some(BlobRow {
                size,
                quarantined,
                inline: None,
            })
        };
        write(catalog, |tx| {
            tx.insert_blob(&stored("blob"))?;
            tx.link_blob(&name("two"), &digest("blob"))?;
            tx.link_blob(&name("one"), &digest("blob"))?;
            tx.link_blob(&name("one"), &digest("blob"))
        });
        read(catalog, |tx| {
            assert_eq!(tx.blob(&blob)?, row(4, false));
            assert_eq!(tx.repository_blob(&one, &blob)?, row(4, false));
            assert_eq!(tx.repository_blob(&name("three"), &blob)?, None);
            assert_eq!(tx.repository_blob(&one, &digest("other"))?, None);
            assert_eq!(tx.blob_repositories(&blob, 10)?, [one.clone(), two.clone()]);
            assert_eq!(tx.blob_repositories(&blob, 1)?, std::slice::from_ref(&one));
            assert_eq!((tx.totals()?.blobs, tx.totals()?.blob_bytes), (1, 4));
            Ok(())
        });
        write(catalog, move |tx| {
            assert!(tx.set_quarantine(&digest("blob"), true)?);
            assert_eq!(tx.blob(&blob)?, row(4, true));
            tx.insert_blob(&StoredBlob::in_file(blob, 9, false))?;
            assert_eq!(tx.repository_blob(&two, &blob)?, row(9, false));
            assert_eq!((tx.totals()?.blobs, tx.totals()?.blob_bytes), (1, 9));

            assert!(!tx.delete_blob_if_unused(&blob)?);
            assert!(tx.unlink_blob(&one, &blob)?);
            assert!(!tx.unlink_blob(&one, &blob)?);
            assert!(!tx.repository_exists(&one)?, "its last content went");
            assert!(!tx.delete_blob_if_unused(&blob)?);
            assert!(tx.unlink_blob(&two, &blob)?);
            assert!(tx.delete_blob_if_unused(&blob)?);
            let newest_at = tx.totals()?.newest_at;
            let none = Totals {
                newest_at,
                ..Totals::default()
            };
            assert_eq!(tx.totals()?, none);
            Ok(())
        });
    });
}

#[test]
fn inline_bytes_come_and_go_with_their_row() {
    everywhere(|catalog| {
        let (blob, other) = (digest("blob"), digest("other"));
        let row = |quarantined, inline| {
            Some(BlobRow {
                size: 4,
                quarantined,
                inline,
            })
        };
        write(catalog, |tx| {
            tx.insert_blob(&inline("blob"))?;
            tx.insert_blob(&stored("other"))?;
            tx.link_blob(&name("app"), &digest("blob"))
        });
        read(catalog, |tx| {
            assert_eq!(tx.blob(&blob)?, row(false, Some(4)));
            assert_eq!(
                tx.repository_blob(&name("app"), &blob)?,
                row(false, Some(4))
            );
            assert_eq!(tx.inline_bytes(&blob)?.as_deref(), Some(&b"blob"[..]));
            assert_eq!(tx.inline_bytes(&other)?, None);
            let listed: Vec<Option<u64>> = tx
                .blobs(None, 10)?
                .into_iter()
                .map(|(_, row)| row.inline)
                .collect();
            assert_eq!(listed.iter().flatten().count(), 1);
            assert_eq!((tx.totals()?.blobs, tx.totals()?.blob_bytes), (2, 9));
            Ok(())
        });
        write(catalog, move |tx| {
            // To a file and back; a blob has one form at a time.
            tx.set_quarantine(&blob, true)?;
            assert_eq!(tx.blob(&blob)?, row(true, Some(4)));
            tx.insert_blob(&stored("blob"))?;
            assert_eq!(tx.blob(&blob)?, row(false, None));
            assert_eq!(tx.inline_bytes(&blob)?, None);
            tx.insert_blob(&inline("blob"))?;
            tx.insert_blob(&inline("blob"))?;
            assert_eq!(tx.blob(&blob)?, row(false, Some(4)));

            assert!(tx.unlink_blob(&name("app"), &blob)?);
            assert!(tx.delete_blob_if_unused(&blob)?);
            assert_eq!(tx.inline_bytes(&blob)?, None);
            Ok(())
        });
    });
}

#[test]
fn a_link_needs_the_blobs_row() {
    everywhere(|catalog| {
        let result = catalog.write(|tx| tx.link_blob(&name("app"), &digest("absent")));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Io);
        assert!(!read(catalog, |tx| tx.repository_exists(&name("app"))));
    });
}

#[test]
fn digests_list_by_algorithm_then_bytes() {
    everywhere(|catalog| {
        let mut digests: Vec<Digest> = (0..20).map(|n| digest(&n.to_string())).collect();
        digests.extend((0..20).map(|n| sha512(&n.to_string())));
        let unsorted = digests.clone();
        write(catalog, move |tx| {
            unsorted
                .iter()
                .try_for_each(|&digest| tx.insert_blob(&StoredBlob::in_file(digest, 1, false)))
        });
        digests.sort();
        let mut listed = Vec::new();
        loop {
            let page = read(catalog, |tx| tx.blobs(listed.last(), 7));
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 7);
            listed.extend(page.into_iter().map(|(digest, _)| digest));
        }
        assert_eq!(listed, digests);
    });
}

#[test]
fn manifests_are_read_by_tag_and_by_digest() {
    everywhere(|catalog| {
        let app = name("app");
        push(catalog, "app", &["v1", "v2"]);
        push(catalog, "other", &["v1"]);
        let v1 = sample("v1");
        read(catalog, |tx| {
            assert_eq!(tx.manifest_by_tag(&app, &tag("v1"))?, Some(v1.row()));
            assert_eq!(tx.manifest(&app, &v1.digest())?, Some(v1.row()));
            assert_eq!(tx.manifest(&name("x"), &v1.digest())?, None);
            let facts = Some(ManifestFacts {
                digest: v1.digest(),
                media_type: MediaType::from(IMAGE),
                size: 2,
            });
            assert_eq!(tx.manifest_facts_by_tag(&app, &tag("v1"))?, facts);
            assert_eq!(tx.manifest_facts(&app, &v1.digest())?, facts);
            assert_eq!(tx.manifest_by_tag(&app, &tag("V1"))?, None, "case counts");
            let totals = tx.totals()?;
            assert_eq!(
                (totals.repositories, totals.manifests, totals.tags),
                (2, 3, 3)
            );
            Ok(())
        });
    });
}

#[test]
fn the_same_manifest_again_is_brought_up_to_date_and_keeps_its_tags() {
    everywhere(|catalog| {
        let app = name("app");
        push(catalog, "app", &["m"]);
        let again = Sample {
            media_type: Some("application/vnd.oci.image.index.v1+json"),
            subject: Some(digest("subject")),
            references: vec![(ReferenceKind::Child, digest("child"))],
            ..sample("m")
        };
        let put = again.clone();
        write(catalog, move |tx| put.put(tx, &name("app")));
        read(catalog, |tx| {
            assert_eq!(tx.manifest_by_tag(&app, &tag("m"))?, Some(again.row()));
            assert_eq!(
                tx.manifest_references(&app, &again.digest())?,
                again.references
            );
            let (referrers, _) = tx.referrers(&app, &digest("subject"), &[], None, 10, 1000)?;
            assert_eq!(referrers.len(), 1);
            assert_eq!(tx.totals()?.manifests, 1);
            Ok(())
        });
    });
}

#[test]
fn references_keep_their_order() {
    everywhere(|catalog| {
        let mut image = sample("image");
        image
            .references
            .push((ReferenceKind::Config, digest("config")));
        for n in (0..300).rev() {
            let layer = if n % 2 == 0 { digest } else { sha512 };
            image
                .references
                .push((ReferenceKind::Layer, layer(&n.to_string())));
        }
        // The same layer twice is the same layer twice.
        image.references.push((ReferenceKind::Layer, digest("0")));
        let put = image.clone();
        write(catalog, move |tx| put.put(tx, &name("app")));
        let references = read(catalog, |tx| {
            tx.manifest_references(&name("app"), &image.digest())
        });
        assert_eq!(references, image.references);
    });
}

#[test]
fn a_deleted_manifest_takes_its_tags_and_an_emptied_repository_goes() {
    everywhere(|catalog| {
        let app = name("app");
        push(catalog, "app", &["m", "n"]);
        write(catalog, move |tx| {
            tx.set_tag(&app, &tag("latest"), &digest("m"), None)?;
            let gone = tx.remove_manifest(&app, &digest("m"), Removal::Final)?;
            assert_eq!(gone, Some(vec!["latest".to_owned(), "m".to_owned()]));
            assert_eq!(
                tx.remove_manifest(&app, &digest("m"), Removal::Final)?,
                None
            );
            assert_eq!(tx.tags(&app, None, 10)?, ["n"]);
            assert!(tx.delete_tag(&app, &tag("n"))?);
            assert!(!tx.delete_tag(&app, &tag("n"))?);
            assert!(
                tx.manifest(&app, &digest("n"))?.is_some(),
                "only the tag went"
            );
            assert_eq!(
                tx.remove_manifest(&app, &digest("n"), Removal::Final)?,
                Some(vec![])
            );
            assert!(!tx.repository_exists(&app)?);
            let newest_at = tx.totals()?.newest_at;
            let none = Totals {
                newest_at,
                ..Totals::default()
            };
            assert_eq!(tx.totals()?, none);
            Ok(())
        });
    });
}

#[test]
fn a_tag_needs_its_manifest_in_the_same_repository() {
    everywhere(|catalog| {
        push(catalog, "app", &["m"]);
        push(catalog, "other", &["n"]);
        for (repository, content) in [("app", "n"), ("absent", "m")] {
            let error = catalog
                .write(move |tx| tx.set_tag(&name(repository), &tag("t"), &digest(content), None))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(
                error.to_string().contains("has no manifest sha256:"),
                "{error}"
            );
        }
        assert_eq!(read(catalog, |tx| tx.totals()).tags, 2);
    });
}

#[test]
fn names_and_tags_list_by_bytes_after_the_last() {
    everywhere(|catalog| {
        push(catalog, "app", &["b", "B", "_", "a10", "a9", "0"]);
        push(catalog, "app-x", &["t"]);
        push(catalog, "app/x", &["t"]);
        let app = name("app");
        read(catalog, |tx| {
            assert_eq!(tx.tags(&app, None, 100)?, ["0", "B", "_", "a10", "a9", "b"]);
            assert_eq!(tx.tags(&app, Some("B"), 2)?, ["_", "a10"]);
            assert_eq!(tx.tags(&app, Some("between"), 100)?, Vec::<String>::new());
            assert_eq!(tx.tags(&app, None, 0)?, Vec::<String>::new());
            assert_eq!(tx.repositories(None, 100)?, ["app", "app-x", "app/x"]);
            assert_eq!(tx.repositories(Some("app"), 1)?, ["app-x"]);
            assert_eq!(tx.repositories(Some("app-y"), 9)?, ["app/x"]);
            Ok(())
        });
    });
}

#[test]
fn all_manifests_are_walked_in_order_by_pages() {
    everywhere(|catalog| {
        let mut expected = Vec::new();
        for repository in ["a", "b", "c"] {
            let contents: Vec<String> = (0..10).map(|n| format!("{repository}{n}")).collect();
            let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
            push(catalog, repository, &contents);
            expected.extend(
                contents
                    .iter()
                    .map(|c| (repository.to_owned(), sample(c).row())),
            );
        }
        expected.sort_by_key(|(name, row)| (name.clone(), row.digest));
        for limit in [1, 4, 10, 100] {
            let mut walked: Vec<(String, ManifestRow)> = Vec::new();
            loop {
                let last = walked
                    .last()
                    .map(|(name, row)| (name.as_str(), &row.digest));
                let page = read(catalog, |tx| tx.manifests(last, limit));
                if page.is_empty() {
                    break;
                }
                assert!(page.len() <= limit);
                walked.extend(page);
            }
            assert_eq!(walked, expected, "limit {limit}");
        }
    });
}

fn referrer(content: &str, artifact_type: Option<&str>) -> Sample {
    Sample {
        artifact_type: artifact_type.map(str::to_owned),
        annotations: BTreeMap::from([("k\"ey".to_owned(), format!("välue {content}"))]),
        subject: Some(digest("subject")),
        ..sample(content)
    }
}

fn push_referrers(catalog: &Catalog) -> Vec<Sample> {
    let mut referrers: Vec<Sample> = (0..9)
        .map(|n| {
            let artifact_type = ["a/a", "b/b", "c/c"][n % 3];
            referrer(&n.to_string(), (n > 0).then_some(artifact_type))
        })
        .collect();
    let put = referrers.clone();
    write(catalog, move |tx| {
        put.iter()
            .try_for_each(|referrer| referrer.put(tx, &name("app")))?;
        referrer("elsewhere", None).put(tx, &name("other"))?;
        sample("no referrer").put(tx, &name("app"))
    });
    referrers.sort_by_key(Sample::digest);
    referrers
}

#[test]
fn referrers_come_by_digest_filtered_by_type() {
    everywhere(|catalog| {
        let expected = push_referrers(catalog);
        let list = |types: &[&str], last: Option<Digest>, limit| {
            let types: Vec<String> = types.iter().map(|&text| text.to_owned()).collect();
            read(catalog, |tx| {
                let subject = digest("subject");
                tx.referrers(
                    &name("app"),
                    &subject,
                    &types,
                    last.as_ref(),
                    limit,
                    usize::MAX,
                )
            })
        };
        let (all, more) = list(&[], None, 9);
        assert!(!more);
        for (got, expected) in all.iter().zip(&expected) {
            assert_eq!(got.digest, expected.digest());
            assert_eq!(got.size, 1);
            assert_eq!(got.media_type.as_str(), IMAGE);
            assert_eq!(got.artifact_type, expected.artifact_type);
            assert_eq!(got.annotations, expected.annotations);
        }
        assert_eq!(all.len(), expected.len());
        assert!(list(&[], None, 8).1);
        assert_eq!(list(&[], Some(expected[3].digest()), 2).0, all[4..6]);

        let of = |types: &[&str]| {
            let wanted = |r: &&Referrer| {
                r.artifact_type
                    .as_deref()
                    .is_some_and(|artifact_type| types.contains(&artifact_type))
            };
            all.iter().filter(wanted).cloned().collect::<Vec<_>>()
        };
        assert_eq!(list(&["b/b"], None, 9), (of(&["b/b"]), false));
        assert_eq!(list(&["a/a", "c/c"], None, 9), (of(&["a/a", "c/c"]), false));
        assert_eq!(list(&["c/c"], None, 1), (of(&["c/c"])[..1].to_vec(), true));
        assert_eq!(list(&["d/d", "it's \"x\""], None, 9), (Vec::new(), false));
    });
}

#[test]
fn a_page_of_referrers_is_bounded_by_bytes_and_never_empty() {
    everywhere(|catalog| {
        let expected = push_referrers(catalog);
        let mut seen = Vec::new();
        let mut more = true;
        while more {
            let last: Option<Digest> = seen.last().copied();
            let (page, again) = read(catalog, |tx| {
                tx.referrers(&name("app"), &digest("subject"), &[], last.as_ref(), 100, 1)
            });
            assert_eq!(page.len(), 1);
            seen.push(page[0].digest);
            more = again;
        }
        let expected: Vec<Digest> = expected.iter().map(Sample::digest).collect();
        assert_eq!(seen, expected);
        let (page, more) = read(catalog, |tx| {
            tx.referrers(&name("app"), &digest("subject"), &[], None, 100, 1000)
        });
        assert!(more && page.len() > 1 && page.len() < 9, "{}", page.len());
    });
}

#[test]
fn rows_carry_the_time_of_their_transaction() {
    let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
    let options = Options {
        clock: clock.clone(),
        ..Options::new(Location::Memory)
    };
    let catalog = Catalog::open(options, Box::new(|_| Ok(()))).unwrap();
    clock.set(SystemTime::UNIX_EPOCH + Duration::from_millis(1_234));
    push(&catalog, "app", &["m"]);
    clock.advance(Duration::from_millis(1));
    push(&catalog, "app", &["m"]);
    let times = write(&catalog, |tx| {
        assert_eq!(
            tx.now(),
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_235)
        );
        let sql = "SELECT created_at, pushed_at, updated_at FROM repository, manifest, tag";
        let times = tx
            .connection()
            .query_row(sql, [], |row| <(i64, i64, i64)>::try_from(row));
        Ok(times.unwrap())
    });
    assert_eq!(times, (1_234, 1_235, 1_235));
}

#[test]
fn lengths_past_what_sqlite_can_hold_are_held_at_its_bound() {
    let catalog = in_memory();
    write(&catalog, |tx| {
        let digest = digest("huge");
        tx.insert_blob(&StoredBlob::in_file(digest, u64::MAX, false))?;
        assert_eq!(tx.blob(&digest)?.map(|row| row.size), Some(i64::MAX as u64));
        Ok(())
    });
}
