//! `coracle status`: what the running server is doing, once or as a live view.

mod screen;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::screen::Screen;
use crate::api::status::Status;
use crate::cli::StatusArgs;
use crate::config::Settings;
use crate::http::client::request_unix;
use crate::serve::Error;
use crate::store::layout::Layout;

/// How often the live view is drawn anew.
const EVERY: Duration = Duration::from_secs(1);

/// Tells it, until Ctrl-C or the server's end with `--watch`.
///
/// # Errors
/// No server runs on the folder, or it is of another version.
pub fn run(settings: &Settings, args: &StatusArgs) -> Result<(), Error> {
    let layout = Layout::new(&settings.storage.data);
    let socket = layout.control();
    let first = ask(&socket)?.ok_or_else(|| nobody(&layout))?;
    if args.watch {
        return watch(&socket, first, args.common.json);
    }
    let mut out = io::stdout().lock();
    tell(&mut out, &first, args.common.json)?;
    Ok(())
}

fn nobody(layout: &Layout) -> Error {
    let why = format!(
        "no server runs on {}; name the folder of one with --data (one with --memory has none)",
        layout.root().display()
    );
    Error::Io(io::Error::new(io::ErrorKind::NotFound, why))
}

/// What the server is doing; `None` when there is none.
fn ask(socket: &Path) -> Result<Option<Status>, Error> {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, InvalidData, NotFound};
    let (status, answer) = match request_unix(socket, "GET", "/status", &[]) {
        Ok(answer) => answer,
        // Nobody listens, or whoever did has just ended.
        Err(error)
            if matches!(
                error.kind(),
                ConnectionRefused | NotFound | ConnectionReset | BrokenPipe | InvalidData
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if status != 200 {
        let why = String::from_utf8_lossy(&answer).into_owned();
        return Err(Error::Io(io::Error::other(why)));
    }
    let status = serde_json::from_slice(&answer).map_err(|_| super::table::unexpected())?;
    Ok(Some(status))
}

fn tell(out: &mut impl Write, status: &Status, json: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, status)?;
        return writeln!(out);
    }
    for line in view::lines(status) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Asks again and again. Where the output is no terminal, what is told follows one another.
fn watch(socket: &Path, first: Status, json: bool) -> Result<(), Error> {
    let ended = signals()?;
    let mut screen = (!json && io::stdout().is_terminal())
        .then(Screen::open)
        .transpose()?;
    let mut next = Some(first);
    while let Some(status) = next {
        match &mut screen {
            Some(screen) => screen.draw(&view::lines(&status))?,
            None => tell(&mut io::stdout().lock(), &status, json)?,
        }
        if ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
            return Ok(());
        }
        if screen.is_none() && !json {
            writeln!(io::stdout().lock())?;
        }
        next = ask(socket)?;
    }
    drop(screen);
    if !json {
        writeln!(io::stdout().lock(), "the server has stopped")?;
    }
    Ok(())
}

/// Tells of Ctrl-C as a value, so that the terminal can be given back first.
fn signals() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (sender, receiver) = bounded(1);
    thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(128 << 10)
        .spawn(move || {
            for _ in signals.forever() {
                // A full channel says it already.
                let _ = sender.try_send(());
            }
        })?;
    Ok(receiver)
}
