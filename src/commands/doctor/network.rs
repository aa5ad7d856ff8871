//! The addresses: free, or taken by our own server, which should answer; and who may do what there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::finding::Findings;
use super::tls::is_public;
use crate::config::{OwnAddress, Settings};
use crate::host::ports::{self, Listening, Process};
use crate::http::client::{get_tcp, request_unix, request_unix_within};
use crate::http::{Listen, ListenAddress, Scheme, try_tcp};
use crate::store::folder::{Holder, holder};
use crate::store::layout::Layout;

const ADDRESS: &str = "address";
const SERVER: &str = "server";
/// How long a server may take to answer a question that costs it nothing.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The process that starts all others; systemd holds sockets of units for them.
const INIT: u32 = 1;

pub(super) fn check(settings: &Settings, layout: &Layout, findings: &mut Findings) {
    let holder = if settings.storage.memory {
        None
    } else {
        holder(layout)
    };
    let server = holder.and_then(|holder| server(holder, layout, findings));
    let listening = ports::listening();
    for listen in settings.server.listen.iter().chain(ops(settings).as_ref()) {
        match &listen.address {
            ListenAddress::Unix(path) => {
                findings.ok(ADDRESS, format!("{} is made by the server", path.display()));
            }
            ListenAddress::Tcp(address) if address.port() == 0 => {
                findings.ok(
                    ADDRESS,
                    format!("{listen}: a free port is chosen at each start"),
                );
            }
            ListenAddress::Tcp(address) => {
                tcp(
                    settings,
                    listen,
                    *address,
                    &listening,
                    server.as_ref(),
                    findings,
                );
            }
        }
    }
    if server.is_some() {
        open_to_all(settings, layout, findings);
    } else if holder.is_none() {
        findings.ok(SERVER, "none runs on this folder");
    }
}

/// The address for metrics and health, where one was named: plain HTTP unless that says otherwise.
fn ops(settings: &Settings) -> Option<Listen> {
    match &settings.ops.listen {
        OwnAddress::At(own) if matches!(own.address, ListenAddress::Tcp(_)) => Some(Listen {
            scheme: own.scheme.or(Some(Scheme::Http)),
            address: own.address.clone(),
        }),
        OwnAddress::At(own) => Some(own.clone()),
        OwnAddress::Auto | OwnAddress::Off => None,
    }
}

/// A server that runs on the folder, if the one who has it is a server that answers.
fn server(holder: Holder, layout: &Layout, findings: &mut Findings) -> Option<Process> {
    let Some(pid) = holder.pid else {
        findings.warn(SERVER, "one is just starting", "run this again in a moment");
        return None;
    };
    let process = ports::process(pid);
    let name = format!("process {pid} ({})", process.name);
    // Whoever runs a server answers how far a check is, also when there is none.
    match request_unix_within(&layout.control(), "GET", "/check", &[], ANSWER_MAX) {
        Ok((200, _)) => {
            findings.ok(SERVER, format!("{name} runs on this folder and answers"));
            Some(process)
        }
        Ok((status, _)) => {
            let message = format!("{name} answers with status {status}; is it of another version?");
            findings.warn(SERVER, message, "restart it after an upgrade");
            Some(process)
        }
        Err(error) => {
            findings.warn(
                SERVER,
                format!("{name} has the folder and is asked in vain: {error}"),
                "it may be another command, such as a restore: wait for it. A server that hangs is \
                 to be restarted",
            );
            None
        }
    }
}

fn tcp(
    settings: &Settings,
    listen: &Listen,
    address: SocketAddr,
    listening: &[Listening],
    server: Option<&Process>,
    findings: &mut Findings,
) {
    let blocking = listening.iter().filter(|it| it.blocks(address));
    let mut holders: Vec<Process> = blocking.flat_map(Listening::processes).collect();
    holders.sort_by_key(|it| it.pid);
    holders.dedup();
    let is_ours = server.is_some_and(|own| holders.iter().any(|it| it.pid == own.pid));
    let is_held = holders.iter().any(|it| it.pid == INIT);
    if is_ours || server.is_some() && holders.is_empty() && try_tcp(address).is_err() {
        answers(settings, listen, address, findings);
    } else if is_held {
        findings.ok(
            ADDRESS,
            format!("{listen} is held by systemd, for whom it starts"),
        );
    } else if let Some(other) = holders.first() {
        findings.fail(
            ADDRESS,
            format!(
                "{listen} is taken by process {} ({})",
                other.pid, other.name
            ),
            "stop it, or listen elsewhere (server.listen)",
        );
    } else {
        match try_tcp(address) {
            Ok(()) => findings.ok(ADDRESS, format!("{listen} is free")),
            Err(error) => {
                findings.fail(
                    ADDRESS,
                    format!("{listen}: {error}"),
                    advice(address, &error),
                );
            }
        }
    }
}

fn advice(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => format!(
            "port {} is for the administrator: let the unit have CAP_NET_BIND_SERVICE, or socket \
             activation, or listen at 1024 or above",
            address.port()
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `ip address` lists those that it has".to_owned()
        }
        _ => "listen elsewhere (server.listen), or find out who has it: ss -ltnp".to_owned(),
    }
}

/// Asks our own server as its clients do.
fn answers(settings: &Settings, listen: &Listen, address: SocketAddr, findings: &mut Findings) {
    let has_certificate = !settings.tls.certificate.is_empty();
    if listen.scheme_or(has_certificate) == Scheme::Https {
        findings.ok(ADDRESS, format!("{listen} is served by it, over TLS"));
        return;
    }
    match get_tcp(reachable(address), "/readyz", ANSWER_MAX) {
        Ok((status, body)) => ready(listen, status, &body, findings),
        Err(error) => findings.fail(
            ADDRESS,
            format!("{listen} is held by the server, which does not answer there: {error}"),
            "look into its log, and restart it",
        ),
    }
}

fn ready(listen: &Listen, status: u16, body: &[u8], findings: &mut Findings) {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    if status == 200 {
        findings.ok(ADDRESS, format!("{listen} is served by it and ready"));
    } else {
        let why = said["reason"].as_str().unwrap_or("it does not say why");
        let message = format!("{listen}: the server is not ready (status {status}): {why}");
        findings.fail(ADDRESS, message, "look into its log");
    }
    for note in said["notes"].as_array().into_iter().flatten() {
        let note = note.as_str().unwrap_or_default();
        findings.warn(SERVER, note.to_owned(), "the server says so at /readyz");
    }
}

/// Where a client on this machine reaches an address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        // A server on all addresses of a host without IPv6 has those of IPv4.
        own if own.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        own => own,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether strangers may push.
fn open_to_all(settings: &Settings, layout: &Layout, findings: &mut Findings) {
    let is_reached = settings
        .server
        .listen
        .iter()
        .any(|own| is_public(&own.address));
    let asked = serde_json::json!({ "who": "anyone", "repository": "doctor", "action": "push" });
    let answer = request_unix(
        &layout.control(),
        "POST",
        "/access/explain",
        asked.to_string().as_bytes(),
    );
    let Ok((200, body)) = answer else {
        return;
    };
    let decided: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_allowed = decided["allowed"] == true;
    if is_allowed && is_reached {
        findings.warn(
            "access",
            "everybody who can reach this registry may push to it",
            "`coracle user add NAME`, or [[access]] rules",
        );
    } else if is_allowed {
        findings.ok("access", "open to everybody on this machine");
    } else {
        findings.ok("access", "who pushes must log in");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Level;

    #[test]
    fn all_addresses_are_reached_over_loopback() {
        for (own, expected) in [
            ("[::]:5000", "127.0.0.1:5000"),
            ("0.0.0.0:5000", "127.0.0.1:5000"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            let address = own.parse().expect("an address");
            assert_eq!(reachable(address).to_string(), expected);
        }
    }

    #[test]
    fn the_address_of_metrics_is_looked_at_where_one_was_named() {
        let mut settings = Settings::default();
        assert_eq!(ops(&settings), None);
        settings.ops.listen = OwnAddress::At("127.0.0.1:9".parse().expect("an address"));
        let found = ops(&settings).map(|own| own.to_string());
        assert_eq!(found.as_deref(), Some("http://127.0.0.1:9"));
    }

    #[test]
    fn what_a_server_says_of_itself_is_told() {
        let listen: Listen = "127.0.0.1:5000".parse().expect("an address");
        let told = |status, body: &str| {
            let mut findings = Findings::default();
            ready(&listen, status, body.as_bytes(), &mut findings);
            findings.into_vec()
        };
        assert_eq!(told(200, "{\"status\":\"ok\"}")[0].level, Level::Ok);
        let notes = told(200, "{\"notes\":[\"little room\"]}");
        assert_eq!(
            (notes[1].level, notes[1].message.as_str()),
            (Level::Warn, "little room")
        );
        let full = &told(503, "{\"reason\":\"the disk is full\"}")[0];
        assert!(full.level == Level::Fail && full.message.contains("the disk is full"));
        assert_eq!(told(502, "nonsense")[0].level, Level::Fail);
    }
}
