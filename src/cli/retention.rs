//! `coracle retention …`: what can be typed about it.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use crate::oci::RepositoryName;

/// `coracle retention …`.
#[derive(Clone, Debug, Subcommand)]
pub enum RetentionCommand {
    /// Print what would be removed now, by which rule, and what that frees
    #[command(
        long_about = "Prints each tag and manifest that would be removed now by the [[retention]] \
                      rules and times to live, with the rule that says so and the bytes that are \
                      freed, and removes nothing. The rules are those of the running server, or \
                      those of the configuration where none runs.",
        after_help = "Examples:\n  \
                      coracle retention plan\n  \
                      coracle retention plan team/app --json"
    )]
    Plan(RetentionArgs),
    /// Remove it now, as the server does by itself from time to time
    Run(RetentionArgs),
}

/// `coracle retention plan` and `coracle retention run`.
#[derive(Args, Clone, Debug)]
pub struct RetentionArgs {
    /// The repository; all without
    pub repository: Option<RepositoryName>,
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl RetentionCommand {
    /// What was typed, whichever it is.
    pub const fn args(&self) -> &RetentionArgs {
        match self {
            Self::Plan(args) | Self::Run(args) => args,
        }
    }

    /// Whether anything is to be removed.
    pub const fn is_run(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}
