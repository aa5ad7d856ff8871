//! Any token and any form of the token endpoint: no panic, no token that nobody signed, and scopes
//! within their bound.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use coracle::api::token::form;
use coracle::auth::jwt::parse_unverified;
use coracle::auth::{Accounts, Identity, Issuer, Lifetimes, LoginRefusal, Principal};
use coracle::clock::SystemClock;
use libfuzzer_sys::fuzz_target;

/// Nobody has an account.
struct Nobody;

impl Accounts for Nobody {
    fn verify(
        &self,
        _user: &str,
        _password: &str,
        _client: Option<std::net::IpAddr>,
    ) -> Result<Identity, LoginRefusal> {
        Err(LoginRefusal::Wrong)
    }

    fn resolve(&self, _: &Principal) -> Result<Option<(Identity, u64)>, coracle::store::Error> {
        Ok(None)
    }

    fn generation(&self) -> u64 {
        0
    }
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let lifetimes = Lifetimes {
        access: Duration::from_secs(300),
        refresh: Duration::from_secs(3600),
    };
    Issuer::new(&[7; 32], lifetimes, Arc::new(Nobody), Arc::new(SystemClock))
});

fuzz_target!(|input: &[u8]| {
    if let Ok(asked) = form::of_form(input) {
        assert!(asked.scopes.len() <= form::SCOPES_MAX);
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let _ = form::of_query(Some(text));
    let _ = parse_unverified(text);
    assert!(ISSUER.verify(text).is_err());
    // Parts as they are, so that what is behind base64 is met as well.
    let parts: Vec<String> = text.split('\n').take(3).map(base64url).collect();
    let _ = parse_unverified(&parts.join("."));
});

fn base64url(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| {
            bits << 8 | u32::from(group.get(at).copied().unwrap_or(0))
        });
        for at in 0..=group.len() {
            let letter = bits >> (18 - 6 * at) & 63;
            encoded.push(char::from(LETTERS[letter as usize]));
        }
    }
    encoded
}
