//! The composition root: opens the store, wires the floors, serves until told to stop.
//!
//! [`Coracle`] is also how a program embeds a registry: open it, give it requests, or let it
//! serve. Nothing here prints or decides a rule.

mod auth;
mod error;
mod serving;
mod store;
mod tls;
mod webhooks;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::api::control::Control;
use crate::api::jobs::{Jobs, Room, gc, relief, sweep};
use crate::api::policy_jobs::{Intervals, PolicyJobs};
use crate::api::scrub::{ScrubOptions, Scrubber};
use crate::api::{self, Api, limiter, owners};
use crate::auth::{Authenticator, Logins};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::http::{Handler, Limits, ListenAddress, Request, Response, Server};
use crate::notify::Notifier;
use crate::registry::{self, Registry};
use crate::store::ErrorKind;
use crate::store::folder::FolderLock;
use crate::store::layout::Layout;

pub use error::{Error, is_locked};
use serving::{ControlServer, reload_hooks};
pub use serving::{ReloadHook, Reloader, Serving, write_ready_file};
use store::{open_blobs, open_catalog, open_space};
pub use webhooks::reload_webhooks;

/// Worker threads of the control socket: one that works, one that answers meanwhile.
const CONTROL_WORKERS_MAX: usize = 2;

/// How long the catalog may take to fold its log away at the end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// How often the files of certificates are looked at.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(2);

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
        let blobs = open_blobs(&settings, layout.as_ref(), &space)?;
        let catalog = open_catalog(&settings, layout.as_ref(), &clock, &blobs, &space)?;
        let catalog = Arc::new(catalog);
        let registry = Registry::new(Arc::clone(&catalog), blobs, rules(&settings));
        put_in_force(&registry, &settings)?;
        let registry = Arc::new(registry.with_space(space));
        webhooks::listen(&settings, &registry);
        let auth = auth::open(&settings, layout.as_ref(), &catalog, &clock)?;
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
        // Here and not where the store is opened: commands that look at it need no certificate.
        let tls = tls::open(&self.settings, &self.clock)?;
        if let Some(tls) = &tls {
            self.api.tell_of(Arc::clone(tls));
        }
        let handler: Arc<dyn Handler> = Arc::<Api>::clone(&self.api);
        let limits = self
            .settings
            .limits
            .http(self.settings.server.stop_seconds_max);
        let server = Server::bind(
            &tls::endpoints(&self.settings, tls.as_ref()),
            limits,
            handler,
        )?;
        let endpoints = server.local_endpoints();
        let notifier = webhooks::start(&self.settings, &self.registry, &endpoints)?;
        let control = self
            .layout
            .as_ref()
            .map(|layout| self.bind_control(layout, &notifier))
            .transpose()?;
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
            control,
            reload: Arc::new(reload_hooks(tls, Arc::clone(&self.auth))),
            _jobs: jobs,
            _policy: policy,
            _scrub: scrub.transpose()?.flatten(),
            _watch: watch.transpose()?,
            notifier,
        })
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

    fn bind_control(
        &self,
        layout: &Layout,
        notifier: &Arc<Notifier>,
    ) -> Result<ControlServer, Error> {
        let handler = Arc::new(Control::new(
            Arc::clone(&self.registry),
            Arc::clone(&self.auth),
            Arc::clone(notifier),
        ));
        let limits = Limits {
            workers_max: CONTROL_WORKERS_MAX,
            workers_min: 1,
            ..Limits::default()
        };
        // A folder that we made is its owner's alone (0700), so the socket is too, from its first
        // moment; in a folder that was there before, from the next line on.
        let server = Server::bind(&[ListenAddress::Unix(layout.control())], limits, handler)?;
        fs::set_permissions(layout.control(), fs::Permissions::from_mode(0o600))?;
        let handle = server.handle();
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .stack_size(256 << 10)
            .spawn(move || server.run())?;
        Ok(ControlServer {
            handle,
            thread: Some(thread),
        })
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
