//! The collection in the background: looks whether something is due, and takes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Job, Turn};
use crate::registry::Registry;
use crate::registry::gc::GcReport;

/// Of the time, the most that goes into looking at what is due and kept all the same: one part of
/// this many.
const LOOKING_PART: u32 = 100;

/// The job, done each `interval`.
pub fn job(registry: Arc<Registry>, interval: Duration) -> Job {
    let mut doubted = None;
    Job::new(interval, move |turn| {
        let started = Instant::now();
        let took_nothing = match registry.collect_due(&|| turn.is_over()) {
            Ok(report) => {
                tell_of_doubt(&mut doubted, report.clock.as_ref());
                if report.clock.is_none() {
                    note_time(&registry);
                }
                tell(&report, turn);
                !report.did_something()
            }
            Err(error) => {
                log::warn!("the collection could not go on: {error}");
                true
            }
        };
        if took_nothing {
            interval.max(started.elapsed() * LOOKING_PART)
        } else {
            interval
        }
    })
}

fn note_time(registry: &Registry) {
    if let Err(error) = registry.note_time() {
        log::warn!("the time could not be noted: {error}");
    }
}

/// Says once why nothing is removed by its age, and once that it is again.
fn tell_of_doubt(before: &mut Option<String>, doubt: Option<&String>) {
    match (before.is_some(), doubt) {
        (false, Some(doubt)) => log::warn!("nothing is collected by its age for now: {doubt}"),
        (true, None) => log::info!("the clock is believed again: collection goes on"),
        _ => {}
    }
    *before = doubt.cloned();
}

fn tell(report: &GcReport, turn: &Turn<'_>) {
    if report.did_something() {
        log::info!(
            "collected {} blobs with {} bytes and {} manifests in {} ms{}",
            report.blobs,
            report.bytes,
            report.manifests,
            report.duration_ms,
            if turn.is_over() { ", not all" } else { "" }
        );
    }
}
