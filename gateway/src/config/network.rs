//! Settings that are addresses.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Networks, each as `address/length` or one address. In the environment they are separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether one of them has this address in it. An IPv4 address in IPv6 form is the IPv4 address.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let network = |text: &str| {
            let text = text.trim();
            let one = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse()
                .or_else(|_| one())
                .map_err(|_| format!("{text:?} is no network, such as 10.0.0.0/8"))
        };
        Ok(Self(texts.map(network).collect::<Result<_, _>>()?))
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NetworksVisitor)
    }
}

struct NetworksVisitor;

impl<'de> Visitor<'de> for NetworksVisitor {
    type Value = Networks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of networks, such as [\"10.0.0.0/8\"]")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Networks, E> {
        let texts = text.split(',').filter(|text| !text.trim().is_empty());
        Networks::parse(texts).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Networks, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            texts.push(text);
        }
        Networks::parse(texts.iter().map(String::as_str)).map_err(de::Error::custom)
    }
}

/// Where health is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthListen {
    /// At this address.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl HealthListen {
    /// Whether only this computer can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::At(address) => address.ip().to_canonical().is_loopback(),
            Self::Off => true,
        }
    }
}

impl<'de> Deserialize<'de> for HealthListen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse().map(Self::At);
        address.map_err(|_| de::Error::custom(format!("{text:?} is neither an address with a port nor off")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_its_networks_alone() {
        let networks = Networks::parse(["10.0.0.0/8", " 192.0.2.7", "2001:db8::/32"].into_iter()).unwrap();
        for (text, expected) in [
            ("10.9.8.7", true),
            ("::ffff:10.9.8.7", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(networks.contain(text.parse().unwrap()), expected, "{text}");
        }
        assert!(!Networks::default().contain("127.0.0.1".parse().unwrap()));
        assert!(Networks::parse(["10.0.0.0/33"].into_iter()).is_err());
    }
}
