//! The clock: whether it can be right.

use std::time::{Duration, SystemTime};

use super::finding::Findings;
use crate::clock::{Clock, MADE_AFTER, SystemClock, made_on, rfc3339, unix_ms};
use crate::store::look::Looks;

const CHECK: &str = "clock";
/// How far what was written may be ahead of the clock, which is set now and then.
const AHEAD_MAX: Duration = Duration::from_secs(300);

pub(super) fn check(looks: Option<&Looks>, findings: &mut Findings) {
    let written = looks.and_then(|looks| looks.written);
    judge(SystemClock.now(), written, findings);
}

fn judge(now: SystemTime, written: Option<SystemTime>, findings: &mut Findings) {
    const SET: &str = "set the clock (timedatectl, or a server of the time); until then nothing is \
                       removed for its age, and certificates may seem invalid";
    let said = rfc3339(unix_ms(now));
    if now < SystemTime::UNIX_EPOCH + MADE_AFTER {
        let message = format!(
            "says {said}, which is before this version was made ({})",
            made_on()
        );
        findings.fail(CHECK, message, SET);
    } else if let Some(written) = written.filter(|written| *written > now + AHEAD_MAX) {
        let written = rfc3339(unix_ms(written));
        let message = format!("says {said}, but the catalog was last written on {written}");
        findings.warn(CHECK, message, SET);
    } else {
        findings.ok(CHECK, format!("says {said}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Level;

    #[test]
    fn clocks_that_cannot_be_right() {
        let made = SystemTime::UNIX_EPOCH + MADE_AFTER;
        let day = Duration::from_secs(86_400);
        let rows = [
            (made + day, None, Level::Ok),
            (made + day, Some(made), Level::Ok),
            (
                made + day,
                Some(made + day + Duration::from_secs(60)),
                Level::Ok,
            ),
            (made + day, Some(made + 2 * day), Level::Warn),
            (made - day, None, Level::Fail),
            (SystemTime::UNIX_EPOCH, Some(made), Level::Fail),
        ];
        for (now, written, expected) in rows {
            let mut findings = Findings::default();
            judge(now, written, &mut findings);
            assert_eq!(
                findings.into_vec()[0].level,
                expected,
                "{now:?} {written:?}"
            );
        }
    }
}
