//! Signers, tokens, and a verifier with its files in a fresh folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, KeyPair, PublicKeyData,
};
use ring::rand::SystemRandom;
use ring::{hmac, signature};
use serde_json::{Value, json};

use super::super::key::{Key, libtrust_id};
use super::super::{Algorithm, Options, TokenError, Verifier};
use crate::auth::Identity;
use crate::clock::ManualClock;

/// What time it is, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

/// For ring makes no RSA keys.
const RSA: &str = include_str!("rsa.pem");

pub fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Who signs tokens.
pub struct Signer {
    pub pair: KeyPair,
}

impl Signer {
    /// A signer whose key is for this algorithm.
    pub fn new(algorithm: &str) -> Self {
        let pair = match algorithm {
            "ES256" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            "ES384" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            "EdDSA" => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            _ => KeyPair::from_pem_and_sign_algo(RSA, &rcgen::PKCS_RSA_SHA256),
        };
        Self {
            pair: pair.unwrap(),
        }
    }

    /// The DER of the public key.
    pub fn info(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    pub fn key(&self) -> Key {
        Key::of_info(&self.info()).unwrap()
    }

    pub fn thumbprint(&self) -> String {
        self.key().thumbprint()
    }

    pub fn libtrust_id(&self) -> String {
        libtrust_id(&self.info())
    }

    /// The public key as JSON.
    pub fn jwk(&self) -> Value {
        match self.key() {
            Key::Rsa { n, e } => json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) }),
            Key::P256(point) => on_curve("P-256", &point),
            Key::P384(point) => on_curve("P-384", &point),
            Key::Ed25519(bytes) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(bytes) })
            }
        }
    }

    pub fn jwk_with_id(&self, id: &str) -> Value {
        let mut jwk = self.jwk();
        jwk["kid"] = id.into();
        jwk
    }

    pub fn sign(&self, algorithm: &str, message: &str) -> Vec<u8> {
        let (random, message) = (SystemRandom::new(), message.as_bytes());
        let der = self.pair.serialize_der();
        let ecdsa = |kind| {
            let pair = signature::EcdsaKeyPair::from_pkcs8(kind, &der, &random).unwrap();
            pair.sign(&random, message).unwrap().as_ref().to_vec()
        };
        let rsa = |kind: &'static dyn signature::RsaEncoding| {
            let pair = signature::RsaKeyPair::from_pkcs8(&der).unwrap();
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(kind, &random, message, &mut signature).unwrap();
            signature
        };
        match algorithm {
            "ES256" => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            "EdDSA" => {
                let pair = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
                pair.sign(message).as_ref().to_vec()
            }
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "PS384" => rsa(&signature::RSA_PSS_SHA384),
            "PS512" => rsa(&signature::RSA_PSS_SHA512),
            "none" => Vec::new(),
            // The old trick: the public key as the secret of a MAC.
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.info());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            other => panic!("no test signs with {other}"),
        }
    }

    /// A token with this header, to which `alg` and `typ` are added.
    pub fn token(&self, algorithm: &str, hint: &Value, claims: &Value) -> String {
        let mut header = hint.clone();
        header["typ"] = "JWT".into();
        header["alg"] = algorithm.into();
        let signed = format!(
            "{}.{}",
            base64url(header.to_string()),
            base64url(claims.to_string())
        );
        let signature = self.sign(algorithm, &signed);
        format!("{signed}.{}", base64url(signature))
    }
}

fn on_curve(curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
}

/// Claims that are good, with these members in place of their own.
pub fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "issuer",
        "aud": "service",
        "sub": "ada",
        "exp": NOW + 300,
        "nbf": NOW - 10,
        "iat": NOW - 10,
        "jti": "unique",
        "access": [{ "type": "repository", "name": "a/b", "actions": ["pull", "push"] }],
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// A certificate with its key.
pub struct Issued {
    pub certificate: Certificate,
    pub params: CertificateParams,
    pub signer: Signer,
}

/// Parameters of a certificate with this name, good for a year around [`NOW`].
pub fn params(name: &str, is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 7, 1);
    params.not_after = rcgen::date_time_ymd(2027, 7, 1);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

impl Issued {
    pub fn root(params: CertificateParams) -> Self {
        let signer = Signer::new("ES256");
        let certificate = params.self_signed(&signer.pair).unwrap();
        Self {
            certificate,
            params,
            signer,
        }
    }

    /// A certificate that this one signs, with a key for this algorithm.
    pub fn issue(&self, params: CertificateParams, algorithm: &str) -> Self {
        let signer = Signer::new(algorithm);
        let issuer = rcgen::Issuer::from_params(&self.params, &self.signer.pair);
        let certificate = params.signed_by(&signer.pair, &issuer).unwrap();
        Self {
            certificate,
            params,
            signer,
        }
    }

    /// As it stands in `x5c`.
    pub fn x5c(&self) -> String {
        STANDARD.encode(self.certificate.der())
    }
}

/// A verifier, its clock and its files.
pub struct World {
    pub verifier: Verifier,
    pub clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

impl World {
    /// A verifier that trusts these certificates and public keys in PEM and this set of keys.
    pub fn new(pem: &str, jwks: &Value) -> Self {
        Self::with(pem, jwks, |_| {})
    }

    pub fn with(pem: &str, jwks: &Value, change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(at(NOW)));
        let file = |name: &str, text: String, is_there: bool| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            is_there.then_some(path)
        };
        let mut options = Options {
            issuer: "issuer".to_owned(),
            service: "service".to_owned(),
            root_certificates: file("roots.pem", pem.to_owned(), !pem.is_empty()),
            jwks: file("jwks.json", jwks.to_string(), !jwks.is_null()),
            algorithms: Algorithm::ALL.to_vec(),
            leeway: Duration::from_secs(60),
        };
        change(&mut options);
        let verifier = Verifier::open(options, Arc::clone(&clock) as Arc<_>).unwrap();
        Self {
            verifier,
            clock,
            folder,
        }
    }

    /// A verifier that knows this signer by the id `k`.
    pub fn of(signer: &Signer) -> Self {
        Self::new("", &json!({ "keys": [signer.jwk_with_id("k")] }))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn verify(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        self.verifier.verify(token)
    }

    /// What a token is refused for, in short, or `ok`.
    pub fn outcome(&self, token: &str) -> &'static str {
        match self.verify(token) {
            Ok(_) => "ok",
            Err(error) => {
                let told = short(&error);
                let expected = (told != "signature").then_some("invalid_token");
                assert_eq!(error.code(), expected, "{error}");
                told
            }
        }
    }
}

/// The error in a word.
pub fn short(error: &TokenError) -> &'static str {
    match error {
        TokenError::TooLarge => "large",
        TokenError::Malformed(_) => "malformed",
        TokenError::AlgorithmRefused(_) => "algorithm",
        TokenError::NoKeyHint => "no hint",
        TokenError::KeyUnknown(_) => "unknown key",
        TokenError::ChainInvalid(_) => "chain",
        TokenError::SignatureInvalid => "signature",
        TokenError::IssuerWrong(_) => "issuer",
        TokenError::AudienceWrong => "audience",
        TokenError::Expired => "expired",
        TokenError::NotYetValid => "not yet",
        TokenError::KindWrong => "kind",
        TokenError::Foreign => "foreign",
        TokenError::Withdrawn => "withdrawn",
        TokenError::Store(_) => "store",
    }
}
