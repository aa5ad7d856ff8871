//! Keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::key::{Key, KeyError};

/// A key, as far as it is looked at. Private parts, if any, are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Jwk {
    /// The kind: `RSA`, `EC`, `OKP`.
    kty: Option<String>,
    /// The id.
    pub kid: Option<String>,
    /// What it is for: `sig`, `enc`.
    #[serde(rename = "use")]
    usage: Option<String>,
    /// The curve.
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// Certificates in base64 of their DER, that of the key first.
    pub x5c: Option<Vec<String>>,
}

/// A set of keys (RFC 7517 section 5).
#[derive(Debug, Deserialize)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl Jwk {
    /// Whether the key is for something else than signatures.
    pub fn is_for_else(&self) -> bool {
        self.usage.as_deref().is_some_and(|usage| usage != "sig")
    }

    /// The key itself.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn key(&self) -> Result<Key, KeyError> {
        match (self.kty.as_deref(), self.crv.as_deref()) {
            (Some("RSA"), _) => Key::rsa(&bytes(self.n.as_ref())?, &bytes(self.e.as_ref())?),
            (Some("EC"), Some(curve)) => {
                Key::elliptic(curve, &bytes(self.x.as_ref())?, &bytes(self.y.as_ref())?)
            }
            (Some("OKP"), Some("Ed25519")) => Key::ed25519(&bytes(self.x.as_ref())?),
            (None, _) | (Some("EC" | "OKP"), None) => Err(KeyError::Malformed),
            _ => Err(KeyError::KindUnknown),
        }
    }
}

fn bytes(member: Option<&String>) -> Result<Vec<u8>, KeyError> {
    let text = member.ok_or(KeyError::Malformed)?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| KeyError::Malformed)
}
