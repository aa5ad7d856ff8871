//! The control socket's long tasks: started by `POST /NAME` with their options, followed by
//! `GET /NAME`, one of each kind at a time.
//!
//! What a task does is handed in; here is only that it runs on a thread of its own, how far it is,
//! and that its outcome is kept until somebody fetches it, once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::control::{BODY_BYTES_MAX, refuse};
use super::respond::json_body;
use crate::http::{Method, Request, Response};
use crate::registry::{Error, Progress, Tell};
use crate::store::ErrorKind;

/// How a task is going. Its report is of whatever type the task gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum TaskState<R> {
    /// None was started, or its outcome was fetched.
    Idle,
    /// It is at work.
    Running {
        /// How far it has come.
        progress: Progress,
    },
    /// It came to its end.
    Done {
        /// What it has to say.
        report: R,
    },
    /// It could not go on.
    Failed {
        /// Why.
        reason: String,
        /// What to make of it, where the store failed.
        kind: Option<ErrorKind>,
    },
}

/// What is to be done, its options read.
type Job = Box<dyn FnOnce(&mut Tell<'_>) -> Result<Value, Error> + Send>;

/// Reads the options, and so makes a job.
type Prepare = Box<dyn Fn(&[u8]) -> Result<Job, serde_json::Error> + Send + Sync>;

/// One kind of task.
pub struct Task {
    name: &'static str,
    state: Arc<Mutex<TaskState<Value>>>,
    prepare: Prepare,
}

impl Task {
    /// The task of this name, which is also its path (`check`: `/check`). `run` does it, with the
    /// options that were sent as JSON, and tells how far it is.
    pub fn new<O, R>(
        name: &'static str,
        run: impl Fn(O, &mut Tell<'_>) -> Result<R, Error> + Send + Sync + 'static,
    ) -> Self
    where
        O: DeserializeOwned + Send + 'static,
        R: Serialize,
    {
        let run = Arc::new(run);
        Self {
            name,
            state: Arc::new(Mutex::new(TaskState::Idle)),
            prepare: Box::new(move |bytes| {
                let options: O = serde_json::from_slice(bytes)?;
                let run = Arc::clone(&run);
                Ok(Box::new(move |tell: &mut Tell<'_>| {
                    let report = run(options, tell)?;
                    // Only a map with keys that are no strings fails; no report has one.
                    Ok(serde_json::to_value(&report).unwrap_or_default())
                }))
            }),
        }
    }

    /// Whether requests for this path are its own.
    pub fn is_at(&self, path: &str) -> bool {
        path.strip_prefix('/') == Some(self.name)
    }

    /// Starts it, or tells how it is going.
    pub fn handle(&self, request: &mut Request<'_>) -> Response {
        match request.method {
            Method::Post => self.start(request),
            Method::Get => self.tell(),
            _ => refuse(405, "use POST to start it and GET to follow it"),
        }
    }

    fn start(&self, request: &mut Request<'_>) -> Response {
        let name = self.name;
        let job = match request.body.read_to_vec(BODY_BYTES_MAX) {
            Ok(bytes) => (self.prepare)(&bytes),
            Err(error) => return refuse(400, &error.to_string()),
        };
        let job = match job {
            Ok(job) => job,
            Err(error) => return refuse(400, &error.to_string()),
        };
        let mut state = lock(&self.state);
        if matches!(*state, TaskState::Running { .. }) {
            return refuse(
                409,
                &format!("a {name} is already running; wait for its end"),
            );
        }
        *state = TaskState::Running {
            progress: Progress::default(),
        };
        drop(state);
        let own = Arc::clone(&self.state);
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let outcome = run(job, &own);
            *lock(&own) = outcome;
        });
        match spawned {
            Ok(_) => Response::new(202),
            Err(error) => {
                *lock(&self.state) = TaskState::Idle;
                refuse(
                    503,
                    &format!("no thread could be started for the {name}: {error}"),
                )
            }
        }
    }

    fn tell(&self) -> Response {
        let mut state = lock(&self.state);
        let response = json_body(Response::new(200), &*state);
        if !matches!(*state, TaskState::Running { .. }) {
            *state = TaskState::Idle;
        }
        response
    }
}

/// Does the job; how it ended, also when it panicked: whoever follows must not wait for ever.
fn run(job: Job, state: &Mutex<TaskState<Value>>) -> TaskState<Value> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        job(&mut |progress| {
            *lock(state) = TaskState::Running {
                progress: progress.clone(),
            };
        })
    }));
    match outcome {
        Ok(Ok(report)) => TaskState::Done { report },
        Ok(Err(error)) => TaskState::Failed {
            reason: error.to_string(),
            kind: match error {
                Error::Store(error) => Some(error.kind()),
                _ => None,
            },
        },
        Err(_) => TaskState::Failed {
            reason: "it ended by a mistake of the program, which the server's log tells".to_owned(),
            kind: None,
        },
    }
}

fn lock(state: &Mutex<TaskState<Value>>) -> MutexGuard<'_, TaskState<Value>> {
    // Every write replaces the whole value, so a panic leaves a whole one behind.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Counted;
    use crate::store;

    fn outcome(
        job: impl FnOnce(&mut Tell<'_>) -> Result<Value, Error> + Send + 'static,
    ) -> (TaskState<Value>, TaskState<Value>) {
        let state = Mutex::new(TaskState::Idle);
        let end = run(Box::new(job), &state);
        (state.into_inner().unwrap(), end)
    }

    #[test]
    fn a_task_tells_how_far_it_is_and_what_came_of_it() {
        let (meanwhile, end) = outcome(|tell| {
            tell(&Progress::start("counting", Counted::Blobs, 7));
            Ok(42.into())
        });
        let told = serde_json::to_value(meanwhile).unwrap();
        assert_eq!(told["state"], "running");
        assert_eq!(told["progress"]["label"], "counting");
        assert_eq!(told["progress"]["total"], 7);
        assert!(matches!(end, TaskState::Done { report } if report == 42));
    }

    #[test]
    fn a_task_that_fails_or_panics_says_so() {
        let full = || store::Error::new(ErrorKind::Full, "writing", "a file");
        let (_, end) = outcome(move |_| Err(Error::Store(full())));
        assert!(
            matches!(&end, TaskState::Failed { reason, kind: Some(ErrorKind::Full) }
                if reason.contains("no space left")),
            "{end:?}"
        );
        let (_, end) = outcome(|_| panic!("on purpose"));
        assert!(matches!(end, TaskState::Failed { kind: None, .. }));
    }
}
