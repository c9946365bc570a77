//! What a service account may do, from where and until when: the lines of a `service` statement (proto/spec/directory.md).
//!
//! Keys are not limited by it: who holds them can seal and open. A gateway keeps these limits, and clients send to no account that
//! may not receive.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

use super::statement::Validity;

/// Most networks of one account.
pub const MAX_NETWORKS: usize = 64;

/// What stands for all networks.
const ANY: &str = "any";

/// Why limits cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LimitsError {
    /// No such scope, or one twice or out of order, or none at all.
    #[error("the scopes are not receive, send and link, each at most once, in this order")]
    Scopes,
    /// A network is not in its one spelling.
    #[error("a network is not in its one spelling")]
    Network,
    /// Networks are doubled, too many, or none.
    #[error("networks are doubled, too many, or none")]
    Networks,
}

/// Something that a service account may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See and open what was sent to it.
    Receive,
    /// Send, and take back what it sent.
    Send,
    /// Send with a link, beside `send`, and unlock or end its links.
    Link,
}

impl Scope {
    /// All of them, in the order in which statements have them.
    pub const ALL: [Self; 3] = [Self::Receive, Self::Send, Self::Link];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
            Self::Link => "link",
        }
    }
}

impl FromStr for Scope {
    type Err = LimitsError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|scope| scope.name() == text);
        named.ok_or(LimitsError::Scopes)
    }
}

/// At least one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// These scopes, whatever their order.
    ///
    /// # Errors
    /// [`LimitsError::Scopes`] if there is none.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, LimitsError> {
        let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
        if scopes.is_empty() {
            return Err(LimitsError::Scopes);
        }
        Ok(Self(scopes))
    }

    /// Whether this is among them.
    #[must_use]
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Scope::name).collect::<Vec<_>>().join(" "))
    }
}

impl FromStr for Scopes {
    type Err = LimitsError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scopes: Vec<Scope> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        if !scopes.is_sorted_by(|a, b| a < b) {
            return Err(LimitsError::Scopes);
        }
        Self::new(scopes)
    }
}

/// A network in its one spelling: no bit set behind its length, IPv4 never written as IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// The network that holds this one address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }

    /// The network with the same length, whatever bits are set behind it.
    ///
    /// # Errors
    /// [`LimitsError::Network`] if it is none.
    pub fn enclosing(text: &str) -> Result<Self, LimitsError> {
        let network: IpNet = text.parse().map_err(|_| LimitsError::Network)?;
        if is_mapped(&network) {
            return Err(LimitsError::Network);
        }
        Ok(Self(network.trunc()))
    }
}

fn is_mapped(network: &IpNet) -> bool {
    matches!(network.network(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Network {
    type Err = LimitsError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = Self::enclosing(text)?;
        if network.to_string() == text {
            Ok(network)
        } else {
            Err(LimitsError::Network)
        }
    }
}

/// From where an account may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Networks {
    /// From anywhere.
    Any,
    /// From addresses in one of these.
    Only(OnlyNetworks),
}

/// Between one and [`MAX_NETWORKS`] networks, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlyNetworks(Vec<Network>);

impl Networks {
    /// These networks, in this order.
    ///
    /// # Errors
    /// [`LimitsError::Networks`] if there is none, one is there twice, or they are more than [`MAX_NETWORKS`].
    pub fn only(networks: Vec<Network>) -> Result<Self, LimitsError> {
        let is_doubled = |(at, network)| networks.iter().take(at).any(|before| before == network);
        let fits = (1..=MAX_NETWORKS).contains(&networks.len());
        if !fits || networks.iter().enumerate().any(is_doubled) {
            return Err(LimitsError::Networks);
        }
        Ok(Self::Only(OnlyNetworks(networks)))
    }

    /// Whether somebody at `address` may use the account; whoever's address is not known may only if anybody may.
    #[must_use]
    pub fn allow(&self, address: Option<IpAddr>) -> bool {
        match (self, address.map(|address| address.to_canonical())) {
            (Self::Any, _) => true,
            (Self::Only(_), None) => false,
            (Self::Only(OnlyNetworks(networks)), Some(address)) => networks.iter().any(|n| n.0.contains(&address)),
        }
    }

    /// As statements write them, one by one.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Any => vec![ANY.to_owned()],
            Self::Only(OnlyNetworks(networks)) => networks.iter().map(ToString::to_string).collect(),
        }
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

impl FromStr for Networks {
    type Err = LimitsError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == ANY {
            return Ok(Self::Any);
        }
        let networks: Vec<Network> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        Self::only(networks)
    }
}

/// The limits of a service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceLimits {
    /// What it may do.
    pub scopes: Scopes,
    /// From where.
    pub networks: Networks,
    /// When.
    pub valid: Validity,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Result<Networks, LimitsError> {
        text.parse()
    }

    #[test]
    fn scopes_have_one_spelling() {
        for good in [
            "receive",
            "send",
            "link",
            "receive send",
            "receive link",
            "receive send link",
        ] {
            assert_eq!(good.parse::<Scopes>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "Send",
            "send receive",
            "send send",
            "send  link",
            " send",
            "send ",
            "admin",
            "any",
        ] {
            assert_eq!(bad.parse::<Scopes>(), Err(LimitsError::Scopes), "{bad:?}");
        }
        assert_eq!(Scopes::new([]), Err(LimitsError::Scopes));
        let unsorted = Scopes::new([Scope::Link, Scope::Receive, Scope::Link]).unwrap();
        assert_eq!(unsorted.to_string(), "receive link");
    }

    #[test]
    fn networks_have_one_spelling() {
        for good in [
            "any",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "192.0.2.1/32 10.0.0.0/8",
            "2001:db8::/32",
            "::/0",
            "fd00::1/128 10.0.0.0/8",
        ] {
            assert_eq!(networks(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "Any",
            "any 10.0.0.0/8",
            "10.0.0.0/8 any",
            "10.0.0.1/8",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "010.0.0.0/8",
            "10.0.0.0/8 10.0.0.0/8",
            "10.0.0.0/8  10.1.0.0/16",
            "10.0.0.0/8 ",
            "2001:DB8::/32",
            "2001:db8:0::/32",
            "2001:db8::1/32",
            "::ffff:10.0.0.0/104",
            "::ffff:a00:0/104",
            "::/129",
        ] {
            assert!(networks(bad).is_err(), "{bad:?}");
        }
        let many = |count: usize| {
            (0..count)
                .map(|n| format!("10.0.{n}.0/24"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert!(networks(&many(MAX_NETWORKS)).is_ok());
        assert_eq!(networks(&many(MAX_NETWORKS + 1)), Err(LimitsError::Networks));
    }

    #[test]
    fn addresses_are_inside_or_outside() {
        let some = networks("10.0.0.0/8 192.0.2.7/32 2001:db8::/32").unwrap();
        for (address, is_inside) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::10.0.0.1", false),
        ] {
            assert_eq!(some.allow(Some(address.parse().unwrap())), is_inside, "{address}");
        }
        assert!(!some.allow(None) && Networks::Any.allow(None));
        let everything = networks("0.0.0.0/0 ::/0").unwrap();
        assert!(
            !everything.allow(None),
            "an address that is not known lies in no network"
        );
    }

    #[test]
    fn what_people_write_becomes_the_one_spelling() {
        assert_eq!(Network::enclosing("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(
            Network::of("::ffff:192.0.2.1".parse().unwrap()).to_string(),
            "192.0.2.1/32"
        );
        assert!(Network::enclosing("::ffff:192.0.2.1/128").is_err());
        assert!(Network::enclosing("clinic").is_err());
    }
}
