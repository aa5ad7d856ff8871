//! A registry that has its addresses: running it, stopping it, making it read files again.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::Error;
use crate::api::jobs::Jobs;
use crate::api::policy_jobs::PolicyJobs;
use crate::api::scrub::Scrubber;
use crate::auth::Authenticator;
use crate::http::tls::{Tls, TlsWatch};
use crate::http::{Endpoint, Server, ServerHandle};
use crate::notify::Notifier;

/// Something that is done anew when the process is told to (SIGHUP). It logs how that went.
pub type ReloadHook = Box<dyn Fn() + Send + Sync>;

/// A registry that has its addresses.
pub struct Serving {
    pub(super) server: Server,
    pub(super) control: Option<ControlServer>,
    pub(super) reload: Arc<Vec<ReloadHook>>,
    pub(super) _jobs: Jobs,
    pub(super) _policy: PolicyJobs,
    pub(super) _scrub: Option<Scrubber>,
    pub(super) _watch: Option<TlsWatch>,
    pub(super) notifier: Arc<Notifier>,
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

    /// Who delivers to webhooks.
    pub const fn notifier(&self) -> &Arc<Notifier> {
        &self.notifier
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
        self.notifier.stop();
        Ok(())
    }
}

/// The control socket's server and its thread.
pub(super) struct ControlServer {
    pub(super) handle: ServerHandle,
    pub(super) thread: Option<JoinHandle<io::Result<()>>>,
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
pub(super) fn reload_hooks(tls: Option<Arc<Tls>>, auth: Arc<Authenticator>) -> Vec<ReloadHook> {
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
