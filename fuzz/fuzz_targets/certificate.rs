//! Any bytes as a certificate that a client shows: facts or none, never a panic, and names without
//! what could start a line of a log.
#![no_main]

use coracle::http::tls::CertificateFacts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(facts) = CertificateFacts::of_der(bytes) {
        let common_name = facts.common_name.unwrap_or_default();
        for text in [&facts.subject, &facts.issuer, &common_name] {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        for text in facts.dns_names.iter().chain(&facts.emails).chain(&facts.uris) {
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
        }
        assert_eq!(facts.fingerprint.len(), 64);
    }
});
