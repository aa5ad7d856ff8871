//! How far a long piece of work has come, as it tells it while it goes on.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Bytes.
    #[default]
    Bytes,
    /// Blobs.
    Blobs,
    /// Things of several kinds.
    Objects,
}

/// How far the work has come. It may have several parts after one another, each with a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done: `hashing`.
    pub label: Cow<'static, str>,
    /// What is counted.
    pub counted: Counted,
    /// So much of this part is done.
    pub done: u64,
    /// So much is to be done, as counted at its start.
    pub total: u64,
}

/// Where progress is told.
pub type Tell<'t> = dyn FnMut(&Progress) + 't;

impl Progress {
    /// A part of the work of which nothing is done yet.
    pub const fn start(label: &'static str, counted: Counted, total: u64) -> Self {
        Self {
            label: Cow::Borrowed(label),
            counted,
            done: 0,
            total,
        }
    }
}
