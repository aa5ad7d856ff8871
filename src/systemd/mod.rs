//! What a service and its manager say to each other, in systemd's words: `sd_notify(3)`,
//! `sd_watchdog_enabled(3)`, `sd_listen_fds(3)`.
//!
//! Only the words are here: what the environment of the process says, and messages as text. The
//! sockets are in `http`; when something is said is decided in `serve/service`.

mod names;
mod notify;
mod watchdog;

pub use names::{Purpose, UnknownName, purposes};
pub use notify::{Message, Notifier};
pub use watchdog::Watchdog;

/// The value of a variable, where it says something.
fn variable<'a>(
    environment: &'a [(std::ffi::OsString, std::ffi::OsString)],
    name: &str,
) -> Option<&'a std::ffi::OsStr> {
    environment
        .iter()
        .find(|(own, value)| own == name && !value.is_empty())
        .map(|(_, value)| value.as_os_str())
}
