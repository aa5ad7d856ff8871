//! One run of the program: what is typed, what is on its standard input, and what comes of it.

use super::coracle;
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

/// What one run came to.
#[derive(Debug)]
pub struct Run {
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Run {
    /// Fails unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Run {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Runs the program with these words, and with this on its standard input.
#[track_caller]
pub fn run(words: &[&str], input: &str) -> Run {
    let mut command = coracle();
    command.args(words).stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("start {command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A program that refuses its words does not read on.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("wait for the program");
    let text = |bytes| String::from_utf8(bytes).expect("output in UTF-8");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs the program with these words on a data folder, whoever has it.
#[track_caller]
pub fn run_at(data: &Path, words: &[&str]) -> Run {
    let data = data.to_str().expect("a path in UTF-8");
    run(&[words, &["--data", data]].concat(), "")
}
