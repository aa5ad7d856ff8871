//! What clients have to be told so that they use this registry, for each the lines of a file.
//!
//! Pure: only the settings, a name and a scheme go in.

use std::net::SocketAddr;

use serde::Serialize;

use super::tls::is_public;
use crate::config::Settings;
use crate::host;
use crate::http::{ListenAddress, Scheme};

/// The lines for one kind of client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Client {
    /// `docker`, `containerd`, `podman`, `k3s`.
    pub client: &'static str,
    /// The file that they go into; none where nothing is to be done.
    pub file: Option<String>,
    /// What to do with them.
    pub note: String,
    /// The lines themselves.
    pub text: String,
}

/// The lines for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clients {
    /// Host and port as image names carry them; empty where there is no address to reach.
    pub host: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// One for each kind.
    pub lines: Vec<Client>,
}

impl Clients {
    /// For a registry that nobody reaches over TCP.
    pub(super) const fn none() -> Self {
        Self {
            host: String::new(),
            scheme: Scheme::Http.as_str(),
            lines: Vec::new(),
        }
    }

    /// For clients that reach the registry as `host:port`.
    pub fn new(host: &str, scheme: Scheme) -> Self {
        let is_plain = scheme == Scheme::Http;
        let url = format!("{}://{host}", scheme.as_str());
        Self {
            host: host.to_owned(),
            scheme: scheme.as_str(),
            lines: vec![
                docker(host, is_plain),
                containerd(host, &url, is_plain),
                podman(host, is_plain),
                k3s(host, &url, is_plain),
            ],
        }
    }
}

/// The lines for clients of a server with these settings, which reach this machine as `name`, or as
/// it calls itself.
pub fn clients_of(settings: &Settings, name: Option<&str>, has_certificate: bool) -> Clients {
    if let Some(url) = settings.server.url.as_ref().filter(|_| name.is_none()) {
        let (scheme, rest) = match url.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some((_, rest)) => (Scheme::Https, rest),
            None => (Scheme::Https, url.as_str()),
        };
        return Clients::new(rest.trim_end_matches('/'), scheme);
    }
    let listen = settings.server.listen.iter();
    let tcp = listen.filter_map(|own| match own.address {
        ListenAddress::Tcp(address) if address.port() != 0 => Some((own, address)),
        _ => None,
    });
    // An address that others reach says more than one that only this machine does.
    let best = tcp.max_by_key(|(own, _)| is_public(&own.address));
    let Some((own, address)) = best else {
        return Clients::none();
    };
    let host = match name {
        Some(name) => with_port(name, address.port()),
        None => host_of(address),
    };
    Clients::new(&host, own.scheme_or(has_certificate))
}

/// How clients reach an address: all addresses of a machine are known by its name.
fn host_of(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        with_port(&host::name(), address.port())
    } else {
        address.to_string()
    }
}

fn with_port(name: &str, port: u16) -> String {
    let is_bare_v6 = name.contains(':') && !name.starts_with('[');
    if is_bare_v6 {
        format!("[{name}]:{port}")
    } else {
        format!("{name}:{port}")
    }
}

/// Whether docker talks to a host without TLS by itself.
fn is_loopback(host: &str) -> bool {
    host.starts_with("127.") || host.starts_with("localhost:") || host.starts_with("[::1]")
}

fn docker(host: &str, is_plain: bool) -> Client {
    let (file, note, text) = if is_plain && is_loopback(host) {
        (None, "nothing is to be done".to_owned(), String::new())
    } else if is_plain {
        let file = "/etc/docker/daemon.json".to_owned();
        let note = format!("in {file}, then systemctl restart docker");
        let text = format!("{{\n  \"insecure-registries\": [\"{host}\"]\n}}\n");
        (Some(file), note, text)
    } else {
        let file = format!("/etc/docker/certs.d/{host}/ca.crt");
        let note = "where the authority of the certificate is unknown to the host".to_owned();
        let text = format!("install -D -m 0644 ca.pem {file}\n");
        (Some(file), note, text)
    };
    Client {
        client: "docker",
        file,
        note,
        text,
    }
}

fn containerd(host: &str, url: &str, is_plain: bool) -> Client {
    let folder = "/etc/containerd/certs.d";
    let file = format!("{folder}/{host}/hosts.toml");
    let ca = if is_plain {
        String::new()
    } else {
        format!(
            "  # where the authority of the certificate is unknown to the host:\n  # ca = \
             \"{folder}/{host}/ca.pem\"\n"
        )
    };
    Client {
        client: "containerd",
        note: format!("in {file}; config.toml needs config_path = \"{folder}\" for the registry"),
        file: Some(file),
        text: format!(
            "server = \"{url}\"\n\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\", \
             \"push\"]\n{ca}"
        ),
    }
}

fn podman(host: &str, is_plain: bool) -> Client {
    let (file, note, text) = if is_plain {
        let file = "/etc/containers/registries.conf.d/coracle.conf".to_owned();
        let note = format!("in {file}; buildah and skopeo read it too");
        let text = format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n");
        (file, note, text)
    } else {
        let file = format!("/etc/containers/certs.d/{host}/ca.crt");
        let note = "where the authority of the certificate is unknown to the host".to_owned();
        let text = format!("install -D -m 0644 ca.pem {file}\n");
        (file, note, text)
    };
    Client {
        client: "podman",
        file: Some(file),
        note,
        text,
    }
}

fn k3s(host: &str, url: &str, is_plain: bool) -> Client {
    let file = "/etc/rancher/k3s/registries.yaml".to_owned();
    let ca = if is_plain {
        String::new()
    } else {
        format!(
            "# where the authority of the certificate is unknown to the node:\n\
             # configs:\n#   \"{host}\":\n#     tls:\n#       ca_file: \
             /etc/rancher/k3s/coracle-ca.pem\n"
        )
    };
    Client {
        client: "k3s",
        note: format!("in {file} on each node, then systemctl restart k3s"),
        file: Some(file),
        text: format!("mirrors:\n  \"{host}\":\n    endpoint:\n      - \"{url}\"\n{ca}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: &str, url: Option<&str>) -> Settings {
        let mut settings = Settings::default();
        let addresses = listen
            .split(' ')
            .map(|own| own.parse().expect("an address"));
        settings.server.listen = addresses.collect();
        settings.server.url = url.map(str::to_owned);
        settings
    }

    #[test]
    fn clients_are_told_the_address_that_they_can_reach() {
        let own = host::name();
        let rows = [
            (
                "127.0.0.1:5000",
                None,
                false,
                "http",
                "127.0.0.1:5000".to_owned(),
            ),
            (":5000", None, false, "http", format!("{own}:5000")),
            (":5000", None, true, "https", format!("{own}:5000")),
            (
                "127.0.0.1:5000 10.0.0.1:80",
                None,
                false,
                "http",
                "10.0.0.1:80".to_owned(),
            ),
            (
                "unix:/run/x http://127.0.0.1:1",
                None,
                true,
                "http",
                "127.0.0.1:1".to_owned(),
            ),
            (
                ":5000",
                Some("https://r.example"),
                false,
                "https",
                "r.example".to_owned(),
            ),
            (
                ":5000",
                Some("http://r.example:80/"),
                true,
                "http",
                "r.example:80".to_owned(),
            ),
        ];
        for (listen, url, has_certificate, scheme, host) in rows {
            let clients = clients_of(&settings(listen, url), None, has_certificate);
            assert_eq!(
                (clients.scheme, &clients.host),
                (scheme, &host),
                "{listen} {url:?}"
            );
            assert_eq!(clients.lines.len(), 4);
        }
        let unix = clients_of(&settings("unix:/run/x", None), None, false);
        assert!(unix.lines.is_empty());
        let named = clients_of(
            &settings(":5000", Some("https://r")),
            Some("fd00::1"),
            false,
        );
        assert_eq!(named.host, "[fd00::1]:5000");
    }

    #[test]
    fn lines_are_what_their_programs_read() {
        for scheme in [Scheme::Http, Scheme::Https] {
            for client in Clients::new("registry.example:5000", scheme).lines {
                let text = &client.text;
                match client
                    .file
                    .as_deref()
                    .and_then(|file| file.rsplit_once('.'))
                {
                    Some((_, "json")) => {
                        let read: serde_json::Value = serde_json::from_str(text).expect("JSON");
                        assert_eq!(read["insecure-registries"][0], "registry.example:5000");
                    }
                    Some((_, "toml" | "conf")) => {
                        text.parse::<toml::Table>().expect("TOML");
                    }
                    _ => assert!(text.contains("registry.example:5000"), "{text}"),
                }
            }
        }
    }

    #[test]
    fn docker_needs_nothing_for_its_own_machine() {
        for host in ["127.0.0.1:5000", "localhost:5000"] {
            let docker = &Clients::new(host, Scheme::Http).lines[0];
            assert_eq!((docker.file.as_ref(), docker.text.as_str()), (None, ""));
        }
    }
}
