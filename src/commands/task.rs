//! Long tasks: in the running server, through its control socket, or in this process when no
//! server holds the folder; with their progress on standard error either way.

use std::io;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::control_tasks::TaskState;
use crate::config::Settings;
use crate::http::client::request_unix;
use crate::progress::{Progress as Bar, Style, Unit};
use crate::registry::{self, Counted, Progress, Registry, Tell};
use crate::serve::{Coracle, Error, is_locked};
use crate::store::ErrorKind;
use crate::store::layout::Layout;

/// How often a running server is asked how far it is.
const POLL: Duration = Duration::from_millis(100);

/// How the outcome of a task is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// As one JSON object.
    pub json: bool,
    /// Not at all: the exit code tells.
    pub quiet: bool,
}

impl Output {
    /// The progress that goes with it.
    pub(super) fn progress(self) -> Drawn {
        Drawn {
            style: Style::for_stderr(self.json || self.quiet),
            bar: None,
        }
    }
}

/// Does the task of this name to the registry of `settings`: the server that holds its folder is
/// asked with `options`, or `here` does it.
///
/// # Errors
/// There is no registry, or the task failed.
pub(super) fn run<R: DeserializeOwned>(
    settings: Settings,
    name: &str,
    options: &impl Serialize,
    drawn: &mut Drawn,
    here: impl FnOnce(&Registry, &mut Tell<'_>) -> Result<R, registry::Error>,
) -> Result<R, Error> {
    let layout = Layout::new(&settings.storage.data);
    if !layout.catalog().exists() {
        let why = format!(
            "there is no registry in {}; name its folder with --data",
            layout.root().display()
        );
        return Err(Error::Io(io::Error::new(io::ErrorKind::NotFound, why)));
    }
    match Coracle::open(settings) {
        Ok(coracle) => {
            let outcome = here(coracle.registry(), &mut |progress| drawn.show(progress));
            coracle.close()?;
            outcome.map_err(failed)
        }
        Err(error) if is_locked(&error) => match ask_server(&layout, name, options, drawn) {
            // Nobody listens: the holder is no server, and its name is what helps.
            Err(Error::Io(none)) if is_nobody(&none) => Err(error),
            outcome => outcome,
        },
        Err(error) => Err(error),
    }
}

/// What a task that failed in this process ends the command with.
pub(super) fn failed(error: registry::Error) -> Error {
    match error {
        registry::Error::Store(error) => Error::Store(error),
        other => Error::Io(io::Error::other(other.to_string())),
    }
}

/// Has the running server do it, and follows it to its end.
fn ask_server<R: DeserializeOwned>(
    layout: &Layout,
    name: &str,
    options: &impl Serialize,
    drawn: &mut Drawn,
) -> Result<R, Error> {
    let (socket, target) = (layout.control(), format!("/{name}"));
    let body = serde_json::to_vec(options).map_err(io::Error::from)?;
    let (status, answer) = request_unix(&socket, "POST", &target, &body)?;
    if status != 202 {
        let why = String::from_utf8_lossy(&answer).into_owned();
        return Err(Error::Io(io::Error::other(why)));
    }
    loop {
        let (_, answer) =
            request_unix(&socket, "GET", &target, &[]).map_err(|error| lost(&error))?;
        match serde_json::from_slice(&answer).map_err(io::Error::from)? {
            TaskState::Running { progress } => drawn.show(&progress),
            TaskState::Done { report } => return Ok(report),
            TaskState::Failed { reason, kind } => {
                return Err(Error::Io(io::Error::new(io_kind(kind), reason)));
            }
            TaskState::Idle => {
                let why = format!("the server lost the {name}; run it again");
                return Err(Error::Io(io::Error::other(why)));
            }
        }
        thread::sleep(POLL);
    }
}

/// The server that did the work does not answer any more.
fn lost(error: &io::Error) -> io::Error {
    io::Error::other(format!("the server ended before it was done: {error}"))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
    )
}

/// What leads to the exit code that the failure would have had here.
fn io_kind(kind: Option<ErrorKind>) -> io::ErrorKind {
    match kind {
        Some(ErrorKind::Full) => io::ErrorKind::StorageFull,
        Some(ErrorKind::Denied) => io::ErrorKind::PermissionDenied,
        Some(ErrorKind::Locked) => io::ErrorKind::ResourceBusy,
        _ => io::ErrorKind::Other,
    }
}

/// The progress of a task as it is drawn, one line for each of its parts.
pub(super) struct Drawn {
    style: Style,
    bar: Option<(String, Bar)>,
}

impl Drawn {
    /// Draws how far the task is.
    pub(super) fn show(&mut self, progress: &Progress) {
        if progress.label.is_empty() {
            return;
        }
        if self
            .bar
            .as_ref()
            .is_some_and(|(label, _)| *label != progress.label)
        {
            self.finish();
        }
        let style = self.style;
        let (_, bar) = self.bar.get_or_insert_with(|| {
            let label = progress.label.to_string();
            let unit = match progress.counted {
                Counted::Bytes => Unit::Bytes,
                Counted::Blobs => Unit::Items("blobs"),
                Counted::Objects => Unit::Items("objects"),
            };
            let bar = Bar::new(Box::new(io::stderr()), style, label.clone(), unit, None);
            (label, bar)
        });
        bar.set(progress.done, Some(progress.total));
    }

    /// Ends the line of the last part.
    pub(super) fn finish(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish();
        }
    }
}
