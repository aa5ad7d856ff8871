//! `coracle events …`: what can be typed about webhooks and what they are told.

use clap::{Args, Subcommand};

use super::accounts::FolderArgs;
use crate::clock::parse_rfc3339;

/// `coracle events …`.
#[derive(Clone, Debug, Subcommand)]
pub enum EventsCommand {
    /// Tell how it stands with each webhook: what waits, what went wrong, when it is tried again
    List {
        /// Only this webhook
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Print events that are kept, and then each new one as it happens
    Tail(TailArgs),
    /// Send a webhook once more what is kept (`webhooks.keep_seconds`) and it has got already
    #[command(after_help = "Examples:\n  \
                            coracle events replay --endpoint ci\n  \
                            coracle events replay --endpoint ci --since 2026-03-01T12:00:00Z")]
    Replay {
        /// The webhook
        #[arg(long, value_name = "NAME")]
        endpoint: String,
        /// From this change on, by its number in `tail`
        #[arg(long, value_name = "NUMBER", conflicts_with = "since")]
        from: Option<i64>,
        /// From this time on (RFC 3339)
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<i64>,
        /// Up to this change
        #[arg(long, value_name = "NUMBER")]
        to: Option<i64>,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
    /// Give up what waits for a webhook: it will never get it
    Purge {
        /// The webhook
        #[arg(long, value_name = "NAME")]
        endpoint: String,
        /// Where and how.
        #[command(flatten)]
        common: FolderArgs,
    },
}

/// `coracle events tail`.
#[derive(Args, Clone, Debug)]
pub struct TailArgs {
    /// Only what this webhook is told of
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// Begin with the last so many changes
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub last: u64,
    /// Print what is kept, and end
    #[arg(long)]
    pub no_follow: bool,
    /// Where and how: with --json each event is a line, as it is delivered.
    #[command(flatten)]
    pub common: FolderArgs,
}

impl EventsCommand {
    /// Where and how.
    pub const fn common(&self) -> &FolderArgs {
        match self {
            Self::Tail(args) => &args.common,
            Self::List { common, .. }
            | Self::Replay { common, .. }
            | Self::Purge { common, .. } => common,
        }
    }
}

/// A time in milliseconds since 1970.
fn time(text: &str) -> Result<i64, &'static str> {
    parse_rfc3339(text).ok_or("it must be a time as in 2026-03-01T12:00:00Z")
}
