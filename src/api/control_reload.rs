//! The control socket's reload: what a running registry reads again, and what came of it.

use serde::{Deserialize, Serialize};

use super::control::refuse;
use super::respond::json_body;
use crate::http::Response;

/// Reads again what can change while the registry runs.
pub type Reload = Box<dyn Fn() -> ReloadReport + Send + Sync>;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// What was read, in the order in which it was.
    pub parts: Vec<PartReport>,
    /// Keys of the configuration that have another value than the running registry, and hold only
    /// after a restart.
    pub restart: Vec<String>,
}

/// What came of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReport {
    /// What it is, in a word or two.
    pub part: String,
    /// Whether it holds now. If not, it stays as it was.
    pub taken: bool,
    /// What holds now, or why it was not taken.
    pub detail: String,
}

impl ReloadReport {
    /// The parts that stay as they were.
    pub fn refused(&self) -> impl Iterator<Item = &PartReport> {
        self.parts.iter().filter(|part| !part.taken)
    }
}

/// `POST /reload`.
pub(super) fn run(reload: Option<&Reload>) -> Response {
    match reload {
        Some(reload) => json_body(Response::new(200), &reload()),
        None => refuse(
            409,
            "this registry is part of another program, which has to read its settings again",
        ),
    }
}
