//! A registry that has its addresses: running it, stopping it, making it read files again.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::Error;
use super::reload::Reloader;
use super::service::Service;
use crate::api::control::Control;
use crate::api::jobs::Jobs;
use crate::api::policy_jobs::PolicyJobs;
use crate::api::scrub::Scrubber;
use crate::http::tls::TlsWatch;
use crate::http::{Endpoint, Handed, Limits, ListenAddress, Server, ServerHandle};
use crate::registry::Registry;

/// A registry that has its addresses.
pub struct Serving {
    pub(super) server: Server,
    pub(super) control: Option<ControlServer>,
    pub(super) reload: Arc<Reloader>,
    pub(super) service: Option<Arc<Service>>,
    pub(super) registry: Arc<Registry>,
    pub(super) _jobs: Jobs,
    pub(super) _policy: PolicyJobs,
    pub(super) _scrub: Option<Scrubber>,
    pub(super) _watch: Option<TlsWatch>,
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
        Ok(())
    }
}

/// Worker threads of the control socket: one that works, one that answers meanwhile.
const CONTROL_WORKERS_MAX: usize = 2;

/// The control socket's server and its thread.
pub(super) struct ControlServer {
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl ControlServer {
    /// Serves `control` at `path`, for its owner alone, and at sockets that were handed over;
    /// `None` where there is neither.
    pub(super) fn bind(
        path: Option<PathBuf>,
        handed: Vec<Handed>,
        control: Control,
    ) -> io::Result<Option<Self>> {
        if path.is_none() && handed.is_empty() {
            return Ok(None);
        }
        let limits = Limits {
            workers_max: CONTROL_WORKERS_MAX,
            workers_min: 1,
            ..Limits::default()
        };
        let handed = handed.into_iter().map(|socket| (socket, None)).collect();
        let own: Vec<ListenAddress> = path.iter().cloned().map(ListenAddress::Unix).collect();
        // A folder that we made is its owner's alone (0700), so the socket is too, from its first
        // moment; in a folder that was there before, from the next line on.
        let server = Server::bind_beside(handed, &own, limits, Arc::new(control))?;
        if let Some(path) = path {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        let handle = server.handle();
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .stack_size(256 << 10)
            .spawn(move || server.run())?;
        Ok(Some(Self {
            handle,
            thread: Some(thread),
        }))
    }
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
