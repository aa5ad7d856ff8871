//! Delivery: requests in, responses out. Handlers are thin: their arguments are parsed, they call
//! the registry once, they phrase the answer.
//!
//! No SQL and no file is touched here, and no rule is decided.

mod access;
mod audited;
mod blobs;
mod challenge;
pub mod control;
pub mod control_accounts;
mod control_events;
mod control_registry;
pub mod control_tasks;
mod credentials;
pub mod error;
mod extensions;
mod health;
pub mod jobs;
pub mod limiter;
mod lists;
mod manifests;
mod origin;
pub mod owners;
pub mod policy_jobs;
mod query;
pub mod refused;
mod respond;
pub mod route;
pub mod scrub;
#[cfg(test)]
mod tests;
pub mod token;
mod uploads;

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

pub use error::Failure;

use crate::auth::Authenticator;
use crate::http::tls::Tls;
use crate::http::{Handler, Refusal, Request, Response, range};
use crate::logging::{self, AccessRecord, AuditedRequest};
use crate::oci::ErrorCode;
use crate::registry::Registry;
use access::Caller;
use audited::Audited;
use limiter::{Limiter, Running};
use owners::Owners;
use query::Query;
use refused::Refused;
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
    /// Whether every write is refused.
    pub read_only: bool,
    /// What one client and one identity may ask for.
    pub limits: limiter::Bounds,
    /// How many unfinished uploads they may have.
    pub uploads: owners::Bounds,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tags_max: 100,
            tags_page_max: 10_000,
            catalog_page_default: 100,
            catalog_page_max: 1000,
            read_only: false,
            limits: limiter::Bounds::default(),
            uploads: owners::Bounds::default(),
        }
    }
}

/// The registry's API, to be served.
pub struct Api {
    registry: Arc<Registry>,
    auth: Arc<Authenticator>,
    options: Options,
    ids: RequestIds,
    limiter: Limiter,
    owners: Owners,
    /// Where tokens are to be had, when they are our own.
    token: Option<token::Endpoint>,
    /// Large manifests that are dealt with at this moment.
    large_manifests: AtomicUsize,
    /// The certificates in use, where TLS is spoken.
    tls: OnceLock<Arc<Tls>>,
}

impl Api {
    /// The API of `registry`, for those whom `auth` lets in.
    pub fn new(registry: Arc<Registry>, auth: Arc<Authenticator>, options: Options) -> Self {
        Self {
            registry,
            auth,
            options,
            ids: RequestIds::new(),
            limiter: Limiter::new(options.limits),
            owners: Owners::new(options.uploads),
            token: None,
            large_manifests: AtomicUsize::new(0),
            tls: OnceLock::new(),
        }
    }

    /// Its health tells of these certificates from now on.
    pub fn tell_of(&self, tls: Arc<Tls>) {
        // Whoever binds twice serves with the same files.
        let _ = self.tls.set(tls);
    }

    /// The same with a token endpoint.
    #[must_use]
    pub fn with_tokens(mut self, endpoint: token::Endpoint) -> Self {
        self.token = Some(endpoint);
        self
    }

    fn dispatch(
        &self,
        request: &mut Request<'_>,
        id: &str,
        known: &mut Known,
    ) -> Result<Response, Failure> {
        self.limiter.client(request.peer.client())?;
        let route = Route::parse(request.method, &request.path);
        let caller = access::admit(self, request, route.as_ref(), &mut known.actor)?;
        if let Some(name) = &known.actor {
            known.running = self.limiter.identity(name)?;
        }
        let route = route?;
        let event = Audited::of(&route);
        let _origin = origin::begin(self, request, id, caller.name());
        let response = self.answer(request, route, &caller)?;
        if let Some(event) = event {
            let is_mount = Query::new(request.query.as_deref()).get("mount").is_some();
            event.succeeded(caller.name(), is_mount, &response);
        }
        Ok(response)
    }

    fn answer(
        &self,
        request: &mut Request<'_>,
        route: Route,
        caller: &Caller,
    ) -> Result<Response, Failure> {
        if self.options.read_only && route.writes() {
            return Err(Refused::ReadOnly.into());
        }
        match route {
            Route::Home => Ok(health::home()),
            Route::Alive => Ok(health::alive()),
            Route::Ready => Ok(health::ready(self)),
            Route::Base => Ok(health::base()),
            Route::Token => token::answer(self.token.as_ref(), request),
            Route::Catalog => lists::catalog(self, request, caller),
            Route::Tags(name) => lists::tags(self, request, &name),
            Route::GetManifest(name, reference) => manifests::get(self, request, &name, &reference),
            Route::PutManifest(name, reference) => {
                manifests::put(self, request, &name, &reference, caller)
            }
            Route::DeleteManifest(name, reference) => {
                manifests::delete(self, &name, &reference, caller)
            }
            Route::GetBlob(name, digest) => blobs::get(self, request, &name, &digest),
            Route::DeleteBlob(name, digest) => blobs::delete(self, &name, &digest),
            Route::StartUpload(name) => uploads::start(self, request, &name, caller),
            Route::GetUpload(key) => uploads::status(self, &key),
            Route::PatchUpload(key) => uploads::patch(self, request, &key),
            Route::PutUpload(key) => uploads::put(self, request, &key),
            Route::DeleteUpload(key) => uploads::cancel(self, &key),
            Route::Referrers(name, digest) => lists::referrers(self, request, &name, &digest),
            Route::Extensions(name) => extensions::discover(self, name.as_ref()),
            Route::TagHistory(name, tag) => {
                extensions::tag_history(self, request, &name, &tag, caller)
            }
            Route::Options(allow) => Ok(Response::new(200).header("Allow", allow)),
        }
    }
}

impl Handler for Api {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        let id = self.ids.next();
        let client = request.peer.ip();
        let client = client.map_or_else(|| "unix".to_owned(), |ip| ip.to_string());
        let _audited = AuditedRequest::begin(&id, client);
        let mut known = Known::default();
        let response = self
            .dispatch(request, &id, &mut known)
            .unwrap_or_else(|failure| {
                audited::refused(known.actor.as_deref(), &failure);
                error::render(&failure, &id)
            });
        sign(response, id, known)
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
        sign(response, id, Known::default())
    }
}

/// What came out about a request while it was answered.
#[derive(Default)]
struct Known {
    /// Who asked, as far as that was verified.
    actor: Option<String>,
    /// The request's part in what its account may have running, until the response was sent.
    running: Option<Running>,
}

/// Adds what every response carries, and its line in the access log.
fn sign(response: Response, id: String, known: Known) -> Response {
    response
        .header(API_VERSION.0, API_VERSION.1)
        .header("X-Request-Id", id.clone())
        .on_sent(move |sent| {
            drop(known.running);
            logging::log_access(&AccessRecord {
                method: &sent.method_token,
                path: &sent.target(),
                status: sent.status,
                bytes_in: sent.bytes_in,
                bytes_out: sent.bytes_out,
                duration: sent.duration,
                client: &sent.peer.to_string(),
                actor: known.actor.as_deref().unwrap_or_default(),
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
