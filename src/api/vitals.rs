//! What whoever looks at a running registry is told from: health, metrics, `coracle status`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::transfers::Transfers;
use crate::auth::Authenticator;
use crate::clock::unix_ms;
use crate::http::ServerHandle;
use crate::http::tls::Tls;
use crate::metrics::Metrics;
use crate::metrics::webhooks::EndpointFigures;
use crate::registry::Registry;

/// How far the wall clock may have been off when the process began before that time is told anew.
const START_DRIFT_MAX_MS: i64 = 2000;

/// Tells how it stands with the webhooks, one for each endpoint of the configuration.
pub type WebhookFigures = Box<dyn Fn() -> Vec<EndpointFigures> + Send + Sync>;

/// An address that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What for: `registry` or `ops`.
    pub name: &'static str,
    /// As a client writes it.
    pub url: String,
}

/// Servers that answer, once they are bound.
pub struct Served {
    /// The registry's own.
    pub registry: ServerHandle,
    /// That of whoever looks after it.
    pub ops: Option<ServerHandle>,
    /// All their addresses.
    pub listeners: Vec<Listener>,
}

impl Served {
    /// Each server by its name.
    pub fn servers(&self) -> impl Iterator<Item = (&'static str, &ServerHandle)> {
        let ops = self.ops.iter().map(|handle| ("ops", handle));
        [("registry", &self.registry)].into_iter().chain(ops)
    }
}

/// All of it. Share it behind an `Arc`.
pub struct Vitals {
    /// The registry.
    pub registry: Arc<Registry>,
    /// Who is let in.
    pub auth: Arc<Authenticator>,
    /// Uploads that are under way.
    pub transfers: Transfers,
    begun: Instant,
    /// When that was, in milliseconds since 1970.
    begun_at_ms: AtomicI64,
    tls: OnceLock<Arc<Tls>>,
    served: OnceLock<Served>,
    webhooks: OnceLock<WebhookFigures>,
}

impl Vitals {
    /// Those of this registry.
    pub fn new(registry: Arc<Registry>, auth: Arc<Authenticator>) -> Self {
        let now = unix_ms(registry.catalog().now());
        Self {
            registry,
            auth,
            transfers: Transfers::default(),
            begun: Instant::now(),
            begun_at_ms: AtomicI64::new(now),
            tls: OnceLock::new(),
            served: OnceLock::new(),
            webhooks: OnceLock::new(),
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        self.registry.metrics()
    }

    /// Tells of these certificates from now on.
    pub fn tell_of_tls(&self, tls: Arc<Tls>) {
        // Whoever binds twice serves with the same files.
        let _ = self.tls.set(tls);
    }

    /// Tells of these servers from now on.
    pub fn tell_of_servers(&self, served: Served) {
        // Whoever binds twice looks at the first.
        let _ = self.served.set(served);
    }

    /// Tells of webhooks from now on.
    pub fn tell_of_webhooks(&self, figures: WebhookFigures) {
        // There is one set of them.
        let _ = self.webhooks.set(figures);
    }

    /// The certificates in use, where TLS is spoken.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.get()
    }

    /// The servers, once they are bound.
    pub fn served(&self) -> Option<&Served> {
        self.served.get()
    }

    /// How it stands with the webhooks.
    pub fn webhooks(&self) -> Vec<EndpointFigures> {
        self.webhooks.get().map(|tell| tell()).unwrap_or_default()
    }

    /// How long it has been open.
    pub fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When it was opened, in milliseconds since 1970. On a host whose clock was wrong then, it is
    /// told by the clock of now.
    pub fn begun_at_ms(&self) -> i64 {
        let uptime = i64::try_from(self.uptime().as_millis()).unwrap_or(i64::MAX);
        let by_now = unix_ms(self.registry.catalog().now()).saturating_sub(uptime);
        let noted = self.begun_at_ms.load(Ordering::Relaxed);
        if noted.abs_diff(by_now) <= START_DRIFT_MAX_MS.unsigned_abs() {
            return noted;
        }
        self.begun_at_ms.store(by_now, Ordering::Relaxed);
        by_now
    }
}
