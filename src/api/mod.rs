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
pub mod control_reload;
pub mod control_tasks;
mod counted;
mod credentials;
pub mod error;
mod exposition;
mod extensions;
mod health;
pub mod jobs;
pub mod limiter;
mod lists;
mod manifests;
pub mod ops;
mod origin;
pub mod owners;
pub mod policy_jobs;
mod query;
pub mod refused;
mod request_id;
mod respond;
pub mod route;
pub mod scrub;
pub mod status;
#[cfg(test)]
mod tests;
pub mod token;
pub mod transfers;
mod uploads;
pub mod vitals;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

pub use error::Failure;

use crate::auth::Authenticator;
use crate::http::trace::TraceContext;
use crate::http::{Handler, Method, Refusal, Request, Response, range};
use crate::logging::{self, AccessRecord, AuditedRequest};
use crate::metrics::labels;
use crate::oci::ErrorCode;
use crate::registry::Registry;
use access::Caller;
use audited::Audited;
use counted::InFlight;
use limiter::{Limiter, Running};
use owners::Owners;
use query::Query;
use refused::Refused;
use request_id::{REQUEST_ID, RequestIds};
use respond::API_VERSION;
use route::Route;
use vitals::Vitals;

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
    vitals: Arc<Vitals>,
}

impl Api {
    /// The API of `registry`, for those whom `auth` lets in.
    pub fn new(registry: Arc<Registry>, auth: Arc<Authenticator>, options: Options) -> Self {
        let vitals = Vitals::new(Arc::clone(&registry), Arc::clone(&auth));
        Self {
            registry,
            auth,
            options,
            ids: RequestIds::new(),
            limiter: Limiter::new(options.limits),
            owners: Owners::new(options.uploads),
            token: None,
            large_manifests: AtomicUsize::new(0),
            vitals: Arc::new(vitals),
        }
    }

    /// What health, metrics and `coracle status` are told from.
    pub const fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
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
        let route = Route::parse(request.method, &request.path);
        let label = route.as_ref().map_or(labels::Route::None, Route::label);
        let in_flight = InFlight::begin(&self.registry, label);
        let in_flight = known.in_flight.insert(in_flight);
        known.is_probe = matches!(route, Ok(Route::Alive));
        self.limiter.client(request.peer.client())?;
        if let (Ok(Route::GetBlob(..)), Method::Get) = (&route, request.method) {
            in_flight.is_download();
        }
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
            Route::Ready => Ok(health::ready(&self.vitals)),
            Route::Checks => Ok(health::checks(&self.vitals)),
            Route::Metrics => Ok(exposition::answer(&self.vitals)),
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
        let id = self.ids.of(&request.headers);
        let client = request.peer.ip();
        let client = client.map_or_else(|| "unix".to_owned(), |ip| ip.to_string());
        let _audited = AuditedRequest::begin(&id, client);
        let mut known = Known::default();
        let response = self
            .dispatch(request, &id, &mut known)
            .unwrap_or_else(|failure| {
                audited::refused(known.actor.as_deref(), &failure);
                counted::refused(&self.registry, &failure);
                error::render(&failure, &id)
            });
        self.sign(response, id, known)
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
        self.sign(response, id, Known::default())
    }
}

/// What came out about a request while it was answered.
#[derive(Default)]
struct Known {
    /// Who asked, as far as that was verified.
    actor: Option<String>,
    /// The request's part in what its account may have running, until the response was sent.
    running: Option<Running>,
    /// Its part in what is being answered, until then.
    in_flight: Option<InFlight>,
    /// Whether it only asks, again and again, whether the process answers.
    is_probe: bool,
}

impl Api {
    /// Adds what every response carries, its line in the access log, and what is counted of it.
    fn sign(&self, response: Response, id: String, known: Known) -> Response {
        let registry = Arc::clone(&self.registry);
        response
            .header(API_VERSION.0, API_VERSION.1)
            .header(REQUEST_ID, id.clone())
            .on_sent(move |sent| {
                drop(known.running);
                let in_flight = known.in_flight.as_ref();
                let route = in_flight.map_or(labels::Route::None, InFlight::route);
                drop(known.in_flight);
                counted::answered(&registry, route, sent);
                // A line for each would be most of the log of a quiet host.
                if known.is_probe && sent.status == 200 {
                    return;
                }
                let trace = TraceContext::of(&sent.headers);
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
                    trace_id: trace.as_ref().map_or("", TraceContext::trace_id),
                    complete: sent.complete,
                });
            })
    }
}
