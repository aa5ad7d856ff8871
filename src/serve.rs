//! The composition root: opens the store, wires the floors, serves until told to stop.
//!
//! [`Coracle`] is also how a program embeds a registry: open it, give it requests, or let it
//! serve. Nothing here prints or decides a rule.

mod auth;
mod control;
mod error;
mod figures;
mod ops;
pub mod reload;
mod service;
mod serving;
mod sockets;
mod store;
mod tls;
mod watchdog;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use crate::api::jobs::{Jobs, Room, gc, relief, sweep};
use crate::api::policy_jobs::{Intervals, PolicyJobs};
use crate::api::scrub::{ScrubOptions, Scrubber};
use crate::api::{self, Api, limiter, owners};
use crate::auth::{Authenticator, Logins};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::http::tls::Tls;
use crate::http::{Handed, Handler, Request, Response, Scheme, Server};
use crate::metrics::Metrics;
use crate::registry::{self, Registry};
use crate::store::ErrorKind;
use crate::store::folder::FolderLock;
use crate::store::layout::Layout;

pub use error::{Error, is_locked};
use reload::{Configured, Part, Reloader};
pub use service::Service;
pub use serving::{Serving, write_ready_file};
pub use sockets::Sockets;
use store::{open_blobs, open_catalog, open_space};
pub use tls::certificates as open_certificates;

/// How long the catalog may take to fold its log away at the end.
pub const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// How often the files of certificates are looked at.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(2);

/// What the process around a registry has for it. Whoever embeds one has nothing.
#[derive(Default)]
pub struct Host {
    /// Where settings are read again; without, a reload reads files only.
    pub configured: Option<Configured>,
    /// Sockets that the service manager has handed over.
    pub sockets: Sockets,
    /// The service manager, where one listens.
    pub service: Option<Arc<Service>>,
    /// What else is read again at a reload.
    pub parts: Vec<Part>,
}

/// An open registry. Closed by [`close`](Coracle::close) or when dropped.
pub struct Coracle {
    registry: Arc<Registry>,
    api: Arc<Api>,
    auth: Arc<Authenticator>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// Where the data is; `None` in memory.
    layout: Option<Layout>,
    _lock: Option<FolderLock>,
}

impl Coracle {
    /// Opens the registry that `settings` describe: in their data folder, which is made when it
    /// is missing and then belongs to this value alone, or in memory.
    ///
    /// # Errors
    /// [`Error::Store`], its kind telling a folder that is in use, damaged, newer or unwritable.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let layout = (!settings.storage.memory).then(|| Layout::new(&settings.storage.data));
        let lock = layout.as_ref().map(FolderLock::take).transpose()?;
        // First: on a full disk it makes the room in which the others are opened.
        let space = open_space(&settings, layout.as_ref())?;
        let metrics = Arc::new(Metrics::default());
        let blobs = open_blobs(&settings, layout.as_ref(), &space, &metrics)?;
        let catalog = open_catalog(&settings, layout.as_ref(), &clock, &blobs, &space, &metrics)?;
        let catalog = Arc::new(catalog);
        let registry = Registry::new(Arc::clone(&catalog), blobs, rules(&settings));
        put_in_force(&registry, &settings)?;
        let registry = registry.with_space(space).with_metrics(metrics);
        let registry = Arc::new(registry);
        webhooks::listen(&settings, &registry);
        let logins = &registry.metrics().logins;
        let auth = auth::open(&settings, layout.as_ref(), &catalog, &clock, logins)?;
        let auth = Arc::new(auth);
        let options = api_options(&settings);
        let mut api = Api::new(Arc::clone(&registry), Arc::clone(&auth), options);
        if let Some(endpoint) = auth::endpoint(&auth) {
            api = api.with_tokens(endpoint);
        }
        let api = Arc::new(api);
        Ok(Self {
            registry,
            api,
            auth,
            clock,
            settings,
            layout,
            _lock: lock,
        })
    }

    /// The rules, for commands that work on the store without HTTP.
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Who is let in, and the rules about them.
    pub const fn auth(&self) -> &Arc<Authenticator> {
        &self.auth
    }

    /// Accounts and logins; `None` where a token server knows the accounts.
    pub fn logins(&self) -> Option<&Arc<Logins>> {
        self.auth.logins()
    }

    /// Whether there is neither an access rule nor an account, so that everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.auth.policy().is_open()
    }

    /// Answers one request, without a network.
    pub fn handle(&self, request: &mut Request<'_>) -> Response {
        self.api.handle(request)
    }

    /// Listens on the configured addresses. Requests are answered once [`Serving::run`] is called;
    /// until then they wait.
    ///
    /// # Errors
    /// [`Error::Tls`], naming the file; [`Error::Io`], naming the address.
    pub fn bind(&self) -> Result<Serving, Error> {
        self.bind_for(Host::default())
    }

    /// As [`Coracle::bind`], with what the process has for it.
    ///
    /// # Errors
    /// As there; [`Error::Setting`] for a socket that cannot be served.
    pub fn bind_for(&self, host: Host) -> Result<Serving, Error> {
        // Here and not where the store is opened: commands that look at it need no certificate.
        let tls = tls::open(&self.settings, &self.clock)?;
        if let Some(tls) = &tls {
            self.api.vitals().tell_of_tls(Arc::clone(tls));
        }
        let server = self.bind_server(host.sockets.serve, tls.as_ref())?;
        let ops = ops::Place {
            handed: host.sockets.ops,
            listen: &self.settings.ops.listen,
            tls: tls.as_ref(),
        };
        let ops = ops.bind(&server, self.api.vitals())?;
        let endpoints = server.local_endpoints();
        let notifier = webhooks::start(&self.settings, &self.registry, &endpoints)?;
        webhooks::tell(self.api.vitals(), &notifier);
        let format = self.settings.log.format;
        let mut parts = reload::parts(&self.registry, &self.auth, tls.clone(), format);
        parts.push(webhooks::part(&notifier));
        parts.extend(host.parts);
        let reload = Reloader::new(host.configured, parts, host.service.clone());
        let reload = Arc::new(reload);
        let control = control::Place {
            path: self.layout.as_ref().map(Layout::control),
            handed: host.sockets.control,
        };
        let control = control.bind(self.api.vitals(), &notifier, &reload)?;
        self.registry.space().keep_ballast();
        let jobs = Jobs::start(self.rooms())?;
        let policy = self.start_policy()?;
        let scrub = ScrubOptions {
            period: self.settings.scrub.period_seconds,
            bytes_per_second_max: self.settings.scrub.bytes_per_second_max,
        };
        let (registry, clock) = (Arc::clone(&self.registry), Arc::clone(&self.clock));
        // What is in memory only cannot rot on a disk.
        let scrub = self
            .layout
            .is_some()
            .then(|| Scrubber::start(registry, clock, scrub));
        let watch = tls.as_ref().map(|tls| tls.watch(CERTIFICATES_INTERVAL));
        Ok(Serving {
            server,
            ops,
            control,
            reload,
            service: host.service,
            registry: Arc::clone(&self.registry),
            _jobs: jobs,
            _policy: policy,
            _scrub: scrub.transpose()?.flatten(),
            _watch: watch.transpose()?,
            notifier,
        })
    }

    fn bind_server(
        &self,
        sockets: Vec<(Handed, Option<Scheme>)>,
        tls: Option<&Arc<Tls>>,
    ) -> Result<Server, Error> {
        let handler: Arc<dyn Handler> = Arc::<Api>::clone(&self.api);
        let limits = self
            .settings
            .limits
            .http(self.settings.server.stop_seconds_max);
        let (handed, endpoints) = sockets::places(sockets, &self.settings, tls)?;
        Ok(Server::bind_beside(handed, &endpoints, limits, handler)?)
    }

    /// What rules about content need in the background.
    fn start_policy(&self) -> Result<PolicyJobs, Error> {
        if let Err(registry::Error::Store(error)) = self.registry.forget_quotas() {
            log::warn!("quotas that are in force no more are still counted for: {error}");
        }
        let intervals = Intervals {
            flush: self.settings.housekeeping.pulls_seconds,
            retention: self.settings.housekeeping.retention_seconds,
        };
        Ok(PolicyJobs::start(Arc::clone(&self.registry), intervals)?)
    }

    /// Commits what waits and folds the catalog's log into its file.
    ///
    /// # Errors
    /// The fold failed; nothing that was acknowledged is lost.
    pub fn close(self) -> Result<(), Error> {
        let closed = self.registry.catalog().close(CLOSE_PATIENCE);
        self.registry.space().keep_ballast_for_next_start();
        Ok(closed?)
    }

    /// What is done in the background, beside the scrub.
    fn rooms(&self) -> Vec<Room> {
        let uploads = &self.settings.uploads;
        let options = sweep::SweepOptions {
            interval: uploads.sweep_seconds,
            upload_age: uploads.expire_seconds,
            orphan_age: self.settings.storage.orphan_expire_seconds,
        };
        let [sweeping, relieving, collecting] = [(); 3].map(|()| Arc::clone(&self.registry));
        let mut rooms = Vec::new();
        let mut waker = None;
        if self.settings.gc.enabled {
            let mut job = gc::job(collecting, self.settings.gc.interval_seconds);
            waker = Some(job.waker());
            rooms.push(Room {
                name: "collect",
                jobs: vec![job],
            });
        }
        let relief = relief::ReliefOptions {
            upload_age: uploads.expire_seconds,
            idle_age: uploads.low_water_idle_seconds,
        };
        rooms.push(Room {
            name: "sweep",
            jobs: vec![
                sweep::job(sweeping, Arc::clone(&self.clock), options),
                relief::job(relieving, Arc::clone(&self.clock), relief, waker),
            ],
        });
        rooms
    }
}

/// The rules about content. On a full disk what they count is counted later, so that it starts.
fn put_in_force(registry: &Registry, settings: &Settings) -> Result<(), Error> {
    match registry.set_policy(settings.policy.clone()) {
        Err(error) if error.kind() == ErrorKind::Full => {
            log::warn!("what shared quotas bound is counted later: {error}");
            Ok(())
        }
        other => Ok(other?),
    }
}

const fn rules(settings: &Settings) -> registry::Options {
    registry::Options {
        delete_enabled: settings.delete.enabled,
        references_check: settings.manifests.references_check,
        manifest_bytes_max: settings.manifests.bytes_max,
        references_max: settings.manifests.references_max,
        blob_bytes_max: settings.limits.blob_bytes_max,
        referrers_bytes_max: settings.referrers.bytes_max,
        undo_window: settings.undo.window_seconds,
        grace: settings.gc.grace_seconds,
        start_wait: settings.gc.grace_seconds,
    }
}

const fn api_options(settings: &Settings) -> api::Options {
    api::Options {
        tags_max: settings.manifests.tags_max,
        tags_page_max: settings.listing.tags_page_max,
        catalog_page_default: settings.listing.catalog_page_default,
        catalog_page_max: settings.listing.catalog_page_max,
        read_only: settings.server.read_only,
        limits: limiter::Bounds {
            client_rate: settings.limits.requests_per_second_per_client,
            identity_rate: settings.limits.requests_per_second_per_account,
            identity_running: settings.limits.requests_per_account_max,
        },
        uploads: owners::Bounds {
            of_client: settings.limits.uploads_per_client_max,
            of_identity: settings.limits.uploads_per_account_max,
            upload_age: settings.uploads.expire_seconds,
        },
    }
}
