//! `coracle cert`: what can be typed behind it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `coracle cert …`.
#[derive(Clone, Debug, Subcommand)]
pub enum CertCommand {
    /// Make an authority of your own and a certificate by it
    #[command(
        name = "self-signed",
        long_about = "Makes an authority of your own (ca.pem, ca.key) and a certificate for this \
                      registry by it (cert.pem, key.pem), and prints what the registry and its \
                      clients need to be told. Keep ca.key away from the registry, or delete it: \
                      whoever has it can be anybody to the clients that trust ca.pem.",
        after_help = "Examples:\n  \
                      coracle cert self-signed --host registry.example.org --host 192.0.2.1\n  \
                      coracle cert self-signed --out /etc/coracle/tls --days 90"
    )]
    SelfSigned(SelfSignedArgs),
    /// Show what certificates say; code 1 when one has expired or is not valid yet
    #[command(after_help = "Examples:\n  \
                      coracle cert show                    those that are configured\n  \
                      coracle cert show cert.pem --json")]
    Show(CertShowArgs),
}

/// `coracle cert self-signed`.
#[derive(Args, Clone, Debug)]
pub struct SelfSignedArgs {
    /// A name or an address by which clients reach the registry. Can be given several times;
    /// without it, localhost and the loopback addresses
    #[arg(long, value_name = "NAME-OR-IP")]
    pub host: Vec<String>,
    /// The folder for the files
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub out: PathBuf,
    /// How long the certificate is valid; no more than 825 days, for clients that refuse longer
    /// ones
    #[arg(
        long,
        value_name = "N",
        default_value_t = 825,
        value_parser = clap::value_parser!(u32).range(1..=825)
    )]
    pub days: u32,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `coracle cert show`.
#[derive(Args, Clone, Debug)]
pub struct CertShowArgs {
    /// Files of certificates in PEM; without any, those that are configured
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
