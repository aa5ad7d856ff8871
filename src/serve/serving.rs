//! A registry that has its addresses: running it, stopping it, making it read files again.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::Error;
use super::reload::Reloader;
use super::service::Service;
use crate::api::jobs::Jobs;
use crate::api::policy_jobs::PolicyJobs;
use crate::api::scrub::Scrubber;
use crate::http::tls::TlsWatch;
use crate::http::{Endpoint, Server, ServerHandle};
use crate::notify::Notifier;
use crate::registry::Registry;

/// A registry that has its addresses.
pub struct Serving {
    pub(super) server: Server,
    pub(super) ops: Option<SideServer>,
    pub(super) control: Option<SideServer>,
    pub(super) reload: Arc<Reloader>,
    pub(super) service: Option<Arc<Service>>,
    pub(super) registry: Arc<Registry>,
    pub(super) _jobs: Jobs,
    pub(super) _policy: PolicyJobs,
    pub(super) _scrub: Option<Scrubber>,
    pub(super) _watch: Option<TlsWatch>,
    pub(super) notifier: Arc<Notifier>,
}

impl Serving {
    /// The addresses as they were bound, with the ports that the system chose.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.server.local_endpoints()
    }

    /// Makes it look at its files again, from any thread.
    pub fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reload)
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
        if let Some(service) = &self.service {
            service.serving(&self.registry, &self.server)?;
        }
        self.server.run()?;
        drop(self.control);
        self.notifier.stop();
        drop(self.ops);
        Ok(())
    }
}

/// A server beside the registry's own, and its thread.
pub(super) struct SideServer {
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl SideServer {
    /// Runs it on a thread of this name.
    pub(super) fn start(name: &str, server: Server) -> io::Result<Self> {
        let handle = server.handle();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .stack_size(256 << 10)
            .spawn(move || server.run())?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }

    /// Looks at it from any thread.
    pub(super) fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }
}

impl Drop for SideServer {
    fn drop(&mut self) {
        self.handle.stop_now();
        if let Some(thread) = self.thread.take() {
            // Its failure was its own end only.
            let _ = thread.join();
        }
    }
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
