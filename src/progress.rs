//! Progress of long work: a line that is redrawn on a terminal, a line now and then elsewhere,
//! nothing when a program or nobody reads along.
//!
//! It writes where it is told to and knows nothing of the work.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is redrawn on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written elsewhere.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One line, redrawn.
    Redrawn,
    /// A new line every ten seconds.
    Lines,
    /// Nothing.
    Silent,
}

impl Style {
    /// The style for standard error: nothing with `silent` (`--json`, `--quiet`), redrawn on a
    /// terminal that can, lines elsewhere.
    pub fn for_stderr(silent: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if silent {
            Self::Silent
        } else if std::io::stderr().is_terminal() && !dumb {
            Self::Redrawn
        } else {
            Self::Lines
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown as MiB and the like.
    Bytes,
    /// Things, by the name of several of them: `blobs`.
    Items(&'static str),
}

/// The progress of one piece of work. Its line is ended when it is dropped.
pub struct Progress {
    output: Box<dyn Write + Send>,
    style: Style,
    what: String,
    unit: Unit,
    total: Option<u64>,
    done: u64,
    started: Instant,
    shown: Instant,
    line_open: bool,
}

impl Progress {
    /// Progress of `what` (`hashing blobs`), of which `total` is to be done where that is known.
    /// Output that cannot be written is left out.
    pub fn new(
        output: Box<dyn Write + Send>,
        style: Style,
        what: impl Into<String>,
        unit: Unit,
        total: Option<u64>,
    ) -> Self {
        let now = Instant::now();
        Self {
            output,
            style,
            what: what.into(),
            unit,
            total,
            done: 0,
            started: now,
            shown: now,
            line_open: false,
        }
    }

    /// `more` was done.
    pub fn advance(&mut self, more: u64) {
        self.set(self.done.saturating_add(more), self.total);
    }

    /// So much is done, of so much.
    pub fn set(&mut self, done: u64, total: Option<u64>) {
        self.done = done;
        self.total = total;
        let every = match self.style {
            Style::Silent => return,
            Style::Redrawn => REDRAW_EVERY,
            Style::Lines => LINE_EVERY,
        };
        let now = Instant::now();
        if now.duration_since(self.shown) >= every {
            self.shown = now;
            self.show();
        }
    }

    /// Ends the line, after a last look at the work.
    pub fn finish(mut self) {
        if self.style != Style::Silent {
            self.show();
        }
    }

    fn show(&mut self) {
        let state = State {
            done: self.done,
            total: self.total,
            elapsed: self.started.elapsed(),
        };
        let line = state.line(&self.what, self.unit);
        // Whoever does not take the progress does not want it.
        let _ = match self.style {
            Style::Redrawn => {
                self.line_open = true;
                write!(self.output, "\r{line}\x1b[K")
            }
            Style::Lines => writeln!(self.output, "{line}"),
            Style::Silent => Ok(()),
        };
        let _ = self.output.flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.line_open {
            let _ = writeln!(self.output);
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("what", &self.what)
            .field("done", &self.done)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

/// How far the work is.
struct State {
    done: u64,
    total: Option<u64>,
    elapsed: Duration,
}

impl State {
    /// `hashing blobs: 1.5 GiB of 3.0 GiB, 50 %, 512.0 MiB/s, 3 s left`
    fn line(&self, what: &str, unit: Unit) -> String {
        let done = amount(self.done, unit, self.total.is_none());
        let mut parts = Vec::new();
        if let Some(total) = self.total {
            let percent = percent(self.done, total);
            parts.push(format!("{done} of {}", amount(total, unit, true)));
            parts.push(format!("{percent} %"));
        } else {
            parts.push(done);
        }
        let rate = self.rate();
        if rate > 0 {
            parts.push(format!("{}/s", amount(rate, unit, false)));
            let left = self
                .total
                .map_or(0, |total| total.saturating_sub(self.done));
            if left > 0 {
                parts.push(format!("{} left", duration(left.div_ceil(rate))));
            }
        }
        format!("{what}: {}", parts.join(", "))
    }

    /// What was done in a second, on the average; 0 before it can be told.
    fn rate(&self) -> u64 {
        let millis = self.elapsed.as_millis();
        if millis < 100 {
            return 0;
        }
        u64::try_from(u128::from(self.done) * 1000 / millis).unwrap_or(u64::MAX)
    }
}

fn percent(done: u64, total: u64) -> u64 {
    if total == 0 {
        return 100;
    }
    let percent = u128::from(done.min(total)) * 100 / u128::from(total);
    u64::try_from(percent).unwrap_or(100)
}

fn amount(number: u64, unit: Unit, with_name: bool) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    match unit {
        Unit::Items(name) if with_name => format!("{number} {name}"),
        Unit::Items(_) => number.to_string(),
        Unit::Bytes if number < 1024 => format!("{number} B"),
        Unit::Bytes => {
            let power = (number.ilog2() as usize / 10).min(UNITS.len());
            // A tenth of the unit; u128 holds ten times any number.
            let tenths = (u128::from(number) * 10) >> (10 * power);
            format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[power - 1])
        }
    }
}

/// A number of bytes for people: `1.5 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    amount(bytes, Unit::Bytes, true)
}

/// A number of seconds for people: `3 min 5 s`.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests;
