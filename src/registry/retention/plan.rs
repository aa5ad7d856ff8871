//! What goes: read from the catalog, decided by the rules, with the bytes that it frees.

use std::sync::Arc;
use std::time::SystemTime;

use super::freed::Freed;
use super::{ITEMS_MAX, Item, Report};
use crate::clock::{rfc3339, unix_ms};
use crate::oci::{Digest, RepositoryName};
use crate::registry::policy::{Decision, Immutable, Retention, Rules, TagFacts, Verdict};
use crate::registry::{Error, Registry};
use crate::store::Error as StoreError;
use crate::store::catalog::{DatedTag, LooseManifest, ReadTx};

/// Entries that are read at once where a list is not bounded by itself.
const AT_ONCE: usize = 1000;

/// What goes.
pub(in crate::registry) struct Plan {
    /// The rules that say so.
    pub(super) rules: Arc<Rules>,
    /// The time for which it was made.
    pub(super) now: SystemTime,
    /// Tags, by repository.
    pub(super) groups: Vec<Group>,
    /// How many tags there are in them.
    tags: usize,
    /// Manifests that nothing holds.
    pub(super) manifests: Vec<DoomedManifest>,
    /// Whether there is more.
    pub(super) more: bool,
}

/// The tags of one repository that go.
pub(super) struct Group {
    pub(super) repository: RepositoryName,
    /// The mark of the history of tags when they were read.
    pub(super) mark: i64,
    /// Whether they go because of what other tags there are.
    pub(super) compares: bool,
    pub(super) tags: Vec<DoomedTag>,
}

/// A tag that goes.
#[derive(Clone)]
pub(super) struct DoomedTag {
    pub(super) row: DatedTag,
    pub(super) digest: Digest,
    verdict: Verdict,
    bytes: u64,
}

/// A manifest that goes because nothing holds it.
#[derive(Clone)]
pub(super) struct DoomedManifest {
    pub(super) loose: LooseManifest,
    /// It goes when nothing has held it since this time or longer.
    pub(super) until: SystemTime,
    verdict: Verdict,
    bytes: u64,
}

impl DoomedTag {
    pub(super) fn item(self, repository: &RepositoryName) -> Item {
        Item {
            repository: repository.to_string(),
            tag: Some(self.row.name.to_string()),
            digest: self.digest.to_string(),
            rule: self.verdict.origin,
            reason: self.verdict.reason,
            bytes: self.bytes,
        }
    }
}

impl DoomedManifest {
    pub(super) fn item(self) -> Item {
        Item {
            repository: self.loose.repository.to_string(),
            tag: None,
            digest: self.loose.digest.to_string(),
            rule: self.verdict.origin,
            reason: self.verdict.reason,
            bytes: self.bytes,
        }
    }
}

impl Plan {
    pub(super) fn into_report(self) -> Report {
        let mut report = Report {
            more: self.more,
            ..Report::default()
        };
        for group in self.groups {
            for tag in group.tags {
                report.add(tag.item(&group.repository));
            }
        }
        for manifest in self.manifests {
            report.add(manifest.item());
        }
        report
    }

    /// How many more tags fit.
    const fn room(&self) -> usize {
        ITEMS_MAX.saturating_sub(self.tags)
    }

    fn push(&mut self, repository: RepositoryName, tag: DoomedTag) {
        self.tags += 1;
        match self.groups.last_mut() {
            Some(group) if group.repository == repository => group.tags.push(tag),
            _ => self.groups.push(Group {
                repository,
                mark: 0,
                compares: false,
                tags: vec![tag],
            }),
        }
    }
}

impl Registry {
    /// What goes at `now`, of this repository or of all.
    pub(super) fn plan(
        &self,
        only: Option<&RepositoryName>,
        now: SystemTime,
    ) -> Result<Plan, Error> {
        let mut plan = Plan {
            rules: self.policy(),
            now,
            groups: Vec::new(),
            tags: 0,
            manifests: Vec::new(),
            more: false,
        };
        let mut freed = Freed::default();
        match only {
            Some(only) => self.plan_by_rule(&mut plan, only, &mut freed)?,
            None => self.plan_by_rules(&mut plan, &mut freed)?,
        }
        self.plan_times_to_live(&mut plan, only, &mut freed)?;
        self.plan_manifests(&mut plan, only, &mut freed)?;
        Ok(plan)
    }

    fn plan_by_rules(&self, plan: &mut Plan, freed: &mut Freed) -> Result<(), Error> {
        if !plan.rules.retention.iter().any(Retention::is_about_tags) {
            return Ok(());
        }
        let mut last: Option<String> = None;
        loop {
            let names = self
                .catalog
                .read(|tx| tx.repositories(last.as_deref(), AT_ONCE))?;
            for name in &names {
                // What has no name that can be parsed has none that a rule can fit.
                if let Ok(name) = name.parse() {
                    self.plan_by_rule(plan, &name, freed)?;
                }
            }
            if names.len() < AT_ONCE || plan.more {
                return Ok(());
            }
            last = names.into_iter().next_back();
        }
    }

    /// The tags that the rule of a repository says go.
    fn plan_by_rule(
        &self,
        plan: &mut Plan,
        repository: &RepositoryName,
        freed: &mut Freed,
    ) -> Result<(), Error> {
        let rules = Arc::clone(&plan.rules);
        let Some(rule) = rules
            .retention_of(repository)
            .filter(|rule| rule.is_about_tags())
        else {
            return Ok(());
        };
        let room = plan.room();
        if room == 0 {
            plan.more = true;
            return Ok(());
        }
        let (group, more) = self.plan_tags(&rules, rule, repository, plan.now, room, freed)?;
        plan.more |= more;
        if !group.tags.is_empty() {
            plan.tags += group.tags.len();
            plan.groups.push(group);
        }
        Ok(())
    }

    /// Up to `room` tags of a repository that go, and whether there are more.
    pub(super) fn plan_tags(
        &self,
        rules: &Rules,
        rule: &Retention,
        repository: &RepositoryName,
        now: SystemTime,
        room: usize,
        freed: &mut Freed,
    ) -> Result<(Group, bool), Error> {
        let fixed: Vec<&Immutable> = rules.immutable_of(repository).collect();
        let mut decision = Decision::new(Some(rule), unix_ms(now));
        Ok(self.catalog.read(|tx| {
            if decision.compares() {
                tx.each_dated_tag(repository, |row| {
                    decision.see(&facts(&row, &fixed));
                    true
                })?;
            }
            let (mut doomed, mut more) = (Vec::new(), false);
            tx.each_dated_tag(repository, |row| {
                if let Some(verdict) = decision.goes(&facts(&row, &fixed)) {
                    more = doomed.len() == room;
                    if !more {
                        doomed.push((row, verdict));
                    }
                }
                !more
            })?;
            let mut group = Group {
                repository: repository.clone(),
                mark: tx.history_mark()?,
                compares: decision.compares(),
                tags: Vec::with_capacity(doomed.len()),
            };
            for (row, verdict) in doomed {
                let bytes = freed_by(tx, Some(rule), repository, &row, freed)?;
                group.tags.extend(doom(tx, row, verdict, bytes)?);
            }
            Ok::<_, StoreError>((group, more))
        })?)
    }

    /// Tags whose time to live is over, where no rule has looked at them.
    fn plan_times_to_live(
        &self,
        plan: &mut Plan,
        only: Option<&RepositoryName>,
        freed: &mut Freed,
    ) -> Result<(), Error> {
        let (rules, now) = (Arc::clone(&plan.rules), plan.now);
        let is_due = |repository: &RepositoryName| {
            let rule = rules.retention_of(repository);
            only.is_none_or(|only| only == repository)
                && !rule.is_some_and(Retention::is_about_tags)
        };
        self.catalog.read(|tx| {
            let mut all = tx.expired_tags(now, ITEMS_MAX)?;
            all.retain(|(repository, _)| is_due(repository));
            // Those of a repository together, so that they can be removed together.
            all.sort_by(|one, other| (&one.0, &one.1.name).cmp(&(&other.0, &other.1.name)));
            for (repository, row) in all {
                let Some(tag) = over(tx, &rules, &repository, row, now, freed)? else {
                    continue;
                };
                if plan.room() == 0 {
                    plan.more = true;
                    break;
                }
                plan.push(repository, tag);
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    }

    /// Manifests that nothing holds for longer than their rule keeps them.
    fn plan_manifests(
        &self,
        plan: &mut Plan,
        only: Option<&RepositoryName>,
        freed: &mut Freed,
    ) -> Result<(), Error> {
        let rules = Arc::clone(&plan.rules);
        let shortest = rules
            .retention
            .iter()
            .filter_map(|rule| rule.untagged)
            .min();
        let Some(until) = shortest.and_then(|life| plan.now.checked_sub(life.duration())) else {
            return Ok(());
        };
        let mut last: Option<LooseManifest> = None;
        loop {
            let page = self
                .catalog
                .read(|tx| tx.loose_manifests(last.as_ref(), until, AT_ONCE))?;
            for loose in &page {
                if only.is_some_and(|only| *only != loose.repository) {
                    continue;
                }
                if let Some(mut doomed) = untagged(&rules, loose, plan.now) {
                    if plan.manifests.len() == ITEMS_MAX {
                        plan.more = true;
                        return Ok(());
                    }
                    doomed.bytes = self
                        .catalog
                        .read(|tx| freed.without_manifest(tx, &loose.repository, loose.id))?;
                    plan.manifests.push(doomed);
                }
            }
            if page.len() < AT_ONCE {
                return Ok(());
            }
            last = page.into_iter().next_back();
        }
    }
}

/// Whether a tag goes whose time to live is over.
fn over(
    tx: &ReadTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    row: DatedTag,
    now: SystemTime,
    freed: &mut Freed,
) -> Result<Option<DoomedTag>, StoreError> {
    let fixed: Vec<&Immutable> = rules.immutable_of(repository).collect();
    let decision = Decision::new(None, unix_ms(now));
    let Some(verdict) = decision.goes(&facts(&row, &fixed)) else {
        return Ok(None);
    };
    let rule = rules.retention_of(repository);
    let bytes = freed_by(tx, rule, repository, &row, freed)?;
    doom(tx, row, verdict, bytes)
}

/// The bytes that a tag frees: none where the manifest stays for good.
fn freed_by(
    tx: &ReadTx<'_>,
    rule: Option<&Retention>,
    repository: &RepositoryName,
    row: &DatedTag,
    freed: &mut Freed,
) -> Result<u64, StoreError> {
    match rule.and_then(|rule| rule.untagged) {
        Some(_) => freed.without_tag(tx, repository, row.manifest),
        None => Ok(0),
    }
}

/// Whether a manifest that nothing holds goes by the rule of its repository.
fn untagged(rules: &Rules, loose: &LooseManifest, now: SystemTime) -> Option<DoomedManifest> {
    let rule = rules.retention_of(&loose.repository)?;
    let life = rule.untagged?;
    let until = now.checked_sub(life.duration())?;
    (loose.since <= until).then(|| DoomedManifest {
        loose: loose.clone(),
        until,
        verdict: Verdict {
            origin: rule.origin.clone(),
            reason: format!(
                "nothing holds it since {}, {life} or longer ago",
                rfc3339(unix_ms(loose.since))
            ),
        },
        bytes: 0,
    })
}

fn facts<'a>(row: &'a DatedTag, fixed: &[&Immutable]) -> TagFacts<'a> {
    TagFacts {
        name: &row.name,
        pushed_at: row.set_at,
        pulled_at: row.pulled_at,
        expires_at: row.expires_at,
        immutable: fixed.iter().any(|rule| rule.holds(&row.name)),
    }
}

fn doom(
    tx: &ReadTx<'_>,
    row: DatedTag,
    verdict: Verdict,
    bytes: u64,
) -> Result<Option<DoomedTag>, StoreError> {
    let digest = tx.manifest_digest(row.manifest)?;
    Ok(digest.map(|digest| DoomedTag {
        row,
        digest,
        verdict,
        bytes,
    }))
}
