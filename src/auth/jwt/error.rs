//! Why a token is not good.

use std::fmt;

use super::TOKEN_BYTES_MAX;
use crate::store;

/// Why a Bearer token, of a token server or of our own, is not good. Its text is for the log: a
/// client only learns [`code`](TokenError::code).
#[derive(Debug)]
pub enum TokenError {
    /// Longer than any that is accepted.
    TooLarge,
    /// It is no compact JWS whose parts are the JSON objects they should be; what is wrong.
    Malformed(&'static str),
    /// It is signed with an algorithm that is not accepted here.
    AlgorithmRefused(String),
    /// Nothing in its header tells the key.
    NoKeyHint,
    /// Its header names a key that is not trusted.
    KeyUnknown(String),
    /// The chain of certificates in its header does not lead to a root; why.
    ChainInvalid(String),
    /// The signature is not that of the key, or not of this text.
    SignatureInvalid,
    /// Another issuer's.
    IssuerWrong(String),
    /// For somebody else.
    AudienceWrong,
    /// It has ended, or says no end.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// A refresh token where an access token belongs, or the reverse.
    KindWrong,
    /// It is not one that this registry issued.
    Foreign,
    /// Whoever it was issued to is let in no more, or has another password by now.
    Withdrawn,
    /// Whether it is good cannot be told, for the catalog failed.
    Store(store::Error),
}

impl TokenError {
    /// The error code of RFC 6750 section 3.1 as Distribution gives it: `invalid_token`, and none
    /// where it gives none. A bad signature of a token server's token is such a case, as is a
    /// failure of our own.
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::SignatureInvalid | Self::Store(_) => None,
            Self::TooLarge
            | Self::Malformed(_)
            | Self::AlgorithmRefused(_)
            | Self::NoKeyHint
            | Self::KeyUnknown(_)
            | Self::ChainInvalid(_)
            | Self::IssuerWrong(_)
            | Self::AudienceWrong
            | Self::Expired
            | Self::NotYetValid
            | Self::KindWrong
            | Self::Foreign
            | Self::Withdrawn => Some("invalid_token"),
        }
    }
}

impl From<store::Error> for TokenError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(
                f,
                "the token is longer than {TOKEN_BYTES_MAX} bytes, the most that is accepted"
            ),
            Self::Malformed(why) => write!(f, "the token cannot be read: {why}"),
            Self::AlgorithmRefused(name) => write!(
                f,
                "the token is signed with {name:?}, which token.algorithms does not accept"
            ),
            Self::NoKeyHint => f.write_str(
                "the token's header has none of x5c, jwk and kid, so that its key cannot be told",
            ),
            Self::KeyUnknown(id) => write!(f, "the token names the key {id:?}, which is not known"),
            Self::ChainInvalid(why) => {
                write!(f, "the token's certificates lead to no trusted root: {why}")
            }
            Self::SignatureInvalid => f.write_str("the token's signature is wrong"),
            Self::IssuerWrong(issuer) => {
                write!(f, "the token is of {issuer:?}, who is not token.issuer")
            }
            Self::AudienceWrong => f.write_str("the token is for another service"),
            Self::Expired => f.write_str("the token has ended"),
            Self::NotYetValid => f.write_str("the token has not begun"),
            Self::KindWrong => {
                f.write_str("a refresh token gets access tokens, and only those are good for more")
            }
            Self::Foreign => f.write_str("this registry did not issue the token"),
            Self::Withdrawn => f.write_str("the account of the token was changed or removed"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TokenError {}
