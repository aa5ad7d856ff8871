//! The control socket: what the command line asks of a running server.
//!
//! The socket's file permissions are its only guard, so it is never served on a network address.
//! Long tasks are started and followed under their names (`control_tasks`): `/check`,
//! `/backup`, `/gc`, `/retention`.
//! `POST /reload` reads files again (`control_reload`).
//! `POST /accounts` does something to accounts (`control_accounts`), `POST /registry` to
//! repositories and tags (`control_registry`), `POST /events` to webhooks (`control_events`);
//! `GET /status` tells what the server is doing.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::control_reload::{self, Reload};
use super::control_tasks::Task;
use super::respond::json_body;
use super::vitals::Vitals;
use super::{control_accounts, control_events, control_registry, status};
use crate::auth::action::ActionError;
use crate::auth::explain::Question;
use crate::auth::{Authenticator, Subject};
use crate::http::{Handler, Method, Request, Response};
use crate::notify::Notifier;
use crate::oci::RepositoryNameError;
use crate::registry::Registry;
use crate::registry::retention::RetentionOptions;

/// The most bytes of a request's body on this socket.
pub(super) const BODY_BYTES_MAX: u64 = 64 << 10;

/// What `coracle access explain` asks.
#[derive(Deserialize)]
struct Asked {
    who: String,
    repository: String,
    action: String,
}

impl Asked {
    fn read(self) -> Result<Question, String> {
        let Self {
            who,
            repository,
            action,
        } = self;
        Ok(Question {
            who: Subject::parse(&who)?,
            repository: repository
                .parse()
                .map_err(|error: RepositoryNameError| error.to_string())?,
            action: action
                .parse()
                .map_err(|error: ActionError| error.to_string())?,
        })
    }
}

/// The handler of the control socket.
pub struct Control {
    registry: Arc<Registry>,
    auth: Arc<Authenticator>,
    vitals: Arc<Vitals>,
    notifier: Arc<Notifier>,
    tasks: Vec<Task>,
    /// Absent where whoever embeds the registry reads its settings.
    reload: Option<Reload>,
}

impl Control {
    /// Serves the registry, its accounts and its rules that `vitals` are about, and its webhooks.
    pub fn new(vitals: Arc<Vitals>, notifier: Arc<Notifier>) -> Self {
        let tasks = tasks(&vitals.registry);
        Self {
            registry: Arc::clone(&vitals.registry),
            auth: Arc::clone(&vitals.auth),
            vitals,
            notifier,
            tasks,
            reload: None,
        }
    }

    /// With what `POST /reload` does.
    #[must_use]
    pub fn with_reload(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    /// `POST /access/explain`
    fn explain(&self, request: &mut Request<'_>) -> Response {
        let asked = match request.body.read_to_vec(BODY_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice::<Asked>(&bytes),
            Err(error) => return refuse(400, &error.to_string()),
        };
        let question = match asked
            .map_err(|error| error.to_string())
            .and_then(Asked::read)
        {
            Ok(question) => question,
            Err(why) => return refuse(400, &why),
        };
        match self.auth.explain(&question) {
            Ok(explanation) => json_body(Response::new(200), &explanation),
            Err(error) => refuse(500, &error.to_string()),
        }
    }
}

/// The long tasks that a running registry can be asked for.
fn tasks(registry: &Arc<Registry>) -> Vec<Task> {
    let [checked, saved, collected, kept] = [(); 4].map(|()| Arc::clone(registry));
    vec![
        Task::new("check", move |options, tell| checked.check(options, tell)),
        Task::new("backup", move |options, tell| saved.backup(&options, tell)),
        Task::new("gc", move |options, tell| collected.collect(options, tell)),
        Task::new("retention", move |options: RetentionOptions, tell| {
            kept.retention(&options, tell)
        }),
    ]
}

impl Handler for Control {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        if let Some(task) = self.tasks.iter().find(|task| task.is_at(&request.path)) {
            return task.handle(request);
        }
        match (request.method, request.path.as_str()) {
            (Method::Post, "/accounts") => {
                control_accounts::run(self.auth.logins().map(Arc::as_ref), request)
            }
            (Method::Post, "/registry") => control_registry::run(&self.registry, request),
            (Method::Post, "/reload") => control_reload::run(self.reload.as_ref()),
            (Method::Post, "/events") => control_events::run(&self.notifier, request),
            (Method::Post, "/access/explain") => self.explain(request),
            (Method::Get, "/status") => status::answer(&self.vitals),
            _ => refuse(
                404,
                "this server does not know the command; is it of another version?",
            ),
        }
    }
}

/// The command that a request brings, or what refuses it. Not for one that may hold a password: it
/// tells what was misread.
pub(super) fn command<T: DeserializeOwned>(request: &mut Request<'_>) -> Result<T, Response> {
    let bytes = request.body.read_to_vec(BODY_BYTES_MAX);
    let bytes = bytes.map_err(|error| refuse(400, &error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let why = "this server does not know the command";
        refuse(400, &format!("{why} ({error}); is it of another version?"))
    })
}

pub(super) fn refuse(status: u16, why: &str) -> Response {
    Response::new(status)
        .header("Content-Type", "text/plain; charset=utf-8")
        .bytes(why.to_owned())
}
