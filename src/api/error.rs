//! The one place where failures become statuses, codes and words.
//!
//! A new variant does not compile until it has a status here. The status is not a function of the
//! code alone (an out-of-order chunk is 416), so the match is on the variant.

use std::fmt;

use serde_json::{Value, json};

use super::refused::Refused;
use super::respond::{self, json_body};
use super::route::RouteError;
use super::token;
use crate::http::{BodyError, Response};
use crate::oci::{Digest, DigestError, ErrorCode, Tag, TagError};
use crate::registry::Error;
use crate::store::ErrorKind;
use crate::store::blobs::UploadKey;
use crate::store::space::Shortage;

/// Everything that keeps a request from being done.
#[derive(Debug)]
pub enum Failure {
    /// The method and path mean nothing.
    Route(RouteError),
    /// A digest in the query or body of a push cannot be used.
    DigestInvalid {
        /// What was sent; `None` when it is missing.
        digest: Option<String>,
        /// Why not.
        error: DigestError,
    },
    /// A tag in the query of a push is none.
    TagInvalid(String),
    /// Too many `tag` parameters.
    TagsTooMany {
        /// How many were sent.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// Too many large manifests are being received.
    ManifestsTooMany {
        /// The bound.
        limit: usize,
    },
    /// `n` is not a number of entries.
    PageSizeInvalid(String),
    /// A place in a list that is none.
    PlaceInvalid {
        /// The parameter that names it.
        parameter: &'static str,
        /// What was sent.
        found: String,
    },
    /// The tag never pointed to the manifest that was asked for.
    NotInHistory {
        /// The manifest.
        digest: Digest,
    },
    /// `Content-Range` is not a range; the upload stays as it is.
    RangeInvalid {
        /// The session.
        key: UploadKey,
        /// Where it goes on, in bytes.
        offset: u64,
        /// What was sent.
        found: String,
    },
    /// The upload stays as it is, and this is where it goes on.
    Upload {
        /// The session.
        key: UploadKey,
        /// What happened.
        error: Error,
    },
    /// Right as the request may be, it is not for whoever asks.
    Refused(Refused),
    /// The token endpoint gives no token.
    Token(token::Refusal),
    /// The registry said no.
    Registry(Error),
}

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Registry(error)
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Registry(Error::Source(error.into()))
    }
}

/// A failure in the terms of the protocol.
pub(super) struct Told {
    status: u16,
    code: ErrorCode,
    message: String,
    detail: Value,
}

impl Told {
    pub(super) fn new(status: u16, code: ErrorCode, message: impl fmt::Display) -> Self {
        Self {
            status,
            code,
            message: message.to_string(),
            detail: Value::Null,
        }
    }

    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// Renders a failure for the client, and logs it when it is the server's own fault.
pub fn render(failure: &Failure, request_id: &str) -> Response {
    let errors = tell(failure);
    let status = errors.first().map_or(500, |told| told.status);
    // That the disk is full is said once, and not for each push.
    if status >= 500 && !is_shortage(failure) {
        log::error!("request {request_id}: {}", describe(failure));
    }
    let list: Vec<Value> = errors
        .into_iter()
        .map(|told| entry(told, request_id))
        .collect();
    let mut body = json!({ "errors": list });
    if let Failure::Token(refusal) = failure {
        refusal.extend(&mut body);
    }
    let mut response = json_body(Response::new(status), &body);
    match failure {
        Failure::Token(refusal) => response = refusal.sign(response),
        Failure::Route(RouteError::MethodNotAllowed { allow }) => {
            response = response.header("Allow", *allow);
        }
        Failure::Upload {
            key,
            error: Error::OffsetMismatch { expected, .. },
        } => {
            response = respond::upload_headers(response, key, *expected);
        }
        Failure::RangeInvalid { key, offset, .. } => {
            response = respond::upload_headers(response, key, *offset);
        }
        Failure::Registry(Error::UploadsTooMany { .. }) => {
            response = response.header("Retry-After", "30");
        }
        Failure::Refused(refused) => response = refused.sign(response),
        Failure::ManifestsTooMany { .. }
        | Failure::Upload {
            error: Error::UploadBusy { .. },
            ..
        }
        | Failure::Registry(Error::UploadBusy { .. }) => {
            response = response.header("Retry-After", "1");
        }
        _ => {}
    }
    response
}

/// An error body of the server's own making: for refusals below the routes.
pub fn plain(status: u16, code: ErrorCode, message: &str, request_id: &str) -> Response {
    let told = Told::new(status, code, message);
    json_body(
        Response::new(status),
        &json!({ "errors": [entry(told, request_id)] }),
    )
}

/// One entry of `errors`. The request's id is in `detail`, whose shape is free; but for refusals it
/// is the list of what is needed, as in Distribution.
fn entry(told: Told, request_id: &str) -> Value {
    if matches!(told.code, ErrorCode::Unauthorized) {
        return json!({
            "code": told.code.as_str(),
            "message": told.message,
            "detail": told.detail,
        });
    }
    let mut detail = match told.detail {
        Value::Object(facts) => facts,
        _ => serde_json::Map::new(),
    };
    detail.insert("request_id".to_owned(), Value::from(request_id));
    json!({ "code": told.code.as_str(), "message": told.message, "detail": detail })
}

fn is_shortage(failure: &Failure) -> bool {
    match failure {
        Failure::Registry(Error::Store(error))
        | Failure::Upload {
            error: Error::Store(error),
            ..
        } => error.shortage().is_some(),
        _ => false,
    }
}

fn describe(failure: &Failure) -> String {
    match failure {
        Failure::Registry(error) | Failure::Upload { error, .. } => error.to_string(),
        other => format!("{other:?}"),
    }
}

fn tell(failure: &Failure) -> Vec<Told> {
    use ErrorCode as Code;
    vec![match failure {
        Failure::Route(error) => route(error),
        Failure::DigestInvalid { digest: None, .. } => Told::new(
            400,
            Code::DigestInvalid,
            "the digest parameter is missing; add ?digest=sha256:<64 hex characters>",
        ),
        Failure::DigestInvalid {
            digest: Some(digest),
            error,
        } => Told::new(400, Code::DigestInvalid, error).detail(json!({ "digest": digest })),
        Failure::TagInvalid(tag) => {
            Told::new(400, Code::ManifestInvalid, TagError).detail(json!({ "tag": tag }))
        }
        Failure::TagsTooMany { count, limit } => Told::new(
            414,
            Code::ManifestInvalid,
            format!("the request has {count} tag parameters, the most is {limit}"),
        ),
        Failure::ManifestsTooMany { limit } => Told::new(
            503,
            Code::TooManyRequests,
            format!("{limit} large manifests are being received, the most at a time; try again"),
        ),
        Failure::PageSizeInvalid(found) => Told::new(
            400,
            Code::Unsupported,
            format!("n must be a whole number of entries, 0 or more, and is {found:?}"),
        ),
        Failure::PlaceInvalid { parameter, found } => Told::new(
            400,
            Code::Unsupported,
            format!("{parameter} is no place in this list: {found:?}; follow the Link of a page"),
        ),
        Failure::NotInHistory { digest } => Told::new(
            400,
            Code::ManifestUnknown,
            "the tag never pointed to this manifest, as far as its history goes back",
        )
        .detail(json!({ "digest": digest.to_string() })),
        Failure::RangeInvalid { found, .. } => Told::new(
            416,
            Code::BlobUploadInvalid,
            format!("Content-Range must be <first byte>-<last byte> and is {found:?}"),
        ),
        Failure::Token(refusal) => Told::new(refusal.status(), refusal.code(), refusal),
        Failure::Registry(Error::ManifestReferencesMissing { digests }) => {
            return missing(digests);
        }
        Failure::Refused(refused) => refused.tell(),
        Failure::Upload { error, .. } | Failure::Registry(error) => registry(error),
    }]
}

/// One error for each missing digest, as clients of Distribution expect.
fn missing(digests: &[Digest]) -> Vec<Told> {
    let tell = |digest: &Digest| {
        Told::new(
            400,
            ErrorCode::ManifestBlobUnknown,
            format!("{digest} is not in this repository; push it before the manifest"),
        )
        .detail(json!({ "digest": digest.to_string() }))
    };
    digests.iter().map(tell).collect()
}

fn route(error: &RouteError) -> Told {
    use ErrorCode as Code;
    match error {
        RouteError::NotFound => Told::new(
            404,
            Code::Unsupported,
            "there is nothing at this path; the API is at /v2/",
        ),
        RouteError::MethodNotAllowed { allow } => Told::new(
            405,
            Code::Unsupported,
            format!("this method does not work here; allowed are {allow}"),
        ),
        RouteError::Encoding => Told::new(
            400,
            Code::NameInvalid,
            "the path is not percent-encoded UTF-8",
        ),
        RouteError::Name { name, error } => {
            Told::new(400, Code::NameInvalid, error).detail(json!({ "name": name }))
        }
        RouteError::Digest { digest, error } => {
            Told::new(400, Code::DigestInvalid, error).detail(json!({ "digest": digest }))
        }
        RouteError::Tag { tag, push: true } => {
            Told::new(400, Code::ManifestInvalid, TagError).detail(json!({ "tag": tag }))
        }
        RouteError::Tag { tag, push: false } => Told::new(
            404,
            Code::ManifestUnknown,
            format!("no tag can be called {tag:?}: {TagError}"),
        )
        .detail(json!({ "tag": tag })),
        RouteError::Upload { id } => Told::new(
            404,
            Code::BlobUploadUnknown,
            format!("upload {id:?} is not known; start a new one"),
        ),
    }
}

fn registry(error: &Error) -> Told {
    use ErrorCode as Code;
    let told = |status, code| Told::new(status, code, error);
    match error {
        Error::NameUnknown { name } => {
            told(404, Code::NameUnknown).detail(json!({ "name": name.as_str() }))
        }
        Error::BlobUnknown { digest } => {
            told(404, Code::BlobUnknown).detail(json!({ "digest": digest.to_string() }))
        }
        Error::ManifestUnknown { reference } => {
            told(404, Code::ManifestUnknown).detail(json!({ "reference": reference.to_string() }))
        }
        Error::ManifestInvalid(_) | Error::ManifestReferencesTooMany { .. } => {
            told(400, Code::ManifestInvalid)
        }
        Error::ManifestReferencesMissing { .. } => told(400, Code::ManifestBlobUnknown),
        Error::ManifestTooLarge { limit } => {
            told(413, Code::ManifestInvalid).detail(json!({ "limit": limit }))
        }
        Error::DigestMismatch { expected, .. } => {
            told(400, Code::DigestInvalid).detail(json!({ "digest": expected.to_string() }))
        }
        Error::UploadUnknown { .. } => told(404, Code::BlobUploadUnknown),
        Error::UploadBusy { .. } => told(409, Code::BlobUploadInvalid),
        Error::UploadsTooMany { .. } => told(429, Code::TooManyRequests),
        Error::OffsetMismatch {
            expected, found, ..
        } => told(416, Code::BlobUploadInvalid)
            .detail(json!({ "expected": expected, "found": found })),
        Error::SizeMismatch { .. } => told(400, Code::SizeInvalid),
        Error::BlobTooLarge { limit } => {
            told(413, Code::SizeInvalid).detail(json!({ "limit": limit }))
        }
        Error::QuotaExceeded(excess) => told(403, Code::Denied).detail(json!({
            "measure": excess.measure.to_string(),
            "limit": excess.limit,
            "used": excess.used,
            "asked": excess.asked,
        })),
        Error::TagImmutable { tag, digest, .. } => told(409, Code::Denied)
            .detail(json!({ "tag": tag.as_str(), "digest": digest.to_string() })),
        Error::TimeToLiveInvalid { .. } => told(400, Code::ManifestInvalid),
        Error::ClockWrong { .. } => told(503, Code::Unknown),
        Error::DeleteDisabled => told(405, Code::Unsupported),
        Error::Source(error) => source(error),
        Error::Store(error) => match error.shortage() {
            Some(shortage) => full(shortage),
            None => store(error.kind()),
        },
    }
}

/// A push that would have broken into what is kept free.
fn full(shortage: &Shortage) -> Told {
    let Shortage {
        asked,
        free,
        reserve,
    } = *shortage;
    Told::new(
        507,
        ErrorCode::Denied,
        format!("the registry's disk is full: {shortage}. Pulling still works"),
    )
    .detail(json!({ "asked": asked, "free": free, "reserve": reserve }))
}

/// A body that could not be received.
fn source(error: &std::io::Error) -> Told {
    let found = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<BodyError>());
    match found {
        Some(BodyError::TooLarge { limit }) => Told::new(
            413,
            ErrorCode::SizeInvalid,
            format!("the body is larger than {limit} bytes, the most that is accepted here"),
        ),
        Some(BodyError::TooSlow) => Told::new(
            408,
            ErrorCode::BlobUploadInvalid,
            "the body arrives too slowly",
        ),
        Some(BodyError::BadFraming(why)) => Told::new(
            400,
            ErrorCode::BlobUploadInvalid,
            format!("the body is malformed: {why}"),
        ),
        Some(BodyError::Truncated | BodyError::Io(_)) | None => Told::new(
            400,
            ErrorCode::SizeInvalid,
            "the body ended before all of it had arrived; nothing of it was kept",
        ),
    }
}

/// What a client is told of a storage failure: plain words and no path of the server.
fn store(kind: ErrorKind) -> Told {
    use ErrorCode as Code;
    match kind {
        ErrorKind::Full => Told::new(
            507,
            Code::Denied,
            "the registry's disk is full; free some space and try again. Pulling still works",
        ),
        ErrorKind::Closed | ErrorKind::Locked => Told::new(
            503,
            Code::Unknown,
            "the registry is stopping; try again in a moment",
        ),
        ErrorKind::Corrupt | ErrorKind::Newer | ErrorKind::Denied | ErrorKind::Io => Told::new(
            500,
            Code::Unknown,
            "the registry's storage failed; its log has the reason under this request id",
        ),
    }
}

/// Parses a digest that came in a query.
pub fn parse_digest(text: Option<String>) -> Result<Digest, Failure> {
    match text {
        None => Err(Failure::DigestInvalid {
            digest: None,
            error: DigestError::Malformed,
        }),
        Some(text) => match text.parse() {
            Ok(digest) => Ok(digest),
            Err(error) => Err(Failure::DigestInvalid {
                digest: Some(text),
                error,
            }),
        },
    }
}

/// Parses a tag that came in a query.
pub fn parse_tag(text: String) -> Result<Tag, Failure> {
    text.parse().map_err(|TagError| Failure::TagInvalid(text))
}
