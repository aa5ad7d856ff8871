//! Requests that are right and not for whoever sent them: no credential, not enough of one, too
//! many, or nothing may be written at all.

use std::time::Duration;

use serde_json::{Value, json};

use super::error::{Failure, Told};
use crate::auth::Scope;
use crate::http::Response;
use crate::oci::ErrorCode;

/// Why a request is refused that could be answered for somebody else, or at another time.
#[derive(Debug)]
pub enum Refused {
    /// No credential, or one that is not good or not enough, where another may be.
    Unauthorized {
        /// The value of `WWW-Authenticate`.
        challenge: String,
        /// What is needed; empty where any credential will do.
        scopes: Vec<Scope>,
    },
    /// Whoever asks was verified, and may not do this.
    Forbidden {
        /// What is needed.
        scopes: Vec<Scope>,
    },
    /// Logins of this client or user failed too often.
    LoginsThrottled {
        /// When to come back.
        retry_after: Duration,
    },
    /// Too many passwords are being verified.
    LoginsTooMany {
        /// When to come back.
        retry_after: Duration,
    },
    /// More than a client or an identity may ask for.
    LimitReached {
        /// What there is too much of, for people, with its bound.
        why: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// Nothing may be written.
    ReadOnly,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Refused {
    /// The refusal in the terms of the protocol.
    pub(super) fn tell(&self) -> Told {
        use ErrorCode as Code;
        match self {
            Self::Unauthorized { scopes, .. } => {
                Told::new(401, Code::Unauthorized, "authentication required")
                    .detail(records(scopes))
            }
            Self::Forbidden { scopes } => Told::new(
                403,
                Code::Denied,
                "this account may not do this here; ask whoever runs the registry",
            )
            .detail(json!({ "needed": records(scopes) })),
            Self::LoginsThrottled { .. } => Told::new(
                429,
                Code::TooManyRequests,
                "too many logins failed; wait before the next",
            ),
            Self::LoginsTooMany { .. } => Told::new(
                503,
                Code::TooManyRequests,
                "too many logins are being verified; try again in a moment",
            ),
            Self::LimitReached { why, .. } => Told::new(429, Code::TooManyRequests, why),
            Self::ReadOnly => Told::new(
                405,
                Code::Unsupported,
                "the registry is read-only: nothing can be pushed or deleted",
            ),
        }
    }

    /// Adds the header fields that it needs.
    pub(super) fn sign(&self, response: Response) -> Response {
        match self {
            Self::Unauthorized { challenge, .. } => {
                response.header("WWW-Authenticate", challenge.clone())
            }
            Self::LoginsThrottled { retry_after }
            | Self::LoginsTooMany { retry_after }
            | Self::LimitReached { retry_after, .. } => {
                response.header("Retry-After", retry_after.as_secs().max(1).to_string())
            }
            Self::Forbidden { .. } | Self::ReadOnly => response,
        }
    }
}

/// What is needed, in the shape of Distribution: a record for each action; null for none.
fn records(scopes: &[Scope]) -> Value {
    let of_scope = |scope: &Scope| {
        let (kind, name) = (scope.resource.kind(), scope.resource.name().to_owned());
        let names = scope.actions.names().into_iter();
        names
            .map(|action| json!({ "Type": kind, "Class": "", "Name": name, "Action": action }))
            .collect::<Vec<Value>>()
    };
    if scopes.is_empty() {
        return Value::Null;
    }
    scopes.iter().flat_map(of_scope).collect()
}
