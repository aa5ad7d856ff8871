//! Wiring of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::reload::Reloader;
use super::serving::SideServer;
use crate::api::control::Control;
use crate::api::vitals::Vitals;
use crate::http::{Handed, Limits, ListenAddress, Server};
use crate::notify::Notifier;

/// Worker threads: one that works, one that answers meanwhile.
const WORKERS_MAX: usize = 2;

/// Where the command line is answered.
pub(super) struct Place {
    /// A socket that is its owner's alone, if one is to be made.
    pub(super) path: Option<PathBuf>,
    /// Sockets that were handed over for it.
    pub(super) handed: Vec<Handed>,
}

impl Place {
    /// Answers there; `None` where there is none.
    ///
    /// # Errors
    /// The path cannot be listened on, or no thread be started.
    pub(super) fn bind(
        self,
        vitals: &Arc<Vitals>,
        notifier: &Arc<Notifier>,
        reload: &Arc<Reloader>,
    ) -> io::Result<Option<SideServer>> {
        let Self { path, handed } = self;
        if path.is_none() && handed.is_empty() {
            return Ok(None);
        }
        let reload = Arc::clone(reload);
        let control = Control::new(Arc::clone(vitals), Arc::clone(notifier));
        let handler = Arc::new(control.with_reload(Box::new(move || reload.reload())));
        let limits = Limits {
            workers_max: WORKERS_MAX,
            workers_min: 1,
            ..Limits::default()
        };
        let handed = handed.into_iter().map(|socket| (socket, None)).collect();
        let own: Vec<ListenAddress> = path.iter().cloned().map(ListenAddress::Unix).collect();
        // A folder that we made is its owner's alone (0700), so the socket is too, from its first
        // moment; in a folder that was there before, from the next line on.
        let server = Server::bind_beside(handed, &own, limits, handler)?;
        if let Some(path) = path {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        SideServer::start("control", server).map(Some)
    }
}
