//! `coracle user …` and `coracle token …`: what can be typed about accounts.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::auth::accounts::EXPIRES_MAX;
use crate::auth::{Action, Glob};

/// Where the data is, and how the outcome is told.
#[derive(Args, Clone, Debug, Default)]
pub struct FolderArgs {
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// A user, and nothing else.
#[derive(Args, Clone, Debug)]
pub struct UserNameArgs {
    /// The user
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where and how.
    #[command(flatten)]
    pub common: FolderArgs,
}

/// `coracle user …`.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user; the password is asked for
    Add {
        /// The user, one component of a repository's name: ada
        #[arg(value_name = "NAME")]
        name: String,
        /// A group the user is in; can be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Take the password from standard input
        #[arg(long, conflicts_with = "no_password")]
        password_stdin: bool,
        /// A user who cannot log in by a password, but can own tokens
        #[arg(long)]
        no_password: bool,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Set a user's password, which is asked for
    Passwd {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
        /// Take the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Let a user and the user's tokens in no more
    Disable(UserNameArgs),
    /// Let a user in again
    Enable(UserNameArgs),
    /// Remove a user, and the tokens that act for the user
    Remove(UserNameArgs),
    /// List all users
    List(FolderArgs),
    /// Show the groups of a user, or set them: exactly these
    Groups {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
        /// The groups the user is in from now on
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
        /// Take the user out of all groups
        #[arg(long, conflicts_with = "groups")]
        none: bool,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
}

/// `coracle token …`.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; its secret is shown this one time
    #[command(
        long_about = "Makes a token for a machine. Its secret is shown this one time; it is sent \
                      as the password with any user name, or as a Bearer token.",
        after_help = "Examples:\n  \
                      coracle token create ci --repository 'team/**' --actions pull,push \
                      --expires 90d\n  \
                      coracle token create laptop --user ada --repository '**'"
    )]
    Create {
        /// The token, one component of a repository's name: ci
        #[arg(value_name = "NAME")]
        name: String,
        /// Which repositories: * stands for anything within one component, ** for anything,
        /// {user} for the owner. Can be given several times
        #[arg(long = "repository", value_name = "PATTERN", required = true,
              value_parser = pattern)]
        repositories: Vec<String>,
        /// What it may do to them: pull, push, delete, admin, or * for all
        #[arg(long, value_name = "ACTIONS", value_delimiter = ',', default_value = "pull",
              value_parser = action)]
        actions: Vec<String>,
        /// How long it is good, such as 12h or 90d; for ever without
        #[arg(long, value_name = "TIME", value_parser = life)]
        expires: Option<Duration>,
        /// The user on whose behalf it acts; it ends with them
        #[arg(long = "user", value_name = "OWNER")]
        owner: Option<String>,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// List all tokens, without their secrets
    List(FolderArgs),
    /// End a token
    Revoke {
        /// The token
        #[arg(value_name = "NAME")]
        name: String,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
}

impl UserCommand {
    /// Where and how.
    pub const fn common(&self) -> &FolderArgs {
        match self {
            Self::Add { common, .. }
            | Self::Passwd { common, .. }
            | Self::Groups { common, .. }
            | Self::Disable(UserNameArgs { common, .. })
            | Self::Enable(UserNameArgs { common, .. })
            | Self::Remove(UserNameArgs { common, .. })
            | Self::List(common) => common,
        }
    }
}

impl TokenCommand {
    /// Where and how.
    pub const fn common(&self) -> &FolderArgs {
        match self {
            Self::Create { common, .. } | Self::Revoke { common, .. } | Self::List(common) => {
                common
            }
        }
    }
}

fn pattern(text: &str) -> Result<String, String> {
    match Glob::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("it {error}")),
    }
}

fn action(text: &str) -> Result<String, String> {
    match text.parse::<Action>() {
        Err(error) if text != "*" => Err(error.to_string()),
        _ => Ok(text.to_owned()),
    }
}

/// A time with its unit: seconds, minutes, hours, days or weeks.
pub(super) fn life(text: &str) -> Result<Duration, String> {
    const UNITS: [(char, u64); 5] = [
        ('s', 1),
        ('m', 60),
        ('h', 3600),
        ('d', 86_400),
        ('w', 7 * 86_400),
    ];
    let known = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds)));
    let number = known.and_then(|(number, seconds)| {
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        number
            .parse::<u64>()
            .ok()
            .filter(|_| is_number)?
            .checked_mul(*seconds)
    });
    match number.map(Duration::from_secs) {
        Some(life) if !life.is_zero() && life <= EXPIRES_MAX => Ok(life),
        Some(_) => Err("it must be between 1s and 3650d".to_owned()),
        None => Err("it must be a number and a unit: s, m, h, d or w, as in 90d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        for (text, seconds) in [
            ("1s", 1),
            ("90m", 5400),
            ("12h", 43_200),
            ("90d", 7_776_000),
            ("2w", 1_209_600),
            ("3650d", 315_360_000),
        ] {
            assert_eq!(life(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "d",
            "90",
            "0d",
            "-1d",
            "+1d",
            "1.5d",
            "3651d",
            "1 d",
            "1y",
            "99999999999999999999d",
            "18446744073709551615w",
        ] {
            assert!(life(text).is_err(), "{text}");
        }
    }
}
