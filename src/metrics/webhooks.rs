//! What is told of webhooks. Whoever delivers them fills the figures in, one for each endpoint of
//! the configuration, whose names are the labels' only values.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::list::{
    REGISTRY_EVENTS, REGISTRY_PENDING, REGISTRY_STATUS, WEBHOOK_AGE, WEBHOOK_BACKOFF,
    WEBHOOK_DELIVERIES, WEBHOOK_DROPPED, WEBHOOK_EVENTS, WEBHOOK_PENDING, WEBHOOK_SECONDS,
};
use super::page::Page;

/// How it stands with one endpoint. Totals are since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointFigures {
    /// Its name in the configuration.
    pub name: String,
    /// Events that were written down for it.
    pub events: u64,
    /// Events that it took.
    pub successes: u64,
    /// Events whose delivery it answered with a status that is no success; each attempt counts.
    pub failures: u64,
    /// Events whose delivery got no answer; each attempt counts.
    pub errors: u64,
    /// Requests that it answered with a success.
    pub delivered: u64,
    /// Requests that failed.
    pub failed: u64,
    /// How long all requests took.
    pub took: Duration,
    /// Events that it will never get: too old, too many, or purged.
    pub dropped: u64,
    /// Pulls that found no room in the queue or could not be delivered.
    pub pulls_dropped: u64,
    /// Events that wait.
    pub pending: u64,
    /// The age of the oldest of them.
    pub oldest: Option<Duration>,
    /// Whether nothing is tried for a while.
    pub is_backing_off: bool,
    /// How often it answered with which status, for statuses of 100 to 599.
    pub statuses: Vec<(u16, u64)>,
    /// Why the last delivery failed, if it did; without a credential.
    pub last_error: Option<String>,
}

/// Tells the figures of all endpoints, by our names and by Distribution's. `reason` gives the words
/// of a status: `OK`.
pub fn write(page: &mut Page, endpoints: &[EndpointFigures], reason: fn(u16) -> &'static str) {
    write_own(page, endpoints);
    let mut events = page.family(&REGISTRY_EVENTS);
    for own in endpoints {
        for (kind, count) in [
            ("Events", own.events),
            ("Successes", own.successes),
            ("Failures", own.failures),
            ("Errors", own.errors),
        ] {
            events.add(&[kind, &own.name], count);
        }
    }
    let mut pending = page.family(&REGISTRY_PENDING);
    for own in endpoints {
        pending.add(&[&own.name], own.pending);
    }
    let mut statuses = page.family(&REGISTRY_STATUS);
    for own in endpoints {
        for (status, count) in &own.statuses {
            let code = format!("{status} {}", reason(*status));
            statuses.add(&[code.trim_end(), &own.name], count);
        }
    }
}

fn write_own(page: &mut Page, endpoints: &[EndpointFigures]) {
    let mut events = page.family(&WEBHOOK_EVENTS);
    for own in endpoints {
        events.add(&[&own.name], own.events);
    }
    let mut deliveries = page.family(&WEBHOOK_DELIVERIES);
    for own in endpoints {
        deliveries.add(&[&own.name, "ok"], own.delivered);
        deliveries.add(&[&own.name, "failed"], own.failed);
    }
    let mut seconds = page.family(&WEBHOOK_SECONDS);
    for own in endpoints {
        seconds.add(&[&own.name], own.took.as_secs_f64());
    }
    let mut dropped = page.family(&WEBHOOK_DROPPED);
    for own in endpoints {
        dropped.add(&[&own.name, "bounds"], own.dropped);
        dropped.add(&[&own.name, "pulls"], own.pulls_dropped);
    }
    let mut pending = page.family(&WEBHOOK_PENDING);
    for own in endpoints {
        pending.add(&[&own.name], own.pending);
    }
    let mut age = page.family(&WEBHOOK_AGE);
    for own in endpoints {
        age.add(&[&own.name], own.oldest.unwrap_or_default().as_secs_f64());
    }
    let mut backing_off = page.family(&WEBHOOK_BACKOFF);
    for own in endpoints {
        backing_off.add(&[&own.name], u8::from(own.is_backing_off));
    }
}
