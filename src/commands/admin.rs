//! How commands reach accounts, repositories and tags: through the running server's control socket,
//! or in the folder itself when no server runs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::control_accounts::NO_ACCOUNTS_HERE;
use crate::auth::accounts::{AccountError, Command, Reply, Turned};
use crate::auth::explain::{Explanation, Question};
use crate::config::Settings;
use crate::http::client::{request_unix, request_unix_within};
use crate::notify::admin as events;
use crate::registry;
use crate::registry::admin::{self as content, AdminError};
use crate::serve::{Coracle, Error, is_locked};
use crate::store::layout::Layout;

/// How long the server may take for one command: a repository of very many manifests is removed
/// as a whole or not at all.
const ANSWER_MAX: Duration = Duration::from_secs(3600);

/// One data folder.
pub(super) enum Admin {
    /// The folder is ours.
    Folder {
        registry: Box<Coracle>,
        /// Whether the configuration names an htpasswd file, so that nobody was let in without
        /// logging in before.
        has_htpasswd: bool,
    },
    /// A server has it, and listens here.
    Server { socket: PathBuf },
}

/// What a command wants of the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// To be there.
    MustExist,
    /// To be there, with all that the configuration says about who is let in.
    AsServed,
    /// To be made when it is missing: accounts may come before the first start.
    MayBeMade,
}

impl Admin {
    /// Opens the folder of `settings`, or finds the server that has it.
    pub(super) fn open(mut settings: Settings, folder: Folder) -> Result<Self, Error> {
        let layout = Layout::new(&settings.storage.data);
        if folder != Folder::MayBeMade && !layout.catalog().exists() {
            let why = format!(
                "there is no registry in {}; name its folder with --data",
                layout.root().display()
            );
            return Err(Error::Io(io::Error::new(io::ErrorKind::NotFound, why)));
        }
        settings.storage.memory = false;
        let has_htpasswd = settings.auth.htpasswd.is_some();
        if folder != Folder::AsServed {
            // Nobody logs in here, so whether the file is good is of no concern.
            settings.auth.htpasswd = None;
        }
        match Coracle::open(settings) {
            Ok(registry) => Ok(Self::Folder {
                registry: Box::new(registry),
                has_htpasswd,
            }),
            Err(error) if is_locked(&error) => {
                let socket = layout.control();
                match request_unix(&socket, "GET", "/accounts", &[]) {
                    Ok(_) => Ok(Self::Server { socket }),
                    // Nobody listens: the holder is no server, and its name is what helps.
                    Err(none) if is_nobody(&none) => Err(error),
                    Err(other) => Err(Error::Io(other)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Does something to accounts.
    pub(super) fn run(&self, command: Command) -> Result<Reply, Error> {
        match self {
            Self::Folder {
                registry,
                has_htpasswd,
            } => {
                let none = || io::Error::other(NO_ACCOUNTS_HERE);
                let logins = registry.logins().ok_or_else(none)?;
                match logins.administer(command) {
                    Ok(reply) => Ok(reply.unless_closed(*has_htpasswd)),
                    Err(AccountError::Store(error)) => Err(Error::Store(error)),
                    Err(error) => Err(Error::Io(io::Error::other(error.to_string()))),
                }
            }
            Self::Server { socket } => ask(socket, "/accounts", &command),
        }
    }

    /// Does something to repositories or tags, or tells about them.
    pub(super) fn registry(&self, command: content::Command) -> Result<content::Reply, Error> {
        match self {
            Self::Folder { registry, .. } => match registry.registry().administer(command) {
                Ok(reply) => Ok(reply),
                Err(AdminError::Registry(registry::Error::Store(error))) => {
                    Err(Error::Store(error))
                }
                Err(error) => Err(Error::Io(io::Error::other(error.to_string()))),
            },
            Self::Server { socket } => ask(socket, "/registry", &command),
        }
    }

    /// Does something to webhooks, or tells about them.
    pub(super) fn events(&self, command: events::Command) -> Result<events::Reply, Error> {
        match self {
            Self::Folder { registry, .. } => {
                match events::administer_folder(registry.registry(), command) {
                    Ok(reply) => Ok(reply),
                    Err(events::AdminError::Store(error)) => Err(Error::Store(error)),
                    Err(error) => Err(Error::Io(io::Error::other(error.to_string()))),
                }
            }
            Self::Server { socket } => ask(socket, "/events", &command),
        }
    }

    /// Whether a server has the folder.
    pub(super) const fn is_server(&self) -> bool {
        matches!(self, Self::Server { .. })
    }

    /// Asks what is decided about somebody.
    pub(super) fn explain(&self, question: &Question) -> Result<Explanation, Error> {
        match self {
            Self::Folder { registry, .. } => Ok(registry.auth().explain(question)?),
            Self::Server { socket } => {
                let body = serde_json::json!({
                    "who": question.who.to_string(),
                    "repository": question.repository.as_str(),
                    "action": question.action.as_str(),
                });
                ask(socket, "/access/explain", &body)
            }
        }
    }

    /// Gives the folder back.
    pub(super) fn close(self) -> Result<(), Error> {
        match self {
            Self::Folder { registry, .. } => registry.close(),
            Self::Server { .. } => Ok(()),
        }
    }
}

/// Sends what is asked to the server, and reads its answer.
pub(super) fn ask<T: DeserializeOwned>(
    socket: &Path,
    target: &str,
    asked: &impl Serialize,
) -> Result<T, Error> {
    let body = serde_json::to_vec(asked).map_err(io::Error::from)?;
    let (status, answer) = request_unix_within(socket, "POST", target, &body, ANSWER_MAX)?;
    match status {
        200 => Ok(serde_json::from_slice(&answer).map_err(|_| misunderstood())?),
        status => Err(Error::Io(refused(status, &answer))),
    }
}

pub(super) fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
    )
}

/// Without what was read: it may hold the secret of a token.
fn misunderstood() -> io::Error {
    io::Error::other("the server's answer was not understood; is it of another version?")
}

fn refused(status: u16, answer: &[u8]) -> io::Error {
    let sentence = String::from_utf8_lossy(answer).into_owned();
    let kind = match status {
        507 => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, sentence)
}

/// What a person should know who made the first account, or removed the last.
pub(super) const fn sentence(turned: Turned) -> &'static str {
    match turned {
        Turned::Closed => {
            "the registry is closed now: clients must log in, and whoever is let in may do \
             everything, unless [[access]] rules in the configuration say otherwise"
        }
        Turned::Open => {
            "that was the last account, so the registry is open now: everybody who can reach it \
             may do everything, unless [[access]] rules in the configuration say otherwise"
        }
    }
}

/// Prints a list that comes in pages: a line each, or all of it as one object of JSON under `key`.
pub(super) fn print_pages<T: Serialize>(
    json: bool,
    key: &str,
    mut page: impl FnMut(Option<String>) -> Result<(Vec<T>, bool), Error>,
    name: impl Fn(&T) -> &String,
    line: impl Fn(&T) -> String,
) -> Result<(), Error> {
    let mut all = Vec::new();
    let mut out = io::stdout().lock();
    let mut after = None;
    loop {
        let (items, more) = page(after)?;
        after = items.last().map(|item| name(item).clone());
        if json {
            all.extend(items);
        } else {
            for item in &items {
                writeln!(out, "{}", line(item))?;
            }
        }
        if !more || after.is_none() {
            break;
        }
    }
    if json {
        writeln!(out, "{}", serde_json::json!({ key: all }))?;
    }
    Ok(())
}
