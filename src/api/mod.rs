//! Delivery: requests in, responses out. Handlers are thin: their arguments are parsed, they call
//! the registry once, they phrase the answer.
//!
//! No SQL and no file is touched here, and no rule is decided.

mod blobs;
pub mod control;
pub mod error;
mod health;
pub mod jobs;
mod lists;
mod manifests;
mod query;
mod respond;
pub mod route;
#[cfg(test)]
mod tests;
mod uploads;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

pub use error::Failure;

use crate::http::tls::Tls;
use crate::http::{Handler, Refusal, Request, Response, range};
use crate::logging::{self, AccessRecord};
use crate::oci::ErrorCode;
use crate::registry::Registry;
use respond::API_VERSION;
use route::Route;

/// Limits of the API itself.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most `tag` parameters of one push.
    pub tags_max: usize,
    /// The most tags in one page, and their number without `n`.
    pub tags_page_max: usize,
    /// Repositories in a page without `n`.
    pub catalog_page_default: usize,
    /// The most repositories in one page.
    pub catalog_page_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tags_max: 100,
            tags_page_max: 10_000,
            catalog_page_default: 100,
            catalog_page_max: 1000,
        }
    }
}

/// The registry's API, to be served.
pub struct Api {
    registry: Arc<Registry>,
    options: Options,
    ids: RequestIds,
    /// Large manifests that are dealt with at this moment.
    large_manifests: AtomicUsize,
    /// The certificates in use, where TLS is spoken.
    tls: Option<Arc<Tls>>,
}

impl Api {
    /// The API of `registry`.
    pub fn new(registry: Arc<Registry>, options: Options) -> Self {
        Self {
            registry,
            options,
            ids: RequestIds::new(),
            large_manifests: AtomicUsize::new(0),
            tls: None,
        }
    }

    /// The same, telling about these certificates in its health.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    fn dispatch(&self, request: &mut Request<'_>) -> Result<Response, Failure> {
        match Route::parse(request.method, &request.path)? {
            Route::Home => Ok(health::home()),
            Route::Alive => Ok(health::alive()),
            Route::Ready => Ok(health::ready(self)),
            Route::Base => Ok(health::base()),
            Route::Catalog => lists::catalog(self, request),
            Route::Tags(name) => lists::tags(self, request, &name),
            Route::GetManifest(name, reference) => manifests::get(self, request, &name, &reference),
            Route::PutManifest(name, reference) => manifests::put(self, request, &name, &reference),
            Route::DeleteManifest(name, reference) => manifests::delete(self, &name, &reference),
            Route::GetBlob(name, digest) => blobs::get(self, request, &name, &digest),
            Route::DeleteBlob(name, digest) => blobs::delete(self, &name, &digest),
            Route::StartUpload(name) => uploads::start(self, request, &name),
            Route::GetUpload(key) => uploads::status(self, &key),
            Route::PatchUpload(key) => uploads::patch(self, request, &key),
            Route::PutUpload(key) => uploads::put(self, request, &key),
            Route::DeleteUpload(key) => uploads::cancel(self, &key),
            Route::Referrers(name, digest) => lists::referrers(self, request, &name, &digest),
            Route::Options(allow) => Ok(Response::new(200).header("Allow", allow)),
        }
    }
}

impl Handler for Api {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        let id = self.ids.next();
        let response = self
            .dispatch(request)
            .unwrap_or_else(|failure| error::render(&failure, &id));
        sign(response, id)
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let id = self.ids.next();
        let code = match refusal.status {
            413 => ErrorCode::SizeInvalid,
            503 => ErrorCode::TooManyRequests,
            500..=599 => ErrorCode::Unknown,
            _ => ErrorCode::Unsupported,
        };
        let mut response = error::plain(refusal.status, code, &refusal.why, &id);
        if let Some(seconds) = refusal.retry_after_seconds() {
            response = response.header("Retry-After", seconds.to_string());
        }
        sign(response, id)
    }
}

/// Adds what every response carries, and its line in the access log.
fn sign(response: Response, id: String) -> Response {
    response
        .header(API_VERSION.0, API_VERSION.1)
        .header("X-Request-Id", id.clone())
        .on_sent(move |sent| {
            logging::log_access(&AccessRecord {
                method: &sent.method_token,
                path: &sent.target(),
                status: sent.status,
                bytes_in: sent.bytes_in,
                bytes_out: sent.bytes_out,
                duration: sent.duration,
                client: &sent.peer.to_string(),
                user_agent: sent.user_agent().unwrap_or_default(),
                request_id: &id,
                complete: sent.complete,
            });
        })
}

/// Ids of requests: a part that differs from process to process, and a count.
struct RequestIds {
    process: u32,
    count: AtomicU32,
}

impl RequestIds {
    fn new() -> Self {
        // Without randomness the process id still tells two runs apart well enough for a log.
        let process = getrandom::u32().unwrap_or_else(|_| std::process::id());
        Self {
            process,
            count: AtomicU32::new(0),
        }
    }

    fn next(&self) -> String {
        format!(
            "{:08x}-{:08x}",
            self.process,
            self.count.fetch_add(1, Ordering::Relaxed)
        )
    }
}
