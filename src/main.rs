//! The `coracle` program: parses what was typed, runs one command, prints its failure, exits.

use std::io;
use std::process::ExitCode;

use coracle::auth::explain::Question;
use coracle::cli::{
    self, AccessCommand, BackupArgs, CertCommand, CheckArgs, Cli, Command, ConfigCommand,
    DoctorArgs, ExplainArgs, GcArgs, RestoreArgs,
};
use coracle::commands::{
    access, backup, cert, check, config, doctor, du, events, gc, reload, repo, restore, retention,
    serve, status, tag, task, token, undelete, user, version,
};
use coracle::config::{ConfigError, Effective, Settings};
use coracle::exit::Exit;
use coracle::logging;
use coracle::registry::check::CheckOptions;
use coracle::registry::gc::GcOptions;
use coracle::registry::restore::RestoreOptions;
use coracle::registry::retention::RetentionOptions;
use coracle::serve::Error;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told that the message could not be printed.
            let _ = error.print();
            return Exit::of_usage(&error).into();
        }
    };
    match run(&cli) {
        Ok(exit) => exit.into(),
        // Whoever read our output has seen enough.
        Err(Failure::Command(Error::Io(error))) if error.kind() == io::ErrorKind::BrokenPipe => {
            Exit::Ok.into()
        }
        Err(failure) => {
            eprintln!("coracle: {failure}");
            failure.exit().into()
        }
    }
}

/// Why a command failed.
enum Failure {
    Configuration(ConfigError),
    Command(Error),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Configuration(_) | Self::Command(Error::Setting(_)) => Exit::Configuration,
            Self::Command(Error::Store(error)) => error.into(),
            Self::Command(Error::Io(error)) => Exit::of_io(error),
            Self::Command(Error::Tls(error)) => Exit::of_tls(error),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration(error) => error.fmt(f),
            Self::Command(error) => error.fmt(f),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Command(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Command(Error::Io(error))
    }
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Serve(_) => {
            let sources = cli.sources();
            let running = Effective::load(&sources)?;
            start_log(&running.settings);
            serve::run(sources, running)?;
            Ok(Exit::Ok)
        }
        Command::Status(args) => done(status::run(&folder_settings(cli)?, args)),
        Command::Reload(args) => Ok(reload::run(&cli.sources().data_folder()?, args.json)?),
        Command::Check(args) => run_check(cli, args),
        Command::Backup(args) => run_backup(cli, args),
        Command::Gc(args) => run_gc(cli, args),
        Command::GarbageCollect(args) => run_gc(cli, &args.gc),
        Command::Restore(args) => run_restore(cli, args),
        Command::Repo { command } => done(repo::run(store_settings(cli)?, command)),
        Command::Tag { command } => done(tag::run(store_settings(cli)?, command)),
        Command::Undelete(args) => done(undelete::run(store_settings(cli)?, args)),
        Command::Events { command } => done(events::run(store_settings(cli)?, command)),
        Command::Du(args) => done(du::run(store_settings(cli)?, args)),
        Command::User { command } => {
            user::run(quiet_settings(cli)?, command)?;
            Ok(Exit::Ok)
        }
        Command::Token { command } => {
            token::run(quiet_settings(cli)?, command)?;
            Ok(Exit::Ok)
        }
        Command::Access {
            command: AccessCommand::Explain(args),
        } => explain(cli, args),
        Command::Retention { command } => {
            let options = RetentionOptions {
                run: command.is_run(),
                repository: command.args().repository.clone(),
            };
            retention::run(folder_settings(cli)?, &options, command.args().json)?;
            Ok(Exit::Ok)
        }
        Command::Config { command } => run_config(cli, command),
        Command::Doctor(args) => run_doctor(cli, args),
        Command::Cert { command } => run_cert(cli, command),
        Command::Version(args) => {
            version::run(args.json)?;
            Ok(Exit::Ok)
        }
    }
}

fn done(outcome: Result<(), Error>) -> Result<Exit, Failure> {
    outcome?;
    Ok(Exit::Ok)
}

fn explain(cli: &Cli, args: &ExplainArgs) -> Result<Exit, Failure> {
    let settings = quiet_settings(cli)?;
    let question = Question {
        who: args.who.clone(),
        repository: args.repository.clone(),
        action: args.action,
    };
    Ok(access::explain(settings, &question, args.json)?)
}

fn run_config(cli: &Cli, command: &ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Default => {
            config::default()?;
            Ok(Exit::Ok)
        }
        ConfigCommand::Check(args) => Ok(config::check(&cli.sources(), args.json)?),
        ConfigCommand::Show(args) => {
            let effective = Effective::load(&cli.sources())?;
            config::show(&effective, args.json)?;
            Ok(Exit::Ok)
        }
    }
}

fn run_doctor(cli: &Cli, args: &DoctorArgs) -> Result<Exit, Failure> {
    let options = doctor::Options {
        json: args.json,
        quick: args.quick,
        host: args.host.clone(),
    };
    Ok(doctor::run(&cli.sources(), &options)?)
}

fn run_cert(cli: &Cli, command: &CertCommand) -> Result<Exit, Failure> {
    match command {
        CertCommand::SelfSigned(args) => {
            cert::self_signed(args)?;
            Ok(Exit::Ok)
        }
        CertCommand::Show(args) => {
            let files = if args.files.is_empty() {
                Settings::load(&cli.sources())?.tls.certificate
            } else {
                args.files.clone()
            };
            Ok(cert::show(&files, args.json)?)
        }
    }
}

fn run_check(cli: &Cli, args: &CheckArgs) -> Result<Exit, Failure> {
    let settings = folder_settings(cli)?;
    let options = CheckOptions {
        deep: args.deep,
        repair: args.repair,
    };
    let output = task::Output {
        json: args.json,
        quiet: args.quiet,
    };
    Ok(check::run(settings, options, output)?)
}

fn run_backup(cli: &Cli, args: &BackupArgs) -> Result<Exit, Failure> {
    let settings = folder_settings(cli)?;
    let output = task::Output {
        json: args.json,
        quiet: args.quiet,
    };
    Ok(backup::run(settings, &args.to, args.verify, output)?)
}

fn run_gc(cli: &Cli, args: &GcArgs) -> Result<Exit, Failure> {
    let settings = folder_settings(cli)?;
    let options = GcOptions {
        now: args.now,
        dry_run: args.dry_run,
        delete_untagged: args.delete_untagged,
        alone: false,
    };
    let output = task::Output {
        json: args.json,
        quiet: args.quiet,
    };
    Ok(gc::run(settings, options, output)?)
}

fn run_restore(cli: &Cli, args: &RestoreArgs) -> Result<Exit, Failure> {
    let settings = folder_settings(cli)?;
    let options = RestoreOptions {
        from: args.from.clone(),
        to: settings.storage.data,
        link: args.link,
        quick: args.quick,
        partial: args.partial,
    };
    let output = task::Output {
        json: args.json,
        quiet: args.quiet,
    };
    Ok(restore::run(&options, output)?)
}

/// The settings as a person's command sees them, to whom systemd hands no credentials.
fn typed_settings(cli: &Cli) -> Result<Settings, ConfigError> {
    let mut sources = cli.sources();
    sources.credentials_may_miss = true;
    Settings::load(&sources)
}

/// The settings of a command about a folder, whatever the server would serve from and whom it
/// would let in.
fn folder_settings(cli: &Cli) -> Result<Settings, ConfigError> {
    let mut settings = typed_settings(cli)?;
    let defaults = Settings::default();
    settings.storage.memory = false;
    settings.auth = defaults.auth;
    settings.token = defaults.token;
    settings.log.access = false;
    start_log(&settings);
    Ok(settings)
}

/// The settings of a command that prints its outcome itself; the log has only what else happens.
fn quiet_settings(cli: &Cli) -> Result<Settings, ConfigError> {
    let mut settings = typed_settings(cli)?;
    settings.log.access = false;
    settings.log.audit = false;
    start_log(&settings);
    Ok(settings)
}

/// The same of a command that works on the store, whoever the server would let in.
fn store_settings(cli: &Cli) -> Result<Settings, ConfigError> {
    let defaults = Settings::default();
    let mut settings = quiet_settings(cli)?;
    settings.auth = defaults.auth;
    settings.token = defaults.token;
    Ok(settings)
}

fn start_log(settings: &Settings) {
    let log = &settings.log;
    if let Err(error) = logging::init(log.level, log.format, log.access, log.audit) {
        eprintln!("coracle: the log could not be started: {error}");
    }
}
