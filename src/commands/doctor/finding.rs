//! What was found: how bad it is, what it is, what to do next.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work, or content is at risk.
    Fail,
}

impl Level {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at: `data folder`, `clock`.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do next; none where all is well.
    pub advice: Option<String>,
}

/// What was found so far, in the order in which it was looked at.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Level::Ok, message.into(), None);
    }

    pub(super) fn warn(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, Level::Warn, message.into(), Some(advice.into()));
    }

    pub(super) fn fail(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, Level::Fail, message.into(), Some(advice.into()));
    }

    fn add(&mut self, check: &'static str, level: Level, message: String, advice: Option<String>) {
        self.0.push(Finding {
            check,
            level,
            message,
            advice,
        });
    }

    pub(super) fn has_failed(&self) -> bool {
        self.0.iter().any(|it| it.level == Level::Fail)
    }

    /// How many are worse than `ok`.
    pub(super) fn bad(&self) -> usize {
        self.0.iter().filter(|it| it.level > Level::Ok).count()
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}
