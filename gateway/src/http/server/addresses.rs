//! How many connections come from one network address: a bound, so that one machine cannot keep everybody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::limits::network_of;

/// Connections by address.
#[derive(Debug)]
pub(super) struct Addresses {
    counts: Mutex<HashMap<IpAddr, usize>>,
    limit: usize,
    exempt_loopback: bool,
}

/// A connection's place among those of its address, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Addresses>,
    /// None for an address that is not counted.
    address: Option<IpAddr>,
}

impl Addresses {
    /// At most `limit` connections of one address; those of this machine are not counted if `exempt_loopback`.
    pub(super) fn new(limit: usize, exempt_loopback: bool) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            limit,
            exempt_loopback,
        })
    }

    /// A place for one more connection of `peer`; none if it has its share.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let address = network_of(peer);
        let place = |address| Place {
            of: Arc::clone(self),
            address,
        };
        if self.exempt_loopback && peer.to_canonical().is_loopback() {
            return Some(place(None));
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(place(Some(address)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else {
            return;
        };
        let mut counts = self.of.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let addresses = Addresses::new(2, true);
        let first = addresses.admit(ip("192.0.2.1")).unwrap();
        let _second = addresses.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert!(addresses.admit(ip("192.0.2.1")).is_none());
        assert!(addresses.admit(ip("192.0.2.2")).is_some(), "a neighbour");
        drop(first);
        assert!(addresses.admit(ip("192.0.2.1")).is_some());
        let _six = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| addresses.admit(ip(text)).unwrap());
        assert!(addresses.admit(ip("2001:db8::2")).is_none(), "the same /64");
        assert!(addresses.admit(ip("2001:db8:0:1::2")).is_some());
        assert_eq!(
            addresses.counts.lock().unwrap().len(),
            2,
            "nothing is kept of who is gone"
        );
    }

    #[test]
    fn loopback_is_exempt_if_so_configured() {
        for (exempt, expected) in [(true, true), (false, false)] {
            let addresses = Addresses::new(1, exempt);
            for text in ["127.0.0.1", "::1"] {
                let _first = addresses.admit(ip(text)).unwrap();
                assert_eq!(addresses.admit(ip(text)).is_some(), expected, "{text}");
            }
        }
    }
}
