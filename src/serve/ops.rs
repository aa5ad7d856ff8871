//! Wiring of the address for metrics and health.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::Error;
use super::serving::SideServer;
use crate::api::ops::Ops;
use crate::api::vitals::{Listener, Served, Vitals};
use crate::config::OwnAddress;
use crate::http::tls::Tls;
use crate::http::{Endpoint, Handed, Handler, Limits, ListenAddress, Scheme, Server};

/// Threads that answer there.
const WORKERS_MAX: usize = 3;

/// Connections that may be open there.
const CONNECTIONS_MAX: usize = 64;

/// Where it is to be.
pub(super) struct Place<'a> {
    /// Sockets that the service manager has handed over for it, in place of `listen`.
    pub(super) handed: Vec<Handed>,
    /// What the settings say.
    pub(super) listen: &'a OwnAddress,
    /// The certificates, where there are any.
    pub(super) tls: Option<&'a Arc<Tls>>,
}

impl Place<'_> {
    /// Starts to answer there, and has `vitals` tell of both servers.
    ///
    /// # Errors
    /// The address that was asked for cannot be listened on. One that was found by itself and is
    /// taken is only warned of.
    pub(super) fn bind(
        self,
        registry: &Server,
        vitals: &Arc<Vitals>,
    ) -> Result<Option<SideServer>, Error> {
        let endpoints = registry.local_endpoints();
        let of_registry = endpoints.iter().map(|own| listener("registry", own));
        let mut listeners: Vec<Listener> = of_registry.collect();
        let server = self.open(&endpoints, vitals)?;
        let own = server.iter().flat_map(Server::local_endpoints);
        for endpoint in own {
            let own = listener("ops", &endpoint);
            log::info!("metrics and health are at {}", own.url);
            listeners.push(own);
        }
        let server = server.map(|server| SideServer::start("ops", server));
        let server = server.transpose()?;
        vitals.tell_of_servers(Served {
            registry: registry.handle(),
            ops: server.as_ref().map(SideServer::handle),
            listeners,
        });
        Ok(server)
    }

    fn open(self, registry: &[Endpoint], vitals: &Arc<Vitals>) -> io::Result<Option<Server>> {
        if !self.handed.is_empty() {
            return open(self.handed, &[], vitals).map(Some);
        }
        match self.listen {
            OwnAddress::Off => Ok(None),
            OwnAddress::At(listen) => {
                let is_tls = listen.scheme == Some(Scheme::Https);
                let endpoint = Endpoint {
                    address: listen.address.clone(),
                    tls: self.tls.filter(|_| is_tls).cloned(),
                };
                open(Vec::new(), &[endpoint], vitals).map(Some)
            }
            OwnAddress::Auto => Ok(found(registry).and_then(|address| {
                let endpoint = ListenAddress::Tcp(address).into();
                let opened = open(Vec::new(), &[endpoint], vitals);
                opened.inspect_err(warn).ok()
            })),
        }
    }
}

fn warn(error: &io::Error) {
    log::warn!(
        "metrics and health have no address of their own: {error}; name a free one with \
         ops.listen, or write off"
    );
}

/// The loopback address with the port after that of the first listener.
fn found(endpoints: &[Endpoint]) -> Option<SocketAddr> {
    let port = endpoints.iter().find_map(|own| match own.address {
        ListenAddress::Tcp(address) => Some(address.port()),
        ListenAddress::Unix(_) => None,
    })?;
    Some((Ipv4Addr::LOCALHOST, port.checked_add(1)?).into())
}

fn open(handed: Vec<Handed>, endpoints: &[Endpoint], vitals: &Arc<Vitals>) -> io::Result<Server> {
    let limits = Limits {
        workers_min: 1,
        workers_max: WORKERS_MAX,
        connections_max: CONNECTIONS_MAX,
        requests_waiting_max: CONNECTIONS_MAX,
        handshakes_max: CONNECTIONS_MAX,
        head_bytes_max: 16 << 10,
        body_bytes_max: 0,
        worker_stack_bytes: 256 << 10,
        partial_heads_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let handler: Arc<dyn Handler> = Arc::new(Ops::new(Arc::clone(vitals)));
    let handed = handed.into_iter().map(|socket| (socket, None)).collect();
    Server::bind_beside(handed, endpoints, limits, handler)
}

fn listener(name: &'static str, endpoint: &Endpoint) -> Listener {
    Listener {
        name,
        url: endpoint.url(),
    }
}
