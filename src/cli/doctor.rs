//! `coracle doctor` on the command line.

use clap::Args;

use super::SettingArgs;

/// `coracle doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Write nothing, so that the disk is not measured
    #[arg(long)]
    pub quick: bool,
    /// The name by which clients reach this host; as it calls itself without
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Settings from the command line, as `serve` takes them.
    #[command(flatten)]
    pub settings: SettingArgs,
}
