//! What a token of a token server says: for whom it is, how long, and what it grants
//! (Distribution's token specification).

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Number;

use super::error::TokenError;
use crate::auth::action::Actions;
use crate::auth::scope::{Resource, Scope};
use crate::clock::unix_ms;

/// The claims; `iat` and `jti` are not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// Whose token it is.
    iss: Option<String>,
    /// Whom it is about.
    pub sub: Option<String>,
    /// For whom it is.
    aud: Option<Audience>,
    /// When it ends, in seconds since 1970.
    exp: Option<Number>,
    /// When it begins.
    nbf: Option<Number>,
    /// What it grants.
    access: Option<Vec<Access>>,
}

/// One or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Actions on one resource. A `class` is deprecated and means nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Access {
    r#type: Option<String>,
    name: Option<String>,
    actions: Option<Vec<String>>,
}

/// What the claims are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The audience.
    pub service: &'a str,
    /// What time it is.
    pub now: SystemTime,
    /// How far the times may be off, either way.
    pub leeway: Duration,
}

impl Claims {
    /// Compares the claims in the order of Distribution: issuer, audience, end, beginning. Both
    /// ends of the time are within it.
    ///
    /// # Errors
    /// The first that is not as it should be.
    pub fn check(&self, expected: Expected<'_>) -> Result<(), TokenError> {
        let issuer = self.iss.as_deref().unwrap_or_default();
        if issuer != expected.issuer {
            return Err(TokenError::IssuerWrong(issuer.to_owned()));
        }
        let is_for_us = match &self.aud {
            Some(Audience::One(service)) => service == expected.service,
            Some(Audience::Several(services)) => {
                services.iter().any(|service| service == expected.service)
            }
            None => false,
        };
        if !is_for_us {
            return Err(TokenError::AudienceWrong);
        }
        let now = i128::from(unix_ms(expected.now));
        let leeway = i128::try_from(expected.leeway.as_millis()).unwrap_or(i128::MAX / 4);
        // A token without an end has ended in 1970, as with Distribution.
        if now > self.exp_ms().saturating_add(leeway) {
            return Err(TokenError::Expired);
        }
        if now < milliseconds(self.nbf.as_ref()).saturating_sub(leeway) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    /// When the token ends, in milliseconds since 1970, without any leeway.
    pub fn exp_ms(&self) -> i128 {
        milliseconds(self.exp.as_ref())
    }

    /// What the token grants. What means nothing here is passed over, as Distribution does.
    pub fn scopes(&self) -> Vec<Scope> {
        let granted = self.access.iter().flatten().filter_map(|access| {
            let name = access.name.as_deref()?;
            let resource = Resource::parse(access.r#type.as_deref()?, name)?;
            let names = access.actions.iter().flatten().map(String::as_str);
            let actions = Actions::of_names(names);
            Some(Scope { resource, actions })
        });
        granted.filter(|scope| !scope.actions.is_empty()).collect()
    }
}

/// A `NumericDate` (RFC 7519 section 2) in milliseconds, held at the bounds of what a date can be.
fn milliseconds(date: Option<&Number>) -> i128 {
    let Some(date) = date else { return 0 };
    if let Some(seconds) = date.as_i64() {
        return i128::from(seconds) * 1000;
    }
    if let Some(seconds) = date.as_u64() {
        return i128::from(seconds) * 1000;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast of a float ends at the bounds of the type, far beyond any date"
    )]
    let milliseconds = (date.as_f64().unwrap_or(0.0) * 1000.0) as i64;
    i128::from(milliseconds)
}
