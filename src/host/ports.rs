//! Who listens on which TCP address of this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Its address.
    pub address: SocketAddr,
    /// The number by which its process is found.
    inode: u64,
}

/// A running program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// What it calls itself.
    pub name: String,
}

impl Listening {
    /// Whether nobody else can listen on `address` because of it.
    pub fn blocks(&self, address: SocketAddr) -> bool {
        let (own, other) = (self.address.ip(), address.ip());
        let is_any = own.is_unspecified() || other.is_unspecified();
        self.address.port() == address.port() && (is_any || own == other)
    }

    /// The programs that hold it: with socket activation more than one. Only those of whom this
    /// process may know it.
    pub fn processes(&self) -> Vec<Process> {
        let wanted = format!("socket:[{}]", self.inode);
        let holds = |pid: u32| {
            let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok();
            files.is_some_and(|files| {
                files.flatten().any(|file| {
                    let link = std::fs::read_link(file.path());
                    link.is_ok_and(|to| to.as_os_str() == wanted.as_str())
                })
            })
        };
        let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        folders
            .filter_map(|folder| folder.file_name().to_str()?.parse().ok())
            .filter(|pid| holds(*pid))
            .map(process)
            .collect()
    }
}

/// The process of this number, with a question mark for a name that cannot be read.
pub fn process(pid: u32) -> Process {
    let name = super::read(format!("/proc/{pid}/comm"));
    let name = name.map_or_else(|| "?".to_owned(), |name| name.trim().to_owned());
    Process { pid, name }
}

/// All listening TCP sockets of this machine, or of the container that this is.
pub fn listening() -> Vec<Listening> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(super::read)
        .flat_map(|table| table.lines().filter_map(parse).collect::<Vec<_>>())
        .collect()
}

/// A line of `/proc/net/tcp` or `tcp6`, if it is of a listening socket.
fn parse(line: &str) -> Option<Listening> {
    const LISTENING: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTENING {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(address)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(address.get(index * 8..index * 8 + 8)?)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(Listening {
        address: SocketAddr::new(ip, port),
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Four bytes in the order of the network, which the kernel prints as a number of its own order.
fn word(hex: &str) -> Option<[u8; 4]> {
    u32::from_str_radix(hex, 16).ok().map(u32::to_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_socket_of_our_own_is_found_with_its_process() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else {
                // A host without IPv6.
                continue;
            };
            let own = listener.local_addr().expect("an address");
            let all = listening();
            let found = all.iter().find(|it| it.address == own);
            let found = found.unwrap_or_else(|| panic!("{own} in {all:?}"));
            let pids: Vec<u32> = found.processes().iter().map(|it| it.pid).collect();
            assert!(pids.contains(&std::process::id()), "{pids:?}");
        }
    }

    #[test]
    fn only_listening_sockets_are_read() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt";
        let open = "   1: 0100007F:1388 0100007F:B5A2 01 00000000:00000000 00:00000000 00000000  0 \
                    0 4711 1";
        assert_eq!(parse(head), None);
        assert_eq!(parse(open), None);
        assert_eq!(parse(""), None);
        let listening = parse(&open.replace(" 01 ", " 0A ")).expect("a socket");
        assert_eq!(listening.inode, 4711);
        assert_eq!(listening.address.port(), 5000);
    }

    #[test]
    fn who_stands_in_whose_way() {
        let rows = [
            ("127.0.0.1:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5000", "127.0.0.1:5001", false),
            ("127.0.0.1:5000", "127.0.0.2:5000", false),
            ("0.0.0.0:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5000", "[::]:5000", true),
        ];
        for (own, wanted, expected) in rows {
            let listening = Listening {
                address: address(own),
                inode: 1,
            };
            assert_eq!(
                listening.blocks(address(wanted)),
                expected,
                "{own} {wanted}"
            );
        }
    }
}
