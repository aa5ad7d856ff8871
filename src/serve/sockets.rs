//! Listening sockets that the service manager has handed over, by what they are for.

use std::sync::Arc;

use super::Error;
use crate::config::Settings;
use crate::http::tls::Tls;
use crate::http::{Endpoint, Handed, Scheme};
use crate::systemd::{Purpose, purposes};

/// The variable with their names.
const NAMES: &str = "LISTEN_FDNAMES";

/// The sockets, each for its purpose.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For the registry, in place of `server.listen`, with what is spoken there where that is said.
    pub(super) serve: Vec<(Handed, Option<Scheme>)>,
    /// For metrics and health.
    pub(super) ops: Vec<Handed>,
    /// For the command line, beside the one in the data folder.
    pub(super) control: Vec<Handed>,
}

impl Sockets {
    /// Those that were handed to this process. To be called before any thread is started.
    ///
    /// # Errors
    /// One is no listening socket, or has a name that says nothing here.
    pub fn of_process() -> Result<Self, Error> {
        let names = std::env::var_os(NAMES);
        let handed = Handed::take_all().map_err(|error| Error::Setting(error.to_string()))?;
        let purposes = purposes(names.as_deref(), handed.len())
            .map_err(|error| Error::Setting(error.to_string()))?;
        let mut all = Self::default();
        for (handed, purpose) in handed.into_iter().zip(purposes) {
            match purpose {
                Purpose::Serve => all.serve.push((handed, None)),
                Purpose::Http => all.serve.push((handed, Some(Scheme::Http))),
                Purpose::Https => all.serve.push((handed, Some(Scheme::Https))),
                Purpose::Ops => all.ops.push(handed),
                Purpose::Control => all.control.push(handed),
            }
        }
        Ok(all)
    }
}

/// Sockets that were handed over, each with the certificates where TLS is spoken there.
pub(super) type WithTls = Vec<(Handed, Option<Arc<Tls>>)>;

/// Where the registry is served: at the sockets that were handed over for it, else where the
/// settings say.
///
/// # Errors
/// TLS is to be spoken, and there is no certificate.
pub(super) fn places(
    serve: Vec<(Handed, Option<Scheme>)>,
    settings: &Settings,
    tls: Option<&Arc<Tls>>,
) -> Result<(WithTls, Vec<Endpoint>), Error> {
    if serve.is_empty() {
        return Ok((Vec::new(), super::tls::endpoints(settings, tls)));
    }
    let mut handed = Vec::new();
    for (socket, scheme) in serve {
        let spoken = crate::http::Listen {
            scheme,
            address: socket.address().clone(),
        };
        let own = match (spoken.scheme_or(tls.is_some()), tls) {
            (Scheme::Http, _) => None,
            (Scheme::Https, Some(tls)) => Some(Arc::clone(tls)),
            (Scheme::Https, None) => {
                return Err(Error::Setting(format!(
                    "the service manager hands over {} as https, but there is no certificate; set \
                     tls.certificate and tls.key, or FileDescriptorName=http in the socket's unit",
                    socket.address()
                )));
            }
        };
        handed.push((socket, own));
    }
    Ok((handed, Vec::new()))
}
