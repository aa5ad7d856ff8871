//! The `Date` header (RFC 9110 section 5.6.7, IMF-fixdate). The only reader of the wall clock in
//! this module: all timeouts use the monotonic clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Length of an IMF-fixdate, in bytes.
pub const LENGTH: usize = 29;

/// The moment `seconds` after 1970-01-01T00:00:00Z, as `Sun, 06 Nov 1994 08:49:37 GMT`.
/// Moments after the year 9999 are shown as its last second.
pub fn imf_fixdate(seconds: u64) -> [u8; LENGTH] {
    const WEEKDAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    const LAST: u64 = 253_402_300_799;
    let seconds = seconds.min(LAST);
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // All indices and digits are small: a weekday, a month, two digits.
    let at = |table: &[u8], index: u64| -> [u8; 3] {
        let start = usize::try_from(index).unwrap_or(0) * 3;
        [table[start], table[start + 1], table[start + 2]]
    };
    text[0..3].copy_from_slice(&at(WEEKDAYS, days % 7));
    text[5..7].copy_from_slice(&two_digits(day));
    text[8..11].copy_from_slice(&at(MONTHS, month - 1));
    text[12..14].copy_from_slice(&two_digits(year / 100));
    text[14..16].copy_from_slice(&two_digits(year % 100));
    text[17..19].copy_from_slice(&two_digits(clock / 3600));
    text[20..22].copy_from_slice(&two_digits(clock / 60 % 60));
    text[23..25].copy_from_slice(&two_digits(clock % 60));
    text
}

/// Year, month (1 to 12) and day (1 to 31) of the `days`-th day after 1970-01-01, in the
/// proleptic Gregorian calendar: years are counted from March, so that a leap day ends one.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let since_march_0000 = days + 719_468;
    let era = since_march_0000 / DAYS_OF_400_YEARS;
    let day_of_era = since_march_0000 % DAYS_OF_400_YEARS;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

fn two_digits(number: u64) -> [u8; 2] {
    let digit = |value: u64| b'0' + u8::try_from(value % 10).unwrap_or(0);
    [digit(number / 10), digit(number)]
}

/// The current date, formatted anew only when the second has changed.
#[derive(Debug)]
pub(super) struct DateCache {
    seconds: u64,
    text: [u8; LENGTH],
}

impl DateCache {
    pub(super) fn new() -> Self {
        Self {
            seconds: 0,
            text: imf_fixdate(0),
        }
    }

    /// The date of now. A clock before 1970 counts as 1970.
    pub(super) fn now(&mut self) -> &[u8; LENGTH] {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        if now != self.seconds {
            self.seconds = now;
            self.text = imf_fixdate(now);
        }
        &self.text
    }
}
