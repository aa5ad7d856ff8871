//! Carrying a plan out: in small batches, each item decided again inside the write that removes it.

use std::collections::HashMap;
use std::sync::Arc;

use super::freed::Freed;
use super::plan::{DoomedManifest, DoomedTag, Group, Plan};
use super::{ACTOR, ITEMS_MAX, Report};
use crate::oci::RepositoryName;
use crate::registry::{Counted, Error, Progress, Registry, Tell};
use crate::store::Error as StoreError;
use crate::store::catalog::DatedTag;

/// Items that are removed in one write, so that nobody who writes waits long.
const REMOVED_AT_ONCE: usize = 100;

/// How often a repository is looked at again because others remove tags of it meanwhile. What is
/// left then is for the next run.
const ANEW_MAX: usize = 10;

/// What came of a batch of tags.
enum Batch {
    /// Those that went, and the mark of the history from here on.
    Done { gone: Vec<bool>, mark: i64 },
    /// Others moved or removed tags of the repository, so that nothing was removed.
    Stale,
}

impl Registry {
    pub(in crate::registry) fn carry_out(
        &self,
        mut plan: Plan,
        may_go_on: &dyn Fn() -> bool,
        tell: &mut Tell<'_>,
    ) -> Result<Report, Error> {
        let mut report = Report {
            more: plan.more,
            ..Report::default()
        };
        let (groups, manifests) = (
            std::mem::take(&mut plan.groups),
            std::mem::take(&mut plan.manifests),
        );
        // Rules that changed meanwhile decide for themselves.
        let goes_on = || may_go_on() && Arc::ptr_eq(&self.policy(), &plan.rules);
        let tags: usize = groups.iter().map(|group| group.tags.len()).sum();
        let total = (tags + manifests.len()) as u64;
        let mut tell = |report: &Report| {
            let mut progress = Progress::start("removing", Counted::Objects, total);
            progress.done = report.items.len() as u64 + report.left;
            tell(&progress);
        };
        for group in groups {
            self.remove_group(&plan, group, &goes_on, &mut report, &mut tell)?;
        }
        for batch in manifests.chunks(REMOVED_AT_ONCE) {
            if !goes_on() {
                report.left += batch.len() as u64;
                continue;
            }
            let gone = self.remove_manifests(batch.into())?;
            for (doomed, gone) in batch.iter().zip(gone) {
                if gone {
                    report.add(doomed.clone().item());
                } else {
                    report.left += 1;
                }
            }
            tell(&report);
        }
        Ok(report)
    }

    fn remove_group(
        &self,
        plan: &Plan,
        group: Group,
        goes_on: &dyn Fn() -> bool,
        report: &mut Report,
        tell: &mut dyn FnMut(&Report),
    ) -> Result<(), Error> {
        let Group {
            repository,
            mark,
            compares,
            mut tags,
        } = group;
        let mut mark = compares.then_some(mark);
        let mut anew = 0;
        while !tags.is_empty() && goes_on() {
            let rest = tags.split_off(tags.len().min(REMOVED_AT_ONCE));
            let batch: Arc<[DoomedTag]> = tags.into();
            match self.remove_batch(&repository, Arc::clone(&batch), mark)? {
                Batch::Done { gone, mark: next } => {
                    for (doomed, gone) in batch.iter().zip(gone) {
                        if gone {
                            report.add(doomed.clone().item(&repository));
                        } else {
                            report.left += 1;
                        }
                    }
                    mark = compares.then_some(next);
                    tags = rest;
                    tell(report);
                }
                Batch::Stale if anew < ANEW_MAX => {
                    anew += 1;
                    let before = batch.len() + rest.len();
                    let still = self.plan_anew(plan, &repository)?;
                    mark = Some(still.mark);
                    tags = still.of(batch.iter().cloned().chain(rest));
                    report.left += (before - tags.len()) as u64;
                }
                Batch::Stale => {
                    report.left += (batch.len() + rest.len()) as u64;
                    return Ok(());
                }
            }
        }
        report.left += tags.len() as u64;
        Ok(())
    }

    /// Removes those tags of a batch that are as they were when it was planned.
    fn remove_batch(
        &self,
        repository: &RepositoryName,
        batch: Arc<[DoomedTag]>,
        mark: Option<i64>,
    ) -> Result<Batch, Error> {
        let (repository, recorder) = (repository.clone(), self.recorder());
        Ok(self.catalog.write(move |tx| {
            if let Some(mark) = mark
                && tx.tags_changed(&repository, mark)?
            {
                return Ok(Batch::Stale);
            }
            tx.set_actor(Some(ACTOR.to_owned()));
            let mut gone = Vec::with_capacity(batch.len());
            for doomed in batch.iter() {
                let tag = &doomed.row.name;
                let is_same = tx.dated_tag(&repository, tag)?.as_ref() == Some(&doomed.row)
                    && tx.manifest_digest(doomed.row.manifest)? == Some(doomed.digest);
                gone.push(is_same && tx.delete_tag(&repository, tag)?);
            }
            let went = batch.iter().zip(&gone).filter(|(_, gone)| **gone);
            recorder.tags_deleted(tx, &repository, went.map(|(own, _)| &own.row.name))?;
            let mark = tx.history_mark()?;
            Ok::<_, StoreError>(Batch::Done { gone, mark })
        })?)
    }

    /// Removes those manifests of a batch that nothing holds still.
    fn remove_manifests(&self, batch: Arc<[DoomedManifest]>) -> Result<Vec<bool>, Error> {
        let (removal, recorder) = (self.removal(), self.recorder());
        Ok(self.catalog.write(move |tx| {
            tx.set_actor(Some(ACTOR.to_owned()));
            let mut gone = Vec::with_capacity(batch.len());
            for doomed in batch.iter() {
                let (repository, digest) = (&doomed.loose.repository, &doomed.loose.digest);
                let since = tx.loose_since(repository, digest)?;
                let is_due = since.is_some_and(|since| since <= doomed.until);
                gone.push(is_due && recorder.remove_manifest(tx, repository, digest, removal)?);
            }
            Ok::<_, StoreError>(gone)
        })?)
    }

    /// What still goes of a repository, by the same rules at the same time.
    fn plan_anew(&self, plan: &Plan, repository: &RepositoryName) -> Result<Still, Error> {
        let Some(rule) = plan.rules.retention_of(repository) else {
            return Ok(Still::default());
        };
        let mut freed = Freed::default();
        let (group, _) = self.plan_tags(
            &plan.rules,
            rule,
            repository,
            plan.now,
            ITEMS_MAX,
            &mut freed,
        )?;
        let tags = group
            .tags
            .into_iter()
            .map(|tag| (tag.row.name.to_string(), tag.row));
        Ok(Still {
            mark: group.mark,
            tags: tags.collect(),
        })
    }
}

/// What still goes.
#[derive(Default)]
struct Still {
    mark: i64,
    tags: HashMap<String, DatedTag>,
}

impl Still {
    /// Those of the tags that still go, for the same reason.
    fn of(&self, tags: impl Iterator<Item = DoomedTag>) -> Vec<DoomedTag> {
        let goes = |tag: &DoomedTag| self.tags.get(tag.row.name.as_str()) == Some(&tag.row);
        tags.filter(goes).collect()
    }
}
