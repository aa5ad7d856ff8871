//! The audit log: who was let in, who was not, and who changed what; one record an event.
//!
//! An actor is only ever somebody who was verified; the name that an attempt was made with has a
//! field of its own. No field holds a secret: there is none for it.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Format;
use super::access::Bare;
use super::escape::{Escaped, Quoting};

/// The target of audit records.
pub const TARGET: &str = "audit";

/// The longest text of one field, in bytes: what the longest name of a repository has.
const TEXT_BYTES_MAX: usize = 255;

const OFF: u8 = 0;
const AS_TEXT: u8 = 1;
const AS_JSON: u8 = 2;

/// How records are written. Set once at the start, so no order with other memory matters.
static MODE: AtomicU8 = AtomicU8::new(OFF);

thread_local! {
    /// The id of the request that this thread answers, and the client that sent it.
    static REQUEST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Sets how records are written; `None` for not at all.
pub(super) fn enable(format: Option<Format>) {
    let mode = match format {
        None => OFF,
        Some(Format::Text) => AS_TEXT,
        Some(Format::Json) => AS_JSON,
    };
    MODE.store(mode, Ordering::Relaxed);
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its name, and `as_str` is the list")]
pub enum Event {
    Login,
    LoginFailed,
    AccessDenied,
    TokenIssued,
    Mount,
    Push,
    Tag,
    Delete,
    Rollback,
    Undelete,
    RepositoryRenamed,
    RepositoryRemoved,
    UserAdded,
    UserRemoved,
    UserPassword,
    UserDisabled,
    UserEnabled,
    UserGroups,
    TokenCreated,
    TokenRevoked,
    HtpasswdRead,
}

impl Event {
    /// The event's name in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginFailed => "login_failed",
            Self::AccessDenied => "access_denied",
            Self::TokenIssued => "token_issued",
            Self::Mount => "mount",
            Self::Push => "push",
            Self::Tag => "tag",
            Self::Delete => "delete",
            Self::Rollback => "rollback",
            Self::Undelete => "undelete",
            Self::RepositoryRenamed => "repository_renamed",
            Self::RepositoryRemoved => "repository_removed",
            Self::UserAdded => "user_added",
            Self::UserRemoved => "user_removed",
            Self::UserPassword => "user_password",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserGroups => "user_groups",
            Self::TokenCreated => "token_created",
            Self::TokenRevoked => "token_revoked",
            Self::HtpasswdRead => "htpasswd_read",
        }
    }
}

/// One event. Texts may hold anything; an empty one is left out of the line.
#[derive(Clone, Copy, Debug)]
pub struct AuditRecord<'a> {
    /// What happened.
    pub event: Event,
    /// Who did it, as far as that was verified: `user:ada`, `token:ci`, `local` for the command
    /// line.
    pub actor: &'a str,
    /// The name that somebody tried to be who was not verified.
    pub attempted: &'a str,
    /// The client's address, for where the thread answers no request.
    pub client: &'a str,
    /// The user or token that it was done to: `user:ada`.
    pub account: &'a str,
    /// The repository that it was done to.
    pub repository: &'a str,
    /// The tag, or the digest by which it was asked for.
    pub reference: &'a str,
    /// The digest of the content.
    pub digest: &'a str,
    /// `ok`, or what became of it instead: `refused`, `throttled`, `failed`.
    pub outcome: &'a str,
    /// Why, where it did not succeed.
    pub reason: &'a str,
    /// The id that the access log and error bodies name too; that of the thread's request when it
    /// is left empty.
    pub request_id: &'a str,
}

impl AuditRecord<'_> {
    /// A record of an event that succeeded and of which nothing else is known.
    pub const fn new(event: Event) -> Self {
        Self {
            event,
            actor: "",
            attempted: "",
            client: "",
            account: "",
            repository: "",
            reference: "",
            digest: "",
            outcome: "ok",
            reason: "",
            request_id: "",
        }
    }

    fn fields(&self) -> [(&'static str, &str); 11] {
        [
            ("event", self.event.as_str()),
            ("actor", self.actor),
            ("attempted", self.attempted),
            ("client", self.client),
            ("account", self.account),
            ("repository", self.repository),
            ("reference", self.reference),
            ("digest", self.digest),
            ("outcome", self.outcome),
            ("reason", self.reason),
            ("request_id", self.request_id),
        ]
    }
}

/// Names the request that this thread answers in all its audit records, until it is dropped. The
/// floors below the API need not hand the id around for the log's sake.
pub struct AuditedRequest(());

impl AuditedRequest {
    /// From now on this thread answers this request.
    pub fn begin(id: &str, client: impl fmt::Display) -> Self {
        if MODE.load(Ordering::Relaxed) != OFF {
            REQUEST.set(Some((id.to_owned(), client.to_string())));
        }
        Self(())
    }
}

impl Drop for AuditedRequest {
    fn drop(&mut self) {
        REQUEST.set(None);
    }
}

/// Logs an event, at level `info`. Does nothing, and costs nothing, where the audit log is off.
pub fn audit(record: &AuditRecord<'_>) {
    let mode = MODE.load(Ordering::Relaxed);
    if mode == OFF {
        return;
    }
    let request = REQUEST.with_borrow(Clone::clone);
    let mut record = *record;
    if let Some((id, client)) = &request {
        if record.request_id.is_empty() {
            record.request_id = id;
        }
        record.client = client;
    }
    if mode == AS_JSON {
        log::info!(target: TARGET, "{}", Json(&record));
    } else {
        log::info!(target: TARGET, "{}", Text(&record));
    }
}

/// `key=value` pairs.
pub(super) struct Text<'a>(pub(super) &'a AuditRecord<'a>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, value) in self.0.fields() {
            if !value.is_empty() {
                write!(f, "{separator}{name}={}", Bare(value, TEXT_BYTES_MAX))?;
                separator = " ";
            }
        }
        Ok(())
    }
}

/// The members of a JSON object, without its braces.
pub(super) struct Json<'a>(pub(super) &'a AuditRecord<'a>);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, value) in self.0.fields() {
            if !value.is_empty() {
                let value = Escaped::new(value, Quoting::Json, TEXT_BYTES_MAX);
                write!(f, "{separator}\"{name}\":\"{value}\"")?;
                separator = ",";
            }
        }
        Ok(())
    }
}
