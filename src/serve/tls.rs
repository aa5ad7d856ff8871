//! Wiring of TLS: which certificates there are, and where they are shown.

use std::sync::Arc;
use std::time::SystemTime;

use super::Error;
use crate::clock::{Clock, MADE_AFTER, SystemClock};
use crate::config::Settings;
use crate::http::tls::{PairFiles, Tls, TlsOptions};
use crate::http::{Endpoint, Listen, Scheme};

/// The certificates that `settings` name; none where they name none.
///
/// # Errors
/// A file cannot be used.
pub(super) fn open(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Option<Arc<Tls>>, Error> {
    let tls = &settings.tls;
    let pairs = tls.certificate.iter().cloned().zip(tls.key.iter().cloned());
    let pairs: Vec<PairFiles> = pairs
        .map(|(certificate, key)| PairFiles { certificate, key })
        .collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let clock = Arc::clone(clock);
    let options = TlsOptions {
        pairs,
        client_ca: tls.client_ca.clone(),
        client_auth: tls.client_auth,
        minimum_version: tls.minimum_version,
        now: Arc::new(move || clock.now()),
        clock_min: SystemTime::UNIX_EPOCH + MADE_AFTER,
    };
    Ok(Some(Tls::new(options)?))
}

/// The certificates that `settings` name, as a server would use them now.
///
/// # Errors
/// A file cannot be used; the message names it.
pub fn certificates(settings: &Settings) -> Result<Option<Arc<Tls>>, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    open(settings, &clock)
}

/// Where to listen, and what is spoken there.
pub(super) fn endpoints(settings: &Settings, tls: Option<&Arc<Tls>>) -> Vec<Endpoint> {
    let endpoint = |listen: &Listen| Endpoint {
        address: listen.address.clone(),
        tls: match listen.scheme_or(tls.is_some()) {
            Scheme::Https => tls.cloned(),
            Scheme::Http => None,
        },
    };
    settings.server.listen.iter().map(endpoint).collect()
}
