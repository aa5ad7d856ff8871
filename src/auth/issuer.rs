//! Tokens of our own: what the token endpoint issues, and what is made of them when they come back.
//!
//! They are JWTs with HMAC-SHA-256 (RFC 7515, RFC 7518 section 3.2). A secret key is enough, since
//! who issues them alone verifies them: whoever could steal it could as well steal a private key.
//! In exchange nothing of a token is parsed before its MAC was found good, there is no algorithm
//! to choose and no key to look up, and both ways cost microseconds, also on a small host.
//!
//! A token names whom it was issued to and the version of their credential. Who they are today is
//! looked up when it is used, so that what is withdrawn is withdrawn at once.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cache::{self, TokenCache};
use super::identity::{Identity, Limit};
use super::jwt::{TOKEN_BYTES_MAX, TokenError};
use super::principal::{Accounts, Principal};
use super::scope::Scope;
use crate::clock::{Clock, unix_ms};
use crate::store;

/// The shortest life of an access token: clients take a shorter one for this (Distribution's token
/// specification).
pub const LIFETIME_MIN: Duration = Duration::from_secs(60);

/// How long whom a token was found to be of is not looked up again while no account changes, in
/// milliseconds: a machine's token may end by the clock alone.
const FRESH_MS: i64 = 1000;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// For requests.
    Access,
    /// For getting access tokens.
    Refresh,
}

impl Kind {
    /// The header of tokens of this kind, always the same bytes.
    const fn header(self) -> &'static str {
        match self {
            Self::Access => r#"{"typ":"at+jwt","alg":"HS256"}"#,
            Self::Refresh => r#"{"typ":"refresh+jwt","alg":"HS256"}"#,
        }
    }
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    /// Which registry issued it.
    iss: String,
    /// For whom it is: that registry, or its token endpoint.
    aud: String,
    /// Whom it was issued to: a [`Principal`].
    sub: String,
    /// The version of their credential.
    ver: u64,
    /// When it was issued, in seconds since 1970.
    iat: i64,
    /// When it ends.
    exp: i64,
    /// What an access token grants: scopes with spaces between them (RFC 9068 section 2.2.3).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
}

/// Whom tokens are issued to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub principal: Principal,
    /// The version of their credential.
    pub version: u64,
}

/// A token, and what a client is told with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// How long it is good.
    pub lifetime: Duration,
    /// Since when, in whole seconds.
    pub at: SystemTime,
}

/// How long tokens are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Access tokens; at least [`LIFETIME_MIN`].
    pub access: Duration,
    /// Refresh tokens.
    pub refresh: Duration,
}

/// Issues tokens, and verifies its own.
pub struct Issuer {
    key: hmac::Key,
    id: String,
    lifetimes: Lifetimes,
    accounts: Arc<dyn Accounts>,
    clock: Arc<dyn Clock>,
    cache: TokenCache<Verified>,
}

/// An access token whose MAC was found good.
#[derive(Clone, Debug)]
struct Verified {
    identity: Arc<Identity>,
    /// What the accounts were when that was so.
    generation: u64,
    /// When that was, in milliseconds since 1970.
    at: i64,
    /// When the token ends, in seconds since 1970.
    exp: i64,
}

impl Issuer {
    /// An issuer with this secret key. The accounts are asked whenever one of its tokens is used.
    pub fn new(
        secret: &[u8; 32],
        lifetimes: Lifetimes,
        accounts: Arc<dyn Accounts>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // The id follows from the key and does not tell it, so that it needs no place of its own.
        let id = Sha256::digest([b"coracle registry id: ".as_slice(), secret].concat());
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            id: format!("coracle:{}", URL_SAFE_NO_PAD.encode(&id[..12])),
            lifetimes: Lifetimes {
                access: lifetimes.access.max(LIFETIME_MIN),
                ..lifetimes
            },
            accounts,
            clock,
            cache: TokenCache::new(),
        }
    }

    /// What the registry calls itself in its tokens: another one for each data folder.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whom tokens for `identity` are issued to. `None` for whom there is not by now, or who is
    /// let in no more.
    ///
    /// # Errors
    /// The catalog failed.
    pub fn holder(&self, identity: &Identity) -> Result<Option<Holder>, store::Error> {
        let Some(principal) = Principal::of(&identity.who) else {
            return Ok(None);
        };
        let found = self.resolve(&principal)?;
        Ok(found.map(|(_, version)| Holder { principal, version }))
    }

    /// An access token that grants these scopes, as far as whoever shows it may still have them.
    pub fn issue_access(&self, holder: &Holder, granted: &[Scope]) -> Issued {
        let scopes: Vec<String> = granted.iter().map(ToString::to_string).collect();
        self.issue(
            Kind::Access,
            self.lifetimes.access,
            holder,
            scopes.join(" "),
        )
    }

    /// A token with which to get access tokens; `None` for who needs no credential for one.
    pub fn issue_refresh(&self, holder: &Holder) -> Option<Issued> {
        let is_somebody = holder.principal != Principal::Anonymous;
        is_somebody
            .then(|| self.issue(Kind::Refresh, self.lifetimes.refresh, holder, String::new()))
    }

    fn issue(&self, kind: Kind, lifetime: Duration, holder: &Holder, scope: String) -> Issued {
        let now = self.now_seconds();
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            iss: self.id.clone(),
            aud: self.audience(kind),
            sub: holder.principal.to_string(),
            ver: holder.version,
            iat: now,
            exp: now.saturating_add(seconds),
            scope,
        };
        let mut token = URL_SAFE_NO_PAD.encode(kind.header());
        token.push('.');
        // A struct of texts and numbers always becomes JSON.
        let json = serde_json::to_vec(&claims).unwrap_or_default();
        URL_SAFE_NO_PAD.encode_string(json, &mut token);
        let mac = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut token);
        Issued {
            token,
            lifetime,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(now.unsigned_abs()),
        }
    }

    /// Verifies an access token: who shows it, as they are today, limited to what it grants.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, text: &str) -> Result<Arc<Identity>, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let id = cache::id(text);
        // Asked for before the accounts are, so that a change in between is looked at again.
        let generation = self.accounts.generation();
        let at = unix_ms(self.clock.now());
        if let Some(known) = self.cache.get(&id)
            && known.generation == generation
            // A clock that was set back makes nothing fresh.
            && (0..FRESH_MS).contains(&at.saturating_sub(known.at))
            && self.now_seconds() <= known.exp
        {
            return Ok(known.identity);
        }
        let claims = self.open(Kind::Access, text)?;
        let (_, mut identity) = self.current(&claims)?;
        let granted = claims.scope.split(' ').filter_map(Scope::parse).collect();
        let granted = Limit::Scopes(granted);
        identity.limit = Some(match identity.limit {
            Some(own) => Limit::Both(Box::new(own), Box::new(granted)),
            None => granted,
        });
        let identity = Arc::new(identity);
        let verified = Verified {
            identity: Arc::clone(&identity),
            generation,
            at,
            exp: claims.exp,
        };
        self.cache.put(id, text.len(), verified);
        Ok(identity)
    }

    /// Verifies a refresh token: who shows it, as they are today.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify_refresh(&self, text: &str) -> Result<(Identity, Holder), TokenError> {
        let claims = self.open(Kind::Refresh, text)?;
        let (principal, identity) = self.current(&claims)?;
        let version = claims.ver;
        Ok((identity, Holder { principal, version }))
    }

    /// The claims of a token of this kind that we issued and that has not ended.
    fn open(&self, kind: Kind, text: &str) -> Result<Claims, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let (signed, mac) = text.rsplit_once('.').ok_or(TokenError::Foreign)?;
        let mac = URL_SAFE_NO_PAD.decode(mac);
        let mac = mac.map_err(|_| TokenError::Foreign)?;
        hmac::verify(&self.key, signed.as_bytes(), &mac).map_err(|_| TokenError::Foreign)?;
        // From here on these are our own words.
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Foreign)?;
        if header != URL_SAFE_NO_PAD.encode(kind.header()) {
            return Err(TokenError::KindWrong);
        }
        let json = URL_SAFE_NO_PAD.decode(payload);
        let claims: Option<Claims> = json
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let claims = claims.ok_or(TokenError::Foreign)?;
        if claims.iss != self.id || claims.aud != self.audience(kind) {
            return Err(TokenError::KindWrong);
        }
        if self.now_seconds() > claims.exp {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    /// Who the holder of a token is today.
    fn current(&self, claims: &Claims) -> Result<(Principal, Identity), TokenError> {
        let principal = Principal::parse(&claims.sub).ok_or(TokenError::Foreign)?;
        match self.resolve(&principal)? {
            Some((identity, version)) if version == claims.ver => Ok((principal, identity)),
            _ => Err(TokenError::Withdrawn),
        }
    }

    fn resolve(&self, principal: &Principal) -> Result<Option<(Identity, u64)>, store::Error> {
        match principal {
            Principal::Anonymous => Ok(Some((Identity::ANONYMOUS, 0))),
            Principal::User(_) | Principal::Token(_) => self.accounts.resolve(principal),
        }
    }

    fn audience(&self, kind: Kind) -> String {
        match kind {
            Kind::Access => self.id.clone(),
            Kind::Refresh => format!("{}/token", self.id),
        }
    }

    fn now_seconds(&self) -> i64 {
        unix_ms(self.clock.now()).max(0) / 1000
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("id", &self.id)
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
