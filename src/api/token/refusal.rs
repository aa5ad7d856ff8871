//! Why the token endpoint gives no token, in both shapes that clients read: the error list of the
//! registry's API, and beside it the members of RFC 6749 section 5.2.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::http::Response;
use crate::oci::ErrorCode;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is not understood; why.
    RequestInvalid(String),
    /// The form asks for a kind of grant that there is not.
    GrantUnknown(String),
    /// A token for another service.
    ServiceUnknown {
        /// What was asked for.
        asked: String,
        /// What this one is called.
        own: String,
    },
    /// The name or the password is wrong, or nothing that could be read.
    CredentialsWrong {
        /// Where the password is for.
        realm: String,
    },
    /// The refresh token is not good.
    RefreshTokenWrong {
        /// Where a password would be for.
        realm: String,
    },
    /// Too many failed logins.
    Throttled {
        /// When to come back.
        retry_after: Duration,
    },
    /// Too many logins at this moment.
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
}

impl Refusal {
    /// The status. A wrong credential is 401 also for a form, where RFC 6749 would have 400:
    /// clients tell their user of a wrong password for the former only.
    pub const fn status(&self) -> u16 {
        match self {
            Self::RequestInvalid(_) | Self::GrantUnknown(_) | Self::ServiceUnknown { .. } => 400,
            Self::CredentialsWrong { .. } | Self::RefreshTokenWrong { .. } => 401,
            Self::Throttled { .. } => 429,
            Self::Busy { .. } => 503,
        }
    }

    /// The code in the registry's error list.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::RequestInvalid(_) | Self::GrantUnknown(_) | Self::ServiceUnknown { .. } => {
                ErrorCode::Unsupported
            }
            Self::CredentialsWrong { .. } | Self::RefreshTokenWrong { .. } => {
                ErrorCode::Unauthorized
            }
            Self::Throttled { .. } | Self::Busy { .. } => ErrorCode::TooManyRequests,
        }
    }

    /// The code of RFC 6749 section 5.2. It has none for those who come too often, so that these
    /// get one of section 4.1.2.1.
    const fn oauth_code(&self) -> &'static str {
        match self {
            Self::RequestInvalid(_) => "invalid_request",
            Self::GrantUnknown(_) => "unsupported_grant_type",
            Self::ServiceUnknown { .. } => "invalid_target",
            Self::CredentialsWrong { .. } | Self::RefreshTokenWrong { .. } => "invalid_grant",
            Self::Throttled { .. } | Self::Busy { .. } => "temporarily_unavailable",
        }
    }

    /// Adds the members of RFC 6749 to an error body.
    pub fn extend(&self, body: &mut Value) {
        if let Value::Object(members) = body {
            members.insert("error".to_owned(), self.oauth_code().into());
            members.insert("error_description".to_owned(), self.to_string().into());
        }
    }

    /// Adds the header fields that the refusal needs.
    pub fn sign(&self, response: Response) -> Response {
        let response = response.header("Cache-Control", "no-store");
        match self {
            Self::RequestInvalid(_) | Self::GrantUnknown(_) | Self::ServiceUnknown { .. } => {
                response
            }
            Self::CredentialsWrong { realm } | Self::RefreshTokenWrong { realm } => {
                let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
                response.header("WWW-Authenticate", format!("Basic realm=\"{realm}\""))
            }
            Self::Throttled { retry_after } | Self::Busy { retry_after } => {
                response.header("Retry-After", seconds(*retry_after).to_string())
            }
        }
    }
}

/// Whole seconds, rounded up and at least one.
fn seconds(duration: Duration) -> u64 {
    let more = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + more).max(1)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestInvalid(why) => f.write_str(why),
            Self::GrantUnknown(kind) => write!(
                f,
                "grant_type is {kind:?}; it must be password or refresh_token"
            ),
            Self::ServiceUnknown { asked, own } => write!(
                f,
                "tokens from here are for the service {own:?}, not for {asked:?}"
            ),
            Self::CredentialsWrong { .. } => f.write_str("the user name or the password is wrong"),
            Self::RefreshTokenWrong { .. } => {
                f.write_str("the refresh token is not good, or no longer; log in again")
            }
            Self::Throttled { retry_after } => write!(
                f,
                "there were too many failed logins; try again in {} s",
                seconds(*retry_after)
            ),
            Self::Busy { retry_after } => write!(
                f,
                "too many logins are being checked; try again in {} s",
                seconds(*retry_after)
            ),
        }
    }
}
