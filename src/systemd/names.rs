//! What the sockets are for that the service manager hands over: `LISTEN_FDNAMES`, which holds the
//! `FileDescriptorName=` of each.

use std::ffi::OsStr;
use std::fmt;

/// What a socket that was handed over is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The registry; TLS over TCP where there is a certificate: nobody has given it a name.
    Serve,
    /// The registry, in plain HTTP.
    Http,
    /// The registry, over TLS.
    Https,
    /// What an operator's tools ask for: metrics and health.
    Ops,
    /// The command line.
    Control,
}

/// A name that says nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName(String);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the service manager hands over a socket named '{}', which is for nothing here; set \
             FileDescriptorName= in its unit to http, https, ops or control",
            self.0
        )
    }
}

impl std::error::Error for UnknownName {}

impl Purpose {
    /// What the name means. A socket that has no name of its own has that of its unit, or
    /// `unknown`.
    fn of(name: &str) -> Result<Self, UnknownName> {
        Ok(match name {
            "http" => Self::Http,
            "https" => Self::Https,
            "ops" => Self::Ops,
            "control" => Self::Control,
            "" | "unknown" => Self::Serve,
            unit if unit.ends_with(".socket") => Self::Serve,
            other => {
                let short = other.chars().filter(|it| !it.is_control()).take(60);
                return Err(UnknownName(short.collect()));
            }
        })
    }
}

/// The purposes of `count` sockets, whose names stand in `names` with a `:` between them. Without
/// names all are for the registry.
///
/// # Errors
/// A name is not known.
pub fn purposes(names: Option<&OsStr>, count: usize) -> Result<Vec<Purpose>, UnknownName> {
    let names = names.unwrap_or_default().to_string_lossy();
    let all = names.split(':').chain(std::iter::repeat(""));
    all.take(count).map(Purpose::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_sockets_are_for() {
        let of = |names: &str, count| purposes(Some(OsStr::new(names)), count);
        assert_eq!(
            of("http:https:ops:control", 4),
            Ok(vec![
                Purpose::Http,
                Purpose::Https,
                Purpose::Ops,
                Purpose::Control
            ])
        );
        assert_eq!(
            of("coracle.socket:unknown:", 4),
            Ok(vec![Purpose::Serve; 4])
        );
        assert_eq!(purposes(None, 2), Ok(vec![Purpose::Serve; 2]));
        // More names than sockets are nothing to us.
        assert_eq!(of("http:metrics", 1), Ok(vec![Purpose::Http]));
        let error = of("http:metrics", 2).unwrap_err().to_string();
        assert!(
            error.contains("'metrics'") && error.contains("ops"),
            "{error}"
        );
        assert!(of("HTTP", 1).is_err());
    }
}
