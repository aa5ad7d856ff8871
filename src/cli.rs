//! The command line: what was typed, and nothing of what it means.
//!
//! Parsing touches neither files nor the environment. Flags that set a setting are handed on as
//! [`FlagValue`]s to [`crate::config`], which alone knows their types and bounds.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::auth::{Action, Subject};
use crate::config::{FlagValue, Sources};
use crate::exit::Exit;
use crate::oci::RepositoryName;

mod accounts;
mod cert;
mod content;
mod doctor;
mod events;
mod retention;

pub use accounts::{FolderArgs, TokenCommand, UserCommand, UserNameArgs};
pub use cert::{CertCommand, CertShowArgs, SelfSignedArgs};
pub use content::{DuArgs, RepoCommand, TagCommand, UndeleteArgs};
pub use doctor::DoctorArgs;
pub use events::{EventsCommand, TailArgs};
pub use retention::{RetentionArgs, RetentionCommand};

/// The program's command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "coracle",
    version,
    about = "A container registry small enough to carry",
    long_about = "Coracle keeps container images and hands them out again: docker, podman, \
                  containerd, skopeo and all that speak their protocol can push to it and pull \
                  from it. It is one program with one folder of data.",
    after_help = "`coracle serve` starts a registry on 127.0.0.1:5000. `coracle help` tells more.",
    after_long_help = long_help_end(),
    arg_required_else_help = true,
    subcommand_required = true,
    infer_long_args = false,
    propagate_version = false,
    max_term_width = 100
)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "The configuration file (TOML); without it, CORACLE_CONFIG may name one"
    )]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

fn long_help_end() -> String {
    format!(
        "Examples:\n  \
         coracle serve                                 a registry on 127.0.0.1:5000, data in \
         ./coracle-data\n  \
         coracle serve --listen :5000 --data /srv/oci  reachable from other machines\n  \
         coracle check --deep                          prove that nothing stored is damaged\n  \
         coracle backup /mnt/usb/registry              a copy of everything, while it runs\n  \
         coracle user add ada                          from then on, clients log in\n  \
         coracle config default > coracle.toml         a file with every setting, to be edited\n\n\
         {}",
        Exit::help()
    )
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the registry
    #[command(
        long_about = "Runs the registry until it is told to stop (Ctrl-C or SIGTERM). The first \
                      line on standard output is the address that is served; the log goes to \
                      standard error.",
        after_help = "Examples:\n  \
                      coracle serve\n  \
                      coracle serve --listen 127.0.0.1:0 --memory   a throw-away registry on a \
                      free port\n  \
                      coracle serve --listen unix:/run/coracle.sock --listen :5000\n\n\
                      Every other setting is in the configuration file or the environment: \
                      `coracle config default` lists them."
    )]
    Serve(ServeArgs),
    /// Tell what the running server is doing
    #[command(
        long_about = "Tells what the server that runs on the folder is doing at this moment: \
                      requests, uploads with their progress, what housekeeping does and how it \
                      last ended, the room on the disk. With --watch it is told anew each second, \
                      on a terminal in one place, until Ctrl-C or the server's end.",
        after_help = "Examples:\n  \
                      coracle status\n  \
                      coracle status --watch --data /srv/oci"
    )]
    Status(StatusArgs),
    /// Have the running registry read its configuration and files again
    #[command(
        long_about = "Has the running registry read again what can change while it runs: access \
                      rules, rules about content, the level of the log, certificates, htpasswd \
                      file and keys of a token server. SIGHUP does the same. What cannot be used \
                      leaves things as they were; then it is told why, and the command ends with \
                      code 3 for a mistake in the settings and 1 for anything else. Settings that \
                      have changed and hold only after a restart are named.",
        after_help = "Examples:\n  \
                      coracle reload\n  \
                      coracle reload --config /etc/coracle/coracle.toml --json"
    )]
    Reload(ReloadArgs),
    /// Prove that everything stored is there and undamaged
    #[command(
        long_about = "Compares the catalog with the stored files, in a running registry or in a \
                      folder that none uses. It ends with code 0 when everything is as it should \
                      be and with 1 when something is wrong.",
        after_help = "Examples:\n  \
                      coracle check\n  \
                      coracle check --data /srv/oci --deep --repair"
    )]
    Check(CheckArgs),
    /// Remove what nothing refers to any more
    #[command(
        long_about = "Removes the blobs that nothing refers to any more, as the running registry \
                      does by itself (gc.enabled), in a running registry or in a folder that none \
                      uses. Pushes and pulls go on meanwhile. What was removed lately and can be \
                      brought back is kept (undo.window_seconds), and so is what a client has sent \
                      or found lately (gc.grace_seconds).",
        after_help = "Examples:\n  \
                      coracle gc --dry-run\n  \
                      coracle gc --now --data /srv/oci   wait for nothing, give all room back"
    )]
    Gc(GcArgs),
    /// The same as `gc`, typed as for Distribution's registry
    #[command(
        long_about = "Does what `coracle gc` does, with the flags that Distribution's registry \
                      has. The server need not be stopped. The configuration file is one of \
                      coracle's.",
        after_help = "Examples:\n  \
                      coracle garbage-collect /etc/coracle.toml --delete-untagged"
    )]
    GarbageCollect(GarbageCollectArgs),
    /// Copy everything to another folder, while the registry runs
    #[command(
        long_about = "Makes or renews a backup: a folder with the catalog and every blob as they \
                      are at one moment. A running registry goes on serving and taking pushes. A \
                      blob comes by a hard link where the folder is on the same file system, else \
                      as a copy; what the folder has already is kept. Whenever this ends, the \
                      folder is either the backup that it was or the new one. It ends with code 1 \
                      when something in the registry is damaged, which is left out. The key of the \
                      registry's own tokens is not part of a backup.",
        after_help = "Examples:\n  \
                      coracle backup /mnt/usb/registry\n  \
                      coracle backup /srv/backup --data /srv/oci --verify"
    )]
    Backup(BackupArgs),
    /// Make a data folder of a backup
    #[command(
        long_about = "Copies a backup to a folder that is empty or does not exist, and hashes \
                      everything on the way. When something is damaged, it is named and nothing \
                      can be started in the folder. A restore that was broken off goes on when it \
                      is run again.",
        after_help = "Examples:\n  \
                      coracle restore /mnt/usb/registry --data /srv/oci\n  \
                      coracle restore /srv/backup --data /srv/oci --link --quick"
    )]
    Restore(RestoreArgs),
    /// List, show, rename and remove repositories
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Repo {
        /// What to do with them.
        #[command(subcommand)]
        command: RepoCommand,
    },
    /// List, set, move and remove tags; tell their history and go back in it
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Tag {
        /// What to do with them.
        #[command(subcommand)]
        command: TagCommand,
    },
    /// Bring back repositories, tags and manifests that were removed
    #[command(
        arg_required_else_help = true,
        long_about = "Brings back what was removed, as long as undo.window_seconds says: a \
                      repository as it was removed (or, when it was never removed as a whole, all \
                      that was removed from it), a tag, or a manifest with the tags that went with \
                      it. Tags that exist stay as they are. Not a byte of a blob is copied.",
        after_help = "Examples:\n  \
                      coracle undelete --list\n  \
                      coracle undelete team/app\n  \
                      coracle undelete team/app:v1\n  \
                      coracle undelete team/app@sha256:…"
    )]
    Undelete(UndeleteArgs),
    /// Tell how much room the store, a repository or an image takes
    #[command(
        long_about = "Tells how many bytes of blobs a repository or an image alone holds, which is \
                      what its removal would free, how many it shares, and how many only what was \
                      removed still needs. An image is a manifest with its children and referrers. \
                      Without a name: the whole store, then each repository.",
        after_help = "Examples:\n  \
                      coracle du\n  \
                      coracle du team/app\n  \
                      coracle du team/app:v1 --json"
    )]
    Du(DuArgs),
    /// Make, change and list users, in a running registry or in a folder that none uses
    #[command(subcommand_required = true, arg_required_else_help = true)]
    User {
        /// What to do with them.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Make, list and revoke tokens for machines
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Token {
        /// What to do with them.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Explain who may do what
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Access {
        /// What to do.
        #[command(subcommand)]
        command: AccessCommand,
    },
    /// Remove what is kept no longer, or tell what that would be
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Retention {
        /// What to do.
        #[command(subcommand)]
        command: RetentionCommand,
    },
    /// Tell how it stands with webhooks, follow events, send them once more, give them up
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Events {
        /// What to do.
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Check, show or write the settings
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Config {
        /// What to do with them.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at everything that a registry needs of its host; say what is wrong and what to do
    #[command(
        long_about = "Looks at the configuration, the data folder and its owner, the disk, its \
                      room and its speed, the clock, certificates, addresses, limits and memory \
                      as a server with the same settings would find them, beside a running server \
                      or without one; and prints what clients have to be told. It changes \
                      nothing: a file of 16 MiB, to measure the disk, is removed again. It ends \
                      with code 1 when something must be mended.",
        after_help = "Examples:\n  \
                      coracle doctor --data /srv/oci\n  \
                      coracle doctor --config /etc/coracle/coracle.toml --host registry.lan\n  \
                      coracle doctor --quick --json"
    )]
    Doctor(DoctorArgs),
    /// Make certificates, or show what they say
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Cert {
        /// What to do with them.
        #[command(subcommand)]
        command: CertCommand,
    },
    /// Print the version and what this program was built from
    Version(VersionArgs),
}

/// Settings that have a flag; each is one of the keys in [`crate::config::KEYS`].
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct SettingArgs {
    /// Where to listen.
    #[arg(
        long,
        value_name = "ADDRESS",
        help = "Where to listen: 127.0.0.1:5000, [::1]:5000, :5000 (all addresses) or unix:/path; \
                port 0 takes a free one, https:// before an address asks for TLS. Can be given \
                several times"
    )]
    pub listen: Vec<OsString>,
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Keep everything in memory; it is gone when the program ends
    #[arg(long)]
    pub memory: bool,
    /// Refuse every write
    #[arg(long)]
    pub read_only: bool,
    /// A file to write the addresses to once requests are answered
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<OsString>,
    /// What survives: full (a power cut) or relaxed (the end of the program only)
    #[arg(long, value_name = "HOW")]
    pub durability: Option<OsString>,
    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<OsString>,
    /// How to log: text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<OsString>,
    /// Whether to log each request: true or false
    #[arg(long, value_name = "BOOL")]
    pub access_log: Option<OsString>,
}

impl SettingArgs {
    /// What was typed, for [`Sources`].
    pub fn flags(&self) -> Vec<FlagValue> {
        let Self {
            listen,
            data,
            memory,
            read_only,
            ready_file,
            durability,
            log_level,
            log_format,
            access_log,
        } = self;
        let mut flags = Vec::new();
        if !listen.is_empty() {
            flags.push(FlagValue {
                flag: "--listen",
                values: listen.clone(),
            });
        }
        for (flag, is_set) in [("--memory", *memory), ("--read-only", *read_only)] {
            if is_set {
                flags.push(FlagValue {
                    flag,
                    values: vec!["true".into()],
                });
            }
        }
        let single = [
            ("--data", data),
            ("--ready-file", ready_file),
            ("--durability", durability),
            ("--log-level", log_level),
            ("--log-format", log_format),
            ("--access-log", access_log),
        ];
        for (flag, value) in single {
            flags.extend(value.iter().map(|value| FlagValue {
                flag,
                values: vec![value.clone()],
            }));
        }
        flags
    }
}

/// `coracle serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Settings from the command line.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// `coracle status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Go on, each second
    #[arg(long, short)]
    pub watch: bool,
    /// The folder, and how it is told.
    #[command(flatten)]
    pub common: FolderArgs,
}

/// `coracle reload`.
#[derive(Args, Clone, Debug)]
pub struct ReloadArgs {
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Print what came of it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `coracle check`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one switch each, as typed")]
pub struct CheckArgs {
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Read and hash every stored byte again
    #[arg(long)]
    pub deep: bool,
    /// Remove what nothing refers to, and take damaged content out of service until it is pushed
    /// again
    #[arg(long)]
    pub repair: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing; the exit code tells
    #[arg(long, short)]
    pub quiet: bool,
}

/// `coracle gc`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one switch each, as typed")]
pub struct GcArgs {
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Wait for nothing: what was removed cannot be brought back afterwards, and a push that goes
    /// on at this moment may have to be made again
    #[arg(long)]
    pub now: bool,
    /// Change nothing; print what would go
    #[arg(long, short = 'd')]
    pub dry_run: bool,
    /// Remove manifests that no tag, no index and no subject holds, first
    #[arg(long, short = 'm')]
    pub delete_untagged: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing; the exit code tells
    #[arg(long, short)]
    pub quiet: bool,
}

/// `coracle garbage-collect`.
#[derive(Args, Clone, Debug)]
pub struct GarbageCollectArgs {
    /// The configuration file
    #[arg(value_name = "CONFIG", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// The same as for `gc`.
    #[command(flatten)]
    pub gc: GcArgs,
}

/// `coracle backup`.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The folder of the backup: empty, missing, or a backup already
    #[arg(value_name = "DEST")]
    pub to: PathBuf,
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Read and hash everything in the backup afterwards
    #[arg(long)]
    pub verify: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing; the exit code tells
    #[arg(long, short)]
    pub quiet: bool,
}

/// `coracle restore`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one switch each, as typed")]
pub struct RestoreArgs {
    /// The folder of the backup
    #[arg(value_name = "SRC")]
    pub from: PathBuf,
    /// The folder of the data, empty or missing
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Link files where possible: data and backup then share them, and their damage
    #[arg(long)]
    pub link: bool,
    /// Hash nothing, compare lengths only
    #[arg(long)]
    pub quick: bool,
    /// Take damaged blobs out of service, and restore the rest
    #[arg(long)]
    pub partial: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing; the exit code tells
    #[arg(long, short)]
    pub quiet: bool,
}

/// `coracle config …`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the settings in file, environment and flags; print what is wrong
    Check(ConfigArgs),
    /// Print the effective settings and where each comes from
    Show(ConfigArgs),
    /// Print a configuration file with every setting at its default
    Default,
}

/// `coracle config check` and `coracle config show`.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Settings from the command line, as `serve` takes them.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// `coracle access …`.
#[derive(Clone, Debug, Subcommand)]
pub enum AccessCommand {
    /// Print whether somebody may do something, and which rule decides it
    #[command(
        long_about = "Decides as for a request, by the rules and accounts of the running registry \
                      or of the folder and the configuration file, and says why. It ends with \
                      code 0 when it may be done and with 1 when not.",
        after_help = "Examples:\n  \
                      coracle access explain anyone public/app pull\n  \
                      coracle access explain user:ada team/app push\n  \
                      coracle access explain token:ci team/app delete --json"
    )]
    Explain(ExplainArgs),
}

/// `coracle access explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Who: anyone, authenticated, user:NAME, group:NAME or token:NAME
    #[arg(value_parser = Subject::parse)]
    pub who: Subject,
    /// The repository
    pub repository: RepositoryName,
    /// pull, push, delete or admin
    pub action: Action,
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<OsString>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `coracle version`.
#[derive(Args, Clone, Copy, Debug)]
pub struct VersionArgs {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

impl Cli {
    /// The settings that were typed, of whichever command.
    pub fn flags(&self) -> Vec<FlagValue> {
        match &self.command {
            Command::Serve(args) => args.settings.flags(),
            Command::Doctor(args) => args.settings.flags(),
            Command::Config {
                command: ConfigCommand::Check(args) | ConfigCommand::Show(args),
            } => args.settings.flags(),
            Command::Reload(args) => data_flag(args.data.as_ref()),
            Command::Check(args) => data_flag(args.data.as_ref()),
            Command::Retention { command } => data_flag(command.args().data.as_ref()),
            Command::Gc(gc) | Command::GarbageCollect(GarbageCollectArgs { gc, .. }) => {
                data_flag(gc.data.as_ref())
            }
            Command::Backup(args) => data_flag(args.data.as_ref()),
            Command::Restore(args) => data_flag(args.data.as_ref()),
            Command::Repo { command } => data_flag(command.common().data.as_ref()),
            Command::Tag { command } => data_flag(command.common().data.as_ref()),
            Command::Events { command } => data_flag(command.common().data.as_ref()),
            Command::Undelete(args) => data_flag(args.common.data.as_ref()),
            Command::Du(args) => data_flag(args.common.data.as_ref()),
            Command::Status(args) => data_flag(args.common.data.as_ref()),
            Command::User { command } => data_flag(command.common().data.as_ref()),
            Command::Token { command } => data_flag(command.common().data.as_ref()),
            Command::Access {
                command: AccessCommand::Explain(args),
            } => data_flag(args.data.as_ref()),
            Command::Config {
                command: ConfigCommand::Default,
            }
            | Command::Cert { .. }
            | Command::Version(_) => Vec::new(),
        }
    }

    /// Where the settings come from: the file and flags that were typed, and the environment of
    /// this process.
    pub fn sources(&self) -> Sources {
        let positional = match &self.command {
            Command::GarbageCollect(args) => args.file.clone(),
            _ => None,
        };
        Sources::of_process(positional.or_else(|| self.config.clone()), self.flags())
    }
}

/// The one setting of commands that work on a folder.
fn data_flag(data: Option<&OsString>) -> Vec<FlagValue> {
    let data = data.cloned();
    let settings = SettingArgs {
        data,
        ..SettingArgs::default()
    };
    settings.flags()
}

/// Reads a command line, whose first word is the program's name.
///
/// # Errors
/// What clap would print: a usage error, but also help and version where they were asked for
/// ([`Exit::of_usage`] tells them apart). `error.print()` writes it to the right stream.
pub fn parse<I>(words: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    Cli::try_parse_from(words)
}

#[cfg(test)]
mod tests;
