//! Retention: tags and manifests that rules or their own time to live say are kept no longer.
//!
//! One plan says what goes, whoever asks: a command that only shows it, and the run that removes
//! it. The run decides each item again inside the write that removes it, and removes it as anybody
//! else would, so that it has a history and can be brought back.

mod freed;
mod plan;
mod run;

use serde::{Deserialize, Serialize};

use self::plan::Plan;
use super::activities::Work;
use super::{Error, Registry, Tell};
use crate::clock::{MADE_AFTER, unix_ms};
use crate::oci::RepositoryName;

/// The most tags, and the most manifests, of one plan; what is left is for the next one.
pub const ITEMS_MAX: usize = 100_000;

/// Who is named as having removed what retention removes. No account can be called so.
pub const ACTOR: &str = "coracle retention";

/// How far the clock may be behind what was written with it before: it is set right now and then.
const CLOCK_DRIFT_MAX_MS: i64 = 300_000;

/// What is asked of retention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionOptions {
    /// To remove what goes, and not only to tell it.
    pub run: bool,
    /// Of this repository; of all without.
    #[serde(default)]
    pub repository: Option<RepositoryName>,
}

/// A tag or a manifest that goes, or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its repository.
    pub repository: String,
    /// The tag; `None` for a manifest that nothing holds.
    pub tag: Option<String>,
    /// The manifest, or the one that the tag points to.
    pub digest: String,
    /// Where the rule was written, or `time to live`.
    pub rule: String,
    /// Why, in a sentence.
    pub reason: String,
    /// Bytes that it frees: of the manifests that nothing holds without it and that go in their
    /// time, and of blobs that nothing else uses, after what stands before it in the list. They
    /// are there again once it cannot be brought back any more.
    pub bytes: u64,
}

/// What goes, or went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Tags first, by repository; then manifests, those first that nothing holds for longest.
    pub items: Vec<Item>,
    /// Tags among them.
    pub tags: u64,
    /// Manifests among them.
    pub manifests: u64,
    /// Bytes that they free.
    pub bytes: u64,
    /// Whether there is more than fits into one plan.
    pub more: bool,
    /// Items that were to go and stay, because they have changed since, or because the run was
    /// told to end.
    pub left: u64,
}

impl Report {
    fn add(&mut self, item: Item) {
        if item.tag.is_some() {
            self.tags += 1;
        } else {
            self.manifests += 1;
        }
        self.bytes = self.bytes.saturating_add(item.bytes);
        self.items.push(item);
    }
}

impl Registry {
    /// Does what is asked, and tells how far it is.
    ///
    /// # Errors
    /// Those of [`retention_plan`](Self::retention_plan) and
    /// [`retention_run`](Self::retention_run).
    pub fn retention(
        &self,
        options: &RetentionOptions,
        tell: &mut Tell<'_>,
    ) -> Result<Report, Error> {
        let only = options.repository.as_ref();
        if options.run {
            self.retention_run(only, &|| true, tell)
        } else {
            self.retention_plan(only)
        }
    }

    /// What [`retention_run`](Self::retention_run) would remove now, of this repository or of all.
    ///
    /// # Errors
    /// [`Error::ClockWrong`], [`Error::Store`].
    pub fn retention_plan(&self, only: Option<&RepositoryName>) -> Result<Report, Error> {
        Ok(self.plan_now(only)?.into_report())
    }

    /// Removes what the rules say is kept no longer, while `may_go_on` says so.
    ///
    /// # Errors
    /// [`Error::ClockWrong`]; [`Error::Store`], after which a part may be removed.
    pub fn retention_run(
        &self,
        only: Option<&RepositoryName>,
        may_go_on: &dyn Fn() -> bool,
        tell: &mut Tell<'_>,
    ) -> Result<Report, Error> {
        self.watched(
            Work::Retention,
            |activity| {
                let plan = self.plan_now(only)?;
                self.carry_out(plan, may_go_on, &mut |progress| {
                    activity.tell(progress);
                    tell(progress);
                })
            },
            |report| {
                let work = &self.metrics().work;
                work.retention_tags.add(report.tags);
                work.retention_manifests.add(report.manifests);
                work.retention_bytes.add(report.bytes);
                vec![
                    ("tags", report.tags),
                    ("manifests", report.manifests),
                    ("bytes", report.bytes),
                ]
            },
        )
    }

    pub(super) fn plan_now(&self, only: Option<&RepositoryName>) -> Result<Plan, Error> {
        let now = self.catalog.clock().now();
        let (said, newest) = (unix_ms(now), self.totals()?.newest_at);
        let made = i64::try_from(MADE_AFTER.as_millis()).unwrap_or(i64::MAX);
        let earliest = made.max(newest.saturating_sub(CLOCK_DRIFT_MAX_MS));
        if said < earliest {
            return Err(Error::ClockWrong {
                now: said,
                earliest,
            });
        }
        // What was pulled just now counts.
        self.flush_pulls()?;
        self.plan(only, now)
    }
}
