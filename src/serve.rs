//! The composition root: opens the store, wires the floors, serves until told to stop.
//!
//! [`Coracle`] is also how a program embeds a registry: open it, give it requests, or let it
//! serve. Nothing here prints or decides a rule.

mod auth;
mod tls;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::api::control::Control;
use crate::api::jobs::{Jobs, SweepOptions};
use crate::api::{self, Api, limiter, owners};
use crate::auth::logins::OpenError;
use crate::auth::{Authenticator, Logins};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::http::tls::{Tls, TlsError, TlsWatch};
use crate::http::{
    Endpoint, Handler, Limits, ListenAddress, Request, Response, Server, ServerHandle,
};
use crate::registry::{self, Registry};
use crate::store::blobs::disk::RealDisk;
use crate::store::blobs::{BlobStore, FileBlobStore, FileOptions, MemoryBlobStore};
use crate::store::catalog::{self, Catalog, Durability, Location};
use crate::store::folder::FolderLock;
use crate::store::layout::Layout;
use crate::store::{self, ErrorKind};

/// Worker threads of the control socket: one that works, one that answers meanwhile.
const CONTROL_WORKERS_MAX: usize = 2;

/// How long the catalog may take to fold its log away at the end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// How often the files of certificates are looked at.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(2);

/// Something that is done anew when the process is told to (SIGHUP). It logs how that went.
pub type ReloadHook = Box<dyn Fn() + Send + Sync>;

/// Why a registry could not be opened or served.
#[derive(Debug)]
pub enum Error {
    /// The store could not be opened.
    Store(store::Error),
    /// An address could not be listened on, or a thread not started.
    Io(io::Error),
    /// Certificates cannot be used.
    Tls(TlsError),
    /// What a setting names is not as it must be: a sentence.
    Setting(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Setting(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        use crate::auth::htpasswd::FileError;
        match error {
            OpenError::Store(error) => Self::Store(error),
            OpenError::Random(error) => Self::Io(error),
            // Who may not read it has to change permissions, not the setting.
            OpenError::Htpasswd(FileError::Io(_, ref reason))
                if reason.kind() == io::ErrorKind::PermissionDenied =>
            {
                Self::Io(io::Error::new(reason.kind(), error.to_string()))
            }
            OpenError::Htpasswd(_) => Self::Setting(format!("auth.htpasswd: {error}")),
        }
    }
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
        let blobs = open_blobs(&settings, layout.as_ref())?;
        let catalog = Arc::new(open_catalog(&settings, layout.as_ref(), &clock, &blobs)?);
        let registry = Registry::new(Arc::clone(&catalog), blobs, rules(&settings));
        let registry = Arc::new(registry);
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
        let control = self
            .layout
            .as_ref()
            .map(|layout| self.bind_control(layout))
            .transpose()?;
        let jobs = Jobs::start(
            Arc::clone(&self.registry),
            Arc::clone(&self.clock),
            SweepOptions {
                interval: self.settings.uploads.sweep_seconds,
                upload_age: self.settings.uploads.expire_seconds,
                orphan_age: self.settings.storage.orphan_expire_seconds,
            },
        )?;
        let watch = tls.as_ref().map(|tls| tls.watch(CERTIFICATES_INTERVAL));
        Ok(Serving {
            server,
            control,
            reload: Arc::new(reload_hooks(tls, Arc::clone(&self.auth))),
            _jobs: jobs,
            _watch: watch.transpose()?,
        })
    }

    /// Commits what waits and folds the catalog's log into its file.
    ///
    /// # Errors
    /// The fold failed; nothing that was acknowledged is lost.
    pub fn close(self) -> Result<(), Error> {
        Ok(self.registry.catalog().close(CLOSE_PATIENCE)?)
    }

    fn bind_control(&self, layout: &Layout) -> Result<ControlServer, Error> {
        let handler = Arc::new(Control::new(
            Arc::clone(&self.registry),
            Arc::clone(&self.auth),
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

/// A registry that has its addresses.
pub struct Serving {
    server: Server,
    control: Option<ControlServer>,
    reload: Arc<Vec<ReloadHook>>,
    _jobs: Jobs,
    _watch: Option<TlsWatch>,
}

/// Makes a registry that serves look at its files again, from any thread.
#[derive(Clone)]
pub struct Reloader(Arc<Vec<ReloadHook>>);

impl Reloader {
    /// Calls all hooks, one after the other.
    pub fn reload(&self) {
        for hook in self.0.iter() {
            hook();
        }
    }
}

impl Serving {
    /// The addresses as they were bound, with the ports that the system chose.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.server.local_endpoints()
    }

    /// Makes it look at its files again, from any thread.
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.reload))
    }

    /// Stops it, from any thread.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until stopped.
    ///
    /// # Errors
    /// The system refuses threads or polling.
    pub fn run(self) -> Result<(), Error> {
        self.server.run()?;
        drop(self.control);
        Ok(())
    }
}

/// The control socket's server and its thread.
struct ControlServer {
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.handle.stop_now();
        if let Some(thread) = self.thread.take() {
            // Its failure was the end of the control socket only.
            let _ = thread.join();
        }
    }
}

/// What is done anew on SIGHUP, in this order.
fn reload_hooks(tls: Option<Arc<Tls>>, auth: Arc<Authenticator>) -> Vec<ReloadHook> {
    let mut hooks: Vec<ReloadHook> = vec![Box::new(move || auth.reload())];
    if let Some(tls) = tls {
        hooks.push(Box::new(move || {
            // What is wrong with the files was logged; what was loaded before is in use.
            let _ = tls.reload();
        }));
    }
    hooks
}

/// Writes the file that tells others that requests are answered, whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn write_ready_file(path: &Path, endpoints: &[Endpoint]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let mut file = fs::File::create(part)?;
    for endpoint in endpoints {
        writeln!(file, "{}", endpoint.url())?;
    }
    fs::rename(part, path)
}

fn open_blobs(settings: &Settings, layout: Option<&Layout>) -> Result<Arc<dyn BlobStore>, Error> {
    let sessions_max = settings.uploads.sessions_max;
    Ok(match layout {
        Some(layout) => Arc::new(FileBlobStore::open(
            layout.clone(),
            FileOptions {
                relaxed: settings.storage.durability == Durability::Relaxed,
                inline_bytes_max: settings.storage.inline_bytes_max,
                upload_sessions_max: sessions_max,
                ..FileOptions::default()
            },
            RealDisk,
        )?),
        None => Arc::new(MemoryBlobStore::new(
            settings.storage.memory_bytes_max,
            sessions_max,
        )),
    })
}

fn open_catalog(
    settings: &Settings,
    layout: Option<&Layout>,
    clock: &Arc<dyn Clock>,
    blobs: &Arc<dyn BlobStore>,
) -> Result<Catalog, Error> {
    let path = layout.map(Layout::catalog);
    let location = path.as_deref().map_or(Location::Memory, Location::File);
    let blobs = Arc::clone(blobs);
    let options = catalog::Options {
        durability: settings.storage.durability,
        clock: Arc::clone(clock),
        ..catalog::Options::new(location)
    };
    Ok(Catalog::open(
        options,
        Box::new(move |shards| blobs.sync_shards(shards)),
    )?)
}

const fn rules(settings: &Settings) -> registry::Options {
    registry::Options {
        delete_enabled: settings.delete.enabled,
        references_check: settings.manifests.references_check,
        manifest_bytes_max: settings.manifests.bytes_max,
        references_max: settings.manifests.references_max,
        blob_bytes_max: settings.limits.blob_bytes_max,
        referrers_bytes_max: settings.referrers.bytes_max,
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

/// Whether the failure means that a server is running on this folder.
pub fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Store(error) if error.kind() == ErrorKind::Locked)
}
