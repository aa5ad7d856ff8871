//! The control socket: what the command line asks of a running server.
//!
//! The socket's file permissions are its only guard, so it is never served on a network address.
//! `POST /check` starts a check, `GET /check` tells how it is going and, once, what it found.
//! `POST /accounts` does something to accounts (`control_accounts`), `POST /registry` to
//! repositories and tags (`control_registry`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

use super::respond::json_body;
use super::{control_accounts, control_registry};
use crate::auth::action::ActionError;
use crate::auth::explain::Question;
use crate::auth::{Authenticator, Subject};
use crate::http::{Handler, Method, Request, Response};
use crate::oci::RepositoryNameError;
use crate::registry::Registry;
use crate::registry::check::{CheckOptions, Progress, Report};

/// The most bytes of a request's body on this socket.
pub(super) const BODY_BYTES_MAX: u64 = 64 << 10;

/// How a check is going.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CheckState {
    /// None was started, or its report was fetched.
    Idle,
    /// It is at work.
    Running {
        /// How far it has come.
        progress: Progress,
    },
    /// It came to its end.
    Done {
        /// What it found.
        report: Report,
    },
    /// It could not go on.
    Failed {
        /// Why.
        reason: String,
    },
}

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
    check: Arc<Mutex<CheckState>>,
}

impl Control {
    /// Serves `registry`, its accounts and its rules.
    pub fn new(registry: Arc<Registry>, auth: Arc<Authenticator>) -> Self {
        Self {
            registry,
            auth,
            check: Arc::new(Mutex::new(CheckState::Idle)),
        }
    }

    fn start_check(&self, request: &mut Request<'_>) -> Response {
        let options = match request.body.read_to_vec(BODY_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice::<CheckOptions>(&bytes),
            Err(error) => return refuse(400, &error.to_string()),
        };
        let options = match options {
            Ok(options) => options,
            Err(error) => return refuse(400, &error.to_string()),
        };
        let mut state = lock(&self.check);
        if matches!(*state, CheckState::Running { .. }) {
            return refuse(409, "a check is already running; wait for its end");
        }
        *state = CheckState::Running {
            progress: Progress::default(),
        };
        drop(state);
        let (registry, check) = (Arc::clone(&self.registry), Arc::clone(&self.check));
        let spawned = thread::Builder::new()
            .name("check".to_owned())
            .spawn(move || {
                let outcome = registry.check(options, &mut |progress| {
                    *lock(&check) = CheckState::Running { progress };
                });
                *lock(&check) = match outcome {
                    Ok(report) => CheckState::Done { report },
                    Err(error) => CheckState::Failed {
                        reason: error.to_string(),
                    },
                };
            });
        match spawned {
            Ok(_) => Response::new(202),
            Err(error) => {
                *lock(&self.check) = CheckState::Idle;
                refuse(
                    503,
                    &format!("no thread could be started for the check: {error}"),
                )
            }
        }
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

    fn check_state(&self) -> Response {
        let mut state = lock(&self.check);
        let response = json_body(Response::new(200), &*state);
        if !matches!(*state, CheckState::Running { .. }) {
            *state = CheckState::Idle;
        }
        response
    }
}

impl Handler for Control {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        match (request.method, request.path.as_str()) {
            (Method::Post, "/check") => self.start_check(request),
            (Method::Get, "/check") => self.check_state(),
            (Method::Post, "/accounts") => {
                control_accounts::run(self.auth.logins().map(Arc::as_ref), request)
            }
            (Method::Post, "/registry") => control_registry::run(&self.registry, request),
            (Method::Post, "/access/explain") => self.explain(request),
            (_, "/check") => refuse(405, "use POST to start a check and GET to follow it"),
            _ => refuse(
                404,
                "this server does not know the command; is it of another version?",
            ),
        }
    }
}

pub(super) fn refuse(status: u16, why: &str) -> Response {
    Response::new(status)
        .header("Content-Type", "text/plain; charset=utf-8")
        .bytes(why.to_owned())
}

fn lock(state: &Mutex<CheckState>) -> MutexGuard<'_, CheckState> {
    // Every write replaces the whole value, so a panic leaves a whole one behind.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
