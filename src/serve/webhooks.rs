//! Wiring of webhooks: what their tables name in files, and who is told by whom.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::reload::Part;
use crate::api::vitals::Vitals;
use crate::config::Settings;
use crate::http::tls::read_authorities;
use crate::http::{Endpoint as Bound, ListenAddress};
use crate::metrics::webhooks as metrics;
use crate::notify::{
    Endpoint, EndpointFigures, Keys, Notifier, Options, ReloadError, Secret, Source, listeners,
    random_id,
};
use crate::registry::Registry;
use crate::registry::events::Trim;
use crate::store::ErrorKind;

/// The longest secret in a file, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Has changes written down for the webhooks of `settings`, also by commands that work on a folder
/// without a server: they are delivered by the next one.
pub(super) fn listen(settings: &Settings, registry: &Registry) {
    registry.events().listen(listeners(&settings.endpoints));
}

/// Starts delivering for a registry that listens on these addresses.
///
/// # Errors
/// A file that a webhook names cannot be used, or the catalog cannot be read.
pub(super) fn start(
    settings: &Settings,
    registry: &Arc<Registry>,
    bound: &[Bound],
) -> Result<Arc<Notifier>, Error> {
    let options = Options {
        trim: Trim {
            keep: settings.webhooks.keep_seconds,
            keep_max: settings.webhooks.keep_max,
        },
        pulls_max: settings.webhooks.pulls_max,
    };
    let source = source(settings, bound);
    let notifier = Notifier::new(Arc::clone(registry), source, options);
    match notifier.reload(load(&settings.endpoints)?) {
        Ok(()) => {}
        Err(ReloadError::Store(error)) if error.kind() == ErrorKind::Full => {
            log::warn!("webhooks are told of nothing until they are read again (SIGHUP): {error}");
        }
        Err(error) => return Err(of_reload(error)),
    }
    Ok(Arc::new(notifier))
}

/// What a reload does to them: when something of them cannot be used, all stay as they were.
pub(super) fn part(notifier: &Arc<Notifier>) -> Part {
    let notifier = Arc::clone(notifier);
    Part::of_settings("webhooks", move |settings| {
        let taken = load(&settings.endpoints)
            .and_then(|endpoints| notifier.reload(endpoints).map_err(of_reload));
        if let Err(error) = taken {
            log::error!("the webhooks stay as they were: {error}");
            return Err(error.to_string());
        }
        let count = settings.endpoints.len();
        log::info!("{count} webhooks are in force");
        Ok(format!("{count} in force"))
    })
}

/// Has `vitals` tell how it stands with them.
pub(super) fn tell(vitals: &Vitals, notifier: &Arc<Notifier>) {
    let notifier = Arc::clone(notifier);
    let figures = move || notifier.figures().into_iter().map(figures).collect();
    vitals.tell_of_webhooks(Box::new(figures));
}

fn figures(own: EndpointFigures) -> metrics::EndpointFigures {
    metrics::EndpointFigures {
        name: own.name,
        events: own.events,
        successes: own.successes,
        failures: own.failures,
        errors: own.errors,
        delivered: own.requests_taken,
        failed: own.requests_failed,
        took: Duration::from_millis(own.took_ms),
        dropped: own.dropped,
        pulls_dropped: own.pulls_dropped,
        pending: own.pending,
        oldest: own.oldest_seconds.map(Duration::from_secs),
        is_backing_off: own.retry_seconds.is_some(),
        statuses: own.statuses.into_iter().collect(),
        last_error: own.last_error,
    }
}

fn of_reload(error: ReloadError) -> Error {
    match error {
        ReloadError::Store(error) => Error::Store(error),
        ReloadError::Thread(error) => Error::Io(error),
        ReloadError::Endpoint(why) => Error::Setting(why),
    }
}

/// The webhooks with what they need of files.
fn load(endpoints: &[Endpoint]) -> Result<Vec<(Endpoint, Keys)>, Error> {
    let endpoints = endpoints.iter();
    endpoints
        .map(|endpoint| Ok((endpoint.clone(), keys(endpoint)?)))
        .collect()
}

fn keys(endpoint: &Endpoint) -> Result<Keys, Error> {
    let name = &endpoint.name;
    if endpoint.disabled {
        return Ok(Keys::default());
    }
    let of_file = |key: &str, why: String| Error::Setting(format!("webhook {name}: {key}: {why}"));
    let secret = match &endpoint.secret {
        None => None,
        Some(Secret::Text(text)) => Some(text.0.clone().into_bytes()),
        Some(Secret::File(path)) => {
            Some(secret_of(path).map_err(|why| of_file("secret_file", why))?)
        }
    };
    let mut authorities = Vec::new();
    if endpoint.url.is_tls() {
        authorities = read_authorities(endpoint.authorities.as_deref())
            .map_err(|error| of_file("authorities", error.to_string()))?;
        if authorities.is_empty() {
            log::warn!(
                "the webhook {name} cannot be reached over TLS: this system has no authorities; \
                 name a file of them (authorities)"
            );
        }
    }
    Ok(Keys {
        secret,
        authorities,
    })
}

/// What a file holds, without the end of its line.
fn secret_of(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    while bytes.last().is_some_and(|last| b"\r\n".contains(last)) {
        bytes.pop();
    }
    let length = bytes.len() as u64;
    if (8..=SECRET_BYTES_MAX).contains(&length) {
        Ok(bytes)
    } else {
        let path = path.display();
        Err(format!(
            "{path} must hold 8 to {SECRET_BYTES_MAX} bytes, without the end of the line"
        ))
    }
}

/// Who tells: the name of this host, and a port where it listens.
fn source(settings: &Settings, bound: &[Bound]) -> Source {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().into_owned();
    let port = bound.iter().find_map(|own| match &own.address {
        ListenAddress::Tcp(address) => Some((address.port(), own.tls.is_some())),
        ListenAddress::Unix(_) => None,
    });
    let addr = port.map_or_else(|| host.clone(), |(port, _)| format!("{host}:{port}"));
    let scheme = match port {
        Some((_, true)) => "https",
        _ => "http",
    };
    let base = settings.server.url.as_deref();
    let base = base.map(|url| url.trim_end_matches('/').to_owned());
    Source {
        base: base.unwrap_or_else(|| format!("{scheme}://{addr}")),
        addr,
        instance_id: random_id(),
    }
}
