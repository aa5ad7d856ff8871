//! What is counted of a request: what it was about while it runs, and what became of it.

use std::sync::Arc;

use super::Failure;
use super::refused::Refused;
use crate::http::Sent;
use crate::metrics::http::Answered;
use crate::metrics::labels::{Method, RefusedFor, Route};
use crate::registry::{Error, Registry};
use crate::store::ErrorKind;

/// A request that is being answered; it counts as such until this is dropped.
pub struct InFlight {
    registry: Arc<Registry>,
    route: Route,
    is_download: bool,
}

impl InFlight {
    /// A request about this has begun.
    pub fn begin(registry: &Arc<Registry>, route: Route) -> Self {
        registry.metrics().http.in_flight(route).enter();
        Self {
            registry: Arc::clone(registry),
            route,
            is_download: false,
        }
    }

    /// What it is about.
    pub const fn route(&self) -> Route {
        self.route
    }

    /// It sends the bytes of a blob.
    pub fn is_download(&mut self) {
        if !std::mem::replace(&mut self.is_download, true) {
            self.registry.metrics().http.downloads.enter();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let http = &self.registry.metrics().http;
        http.in_flight(self.route).leave();
        if self.is_download {
            http.downloads.leave();
        }
    }
}

/// Counts a request that was answered.
pub fn answered(registry: &Registry, route: Route, sent: &Sent) {
    let http = &registry.metrics().http;
    http.count(&Answered {
        route,
        method: Method::of(&sent.method_token),
        status: sent.status,
        duration: sent.duration,
        received: sent.bytes_in,
        sent: sent.bytes_out,
    });
    if !sent.complete {
        http.incomplete.add_one();
    }
}

/// Counts why a request was refused, where that is one of the reasons that are counted.
pub fn refused(registry: &Registry, failure: &Failure) {
    if let Some(why) = reason(failure) {
        registry.metrics().work.refused(why).add_one();
    }
}

fn reason(failure: &Failure) -> Option<RefusedFor> {
    match failure {
        Failure::Refused(refused) => Some(match refused {
            Refused::Unauthorized { .. } => RefusedFor::Unauthorized,
            Refused::Forbidden { .. } => RefusedFor::Forbidden,
            Refused::LoginsThrottled { .. } | Refused::LoginsTooMany { .. } => RefusedFor::Logins,
            Refused::LimitReached { .. } => RefusedFor::Limit,
            Refused::ReadOnly => RefusedFor::ReadOnly,
        }),
        Failure::Registry(error) | Failure::Upload { error, .. } => match error {
            Error::QuotaExceeded(_) => Some(RefusedFor::Quota),
            Error::UploadsTooMany { .. } => Some(RefusedFor::Uploads),
            Error::TagImmutable { .. } => Some(RefusedFor::Immutable),
            Error::Store(error) if error.kind() == ErrorKind::Full => Some(RefusedFor::Room),
            Error::Store(_) => Some(RefusedFor::Store),
            _ => None,
        },
        _ => None,
    }
}
