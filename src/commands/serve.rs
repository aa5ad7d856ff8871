//! `coracle serve`: runs the registry until SIGTERM or SIGINT; SIGHUP makes it read files again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::{Effective, Sources};
use crate::http::{Endpoint, ListenAddress, ServerHandle};
use crate::serve::reload::{Configured, Reloader};
use crate::serve::{CLOSE_PATIENCE, Coracle, Error, Host, Service, Sockets, write_ready_file};

/// Whether a stop was asked for; a second signal stops at once.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Runs the registry. The addresses are printed once it listens, a line each.
///
/// # Errors
/// It could not be opened, or an address not be bound.
pub fn run(sources: Sources, running: Effective) -> Result<(), Error> {
    // First: it changes the environment, which is only right while there is one thread.
    let sockets = Sockets::of_process()?;
    let service = Service::of_process()?.map(Arc::new);
    let settings = running.settings.clone();
    let drain = settings.server.stop_seconds_max;
    let ready_file = settings.server.ready_file.clone();
    let coracle = Coracle::open(settings)?;
    let serving = coracle.bind_for(Host {
        configured: Some(Configured { sources, running }),
        sockets,
        service: service.clone(),
        parts: Vec::new(),
    })?;
    // Before anybody is told that we are ready, so that no early signal ends us ungracefully.
    watch_signals(serving.handle(), serving.reloader(), service.clone(), drain)?;
    let endpoints = serving.endpoints();
    if coracle.is_open() && endpoints.iter().any(is_public) {
        log::warn!(
            "everybody who can reach this registry may push to it and delete from it: there is \
             neither an access rule nor an account; `coracle user add NAME` or `coracle token \
             create NAME` closes it"
        );
    }
    let mut out = io::stdout().lock();
    for endpoint in &endpoints {
        writeln!(out, "{}", endpoint.url())?;
    }
    out.flush()?;
    drop(out);
    if let Some(path) = &ready_file {
        write_ready_file(path, &endpoints).map_err(|error| {
            io::Error::new(error.kind(), format!("writing {}: {error}", path.display()))
        })?;
    }
    log::info!(
        "serving on {}",
        endpoints
            .iter()
            .map(Endpoint::url)
            .collect::<Vec<_>>()
            .join(", ")
    );
    serving.run()?;
    if let Some(service) = &service {
        service.closing(CLOSE_PATIENCE);
    }
    if let Some(path) = &ready_file {
        // Whoever removed it first did what was to be done.
        let _ = std::fs::remove_file(path);
    }
    coracle.close()?;
    log::info!("stopped");
    Ok(())
}

/// Whether other machines may reach the address.
fn is_public(endpoint: &Endpoint) -> bool {
    match &endpoint.address {
        ListenAddress::Tcp(address) => !address.ip().to_canonical().is_loopback(),
        ListenAddress::Unix(_) => false,
    }
}

fn watch_signals(
    handle: ServerHandle,
    reloader: Arc<Reloader>,
    service: Option<Arc<Service>>,
    drain: Duration,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(512 << 10)
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGHUP {
                    reloader.reload();
                } else if STOPPING.swap(true, Ordering::SeqCst) {
                    log::warn!("stopping at once");
                    handle.stop_now();
                } else {
                    log::info!(
                        "stopping: running requests may finish; signal again to stop at once"
                    );
                    if let Some(service) = &service {
                        service.stopping(drain, CLOSE_PATIENCE);
                    }
                    handle.stop();
                }
            }
        })?;
    Ok(())
}
