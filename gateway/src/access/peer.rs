//! Where a request came from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Network address of a caller: of the connection, or of whoever a trusted proxy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// The network that the address lies in, by its first address: IPv4 /24, IPv6 /48.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Ipv4Addr::new(a, b, c, 0).into()
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
            }
        }
    }

    /// The address as it may be written down: its network.
    #[must_use]
    pub fn truncated(&self) -> String {
        match self.network() {
            IpAddr::V4(network) => format!("{network}/24"),
            IpAddr::V6(network) => {
                let [a, b, c, ..] = network.segments();
                format!("{a:x}:{b:x}:{c:x}::/48")
            }
        }
    }
}
