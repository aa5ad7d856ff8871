//! Why a registry could not be opened or served.

use std::fmt;
use std::io;

use crate::auth::logins::OpenError;
use crate::http::tls::TlsError;
use crate::store::{self, ErrorKind};

/// Why a registry could not be opened or served.
#[derive(Debug)]
pub enum Error {
    /// The store could not be opened.
    Store(store::Error),
    /// An address could not be listened on, or a thread not started.
    Io(io::Error),
    /// Certificates cannot be used.
    Tls(TlsError),
    /// What a setting names is not as it must be: a sentence.
    Setting(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Setting(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        use crate::auth::htpasswd::FileError;
        match error {
            OpenError::Store(error) => Self::Store(error),
            OpenError::Random(error) => Self::Io(error),
            // Who may not read it has to change permissions, not the setting.
            OpenError::Htpasswd(FileError::Io(_, ref reason))
                if reason.kind() == io::ErrorKind::PermissionDenied =>
            {
                Self::Io(io::Error::new(reason.kind(), error.to_string()))
            }
            OpenError::Htpasswd(_) => Self::Setting(format!("auth.htpasswd: {error}")),
        }
    }
}

/// Whether the failure means that a server is running on this folder.
pub fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Store(error) if error.kind() == ErrorKind::Locked)
}
