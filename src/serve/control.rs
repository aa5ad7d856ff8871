//! Wiring of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::serving::SideServer;
use crate::api::control::Control;
use crate::http::{Handed, Limits, ListenAddress, Server};

/// Worker threads: one that works, one that answers meanwhile.
const WORKERS_MAX: usize = 2;

/// Serves `control` at `path`, for its owner alone, and at sockets that were handed over; `None`
/// where there is neither.
///
/// # Errors
/// The socket cannot be made.
pub(super) fn bind(
    path: Option<PathBuf>,
    handed: Vec<Handed>,
    control: Control,
) -> io::Result<Option<SideServer>> {
    if path.is_none() && handed.is_empty() {
        return Ok(None);
    }
    let limits = Limits {
        workers_max: WORKERS_MAX,
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
    SideServer::start("control", server).map(Some)
}
