//! What a running registry does, in a line for whoever looks at the service.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::http::{Endpoint, Server, ServerHandle};
use crate::registry::{Error, Registry};
use crate::store::space::human;

/// Where the figures of the status come from.
pub(super) struct Figures {
    handle: ServerHandle,
    registry: Arc<Registry>,
    /// `serving on http://127.0.0.1:5000`
    doing: String,
}

impl Figures {
    pub(super) fn new(server: &Server, registry: &Arc<Registry>) -> Self {
        let urls: Vec<String> = server.local_endpoints().iter().map(Endpoint::url).collect();
        Self {
            handle: server.handle(),
            registry: Arc::clone(registry),
            doing: format!("serving on {}", urls.join(", ")),
        }
    }

    /// Whether the catalog answers.
    pub(super) fn catalog(&self) -> Result<(), Error> {
        self.registry.totals().map(|_| ())
    }

    /// What goes on; `refused` is why the last reload was.
    pub(super) fn status(&self, refused: Option<&str>) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        if let Some(why) = refused {
            let _ = write!(text, "the last reload was refused: {why}; ");
        }
        text.push_str(&self.doing);
        if let Ok(totals) = self.registry.totals() {
            let _ = write!(
                text,
                "; {} repositories, {} tags, {} blobs of {}",
                totals.repositories,
                totals.tags,
                totals.blobs,
                human(totals.blob_bytes)
            );
        }
        let stats = self.handle.stats();
        let (connections, running) = (stats.connections, stats.requests_active);
        let _ = write!(text, "; {connections} connections, {running} requests");
        if let Ok(Some(room)) = self.registry.space().standing() {
            let _ = write!(text, "; {} free", human(room.free));
        }
        text
    }

    /// What is still waited for.
    pub(super) fn stopping(&self) -> String {
        let running = self.handle.stats().requests_active;
        format!("stopping: {running} requests are running")
    }
}
