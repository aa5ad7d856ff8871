//! Bringing back what was removed: repositories, tags and manifests, as they were.

use std::time::{Duration, SystemTime};

use super::reply::{RemovedView, Reply, Restored};
use super::{AdminError, PAGE, Target, record};
use crate::clock::{rfc3339, unix_ms};
use crate::logging::Event;
use crate::oci::{Digest, RepositoryName, RepositoryNameError, Tag};
use crate::registry::events::Recorder;
use crate::registry::{Page, Registry};
use crate::store;
use crate::store::catalog::{PastTag, ReferenceKind, RemovedManifest, RemovedPlace, Span, WriteTx};

/// Tags that are named when they come back.
const NAMED: usize = 20;

/// What came back.
#[derive(Default)]
struct Count {
    manifests: u64,
    tags: u64,
    first_tags: Vec<String>,
}

impl Count {
    fn add_tag(&mut self, tag: &str) {
        self.tags += 1;
        if self.first_tags.len() < NAMED {
            self.first_tags.push(tag.to_owned());
        }
    }
}

impl Registry {
    pub(super) fn undelete(&self, target: Target) -> Result<Reply, AdminError> {
        let window = self.options.undo_window;
        if window.is_zero() {
            return Err(AdminError::UndoOff);
        }
        let (name, reference) = match &target {
            Target::Repository(name) => (name.clone(), String::new()),
            Target::Tag(name, tag) => (name.clone(), tag.to_string()),
            Target::Manifest(name, digest) => (name.clone(), digest.to_string()),
        };
        let recorder = self.recorder();
        let mut count = self.change(move |tx| match &target {
            Target::Repository(name) => repository(tx, &recorder, name, window),
            Target::Tag(name, own) => tag(tx, &recorder, name, own, window),
            Target::Manifest(name, digest) => manifest(tx, &recorder, name, digest, window),
        })?;
        count.first_tags.sort_unstable();
        record(Event::Undelete, &name, &reference, "");
        Ok(Reply::Restored(Restored {
            repository: name.to_string(),
            manifests: count.manifests,
            tags: count.tags,
            first_tags: count.first_tags,
        }))
    }

    pub(super) fn removed_manifests(
        &self,
        repository: Option<&str>,
        after: Option<RemovedPlace>,
    ) -> Result<Reply, AdminError> {
        let (name, span) = self.what_can_come_back(repository)?;
        let rows = self
            .catalog
            .read(|tx| tx.manifests_removed(name.as_ref(), span, after, PAGE + 1))?;
        let page = Page::of(rows, PAGE);
        let next = page.items.last().map(|(place, ..)| *place);
        let view = |(_, name, removed): (RemovedPlace, RepositoryName, RemovedManifest)| {
            self.removed_view(&name, None, &removed.digest, removed.removed_at, None)
        };
        Ok(Reply::RemovedManifests {
            manifests: page.items.into_iter().map(view).collect(),
            next: next.filter(|_| page.more),
        })
    }

    pub(super) fn removed_tags(
        &self,
        repository: Option<&str>,
        after: Option<RemovedPlace>,
    ) -> Result<Reply, AdminError> {
        let (name, span) = self.what_can_come_back(repository)?;
        let rows = self
            .catalog
            .read(|tx| tx.tags_removed(name.as_ref(), span, after, PAGE + 1))?;
        let page = Page::of(rows, PAGE);
        let next = page.items.last();
        let next = next.map(|(_, tag)| (unix_ms(tag.ended_at), tag.id));
        let view = |(name, tag): (RepositoryName, PastTag)| {
            self.removed_view(
                &name,
                Some(tag.tag),
                &tag.digest,
                tag.ended_at,
                tag.ended_by,
            )
        };
        Ok(Reply::RemovedTags {
            tags: page.items.into_iter().map(view).collect(),
            next: next.filter(|_| page.more),
        })
    }

    fn what_can_come_back(
        &self,
        repository: Option<&str>,
    ) -> Result<(Option<RepositoryName>, Span), AdminError> {
        let window = self.options.undo_window;
        if window.is_zero() {
            return Err(AdminError::UndoOff);
        }
        let name = repository.map(str::parse).transpose();
        let name = name.map_err(|error: RepositoryNameError| AdminError::Name(error))?;
        Ok((name, within(window, self.catalog.now())))
    }

    fn removed_view(
        &self,
        repository: &RepositoryName,
        tag: Option<String>,
        digest: &Digest,
        removed_at: SystemTime,
        removed_by: Option<String>,
    ) -> RemovedView {
        RemovedView {
            repository: repository.to_string(),
            tag,
            digest: digest.to_string(),
            removed_at: rfc3339(unix_ms(removed_at)),
            removed_by,
            until: self.until(removed_at).unwrap_or_default(),
        }
    }
}

/// The times at which what was removed can still be brought back. They have no end: a clock that
/// was set back takes nothing away.
fn within(window: Duration, now: SystemTime) -> Span {
    let for_ever = SystemTime::UNIX_EPOCH + Duration::from_millis(i64::MAX.unsigned_abs());
    Span {
        from: now.checked_sub(window).unwrap_or(SystemTime::UNIX_EPOCH),
        until: for_ever,
    }
}

/// Fails when what was removed at that time cannot be brought back any more.
fn require_window(
    tx: &WriteTx<'_>,
    removed_at: SystemTime,
    window: Duration,
    target: impl FnOnce() -> Target,
) -> Result<(), AdminError> {
    let ended = removed_at + window;
    if ended >= tx.now() {
        return Ok(());
    }
    let target = target();
    Err(AdminError::WindowOver { target, ended })
}

/// Brings back a manifest that was removed, with the children that were, and with the referrers
/// that went with it or later; how many.
pub(super) fn bring_back(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    digest: &Digest,
    window: Duration,
) -> Result<u64, AdminError> {
    let Some(removed) = tx.removed_manifest(name, digest)? else {
        return Err(AdminError::ManifestGone { digest: *digest });
    };
    let target = || Target::Manifest(name.clone(), *digest);
    require_window(tx, removed.removed_at, window, target)?;
    Ok(restore(tx, recorder, name, *digest)?)
}

/// As [`bring_back`], whenever it was removed. None when it is in no past.
fn restore(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    digest: Digest,
) -> Result<u64, store::Error> {
    let (mut next, mut restored) = (vec![digest], 0);
    while let Some(digest) = next.pop() {
        let Some(removed) = tx.removed_manifest(name, &digest)? else {
            continue;
        };
        tx.restore_manifest(name, &digest)?;
        recorder.manifest_set(tx, name, &digest, &[])?;
        restored += 1;
        // An index is no good without its children, whenever these went.
        let references = tx.manifest_references(name, &digest)?;
        let children = references
            .into_iter()
            .filter(|(kind, _)| *kind == ReferenceKind::Child);
        next.extend(children.map(|(_, child)| child));
        next.extend(tx.removed_referrers(name, &digest, removed.removed_at)?);
    }
    Ok(restored)
}

/// Sets a tag again, unless it exists.
fn set_again(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    text: &str,
    digest: &Digest,
    count: &mut Count,
) -> Result<(), AdminError> {
    // What was a tag is one; a text that is none would be damage, which the check tells.
    let Ok(tag) = text.parse::<Tag>() else {
        return Ok(());
    };
    let is_there = tx.manifest_facts(name, digest)?.is_some();
    if is_there && tx.tag_row(name, &tag)?.is_none() {
        tx.set_tag(name, &tag, digest, None)?;
        recorder.manifest_set(tx, name, digest, std::slice::from_ref(&tag))?;
        count.add_tag(text);
    }
    Ok(())
}

/// Brings back a manifest with the tags that went with it.
fn manifest(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    digest: &Digest,
    window: Duration,
) -> Result<Count, AdminError> {
    let target = || Target::Manifest(name.clone(), *digest);
    let Some(removed) = tx.removed_manifest(name, digest)? else {
        let is_there = tx.manifest_facts(name, digest)?.is_some();
        return Err(if is_there {
            AdminError::Exists(target())
        } else {
            AdminError::NothingRemoved(target())
        });
    };
    let mut count = Count {
        manifests: bring_back(tx, recorder, name, digest, window)?,
        ..Count::default()
    };
    for tag in tx.tags_removed_with(name, digest, removed.removed_at)? {
        set_again(tx, recorder, name, &tag, digest, &mut count)?;
    }
    Ok(count)
}

/// Brings back a tag, with its manifest when that was removed.
fn tag(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    tag: &Tag,
    window: Duration,
) -> Result<Count, AdminError> {
    let target = || Target::Tag(name.clone(), tag.clone());
    if tx.tag_row(name, tag)?.is_some() {
        return Err(AdminError::Exists(target()));
    }
    let Some(end) = tx.last_end(name, tag)? else {
        return Err(AdminError::NothingRemoved(target()));
    };
    require_window(tx, end.ended_at, window, target)?;
    let mut count = Count::default();
    if tx.manifest_facts(name, &end.digest)?.is_none() {
        count.manifests = bring_back(tx, recorder, name, &end.digest, window)?;
    }
    set_again(tx, recorder, name, tag.as_str(), &end.digest, &mut count)?;
    Ok(count)
}

/// Brings back a repository as it was removed; one that was never removed as a whole gets back all
/// that was removed from it.
fn repository(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    window: Duration,
) -> Result<Count, AdminError> {
    let span = within(window, tx.now());
    let mut count = Count::default();
    let whole = tx.repository_removed_at(name)?;
    let whole = whole.filter(|at| *at >= span.from);
    if let Some(at) = whole {
        let then = Span {
            from: at,
            until: at,
        };
        manifests_of(tx, recorder, name, then, &mut count)?;
        if count.manifests > 0 {
            tags_of_whole(tx, recorder, name, at, &mut count)?;
            return Ok(count);
        }
    }
    manifests_of(tx, recorder, name, span, &mut count)?;
    let mut last = None;
    loop {
        let tags = tx.tags_removed(Some(name), span, last, PAGE)?;
        let Some((_, end)) = tags.last() else {
            break;
        };
        last = Some((unix_ms(end.ended_at), end.id));
        for (_, past) in &tags {
            set_again(tx, recorder, name, &past.tag, &past.digest, &mut count)?;
        }
    }
    if count.manifests + count.tags > 0 {
        return Ok(count);
    }
    let target = Target::Repository(name.clone());
    let last = tx.past_row(name)?.and_then(|past| past.last_at);
    Err(match last {
        Some(at) => AdminError::WindowOver {
            target,
            ended: at + window,
        },
        None => AdminError::NothingRemoved(target),
    })
}

/// Brings back the manifests that were removed within `span`.
fn manifests_of(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    span: Span,
    count: &mut Count,
) -> Result<(), AdminError> {
    loop {
        // Those that came back are in the past no more.
        let part = tx.manifests_removed(Some(name), span, None, PAGE)?;
        if part.is_empty() {
            return Ok(());
        }
        for (_, _, removed) in &part {
            count.manifests += restore(tx, recorder, name, removed.digest)?;
        }
    }
}

/// Sets the tags that went when the repository was removed.
fn tags_of_whole(
    tx: &mut WriteTx<'_>,
    recorder: &Recorder,
    name: &RepositoryName,
    at: SystemTime,
    count: &mut Count,
) -> Result<(), AdminError> {
    let mut last = 0;
    loop {
        let part = tx.tags_removed_at(name, at, last, PAGE)?;
        let Some((end, ..)) = part.last() else {
            return Ok(());
        };
        last = *end;
        for (_, tag, digest) in &part {
            set_again(tx, recorder, name, tag, digest, count)?;
        }
    }
}
