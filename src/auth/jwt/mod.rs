//! Tokens of an external token server, verified as Distribution does (its token authentication
//! specification): RFC 7515, 7517, 7518, 7519, 7638 and 8037.
//!
//! - `jws`, `jwk`, `der`: what a stranger sent, parsed within bounds and not believed;
//! - [`algorithm`], `key`: what verifies;
//! - `trust`, `chain`: which keys are trusted, and how a header leads to one of them;
//! - `claims`: for whom, until when, and what is granted.
//!
//! The order is: algorithm, key, signature, and only then what the token says.

pub mod algorithm;
mod chain;
mod claims;
mod der;
mod error;
mod jwk;
mod jws;
mod key;
#[cfg(test)]
pub(super) mod tests;
mod trust;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub use algorithm::{Algorithm, AlgorithmError};
pub use error::TokenError;
pub use trust::TrustError;

use super::cache::{self, TokenCache};
use super::identity::{Identity, Limit, Who};
use crate::clock::{Clock, unix_ms};
use chain::About;
use claims::{Claims, Expected};
use jws::Compact;
use trust::Trust;

/// The longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 32 << 10;

/// How long a verified token is not verified again, in milliseconds: for so long a certificate in
/// it may have ended unnoticed.
const FRESH_MS: i64 = 60_000;

/// How an external token server is trusted: `[token]` of the settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it calls itself.
    pub issuer: String,
    /// What it calls this registry.
    pub service: String,
    /// A file of certificates and public keys in PEM.
    pub root_certificates: Option<PathBuf>,
    /// A file of a JSON Web Key Set.
    pub jwks: Option<PathBuf>,
    /// The algorithms that are accepted: see [`Algorithm::parse_list`].
    pub algorithms: Vec<Algorithm>,
    /// How far a token's times and the clock may be apart.
    pub leeway: Duration,
}

/// Verifies the tokens of an external token server.
pub struct Verifier {
    options: Options,
    clock: Arc<dyn Clock>,
    /// The keys, and how often they were read.
    trust: RwLock<(u64, Arc<Trust>)>,
    cache: TokenCache<Verified>,
    fault: Mutex<Option<TrustError>>,
}

/// A token that was verified.
#[derive(Clone, Debug)]
struct Verified {
    identity: Arc<Identity>,
    /// By which reading of the keys.
    reading: u64,
    /// When, in milliseconds since 1970.
    at: i64,
    /// Until when the token is good, in milliseconds since 1970.
    until: i128,
}

impl Verifier {
    /// Reads the keys.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, TrustError> {
        let trust = read_trust(&options)?;
        Ok(Self {
            options,
            clock,
            trust: RwLock::new((0, Arc::new(trust))),
            cache: TokenCache::new(),
            fault: Mutex::new(None),
        })
    }

    /// Verifies a token, and says what it grants. The token server alone decides that, so the
    /// identity is a [`Who::Subject`] with a limit.
    ///
    /// # Errors
    /// [`TokenError`], which tells what a client is told.
    pub fn verify(&self, text: &str) -> Result<Arc<Identity>, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let (reading, trust) = self.trust();
        let id = cache::id(text);
        let now = unix_ms(self.clock.now());
        if let Some(known) = self.cache.get(&id)
            && known.reading == reading
            // A clock that was set back makes nothing fresh.
            && (0..FRESH_MS).contains(&now.saturating_sub(known.at))
            && i128::from(now) <= known.until
        {
            return Ok(known.identity);
        }
        let claims = self.claims(text, &trust)?;
        let identity = Arc::new(Identity {
            limit: Some(Limit::Scopes(claims.scopes())),
            who: Who::Subject {
                name: claims.sub.clone().unwrap_or_default(),
            },
        });
        let verified = Verified {
            identity: Arc::clone(&identity),
            reading,
            at: now,
            until: claims.exp_ms() + i128::try_from(self.options.leeway.as_millis()).unwrap_or(0),
        };
        self.cache.put(id, text.len(), verified);
        Ok(identity)
    }

    /// The claims of a token that is good.
    fn claims(&self, text: &str, trust: &Trust) -> Result<Claims, TokenError> {
        let token = Compact::parse(text)?;
        let header = token.header()?;
        let algorithm = Algorithm::parse(&header.alg)
            .filter(|algorithm| self.options.algorithms.contains(algorithm))
            .ok_or_else(|| TokenError::AlgorithmRefused(header.alg.chars().take(100).collect()))?;
        let (now, leeway) = (self.clock.now(), self.options.leeway);
        let key = trust.key(&header, About { now, leeway })?;
        if !key.verifies(algorithm, token.signed.as_bytes(), &token.signature) {
            return Err(TokenError::SignatureInvalid);
        }
        let claims: Claims = token.claims()?;
        claims.check(Expected {
            issuer: &self.options.issuer,
            service: &self.options.service,
            now,
            leeway,
        })?;
        Ok(claims)
    }

    fn trust(&self) -> (u64, Arc<Trust>) {
        let trust = self.trust.read().unwrap_or_else(PoisonError::into_inner);
        (trust.0, Arc::clone(&trust.1))
    }

    /// Reads the keys again. With keys that cannot be used, those before stay.
    ///
    /// # Errors
    /// They cannot be used; [`fault`](Self::fault) says so too, until they can be.
    pub fn reload(&self) -> Result<(), TrustError> {
        let read = read_trust(&self.options);
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(trust) => {
                let mut own = self.trust.write().unwrap_or_else(PoisonError::into_inner);
                *own = (own.0 + 1, Arc::new(trust));
                *fault = None;
                Ok(())
            }
            Err(error) => {
                log::error!("{error}; the keys that were read before stay in use");
                *fault = Some(error.clone());
                Err(error)
            }
        }
    }

    /// What is wrong with the files of keys, when they could not be read again.
    pub fn fault(&self) -> Option<TrustError> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone()
    }
}

fn read_trust(options: &Options) -> Result<Trust, TrustError> {
    Trust::read(
        options.root_certificates.as_deref(),
        options.jwks.as_deref(),
    )
}

/// Takes a token apart as far as that goes without a key, for the fuzzer: what a stranger sends
/// meets no other parser before a signature was found good.
pub fn parse_unverified(text: &str) -> bool {
    let Ok(token) = Compact::parse(text) else {
        return false;
    };
    let header = token.header();
    if let Ok(header) = &header {
        let about = About {
            now: std::time::SystemTime::UNIX_EPOCH,
            leeway: Duration::ZERO,
        };
        let _ = Trust::default().key(header, about);
        if let Some(jwk) = &header.jwk {
            let _ = jwk.key();
        }
    }
    header.is_ok() && token.claims::<Claims>().is_ok()
}
