//! The certificates in use, and changing them while connections are open: a connection keeps what
//! it began with, the next one gets what is there now.

use std::fmt;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::load::{Loaded, Stamp, TlsError, load, stamps};
use super::options::TlsOptions;
use super::status::{TlsStatus, date, remarks};

/// How often dates are looked at while the server runs.
const REMARKS_INTERVAL: Duration = Duration::from_secs(86_400);

/// TLS as it is configured: certificates, keys, authorities, and the files they come from.
pub struct Tls {
    options: TlsOptions,
    current: RwLock<Arc<Loaded>>,
    state: Mutex<State>,
}

struct State {
    /// The files as they were when they were last read.
    read: Vec<Stamp>,
    /// How they looked the last time, when that was different.
    changed: Option<Vec<Stamp>>,
    last_error: Option<String>,
    reloads_total: u64,
    remarked: Instant,
}

impl Tls {
    /// Loads everything that `options` name, and says what there is to say about dates.
    ///
    /// # Errors
    /// A file cannot be read or used; the message names it.
    pub fn new(options: TlsOptions) -> Result<Arc<Self>, TlsError> {
        let read = stamps(&options);
        let loaded = load(&options)?;
        let tls = Self {
            options,
            current: RwLock::new(Arc::new(loaded)),
            state: Mutex::new(State {
                read,
                changed: None,
                last_error: None,
                reloads_total: 0,
                remarked: Instant::now(),
            }),
        };
        tls.remark();
        Ok(Arc::new(tls))
    }

    /// Reads all files again. Open connections are left alone; what cannot be used leaves
    /// everything as it was and is said once, here and in [`Tls::status`].
    ///
    /// # Errors
    /// Why the files cannot be used.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.reload_locked(&mut self.state())
    }

    fn reload_locked(&self, state: &mut State) -> Result<(), TlsError> {
        // Before reading: a change in the middle of it is seen as one.
        state.read = stamps(&self.options);
        state.changed = None;
        match load(&self.options) {
            Ok(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                state.last_error = None;
                state.reloads_total += 1;
                let status = self.status_of(state);
                let until = status.expires.map(date).unwrap_or_default();
                log::info!("the certificates were loaded anew; the first of them ends on {until}");
                self.remark();
                Ok(())
            }
            Err(error) => {
                log::error!("the new certificates cannot be used, the old ones stay: {error}");
                state.last_error = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// How it stands with the certificates.
    pub fn status(&self) -> TlsStatus {
        self.status_of(&self.state())
    }

    fn status_of(&self, state: &State) -> TlsStatus {
        let certificates = self.current().certificates.clone();
        TlsStatus {
            expires: certificates.iter().map(|it| it.not_after).min(),
            certificates,
            last_error: state.last_error.clone(),
            reloads_total: state.reloads_total,
        }
    }

    /// Loads the files anew whenever they have changed, until the watch is dropped. They are
    /// looked at every `interval`, and have to look the same twice, because whoever renews a
    /// certificate writes several files.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn watch(self: &Arc<Self>, interval: Duration) -> io::Result<TlsWatch> {
        let (stop, stopped) = channel::<()>();
        let tls = Arc::clone(self);
        let thread = thread::Builder::new()
            .name("certificates".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    tls.look();
                }
            })?;
        Ok(TlsWatch {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Looks whether files have changed or dates have come near.
    fn look(&self) {
        let mut state = self.state();
        let now = stamps(&self.options);
        if now == state.read {
            state.changed = None;
        } else if state.changed.as_ref() == Some(&now) {
            // Whoever has to know is told there.
            let _ = self.reload_locked(&mut state);
        } else {
            state.changed = Some(now);
        }
        if state.remarked.elapsed() >= REMARKS_INTERVAL {
            state.remarked = Instant::now();
            self.remark();
        }
    }

    fn remark(&self) {
        let (options, current) = (&self.options, self.current());
        for remark in remarks(&current.certificates, (options.now)(), options.clock_min) {
            log::warn!("{remark}");
        }
    }

    /// What a connection that begins now uses.
    pub(super) fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What time it is.
    pub(super) fn now(&self) -> std::time::SystemTime {
        (self.options.now)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

/// Watches the files of a [`Tls`] until it is dropped.
#[derive(Debug)]
pub struct TlsWatch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for TlsWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has been logged by its thread and ended the watch only.
            let _ = thread.join();
        }
    }
}
