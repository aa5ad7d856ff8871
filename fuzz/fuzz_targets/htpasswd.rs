//! Any htpasswd file: no panic, and no user whose hash is not one that can be verified.
#![no_main]

use coracle::auth::htpasswd::Users;
use coracle::auth::password::hash::{COST_MAX, PasswordHash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(users) = Users::parse(text) else {
        return;
    };
    assert!(
        users
            .costs()
            .iter()
            .all(|cost| (4..=COST_MAX).contains(cost))
    );
    assert!(users.costs().len() <= users.len());
    for line in text.split(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let hash = std::str::from_utf8(name)
            .ok()
            .and_then(|name| users.get(name));
        if let Some(hash) = hash {
            assert_eq!(PasswordHash::parse(hash.as_str()).as_ref(), Ok(hash));
        }
    }
    assert!(users.ignored.iter().all(|ignored| ignored.line > 0));
});
