//! All webhooks of a registry that serves: starting and ending their threads, and having the
//! configuration's webhooks in force.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::client::{Client, Keys};
use super::endpoint::Endpoint;
use super::envelope::Source;
use super::state::{EndpointFigures, State};
use super::worker::{Active, Worker};
use crate::registry::Registry;
use crate::registry::events::{Listener, PullQueue, Trim};
use crate::store::Error;
use crate::store::catalog::EndpointRow;

/// The most webhooks: each is a thread.
pub const ENDPOINTS_MAX: usize = 32;

/// How long the end waits for deliveries that go on. What was not taken by then is delivered after
/// the next start.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What holds for all webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is kept of changes that everybody has got.
    pub trim: Trim,
    /// The most pulls that wait for one webhook.
    pub pulls_max: usize,
}

/// Delivers what happens in a registry to webhooks. Dropping it ends their threads.
pub struct Notifier {
    pub(super) registry: Arc<Registry>,
    bell: Arc<Bell>,
    pub(super) source: Arc<Source>,
    options: Options,
    running: Mutex<Vec<Running>>,
}

/// A webhook whose thread runs.
struct Running {
    worker: Arc<Worker>,
    thread: Option<JoinHandle<()>>,
}

/// Those of the webhooks that are told of anything, as the registry needs to know them.
pub fn listeners(endpoints: &[Endpoint]) -> Vec<Listener> {
    let active = endpoints.iter().filter(|own| !own.disabled);
    active.map(|own| listener(own, None)).collect()
}

fn listener(endpoint: &Endpoint, pulls: Option<Arc<PullQueue>>) -> Listener {
    Listener {
        filter: endpoint.filter.clone(),
        references: endpoint.include_references,
        pull_head: endpoint.pull_head,
        pulls,
    }
}

impl Notifier {
    /// A notifier without webhooks yet, for a registry that `source` is.
    pub fn new(registry: Arc<Registry>, source: Source, options: Options) -> Self {
        let bell = Arc::new(Bell::default());
        let rung = Arc::clone(&bell);
        // Before the first look: what comes from now on is heard of.
        registry.events().wake_by(Box::new(move || rung.ring()));
        Self {
            registry,
            bell,
            source: Arc::new(source),
            options,
            running: Mutex::default(),
        }
    }

    /// Puts these webhooks in force, with what they need from files. One that was there before, by
    /// its name, goes on where it was; one that is there no more is forgotten, with what waited.
    ///
    /// # Errors
    /// The catalog cannot be read or written, or a thread not be started: the webhooks before stay.
    pub fn reload(&self, endpoints: Vec<(Endpoint, Keys)>) -> Result<(), ReloadError> {
        let mut running = self.running();
        let active: Vec<_> = endpoints
            .into_iter()
            .filter(|(endpoint, _)| !endpoint.disabled)
            .map(|(endpoint, keys)| self.activate(endpoint, &keys))
            .collect::<Result<_, _>>()?;
        let names: BTreeSet<String> = active.iter().map(|own| own.endpoint.name.clone()).collect();
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut *running)
            .into_iter()
            .partition(|own| !names.contains(&own.worker.row().name));
        *running = kept;
        end(gone, &self.bell);
        // So that none of what they have got is lost if it is read below.
        save_all(&running);
        let (rows, forgotten) = self.registry.set_outbox_endpoints(names)?;
        for name in forgotten {
            log::warn!("the webhook {name} is no more; what waited for it is forgotten");
        }
        let listeners = active.iter();
        let listeners = listeners.map(|own| listener(&own.endpoint, own.pulls.clone()));
        self.registry.events().listen(listeners.collect());
        for own in active {
            self.put_in_force(&mut running, own, &rows)?;
        }
        drop(running);
        self.bell.call();
        Ok(())
    }

    fn activate(&self, endpoint: Endpoint, keys: &Keys) -> Result<Active, ReloadError> {
        let client = Client::new(&endpoint, keys).map_err(|why| {
            ReloadError::Endpoint(format!("the webhook {}: {why}", endpoint.name))
        })?;
        let pulls = endpoint
            .pull
            .then(|| Arc::new(PullQueue::new(self.options.pulls_max)));
        Ok(Active {
            endpoint,
            client,
            pulls,
        })
    }

    fn put_in_force(
        &self,
        running: &mut Vec<Running>,
        active: Active,
        rows: &[EndpointRow],
    ) -> Result<(), ReloadError> {
        let name = active.endpoint.name.clone();
        let known = running.iter().find(|own| own.worker.row().name == name);
        if let Some(known) = known {
            let worker = &known.worker;
            let mut own = worker
                .active
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let mut state = worker.state();
            if own.endpoint.filter != active.endpoint.filter {
                state.count_anew();
            }
            if own.endpoint != active.endpoint {
                // Whatever it was that failed, it is tried at once.
                state.retry_at = None;
            }
            drop(state);
            *own = Arc::new(active);
            return Ok(());
        }
        let row = rows.iter().find(|row| row.name == name).cloned();
        let worker = Arc::new(Worker {
            registry: Arc::clone(&self.registry),
            bell: Arc::clone(&self.bell),
            source: Arc::clone(&self.source),
            trim: self.options.trim,
            active: RwLock::new(Arc::new(active)),
            state: Mutex::new(State::new(row.unwrap_or_default())),
            first_last: self.registry.outbox_span()?.map_or(0, |(_, last)| last),
            over: AtomicBool::new(false),
        });
        let own = Arc::clone(&worker);
        let thread = thread::Builder::new()
            .name("webhook".to_owned())
            .stack_size(512 << 10)
            .spawn(move || run(&own))
            .map_err(ReloadError::Thread)?;
        running.push(Running {
            worker,
            thread: Some(thread),
        });
        Ok(())
    }

    /// How it stands with each webhook, in the order of their names.
    pub fn figures(&self) -> Vec<EndpointFigures> {
        let running = self.running();
        let mut all: Vec<EndpointFigures> = running
            .iter()
            .map(|own| {
                let worker = &own.worker;
                let active = worker.active();
                let queued = active.pulls.as_ref().map_or(0, |pulls| pulls.len() as u64);
                let mut figures = worker.state().figures(worker.now_ms());
                figures.pending += queued;
                figures.address = active.endpoint.url.origin();
                figures
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Ends all threads; what is not delivered by then waits for the next start.
    pub fn stop(&self) {
        let running = std::mem::take(&mut *self.running());
        end(running, &self.bell);
    }

    pub(super) fn worker(&self, name: &str) -> Option<Arc<Worker>> {
        let running = self.running();
        let found = running.iter().find(|own| own.worker.row().name == name);
        found.map(|own| Arc::clone(&own.worker))
    }

    pub(super) fn wake(&self) {
        self.bell.call();
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        // The list is whole after each statement.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a webhook's thread to its end. A panic ends the turn in which it happened, and not the
/// webhook.
fn run(worker: &Worker) {
    while catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
        let name = worker.row().name;
        log::error!("the webhook {name} met a mistake of the program, and begins anew");
        worker.rest();
    }
}

/// Ends these threads. One that is in the middle of a delivery is left to itself after a time: it
/// ends with the answer, and its delivery is made again.
fn end(mut gone: Vec<Running>, bell: &Bell) {
    if gone.is_empty() {
        return;
    }
    for own in &gone {
        own.worker.over.store(true, Ordering::Release);
    }
    bell.call();
    let patience_end = Instant::now() + STOP_PATIENCE;
    for own in &mut gone {
        let Some(thread) = own.thread.take() else {
            continue;
        };
        while !thread.is_finished() && Instant::now() < patience_end {
            thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
    save_all(&gone);
}

fn save_all(all: &[Running]) {
    for own in all {
        if own.worker.state().unsaved.is_some()
            && let Err(error) = own.worker.save()
        {
            let name = own.worker.row().name;
            log::warn!("what the webhook {name} got last is sent once more: {error}");
        }
    }
}

/// Why webhooks could not be put in force.
#[derive(Debug)]
pub enum ReloadError {
    /// The catalog fails.
    Store(Error),
    /// No thread could be started.
    Thread(io::Error),
    /// One of them is not as it must be: a sentence.
    Endpoint(String),
}

impl std::fmt::Display for ReloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "no thread could be started for a webhook: {error}"),
            Self::Endpoint(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ReloadError {}

impl From<Error> for ReloadError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}
