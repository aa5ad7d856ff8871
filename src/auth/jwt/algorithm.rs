//! The signature algorithms of tokens (RFC 7518 section 3.1, RFC 8037 section 3.1).

use std::fmt;

/// An algorithm whose verifying key may be public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm. ES512 is not among them, for ring has no P-521.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name in a token's header and in `token.algorithms`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name. Names are case-sensitive (RFC 7515 section 4.1.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// The algorithms that an operator listed; all without one.
    ///
    /// # Errors
    /// The first that cannot be accepted, and why.
    pub fn parse_list<T: AsRef<str>>(names: &[T]) -> Result<Vec<Self>, AlgorithmError> {
        if names.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let names = names.iter().map(AsRef::as_ref);
        names
            .map(|name: &str| Self::parse(name).ok_or_else(|| AlgorithmError(name.to_owned())))
            .collect()
    }
}

/// An algorithm, by its name, that is not accepted however it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlgorithmError(pub String);

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        let why = match name.as_str() {
            "none" => "would accept tokens that nobody signed",
            "HS256" | "HS384" | "HS512" => {
                "needs a secret key, while the keys of a token server are public, so that \
                 everybody could sign"
            }
            _ => "is not a signature algorithm that is known here",
        };
        let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
        write!(f, "{name} {why}; use some of {known}")
    }
}

impl std::error::Error for AlgorithmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_algorithms() {
        let none: [&str; 0] = [];
        assert_eq!(Algorithm::parse_list(&none).unwrap(), Algorithm::ALL);
        let two = [Algorithm::Es256, Algorithm::EdDsa];
        assert_eq!(Algorithm::parse_list(&["ES256", "EdDSA"]).unwrap(), two);
        for (name, word) in [
            ("none", "nobody signed"),
            ("HS256", "secret key"),
            ("HS384", "secret key"),
            ("HS512", "secret key"),
            ("ES512", "not a signature algorithm"),
            ("rs256", "not a signature algorithm"),
            ("", "not a signature algorithm"),
        ] {
            let error = Algorithm::parse_list(&["RS256", name]).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.to_string().contains("RS256"), "{error}");
        }
    }
}
