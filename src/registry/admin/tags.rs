//! Tags: listed, removed, set, and moved back to what they pointed to.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::image::{Extent, Image};
use super::reply::{HistoryView, Reply, TagSet, TagView, TagsRemoved, TimeView};
use super::{AdminError, Earlier, PAGE, Target, record, undelete};
use crate::clock::{Life, MADE_AFTER};
use crate::logging::Event;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::events::Recorder;
use crate::registry::history::{self, TagTime};
use crate::registry::{Page, Registry, immutable, quotas};
use crate::store;
use crate::store::catalog::{ReadTx, ReferenceKind, Removal, TagRow, WriteTx};

/// The most tags that are removed at once.
pub const TAGS_MAX: usize = 400;
/// The longest time that a tag may be given to live.
pub const EXPIRES_MAX: Duration = Life::MAX;

/// The most manifests of an image whose size is told in a list.
const LISTED_MANIFESTS_MAX: usize = 100;

impl Registry {
    pub(super) fn list_tags(
        &self,
        name: &RepositoryName,
        after: Option<&str>,
    ) -> Result<Reply, AdminError> {
        self.catalog.read(|tx| {
            let rows = tx.tag_rows(name, after, PAGE + 1)?;
            if rows.is_empty() && !tx.repository_exists(name)? {
                return Err(AdminError::Unknown(Target::Repository(name.clone())));
            }
            let page = Page::of(rows, PAGE);
            let tags = page.items.into_iter();
            let tags = tags.map(|row| view(tx, name, row));
            Ok(Reply::Tags {
                tags: tags.collect::<Result<_, _>>()?,
                more: page.more,
            })
        })
    }

    pub(super) fn remove_tags(
        &self,
        name: RepositoryName,
        tags: Vec<Tag>,
        now: bool,
    ) -> Result<Reply, AdminError> {
        if tags.len() > TAGS_MAX {
            return Err(AdminError::TooMany {
                what: "tags",
                limit: TAGS_MAX,
            });
        }
        // A tag that was typed twice is removed once.
        let tags: BTreeSet<Tag> = tags.into_iter().collect();
        let (repository, removed) = (name.clone(), tags.clone());
        let (rules, recorder) = (self.policy(), self.recorder());
        let (digests, manifests, at) = self.change(move |tx| {
            let mut digests = Vec::new();
            for tag in &tags {
                let row = existing(tx, &name, tag)?;
                immutable::may_remove(tx, &rules, &name, tag)?;
                tx.delete_tag(&name, tag)?;
                digests.push(row.digest);
            }
            recorder.tags_deleted(tx, &name, &tags)?;
            let mut manifests = 0;
            if now {
                for digest in &digests {
                    manifests += remove_loose(tx, &recorder, &name, *digest)?;
                }
            }
            Ok((digests, manifests, tx.now()))
        })?;
        for (tag, digest) in removed.iter().zip(digests) {
            record(
                Event::Delete,
                &repository,
                tag.as_str(),
                &digest.to_string(),
            );
        }
        Ok(Reply::TagsRemoved(TagsRemoved {
            repository: repository.to_string(),
            tags: removed.iter().map(Tag::to_string).collect(),
            manifests,
            until: (!now).then(|| self.until(at)).flatten(),
        }))
    }

    pub(super) fn set_tag(
        &self,
        name: RepositoryName,
        tag: Tag,
        to: Reference,
        expires_seconds: Option<u64>,
    ) -> Result<Reply, AdminError> {
        let expires = expires_seconds.map(Duration::from_secs);
        if expires.is_some_and(|life| life.is_zero() || life > EXPIRES_MAX) {
            return Err(AdminError::Expiry);
        }
        let (repository, set, rules) = (name.clone(), tag.clone(), self.policy());
        let recorder = self.recorder();
        let (row, moved) = self.change(move |tx| {
            let digest = resolve(tx, &name, &to)?;
            let before = tx.tag_row(&name, &tag)?;
            let expires_at = expires.map(|life| end_of(life, tx.now())).transpose()?;
            immutable::may_set(tx, &rules, &name, &tag, &digest)?;
            quotas::admit_tag(tx, &rules, &name, &tag)?;
            tx.set_tag(&name, &tag, &digest, expires_at)?;
            recorder.manifest_set(tx, &name, &digest, std::slice::from_ref(&tag))?;
            let moved = before.is_none_or(|before| before.digest != digest);
            Ok((existing(tx, &name, &tag)?, moved))
        })?;
        record(
            Event::Tag,
            &repository,
            set.as_str(),
            &row.digest.to_string(),
        );
        let tag = self.catalog.read(|tx| view(tx, &repository, row))?;
        Ok(Reply::TagSet(TagSet {
            repository: repository.to_string(),
            tag,
            moved,
            restored: 0,
        }))
    }

    pub(super) fn show_history(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Reply, AdminError> {
        self.catalog.read(|tx| {
            let times = history::times(tx, name, tag)?;
            if times.is_empty() {
                let target = Target::Tag(name.clone(), tag.clone());
                return Err(AdminError::Unknown(target));
            }
            let viewed = |time: TagTime| {
                let place = place(tx, name, &time.digest)?;
                Ok::<_, store::Error>(TimeView::of(time, place))
            };
            Ok(Reply::History(HistoryView {
                repository: name.to_string(),
                tag: tag.to_string(),
                history: times.into_iter().map(viewed).collect::<Result<_, _>>()?,
            }))
        })
    }

    pub(super) fn roll_back(
        &self,
        name: RepositoryName,
        tag: Tag,
        to: Earlier,
    ) -> Result<Reply, AdminError> {
        let (repository, moved_tag) = (name.clone(), tag.clone());
        let (window, rules) = (self.options.undo_window, self.policy());
        let recorder = self.recorder();
        let (row, moved, restored) = self.change(move |tx| {
            let now = tx.tag_row(&name, &tag)?;
            let times = history::times(tx, &name, &tag)?;
            let digest = earlier(&name, &tag, &times, &to)?;
            if now.as_ref().is_some_and(|now| now.digest == digest) {
                return Ok((existing(tx, &name, &tag)?, false, 0));
            }
            immutable::may_set(tx, &rules, &name, &tag, &digest)?;
            let mut restored = 0;
            if tx.manifest_facts(&name, &digest)?.is_none() {
                restored = undelete::bring_back(tx, &recorder, &name, &digest, window)?;
            }
            tx.set_tag(&name, &tag, &digest, now.and_then(|now| now.expires_at))?;
            recorder.manifest_set(tx, &name, &digest, std::slice::from_ref(&tag))?;
            Ok((existing(tx, &name, &tag)?, true, restored))
        })?;
        if moved {
            record(
                Event::Rollback,
                &repository,
                moved_tag.as_str(),
                &row.digest.to_string(),
            );
        }
        let tag = self.catalog.read(|tx| view(tx, &repository, row))?;
        Ok(Reply::TagSet(TagSet {
            repository: repository.to_string(),
            tag,
            moved,
            restored,
        }))
    }
}

/// A tag with the size of its image.
pub(super) fn view(
    tx: &ReadTx<'_>,
    name: &RepositoryName,
    row: TagRow,
) -> Result<TagView, store::Error> {
    let max = LISTED_MANIFESTS_MAX;
    let image = Image::of(tx, name, row.digest, Extent::Children, max)?;
    Ok(TagView::of(row, image.map(|image| image.bytes())))
}

/// The tag's row.
fn existing(tx: &ReadTx<'_>, name: &RepositoryName, tag: &Tag) -> Result<TagRow, AdminError> {
    match tx.tag_row(name, tag)? {
        Some(row) => Ok(row),
        None if tx.repository_exists(name)? => {
            Err(AdminError::Unknown(Target::Tag(name.clone(), tag.clone())))
        }
        None => Err(AdminError::Unknown(Target::Repository(name.clone()))),
    }
}

/// The manifest that a tag is to point to; it is there.
fn resolve(tx: &ReadTx<'_>, name: &RepositoryName, to: &Reference) -> Result<Digest, AdminError> {
    let digest = match to {
        Reference::Tag(tag) => return existing(tx, name, tag).map(|row| row.digest),
        Reference::Digest(digest) => *digest,
    };
    if tx.manifest_facts(name, &digest)?.is_some() {
        return Ok(digest);
    }
    let repository = name.clone();
    Err(if tx.removed_manifest(name, &digest)?.is_some() {
        AdminError::ManifestRemoved { repository, digest }
    } else if tx.repository_exists(name)? {
        AdminError::Unknown(Target::Manifest(repository, digest))
    } else {
        AdminError::Unknown(Target::Repository(repository))
    })
}

/// Where the manifest is, in a word.
fn place(
    tx: &ReadTx<'_>,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<&'static str, store::Error> {
    if tx.manifest_facts(name, digest)?.is_some() {
        return Ok("here");
    }
    let removed = tx.removed_manifest(name, digest)?;
    Ok(if removed.is_some() { "removed" } else { "gone" })
}

fn end_of(life: Duration, now: SystemTime) -> Result<SystemTime, AdminError> {
    if now < SystemTime::UNIX_EPOCH + MADE_AFTER {
        return Err(AdminError::Clock);
    }
    Ok(now + life)
}

/// Which manifest is meant.
fn earlier(
    name: &RepositoryName,
    tag: &Tag,
    times: &[TagTime],
    to: &Earlier,
) -> Result<Digest, AdminError> {
    let Some(latest) = times.first() else {
        return Err(AdminError::Unknown(Target::Tag(name.clone(), tag.clone())));
    };
    match to {
        Earlier::Before => {
            // A tag that is no more pointed to something until it was removed.
            let before = |time: &&TagTime| latest.end.is_some() || time.digest != latest.digest;
            let found = times.iter().find(before).map(|time| time.digest);
            found.ok_or_else(|| AdminError::NothingBefore { tag: tag.clone() })
        }
        Earlier::Digest(digest) => {
            let found = times.iter().any(|time| time.digest == *digest);
            let never = || AdminError::NeverPointed {
                repository: name.clone(),
                tag: tag.clone(),
                digest: *digest,
            };
            found.then_some(*digest).ok_or_else(never)
        }
        Earlier::At(ms) => {
            let ms = u64::try_from(*ms).unwrap_or(0);
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
            let tag = tag.clone();
            let then = history::at(times, at).map(|time| time.digest);
            then.ok_or(AdminError::NothingThen { tag, at })
        }
    }
}

/// Removes a manifest that nothing holds for good, and those of its children and referrers that
/// nothing holds then; how many went.
fn remove_loose(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    digest: Digest,
) -> Result<u64, AdminError> {
    let (mut next, mut removed) = (vec![digest], 0);
    while let Some(digest) = next.pop() {
        if tx.loose_since(name, &digest)?.is_none() {
            continue;
        }
        let references = tx.manifest_references(name, &digest)?;
        let children = references
            .into_iter()
            .filter(|(kind, _)| *kind == ReferenceKind::Child);
        next.extend(children.map(|(_, digest)| digest));
        if let Some(node) = tx.node(name, &digest)? {
            next.extend(tx.referrers_of(&node, usize::MAX)?);
        }
        recorder.remove_manifest(tx, name, &digest, Removal::Final)?;
        removed += 1;
    }
    Ok(removed)
}
