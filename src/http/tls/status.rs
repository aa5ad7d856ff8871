//! How it stands with the certificates: which are in use, until when, and whether newer ones could
//! not be loaded; and the sentences about dates that an operator should read.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// From so long before its end on an operator is reminded of a certificate.
const REMIND_BEFORE: Duration = Duration::from_secs(14 * DAY_S);
const DAY_S: u64 = 86_400;

/// A certificate in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Its subject (RFC 4514).
    pub subject: String,
    /// The DNS names and addresses that it is for.
    pub hosts: Vec<String>,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// SHA-256 of its DER, in lower-case hexadecimal.
    pub fingerprint: String,
}

/// The certificates in use, and why newer ones are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsStatus {
    /// In the order of the configuration.
    pub certificates: Vec<CertificateStatus>,
    /// Why the files as they are now could not be loaded; the certificates are older ones then.
    pub last_error: Option<String>,
    /// Times since the start that certificates were loaded anew.
    pub reloads_total: u64,
    /// When the first of the certificates ends.
    pub expires: Option<SystemTime>,
}

/// What an operator should know about the dates of `certificates`; a sentence each.
pub(super) fn remarks(
    certificates: &[CertificateStatus],
    now: SystemTime,
    clock_min: SystemTime,
) -> Vec<String> {
    let mut remarks = Vec::new();
    if now < clock_min {
        remarks.push(format!(
            "the clock says {}, which is before this version was made: until it is set, the dates \
             of certificates mean nothing",
            date(now)
        ));
    }
    for certificate in certificates {
        let file = certificate.file.display();
        let (first, last) = (certificate.not_before, certificate.not_after);
        if now < first {
            remarks.push(format!(
                "the clock says {}, but the certificate in {file} is valid from {} on: set the \
                 clock, or clients will refuse the certificate",
                date(now),
                date(first)
            ));
        } else if now > last {
            remarks.push(format!(
                "the certificate in {file} has expired on {}: clients refuse it, replace it",
                date(last)
            ));
        } else if now + REMIND_BEFORE > last {
            let days = last.duration_since(now).unwrap_or_default().as_secs() / DAY_S;
            remarks.push(format!(
                "the certificate in {file} expires on {}, in {days} days: replace it before",
                date(last)
            ));
        }
    }
    remarks
}

/// A point in time for people.
pub(super) fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(
        |_| "a time that no calendar has".to_owned(),
        |time| format!("{time:.0}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(from_day: u64, to_day: u64) -> CertificateStatus {
        let at = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * DAY_S);
        CertificateStatus {
            file: "a.pem".into(),
            subject: String::new(),
            hosts: Vec::new(),
            not_before: at(from_day),
            not_after: at(to_day),
            fingerprint: String::new(),
        }
    }

    #[test]
    fn dates_are_remarked_on_when_they_are_near_or_past() {
        let at = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * DAY_S);
        let remark = |day: u64| remarks(&[valid(100, 200)], at(day), at(50)).join("\n");
        assert!(remark(40).contains("before this version was made"));
        assert!(remark(60).contains("valid from 1970-04-11T00:00:00Z on"));
        assert_eq!(remark(150), "");
        assert_eq!(remark(186), "");
        assert!(remark(187).contains("expires on 1970-07-20T00:00:00Z, in 13 days"));
        assert!(remark(201).contains("has expired"));
    }
}
