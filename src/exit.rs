//! How the program ends: every exit code, what it means, and which failure leads to it.
//!
//! Only a type: nothing here prints or ends the process.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::http::tls::TlsError;
use crate::store;

/// The outcome of a command, as a service manager or a script sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// It failed, or a check found a problem.
    Failed = 1,
    /// The command line was not understood.
    Usage = 2,
    /// A setting is wrong.
    Configuration = 3,
    /// The store is damaged, or was written by a newer version.
    Store = 4,
    /// The data folder or an address is in use.
    Busy = 5,
    /// Permission denied, or a read-only file system.
    Denied = 6,
    /// It may work later: the disk is full, a resource ran out (`EX_TEMPFAIL` of sysexits).
    Temporary = 75,
}

impl Exit {
    /// Every outcome, by ascending code.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Configuration,
        Self::Store,
        Self::Busy,
        Self::Denied,
        Self::Temporary,
    ];

    /// The code that the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What the code means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failed => "failed, or a check found a problem",
            Self::Usage => "the command line was not understood",
            Self::Configuration => "a setting is wrong",
            Self::Store => "the store is damaged, or was written by a newer version",
            Self::Busy => "the data folder or an address is in use by another process",
            Self::Denied => "permission denied, or a read-only file system",
            Self::Temporary => "temporary, try again later: the disk is full or a resource ran out",
        }
    }

    /// The outcome of a failed system call.
    pub fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::AddrInUse | Kind::ResourceBusy => Self::Busy,
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::Denied,
            Kind::StorageFull | Kind::QuotaExceeded | Kind::OutOfMemory => Self::Temporary,
            _ => match error
                .raw_os_error()
                .map(rustix::io::Errno::from_raw_os_error)
            {
                Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => Self::Temporary,
                _ => Self::Failed,
            },
        }
    }

    /// The outcome of certificates that cannot be used: a file that may not be read, or a setting
    /// that names the wrong one.
    pub fn of_tls(error: &TlsError) -> Self {
        match error.io_kind() {
            Some(kind @ io::ErrorKind::PermissionDenied) => Self::of_io(&kind.into()),
            _ => Self::Configuration,
        }
    }

    /// The outcome of a command line that [`crate::cli::parse`] did not turn into a command: help
    /// and versions that were asked for are fine, all else is [`Exit::Usage`].
    pub fn of_usage(error: &clap::Error) -> Self {
        if error.exit_code() == 0 {
            Self::Ok
        } else {
            Self::Usage
        }
    }

    /// The table of codes as it closes the help text.
    pub fn help() -> String {
        let rows = Self::ALL.map(|exit| format!("  {:>2}  {}\n", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", rows.concat())
    }

    /// The table of codes as it stands in the README.
    pub fn markdown() -> String {
        let rows = Self::ALL.map(|exit| format!("| {} | {} |\n", exit.code(), exit.meaning()));
        format!("| code | meaning |\n| ---: | --- |\n{}", rows.concat())
    }
}

impl From<store::ErrorKind> for Exit {
    fn from(kind: store::ErrorKind) -> Self {
        use store::ErrorKind as Kind;
        match kind {
            Kind::Full => Self::Temporary,
            Kind::Corrupt | Kind::Newer => Self::Store,
            Kind::Locked => Self::Busy,
            Kind::Denied => Self::Denied,
            Kind::Closed | Kind::Io => Self::Failed,
        }
    }
}

impl From<&store::Error> for Exit {
    fn from(error: &store::Error) -> Self {
        error.kind().into()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code(), self.meaning())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        let codes = Exit::ALL.map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 75]);
        for exit in Exit::ALL {
            assert!(Exit::help().contains(&format!("{:>2}  {}", exit.code(), exit.meaning())));
            assert!(Exit::markdown().contains(&format!(
                "| {} | {} |",
                exit.code(),
                exit.meaning()
            )));
        }
    }

    #[test]
    fn system_errors_lead_to_the_code_a_service_manager_can_act_on() {
        use rustix::io::Errno;
        let cases = [
            (Errno::ADDRINUSE, Exit::Busy),
            (Errno::ACCESS, Exit::Denied),
            (Errno::PERM, Exit::Denied),
            (Errno::ROFS, Exit::Denied),
            (Errno::NOSPC, Exit::Temporary),
            (Errno::DQUOT, Exit::Temporary),
            (Errno::MFILE, Exit::Temporary),
            (Errno::NOENT, Exit::Failed),
            (Errno::IO, Exit::Failed),
        ];
        for (errno, exit) in cases {
            assert_eq!(Exit::of_io(&errno.into()), exit, "{errno:?}");
        }
    }

    #[test]
    fn store_errors_lead_to_their_code() {
        use store::ErrorKind as Kind;
        assert_eq!(Exit::from(Kind::Newer), Exit::Store);
        assert_eq!(Exit::from(Kind::Corrupt), Exit::Store);
        assert_eq!(Exit::from(Kind::Locked), Exit::Busy);
        assert_eq!(Exit::from(Kind::Full), Exit::Temporary);
    }
}
