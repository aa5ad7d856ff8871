//! A signed token as text: the compact form of RFC 7515 section 7.1, and its header.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::TOKEN_BYTES_MAX;
use super::error::TokenError;
use super::jwk::Jwk;

/// The parts of a token, decoded and not believed.
#[derive(Debug)]
pub struct Compact<'a> {
    /// What the signature is about: header and claims as they were sent, with their dot.
    pub signed: &'a str,
    /// The header's JSON.
    header: Vec<u8>,
    /// The claims' JSON.
    claims: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// What a header may say; all else is ignored.
#[derive(Debug, Deserialize)]
pub struct Header {
    /// The signature's algorithm.
    pub alg: String,
    /// Certificates in base64 of their DER, that of the signer first (RFC 7515 section 4.1.6).
    #[serde(default)]
    pub x5c: Option<Vec<String>>,
    /// The signer's key (section 4.1.3).
    #[serde(default)]
    pub jwk: Option<Jwk>,
    /// The id of the signer's key (section 4.1.4).
    #[serde(default)]
    pub kid: Option<String>,
    /// Extensions that must be understood (section 4.1.11), of which there are none here.
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl<'a> Compact<'a> {
    /// Splits and decodes a token.
    ///
    /// # Errors
    /// [`TokenError::TooLarge`], [`TokenError::Malformed`].
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let parts = || TokenError::Malformed("it is not three parts with dots between them");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(parts)?;
        let (header, claims) = signed.split_once('.').ok_or_else(parts)?;
        // A dot more is in `claims`, where base64 does not have it.
        Ok(Self {
            signed,
            header: decode(header)?,
            claims: decode(claims)?,
            signature: decode(signature)?,
        })
    }

    /// The header.
    ///
    /// # Errors
    /// [`TokenError::Malformed`].
    pub fn header(&self) -> Result<Header, TokenError> {
        let header: Header = json(&self.header, "its header is not the JSON of one")?;
        if header.crit.is_some() {
            let why = "its header has extensions that must be understood, and none is known here";
            return Err(TokenError::Malformed(why));
        }
        Ok(header)
    }

    /// The claims: to be believed once the signature was verified.
    ///
    /// # Errors
    /// [`TokenError::Malformed`].
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, TokenError> {
        json(&self.claims, "its claims are not the JSON of some")
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    bytes.map_err(|_| TokenError::Malformed("a part of it is not base64url without padding"))
}

fn json<T: DeserializeOwned>(bytes: &[u8], why: &'static str) -> Result<T, TokenError> {
    // An array would do for a struct as well, field by field.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(TokenError::Malformed(why));
    }
    serde_json::from_slice(bytes).map_err(|_| TokenError::Malformed(why))
}
