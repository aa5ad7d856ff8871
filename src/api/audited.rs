//! What of a request belongs into the audit log: pushes, mounts, deletes, and what a verified
//! caller was refused. Reads do not, nor do blobs on their way in: the manifest that names them is
//! the push.

use super::error::Failure;
use super::refused::Refused;
use super::route::Route;
use crate::http::Response;
use crate::logging::{AuditRecord, Event, audit};

/// The event that a request will be once it has succeeded.
pub struct Audited {
    event: Event,
    repository: String,
    reference: String,
}

impl Audited {
    /// The event of a route; `None` for what is not audited.
    pub fn of(route: &Route) -> Option<Self> {
        let (event, repository, reference) = match route {
            Route::PutManifest(name, reference) => (Event::Push, name, reference.to_string()),
            Route::DeleteManifest(name, reference) => (Event::Delete, name, reference.to_string()),
            Route::DeleteBlob(name, digest) => (Event::Delete, name, digest.to_string()),
            // Only a mount is an event: see `succeeded`.
            Route::StartUpload(name) => (Event::Mount, name, String::new()),
            _ => return None,
        };
        Some(Self {
            event,
            repository: repository.to_string(),
            reference,
        })
    }

    /// Records that it was done by `actor`.
    pub fn succeeded(&self, actor: Option<&str>, is_mount: bool, response: &Response) {
        let digest = header(response, "Docker-Content-Digest");
        if self.event == Event::Mount && (!is_mount || digest.is_empty()) {
            return;
        }
        audit(&AuditRecord {
            actor: actor.unwrap_or_default(),
            repository: &self.repository,
            reference: &self.reference,
            digest,
            ..AuditRecord::new(self.event)
        });
    }
}

/// Records what a verified caller was refused. Whoever shows nothing is asked to log in, which is
/// how every client begins.
pub fn refused(actor: Option<&str>, failure: &Failure) {
    let (Some(actor), Failure::Refused(refused)) = (actor, failure) else {
        return;
    };
    let (scopes, reason) = match refused {
        Refused::Forbidden { scopes } | Refused::Unauthorized { scopes, .. } => {
            (scopes.as_slice(), "not allowed")
        }
        Refused::ReadOnly => (&[][..], "read-only"),
        Refused::LimitReached { why, .. } => (&[][..], why.as_str()),
        Refused::LoginsThrottled { .. } | Refused::LoginsTooMany { .. } => return,
    };
    let needed: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    audit(&AuditRecord {
        actor,
        reference: &needed.join(" "),
        outcome: "refused",
        reason,
        ..AuditRecord::new(Event::AccessDenied)
    });
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    let mut headers = response.headers.iter();
    let found = headers.find(|(own, _)| own == name);
    found.map_or("", |(_, value)| value.as_ref())
}
