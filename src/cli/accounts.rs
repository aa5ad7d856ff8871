//! `coracle user …` and `coracle token …`: what can be typed about accounts.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::auth::Action;
use crate::clock::Life;
use crate::oci::Glob;

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

/// A time with its unit.
pub(super) fn life(text: &str) -> Result<Duration, String> {
    match text.parse::<Life>() {
        Ok(life) => Ok(life.duration()),
        Err(error) => Err(format!("it {error}")),
    }
}
