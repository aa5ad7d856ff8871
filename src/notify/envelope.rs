//! Changes as the events of Distribution's notifications: what a body holds, byte for byte.
//!
//! The order of fields, which of them are left out when they are empty, and the indentation are
//! Distribution's; see its documentation, "Work with notifications".

use serde::Serialize;
use serde::ser::SerializeSeq;

use super::endpoint::EventsMediaType;
use super::sign::event_id;
use crate::clock::rfc3339_ms;
use crate::oci::Digest;
use crate::registry::events::{Descriptor, RequestFacts, media_type};
use crate::store::catalog::{Change, ChangeAction, ChangeTarget};

/// Which registry tells of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The name of the host, with the port that is listened on.
    pub addr: String,
    /// Another one with each start: a UUID.
    pub instance_id: String,
    /// What the URLs of content begin with where no request has said it: `http://host:5000`.
    pub base: String,
}

/// How many events a change is.
pub fn count(change: &Change) -> u64 {
    let tags = change.tags.len() as u64;
    match (&change.target, change.action) {
        (ChangeTarget::Manifest(_), ChangeAction::Delete) => 1 + tags,
        (ChangeTarget::Manifest(_), _) => tags.max(1),
        (ChangeTarget::Tags, _) => tags,
        (ChangeTarget::Blob(_) | ChangeTarget::Repository, _) => 1,
    }
}

/// The body with these events: changes, and which of the events of each.
pub fn body(events: &[(&Change, u64)], form: EventsMediaType, source: &Source) -> Vec<u8> {
    let envelope = Envelope {
        events: Events {
            all: events,
            form,
            source,
        },
    };
    let mut body = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut body, indent);
    // Only a map with keys that are no strings fails; there is none.
    let _ = envelope.serialize(&mut serializer);
    body
}

/// One event alone, as a value: for people who look on.
pub fn event(change: &Change, part: u64, source: &Source) -> serde_json::Value {
    let record = Record::of(change, part, EventsMediaType::V2, source);
    serde_json::to_value(record).unwrap_or_default()
}

#[derive(Serialize)]
struct Envelope<'a> {
    events: Events<'a>,
}

/// Events that are made as they are written, so that many need no memory at once.
struct Events<'a> {
    all: &'a [(&'a Change, u64)],
    form: EventsMediaType,
    source: &'a Source,
}

impl Serialize for Events<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.all.len()))?;
        for (change, part) in self.all {
            list.serialize_element(&Record::of(change, *part, self.form, self.source))?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Record<'a> {
    id: String,
    timestamp: String,
    action: &'static str,
    target: Target<'a>,
    request: Request,
    actor: Actor<'a>,
    source: SourceRecord<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Target<'a> {
    V1(TargetV1<'a>),
    V2(TargetV2<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetV1<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    media_type: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    digest: String,
    #[serde(flatten)]
    rest: Rest<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<DescriptorV1>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetV2<'a> {
    media_type: &'a str,
    digest: String,
    size: u64,
    #[serde(flatten)]
    rest: Rest<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Descriptor>,
}

/// What stands between the descriptor and the references in both.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rest<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    length: u64,
    repository: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    from_repository: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    tag: &'a str,
}

/// A descriptor in the order of Distribution 2.8.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorV1 {
    #[serde(skip_serializing_if = "String::is_empty")]
    media_type: String,
    #[serde(skip_serializing_if = "is_nothing")]
    size: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<crate::registry::events::Platform>,
}

#[derive(Serialize)]
struct Request {
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    addr: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    method: String,
    useragent: String,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

#[derive(Serialize)]
struct SourceRecord<'a> {
    addr: &'a str,
    #[serde(rename = "instanceID")]
    instance_id: &'a str,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "as the attribute calls it"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "as the attribute calls it"
)]
const fn is_nothing(number: &i64) -> bool {
    *number == 0
}

/// What one event of a change is about.
struct Part<'c> {
    digest: Option<&'c Digest>,
    tag: &'c str,
}

impl<'c> Part<'c> {
    fn of(change: &'c Change, part: u64) -> Self {
        let tag = |at: Option<u64>| {
            let at = at.and_then(|at| usize::try_from(at).ok());
            let tag = at.and_then(|at| change.tags.get(at));
            tag.map_or("", String::as_str)
        };
        match &change.target {
            ChangeTarget::Blob(digest) => Self {
                digest: Some(digest),
                tag: "",
            },
            // First the manifest, then each tag that went with it.
            ChangeTarget::Manifest(digest) if change.action == ChangeAction::Delete => Self {
                digest: (part == 0).then_some(digest),
                tag: tag(part.checked_sub(1)),
            },
            ChangeTarget::Manifest(digest) => Self {
                digest: Some(digest),
                tag: tag(Some(part)),
            },
            ChangeTarget::Tags => Self {
                digest: None,
                tag: tag(Some(part)),
            },
            ChangeTarget::Repository => Self {
                digest: None,
                tag: "",
            },
        }
    }
}

impl<'a> Record<'a> {
    fn of(change: &'a Change, part: u64, form: EventsMediaType, source: &'a Source) -> Self {
        let facts: RequestFacts = change
            .request
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        Self {
            id: event_id(change.at_ms, change.salt, part),
            timestamp: rfc3339_ms(change.at_ms),
            action: word(change.action),
            target: Target::of(change, part, form, &facts, source),
            request: Request {
                id: facts.id,
                addr: facts.addr,
                host: facts.host,
                method: facts.method,
                useragent: facts.useragent,
            },
            actor: Actor {
                name: plain_name(change.actor.as_deref().unwrap_or_default()),
            },
            source: SourceRecord {
                addr: &source.addr,
                instance_id: &source.instance_id,
            },
        }
    }
}

impl<'a> Target<'a> {
    fn of(
        change: &'a Change,
        part: u64,
        form: EventsMediaType,
        facts: &RequestFacts,
        source: &Source,
    ) -> Self {
        let Part { digest, tag } = Part::of(change, part);
        let digest = digest.map_or_else(String::new, Digest::to_string);
        let is_gone = change.action == ChangeAction::Delete;
        let (size, url) = if is_gone || digest.is_empty() {
            (0, String::new())
        } else {
            (change.size, url(change, &digest, facts, source))
        };
        let media_type = media_type(change).unwrap_or_default();
        let rest = Rest {
            length: size,
            repository: change.repository.as_str(),
            from_repository: change.from.as_ref().map_or("", |from| from.as_str()),
            url,
            tag,
        };
        let references: Vec<Descriptor> = change
            .refers_to
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        match form {
            EventsMediaType::V1 => Self::V1(TargetV1 {
                media_type,
                size,
                digest,
                rest,
                references: references.into_iter().map(DescriptorV1::from).collect(),
            }),
            EventsMediaType::V2 => Self::V2(TargetV2 {
                media_type,
                digest,
                size,
                rest,
                references,
            }),
        }
    }
}

impl From<Descriptor> for DescriptorV1 {
    fn from(own: Descriptor) -> Self {
        Self {
            media_type: own.media_type,
            size: own.size,
            digest: own.digest,
            urls: own.urls,
            annotations: own.annotations,
            platform: own.platform,
        }
    }
}

/// Where the content is to be had, by its digest.
fn url(change: &Change, digest: &str, facts: &RequestFacts, source: &Source) -> String {
    let base = if facts.base.is_empty() {
        &source.base
    } else {
        &facts.base
    };
    let kind = match change.target {
        ChangeTarget::Blob(_) => "blobs",
        _ => "manifests",
    };
    format!("{base}/v2/{}/{kind}/{digest}", change.repository)
}

const fn word(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Pull => "pull",
        ChangeAction::Push => "push",
        ChangeAction::Mount => "mount",
        ChangeAction::Delete => "delete",
    }
}

/// The name of a user as it is typed at a login; what is no user keeps its kind.
fn plain_name(actor: &str) -> &str {
    let plain = actor.strip_prefix("user:");
    plain
        .or_else(|| actor.strip_prefix("subject:"))
        .unwrap_or(actor)
}

#[cfg(test)]
mod tests;
