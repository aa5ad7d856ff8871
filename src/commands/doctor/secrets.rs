//! The htpasswd file: whether it can be used, and who may read it.

use std::time::Instant;

use super::finding::Findings;
use crate::auth::htpasswd::Htpasswd;
use crate::config::Settings;
use crate::store::look::is_open_to_others;

const CHECK: &str = "htpasswd";

pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    let Some(path) = &settings.auth.htpasswd else {
        return;
    };
    let file = path.display();
    let before = findings.bad();
    let users = match Htpasswd::open(path.clone(), Instant::now()) {
        Ok(htpasswd) => htpasswd.users(),
        Err(error) => {
            let advice = "give auth.htpasswd a file of `htpasswd -B` that the server may read";
            findings.fail(CHECK, error.to_string(), advice);
            return;
        }
    };
    for line in &users.ignored {
        findings.warn(
            CHECK,
            format!(
                "{file}:{}: {} is let in by nothing: {}",
                line.line, line.user, line.why
            ),
            "write the line anew with `htpasswd -B`",
        );
    }
    if is_open_to_others(path) {
        let message = format!("everybody on this machine may read {file}");
        findings.warn(CHECK, message, format!("chmod 640 {file}"));
    }
    if findings.bad() == before {
        findings.ok(CHECK, format!("{file} has {} users", users.len()));
    }
}
