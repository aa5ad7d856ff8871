//! From values of settings to the Rust types of their fields.

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::key::{AUTO, OFF};
use super::settings::OwnAddress;
use super::value::Value;
use crate::auth::{CertificateUser, Challenge};
use crate::http::Listen;
use crate::http::tls::{ClientAuth, MinimumVersion};
use crate::logging::Format;
use crate::store::catalog::Durability;

/// A Rust type that a setting can have. `None` means that the table gives the key a kind that
/// does not fit its type; the tests load every key, so that it cannot happen in a release.
pub(super) trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Switch(on) => Some(*on),
            _ => None,
        }
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl FromValue for Option<u64> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(Some(*number)),
            Value::Name(AUTO) => Some(None),
            _ => None,
        }
    }
}

impl FromValue for usize {
    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for Duration {
    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value).map(Self::from_secs)
    }
}

impl FromValue for Option<PathBuf> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Path(path) => Some(path.clone()),
            _ => None,
        }
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &Value) -> Option<Self> {
        Option::<Self>::from_value(value)?
    }
}

impl FromValue for Vec<Listen> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Addresses(addresses) => Some(addresses.clone()),
            _ => None,
        }
    }
}

impl FromValue for OwnAddress {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Name(AUTO) => Some(Self::Auto),
            Value::Name(OFF) => Some(Self::Off),
            Value::Addresses(addresses) => addresses.first().cloned().map(Self::At),
            _ => None,
        }
    }
}

impl FromValue for Vec<PathBuf> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Paths(paths) => Some(paths.clone()),
            _ => None,
        }
    }
}

impl FromValue for ClientAuth {
    fn from_value(value: &Value) -> Option<Self> {
        Some(match name(value)? {
            "request-client-cert" => Self::Request,
            "require-any-client-cert" => Self::RequireAny,
            "verify-client-cert-if-given" => Self::VerifyIfGiven,
            "auto" | "require-and-verify-client-cert" => Self::RequireAndVerify,
            _ => return None,
        })
    }
}

impl FromValue for MinimumVersion {
    fn from_value(value: &Value) -> Option<Self> {
        match name(value)? {
            "1.2" => Some(Self::Tls12),
            "1.3" => Some(Self::Tls13),
            _ => None,
        }
    }
}

impl FromValue for Option<String> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        Option::<Self>::from_value(value)?
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Texts(texts) => Some(texts.clone()),
            _ => None,
        }
    }
}

fn name(value: &Value) -> Option<&'static str> {
    match value {
        Value::Name(name) => Some(name),
        _ => None,
    }
}

impl FromValue for Durability {
    fn from_value(value: &Value) -> Option<Self> {
        match name(value)? {
            "full" => Some(Self::Full),
            "relaxed" => Some(Self::Relaxed),
            _ => None,
        }
    }
}

impl FromValue for LevelFilter {
    fn from_value(value: &Value) -> Option<Self> {
        name(value)?.parse().ok()
    }
}

impl FromValue for Format {
    fn from_value(value: &Value) -> Option<Self> {
        match name(value)? {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl FromValue for Challenge {
    fn from_value(value: &Value) -> Option<Self> {
        match name(value)? {
            "auto" => Some(Self::Auto),
            "basic" => Some(Self::Basic),
            "bearer" => Some(Self::Bearer),
            _ => None,
        }
    }
}

impl FromValue for CertificateUser {
    fn from_value(value: &Value) -> Option<Self> {
        match name(value)? {
            "none" => Some(Self::None),
            "common-name" => Some(Self::CommonName),
            "dns" => Some(Self::Dns),
            "email" => Some(Self::Email),
            "uri" => Some(Self::Uri),
            _ => None,
        }
    }
}
