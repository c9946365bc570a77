//! Two network namespaces with a path between them that delays and loses packets. Each reaches the other through VXLAN, whose
//! datagrams pass [`super::relay`]; the gateway's is reached from outside directly as well, to set things up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use super::machine::said;
use super::relay::{self, Relay, Side};
use super::timed::untimed;
use crate::run::Outcome;

/// Address of the servers' namespace on the path.
pub(super) const SERVERS: &str = "198.18.78.1";
const CLIENTS: &str = "198.18.78.2";
/// How all addresses here begin: the network that RFC 2544 sets aside for benchmarks.
const OURS: &str = "198.18.";
const VXLAN: u16 = 4789;
/// How namespaces and links here are called; the process that made them follows.
const PREFIX: &str = "spbench";

/// Namespaces and path; removed when dropped.
#[derive(Debug)]
pub(super) struct Network {
    near: String,
    far: String,
    log: PathBuf,
    /// The path. Dropped before the namespaces are removed, because it has sockets on their links.
    pub(super) relay: Option<Relay>,
}

impl Network {
    /// Makes both namespaces and the path.
    pub(super) fn new(folder: &Path, path: relay::Path) -> Outcome<Self> {
        if !geteuid().is_root() {
            return Err("network namespaces need root".into());
        }
        remove_leftovers()?;
        if said("ip", &["-o", "addr"])?.contains(OURS) {
            return Err(format!("this machine uses addresses of {OURS}0.0/15 itself").into());
        }
        let id = std::process::id();
        let log = folder.join("network.log");
        let mut network = Self {
            near: format!("{PREFIX}{id}n"),
            far: format!("{PREFIX}{id}f"),
            log,
            relay: None,
        };
        let near = network.link(&network.near, [198, 18, 77, 1], [198, 18, 77, 2], SERVERS)?;
        let far = network.link(&network.far, [198, 18, 77, 5], [198, 18, 77, 6], CLIENTS)?;
        network.relay = Some(Relay::start(near, far, path)?);
        // To set up what is measured, without the path.
        let direct = format!("ip route add {SERVERS}/32 via 198.18.77.2 dev {}", network.near);
        untimed(&direct, &network.log)?;
        Ok(network)
    }

    /// A namespace of this name with a link to here, and VXLAN over it.
    fn link(&self, name: &str, here: [u8; 4], there: [u8; 4], inside: &str) -> Outcome<Side> {
        let (here, there) = (Ipv4Addr::from(here), Ipv4Addr::from(there));
        let script = [
            format!("ip netns add {name}"),
            format!("ip link add {name} mtu 1600 type veth peer name path mtu 1600 netns {name}"),
            format!("ip addr add {here}/30 dev {name}"),
            format!("ip link set {name} up"),
            format!("ip -n {name} link set lo up"),
            format!("ip -n {name} addr add {there}/30 dev path"),
            format!("ip -n {name} link set path up"),
            format!("ip -n {name} route add 198.18.77.0/24 via {here}"),
            format!("ip -n {name} link add far mtu 1500 type vxlan id 77 remote {here} dstport {VXLAN} dev path"),
            format!("ip -n {name} addr add {inside}/24 dev far"),
            // One packet is one datagram, complete: no offload may put several into one, or leave a checksum for later.
            format!("ip netns exec {name} ethtool -K far tx off tso off gso off gro off"),
            format!("ip netns exec {name} ethtool -K path tx off tso off gso off gro off"),
            format!("ethtool -K {name} tx off tso off gso off gro off"),
            format!("ip -n {name} link set far up"),
        ];
        untimed(&script.join("; "), &self.log)?;
        Ok(Side {
            here: SocketAddr::from((here, VXLAN)),
            there: SocketAddr::from((there, VXLAN)),
        })
    }

    /// What stands before a command line of the servers.
    pub(super) fn by_servers(&self) -> Vec<String> {
        within(&self.near)
    }

    /// What stands before a command line of the clients.
    pub(super) fn by_clients(&self) -> Vec<String> {
        within(&self.far)
    }
}

fn within(namespace: &str) -> Vec<String> {
    ["ip", "netns", "exec", namespace].map(str::to_owned).to_vec()
}

impl Drop for Network {
    fn drop(&mut self) {
        self.relay = None;
        remove(&self.near);
        remove(&self.far);
    }
}

/// Removes a namespace with its link and routes. Whatever is not there was not made.
fn remove(name: &str) {
    for words in [["link", "del", name], ["netns", "del", name]] {
        let _ = Command::new("ip").args(words).stderr(Stdio::null()).status();
    }
}

/// Removes what runs left that were killed.
fn remove_leftovers() -> Outcome {
    for name in said("ip", &["netns", "list"])?.lines() {
        let name = name.split_whitespace().next().unwrap_or_default();
        let owner = name.strip_prefix(PREFIX).map(|rest| rest.trim_end_matches(['n', 'f']));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(name);
        }
    }
    Ok(())
}
