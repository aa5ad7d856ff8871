//! `coracle serve`: runs the registry until SIGTERM or SIGINT; SIGHUP makes it read files again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::auth::Authenticator;
use crate::config::{Settings, Sources};
use crate::http::{Endpoint, ListenAddress, ServerHandle};
use crate::notify::Notifier;
use crate::registry::{Registry, policy};
use crate::serve::{Coracle, Error, Reloader, reload_webhooks, write_ready_file};

/// Whether a stop was asked for; a second signal stops at once.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Runs the registry. The addresses are printed once it listens, a line each.
///
/// # Errors
/// It could not be opened, or an address not be bound.
pub fn run(sources: &Sources, settings: Settings) -> Result<(), Error> {
    let ready_file = settings.server.ready_file.clone();
    let coracle = Coracle::open(settings)?;
    let serving = coracle.bind()?;
    // Before anybody is told that we are ready, so that no early signal ends us ungracefully.
    let rules = Rules {
        sources: sources.clone(),
        auth: Arc::clone(coracle.auth()),
        registry: Arc::clone(coracle.registry()),
        notifier: Arc::clone(serving.notifier()),
    };
    watch_signals(serving.handle(), serving.reloader(), rules)?;
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

/// The rules about access and content, which can be read again while the registry runs.
struct Rules {
    sources: Sources,
    auth: Arc<Authenticator>,
    registry: Arc<Registry>,
    notifier: Arc<Notifier>,
}

impl Rules {
    /// Puts the rules in force that the configuration has now. One with a mistake changes nothing.
    fn reload(&self) {
        match Settings::load(&self.sources) {
            Ok(settings) => {
                log::info!("{} access rules are in force", settings.access.len());
                self.set_webhooks(&settings);
                self.auth.set_rules(settings.access);
                self.set_policy(settings.policy);
            }
            Err(error) => log::error!("the rules stay as they were: {error}"),
        }
    }

    fn set_webhooks(&self, settings: &Settings) {
        match reload_webhooks(&self.notifier, settings) {
            Ok(()) => log::info!("{} webhooks are in force", settings.endpoints.len()),
            Err(error) => log::error!("the webhooks stay as they were: {error}"),
        }
    }

    fn set_policy(&self, rules: policy::Rules) {
        let counts = [
            rules.retention.len(),
            rules.quotas.len(),
            rules.immutable.len(),
        ];
        if let Err(error) = self.registry.set_policy(rules) {
            log::warn!("what shared quotas bound is counted later: {error}");
        }
        let [retention, quotas, immutable] = counts;
        log::info!(
            "{retention} rules of retention, {quotas} quotas and {immutable} rules about immutable \
             tags are in force"
        );
        if let Err(error) = self.registry.forget_quotas() {
            log::warn!("quotas that are in force no more are still counted for: {error}");
        }
    }
}

fn watch_signals(handle: ServerHandle, reloader: Reloader, rules: Rules) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(512 << 10)
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGHUP {
                    log::info!("reading rules, accounts and certificates again");
                    rules.reload();
                    reloader.reload();
                } else if STOPPING.swap(true, Ordering::SeqCst) {
                    log::warn!("stopping at once");
                    handle.stop_now();
                } else {
                    log::info!(
                        "stopping: running requests may finish; signal again to stop at once"
                    );
                    handle.stop();
                }
            }
        })?;
    Ok(())
}
