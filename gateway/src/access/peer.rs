//! Where a request came from.

use std::net::IpAddr;

/// Network address of a caller: of the connection, or of whoever a trusted proxy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// The address as it may be written down: IPv4 to /24, IPv6 to /48.
    #[must_use]
    pub fn truncated(&self) -> String {
        match self.0.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}::/48")
            }
        }
    }
}
