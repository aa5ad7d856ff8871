//! Chains of certificates in tokens: `x5c`, up to a root that the operator named.
//!
//! As with Distribution, but for two things: the times have the leeway of the token's own, and of
//! certificates that may sign others only the roots themselves may sign tokens, for webpki does
//! not take them at the end of a chain.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter,
};

use super::der;
use super::error::TokenError;
use super::key::Key;

/// The most certificates of one token. Real chains have three.
const CHAIN_MAX: usize = 10;

/// The certificates that chains may lead to.
#[derive(Debug, Default)]
pub struct Roots(Vec<Root>);

#[derive(Debug)]
struct Root {
    der: Vec<u8>,
    anchor: TrustAnchor<'static>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// A time, and how far it may be wrong.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What time it is.
    pub now: SystemTime,
    /// How far it may be off, either way.
    pub leeway: Duration,
}

impl About {
    /// Whether something that is good between these times may be good now, ends included.
    fn is_within(self, not_before: SystemTime, not_after: SystemTime) -> bool {
        let has_begun = match self.now.checked_add(self.leeway) {
            Some(latest) => not_before <= latest,
            None => true,
        };
        let has_not_ended = match not_after.checked_add(self.leeway) {
            Some(end) => self.now <= end,
            None => true,
        };
        has_begun && has_not_ended
    }

    /// The times that it may be.
    fn candidates(self) -> [SystemTime; 3] {
        let before = self.now.checked_sub(self.leeway);
        let before = before.unwrap_or(SystemTime::UNIX_EPOCH);
        let after = self.now.checked_add(self.leeway).unwrap_or(self.now);
        [self.now, before, after]
    }
}

/// Any use of a key will do, as with Distribution.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}

impl Roots {
    /// Adds a certificate, and gives its key's `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn add(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let damaged = || "it is damaged".to_owned();
        let certificate = der::certificate(&bytes).ok_or_else(damaged)?;
        let info = certificate.key.to_vec();
        let (not_before, not_after) = (certificate.not_before, certificate.not_after);
        let anchor = webpki::anchor_from_trusted_cert(&CertificateDer::from(bytes.as_slice()))
            .map_err(|error| error.to_string())?
            .to_owned();
        self.0.push(Root {
            der: bytes,
            anchor,
            not_before,
            not_after,
        });
        Ok(info)
    }

    /// The key of a chain's first certificate, when the chain leads to one of these roots.
    ///
    /// # Errors
    /// [`TokenError::ChainInvalid`].
    pub fn verify(&self, chain: &[String], about: About) -> Result<Key, TokenError> {
        self.judge(chain, about).map_err(TokenError::ChainInvalid)
    }

    fn judge(&self, chain: &[String], about: About) -> Result<Key, String> {
        if chain.len() > CHAIN_MAX {
            return Err(format!("they are more than {CHAIN_MAX}"));
        }
        let decoded: Result<Vec<Vec<u8>>, _> =
            chain.iter().map(|text| STANDARD.decode(text)).collect();
        let decoded = decoded.map_err(|_| "one of them is not base64".to_owned())?;
        let (leaf, others) = decoded.split_first().ok_or("there is none")?;
        let first = der::certificate(leaf).ok_or("the first is damaged")?;
        let key = Key::of_info(first.key)
            .map_err(|error| format!("the key of the first cannot be used: {error}"))?;
        // A root may sign tokens itself; webpki would not have it, for it must not name a host.
        if self.0.iter().any(|root| root.der == *leaf) {
            if about.is_within(first.not_before, first.not_after) {
                return Ok(key);
            }
            return Err("the certificate has ended or not begun".to_owned());
        }
        self.path(leaf, others, about)?;
        Ok(key)
    }

    /// Looks for a path, at the times that it may be.
    fn path(&self, leaf: &[u8], others: &[Vec<u8>], about: About) -> Result<(), String> {
        let in_time = |root: &&Root| about.is_within(root.not_before, root.not_after);
        let roots = self.0.iter().filter(in_time);
        let anchors: Vec<TrustAnchor<'_>> = roots.map(|root| root.anchor.clone()).collect();
        let others = others
            .iter()
            .map(|der| CertificateDer::from(der.as_slice()));
        let others: Vec<CertificateDer<'_>> = others.collect();
        let leaf = CertificateDer::from(leaf);
        let leaf = EndEntityCert::try_from(&leaf).map_err(|error| error.to_string())?;
        let mut outcome = Err(Error::UnknownIssuer);
        for time in about.candidates() {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            let time = UnixTime::since_unix_epoch(since.unwrap_or_default());
            let found = leaf.verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &anchors,
                &others,
                time,
                AnyUsage,
                None,
                None,
            );
            outcome = found.map(|_| ());
            match outcome {
                // Another time may do.
                Err(Error::CertExpired { .. } | Error::CertNotValidYet { .. }) => {}
                _ => break,
            }
        }
        outcome.map_err(|error| error.to_string())
    }
}
