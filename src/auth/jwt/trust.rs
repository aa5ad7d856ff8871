//! The keys and roots that an operator trusts: read from the files that the settings name.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::{PemObject, SectionKind};

use super::chain::{About, Roots};
use super::error::TokenError;
use super::jwk::{Jwk, Jwks};
use super::jws::Header;
use super::key::{Key, libtrust_id};

/// The largest file of keys, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What tokens are verified with.
#[derive(Debug, Default)]
pub struct Trust {
    roots: Roots,
    keys: HashMap<String, Arc<Key>>,
}

/// Why the files of keys cannot be used, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustError {
    /// The file; `None` where there is none.
    path: Option<PathBuf>,
    why: String,
}

impl TrustError {
    /// What is wrong, without the file's path.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(
                f,
                "the token server's keys in {}: {}",
                path.display(),
                self.why
            ),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for TrustError {}

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or there is no key at all.
    pub fn read(root_certificates: Option<&Path>, jwks: Option<&Path>) -> Result<Self, TrustError> {
        let mut trust = Self::default();
        for (path, add) in [
            (
                root_certificates,
                Self::add_pem as fn(&mut Self, &[u8]) -> Result<usize, String>,
            ),
            // Last, so that where two have one id this one counts, as with Distribution.
            (jwks, Self::add_jwks),
        ] {
            let Some(path) = path else { continue };
            let added = read(path).and_then(|bytes| add(&mut trust, &bytes));
            let failed = |why: String| TrustError {
                path: Some(path.to_owned()),
                why,
            };
            if added.map_err(failed)? == 0 {
                return Err(failed(
                    "it has no key that can verify a signature".to_owned(),
                ));
            }
        }
        if root_certificates.is_none() && jwks.is_none() {
            return Err(TrustError {
                path: None,
                why: "a token server needs keys; set token.root_certificates, token.jwks or both"
                    .to_owned(),
            });
        }
        Ok(trust)
    }

    /// Adds certificates and public keys in PEM, and gives their number.
    ///
    /// # Errors
    /// Which of them is not one, counted from 1.
    pub fn add_pem(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut count = 0;
        for (section, number) in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).zip(1..) {
            let (kind, der) =
                section.map_err(|error| format!("section {number} is damaged: {error}"))?;
            let info = match kind {
                SectionKind::Certificate => {
                    let added = self.roots.add(der);
                    added.map_err(|why| format!("certificate {number} cannot be used: {why}"))?
                }
                SectionKind::PublicKey => der,
                _ => {
                    log::warn!(
                        "section {number} of the token server's keys is neither a certificate nor \
                         a public key, and is passed over"
                    );
                    continue;
                }
            };
            let key = Key::of_info(&info)
                .map_err(|error| format!("the key of section {number} cannot be used: {error}"))?;
            let key = Arc::new(key);
            self.keys.insert(key.thumbprint(), Arc::clone(&key));
            self.keys.insert(libtrust_id(&info), key);
            count += 1;
        }
        Ok(count)
    }

    /// Adds the keys of a JSON Web Key Set, and gives the number of those that can be used. Others
    /// are passed over, as RFC 7517 section 5 says.
    ///
    /// # Errors
    /// It is none.
    pub fn add_jwks(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let set: Jwks = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
        let mut count = 0;
        for (jwk, number) in set.keys.iter().zip(1..) {
            if jwk.is_for_else() {
                continue;
            }
            let id = jwk.kid.as_deref().unwrap_or_default();
            match jwk.key() {
                Ok(key) if id.is_empty() => {
                    self.keys.insert(key.thumbprint(), Arc::new(key));
                }
                Ok(key) => {
                    self.keys.insert(id.to_owned(), Arc::new(key));
                }
                Err(error) => {
                    log::warn!(
                        "key {number} ({id:?}) of the token server's key set is passed over: \
                         {error}"
                    );
                    continue;
                }
            }
            count += 1;
        }
        Ok(count)
    }

    /// The key that must have signed the token with this header: by `x5c`, else by `jwk`, else by
    /// `kid`. A key in the header is never trusted for being there (CVE-2025-24976).
    ///
    /// # Errors
    /// [`TokenError::NoKeyHint`], [`TokenError::KeyUnknown`], [`TokenError::ChainInvalid`].
    pub fn key(&self, header: &Header, about: About) -> Result<Arc<Key>, TokenError> {
        if let Some(chain) = some_of(header.x5c.as_ref()) {
            return self.roots.verify(chain, about).map(Arc::new);
        }
        if let Some(jwk) = &header.jwk {
            return self.key_of_jwk(jwk, about);
        }
        match header.kid.as_deref() {
            None | Some("") => Err(TokenError::NoKeyHint),
            Some(id) => self.key_of_id(id),
        }
    }

    fn key_of_jwk(&self, jwk: &Jwk, about: About) -> Result<Arc<Key>, TokenError> {
        if let Some(chain) = some_of(jwk.x5c.as_ref()) {
            return self.roots.verify(chain, about).map(Arc::new);
        }
        self.key_of_id(jwk.kid.as_deref().unwrap_or_default())
    }

    fn key_of_id(&self, id: &str) -> Result<Arc<Key>, TokenError> {
        let key = self.keys.get(id).cloned();
        key.ok_or_else(|| TokenError::KeyUnknown(id.chars().take(100).collect()))
    }
}

/// A chain of nothing is none.
fn some_of(chain: Option<&Vec<String>>) -> Option<&[String]> {
    chain.map(Vec::as_slice).filter(|chain| !chain.is_empty())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("it cannot be read: {error}");
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!(
            "it has more than {FILE_BYTES_MAX} bytes, the most that is read"
        ));
    }
    Ok(bytes)
}
