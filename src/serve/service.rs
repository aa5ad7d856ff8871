//! When the service manager is told something: that the store is being opened, that requests are
//! answered, how it goes, that files are read again, that it stops.
//!
//! A thread of its own does so, and only where a service manager listens (`NOTIFY_SOCKET`).
//! *Ready* is said once a request through the own listener and the catalog have answered.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::watchdog;
use crate::clock;
use crate::http::{Probe, Server};
use crate::registry::Registry;
use crate::systemd::{Message, Notifier, Watchdog};

/// How much longer the start may take each time that it is asked for.
const START_EXTENSION: Duration = Duration::from_secs(60);

/// How often that is asked for.
const START_INTERVAL: Duration = Duration::from_secs(10);

/// A start that takes longer than this is given up by the service manager. It is there for a large
/// catalog that is brought up to date on a slow card.
const START_MAX: Duration = Duration::from_secs(6 * 3600);

/// How long the first request may take, and how long until it is tried again.
const READY_PATIENCE: Duration = Duration::from_secs(5);
const READY_INTERVAL: Duration = Duration::from_secs(1);

/// How often the figures of the status are looked at.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// The same while running requests are waited for.
const STOPPING_INTERVAL: Duration = Duration::from_secs(1);

/// What the end of the process may take beside what is waited for by name.
const END_MARGIN: Duration = Duration::from_secs(10);

/// The target of the requests that show whether the server answers.
const ALIVE: &str = "/healthz";

/// What is said to the service manager. Dropping it ends its thread.
pub struct Service {
    shared: Arc<Shared>,
    watchdog: Option<Watchdog>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and those who tell it something share.
struct Shared {
    notifier: Notifier,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Whether *ready* was said.
    is_ready: bool,
    /// Why the last reload was refused, until one was not.
    refused: Option<String>,
}

/// How far the process is.
#[derive(Default)]
enum Phase {
    /// The store is being opened.
    #[default]
    Starting,
    /// The server is about to run; taken by the thread.
    Serving(Box<Served>),
    /// It does.
    Running(Arc<Figures>),
    /// It was told to stop, and had begun to serve.
    Stopping(Option<Arc<Figures>>),
    /// There is nothing more to say.
    Ended,
}

/// What a running server is asked for.
struct Served {
    probe: Probe,
    figures: Arc<Figures>,
}

impl Service {
    /// The one that the environment of this process asks for; `None` where no service manager
    /// listens.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn of_process() -> io::Result<Option<Self>> {
        let environment: Vec<_> = std::env::vars_os().collect();
        let Some(notifier) = Notifier::from_environment(&environment) else {
            return Ok(None);
        };
        let shared = Arc::new(Shared {
            notifier,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("service".to_owned())
            .stack_size(512 << 10)
            .spawn(move || own.run())?;
        Ok(Some(Self {
            shared,
            watchdog: Watchdog::from_environment(&environment, std::process::id()),
            thread: Some(thread),
        }))
    }

    /// The server is about to run: *ready* is said as soon as it answers, and the watchdog is fed
    /// for as long as it does.
    ///
    /// # Errors
    /// No thread could be started, or TLS not be set up.
    pub(super) fn serving(&self, registry: &Arc<Registry>, server: &Server) -> io::Result<()> {
        let endpoints = server.local_endpoints();
        let figures = Arc::new(Figures::new(server, registry));
        let probe = || Probe::new(server.handle(), endpoints.clone(), ALIVE);
        if let Some(watchdog) = self.watchdog {
            let shared = Arc::clone(&self.shared);
            let feed = move || {
                shared.notifier.send(&Message::new().watchdog());
                !matches!(shared.state().phase, Phase::Ended)
            };
            watchdog::start(watchdog, probe()?, server.handle(), feed)?;
        }
        let asked = Served {
            probe: probe()?,
            figures,
        };
        self.shared.enter(Phase::Serving(Box::new(asked)));
        Ok(())
    }

    /// A reload has begun. [`Service::reloaded`] has to follow.
    pub(super) fn reloading(&self) {
        let shared = &self.shared;
        if shared.state().is_ready {
            let message = Message::new().reloading(clock::monotonic_us());
            let text = "reading the configuration and its files again";
            shared.notifier.send(&message.status(text));
        }
    }

    /// A reload has ended; `refused` says why something stays as it was.
    pub(super) fn reloaded(&self, refused: Option<&str>) {
        let shared = &self.shared;
        let mut state = shared.state();
        state.refused = refused.map(str::to_owned);
        let figures = match &state.phase {
            Phase::Running(figures) if state.is_ready => Arc::clone(figures),
            _ => return,
        };
        // Not under the lock: the catalog is asked.
        drop(state);
        let text = figures.status(refused);
        let message = Message::new().ready(std::process::id());
        shared.notifier.send(&message.status(&text));
    }

    /// The server was told to stop, and waits for its running requests for at most `drain`; `close`
    /// is what may be needed after that.
    pub fn stopping(&self, drain: Duration, close: Duration) {
        let message = Message::new()
            .stopping()
            .extend_timeout(drain + close + END_MARGIN)
            .status("stopping: running requests may finish");
        self.shared.notifier.send(&message);
        let state = self.shared.state();
        let figures = match &state.phase {
            Phase::Running(figures) => Some(Arc::clone(figures)),
            _ => None,
        };
        drop(state);
        self.shared.enter(Phase::Stopping(figures));
    }

    /// Requests have ended, and the store is being closed, which may take as long as `close`.
    pub fn closing(&self, close: Duration) {
        let message = Message::new()
            .stopping()
            .extend_timeout(close + END_MARGIN)
            .status("stopping: writing down what is in memory");
        self.shared.notifier.send(&message);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.enter(Phase::Ended);
        if let Some(thread) = self.thread.take() {
            // A panic in it was logged by it, and ended its messages only.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on to `phase`; from the last two there is no way back.
    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        let is_over = match state.phase {
            Phase::Ended => true,
            Phase::Stopping(_) => !matches!(phase, Phase::Ended),
            _ => false,
        };
        if !is_over {
            state.phase = phase;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until something is told, for at most `timeout`.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, timeout);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn run(&self) {
        let start = Instant::now();
        let mut said = String::new();
        let mut state = self.state();
        loop {
            match &state.phase {
                Phase::Starting => {
                    if start.elapsed() < START_MAX {
                        let message = Message::new().extend_timeout(START_EXTENSION);
                        self.notifier.send(&message.status("opening the store"));
                    }
                    state = self.wait(state, START_INTERVAL);
                }
                Phase::Serving(_) => {
                    let Phase::Serving(served) = std::mem::take(&mut state.phase) else {
                        continue;
                    };
                    state.phase = Phase::Running(Arc::clone(&served.figures));
                    drop(state);
                    state = self.make_ready(*served);
                }
                Phase::Running(figures) => {
                    let figures = Arc::clone(figures);
                    let refused = state.refused.clone();
                    drop(state);
                    // Not under the lock: the catalog is asked.
                    let text = figures.status(refused.as_deref());
                    self.tell(text, &mut said);
                    state = self.wait(self.state(), STATUS_INTERVAL);
                }
                Phase::Stopping(figures) => {
                    if let Some(figures) = figures {
                        self.tell(figures.stopping(), &mut said);
                    }
                    state = self.wait(state, STOPPING_INTERVAL);
                }
                Phase::Ended => return,
            }
        }
    }

    /// Tells what goes on, where that is something new.
    fn tell(&self, text: String, said: &mut String) {
        if text != *said {
            self.notifier.send(&Message::new().status(&text));
            *said = text;
        }
    }

    /// Asks until there is an answer, and says that the service is ready.
    fn make_ready(&self, mut served: Served) -> MutexGuard<'_, State> {
        loop {
            let outcome = served.probe.settle(READY_PATIENCE);
            let catalog = served.figures.catalog();
            let mut state = self.state();
            if !matches!(state.phase, Phase::Running(_)) {
                return state;
            }
            match (outcome, catalog) {
                (Ok(answer), Ok(())) if answer.is_served() => {
                    let text = served.figures.status(state.refused.as_deref());
                    let message = Message::new().ready(std::process::id());
                    self.notifier.send(&message.status(&text));
                    state.is_ready = true;
                    return state;
                }
                (outcome, Ok(())) => {
                    let answer = outcome.map_or_else(|e| e.to_string(), |it| it.to_string());
                    let text = format!("starting: a first request came to {answer}");
                    self.notifier.send(&Message::new().status(&text));
                }
                (_, Err(error)) => {
                    log::warn!("not ready: {error}");
                    let text = format!("starting: {error}");
                    self.notifier.send(&Message::new().status(&text));
                }
            }
            drop(self.wait(state, READY_INTERVAL));
        }
    }
}
