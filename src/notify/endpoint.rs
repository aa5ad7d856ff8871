//! A webhook as an operator declares it. Values only; what they mean is in the files beside this.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::address::Address;
use super::backoff::Backoff;
use crate::registry::events::Filter;

/// A text that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Which form the envelope has. The fields are the same; the second names the empty ones too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventsMediaType {
    /// `application/vnd.docker.distribution.events.v1+json`, of Distribution up to 2.8.
    V1,
    /// `application/vnd.docker.distribution.events.v2+json`, of Distribution since 3.0.
    #[default]
    V2,
}

impl EventsMediaType {
    /// The media type, which is the body's `Content-Type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "application/vnd.docker.distribution.events.v1+json",
            Self::V2 => "application/vnd.docker.distribution.events.v2+json",
        }
    }
}

impl FromStr for EventsMediaType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::V1, Self::V2];
        let found = known.into_iter().find(|own| own.as_str() == text);
        found.ok_or_else(|| {
            let [v1, v2] = known.map(Self::as_str);
            format!("must be {v1} or {v2}")
        })
    }
}

/// What signs bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// This text.
    Text(Hidden),
    /// What this file holds, without a line's end behind it.
    File(PathBuf),
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one switch each, as declared"
)]
pub struct Endpoint {
    /// Its name, which says how far it has come, also when its address changes.
    pub name: String,
    /// Where it is.
    pub url: Address,
    /// Header fields that every delivery has.
    pub headers: Vec<(String, Hidden)>,
    /// How long a delivery may take as a whole.
    pub timeout: Duration,
    /// When one that failed is tried again.
    pub backoff: Backoff,
    /// Whether it is left out.
    pub disabled: bool,
    /// What it is told of.
    pub filter: Filter,
    /// The form of the envelope.
    pub media_type: EventsMediaType,
    /// The most events in one delivery.
    pub batch_max: usize,
    /// How long an event may wait for others to go with it.
    pub batch_wait: Duration,
    /// What signs bodies; none are signed without.
    pub secret: Option<Secret>,
    /// Whether it is told of pulls.
    pub pull: bool,
    /// Whether it is told of pulls by `HEAD` too.
    pub pull_head: bool,
    /// Whether it is told what a manifest refers to.
    pub include_references: bool,
    /// How old an event may become that waits.
    pub age_max: Duration,
    /// How many changes may wait.
    pub pending_max: u64,
    /// A file of authorities in PEM that its certificate must be of; those of the system without.
    pub authorities: Option<PathBuf>,
    /// A proxy to go through; the environment's are ignored.
    pub proxy: Option<Hidden>,
    /// Where it was declared, for people.
    pub origin: String,
}
