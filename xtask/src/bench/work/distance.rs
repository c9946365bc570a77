//! Clients far away: 50 ms there and back, and one packet in a hundred lost on the way there and back.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::contest::{Contest, Contestant};
use super::super::findings::Findings;
use super::super::gateway::{Setup, World};
use super::super::network::{Network, SERVERS};
use super::super::servers::{Nginx, free_port, shell_words};
use super::super::{Bench, relay, samples, shell};
use super::{ours, size};
use crate::run::Outcome;

const PATH: relay::Path = relay::Path {
    delay: Duration::from_millis(25),
    lost: 50,
};

pub(super) fn run(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    bench.needs.have(&[
        "iproute2",
        "ethtool",
        "nginx",
        "libnginx-mod-http-dav-ext",
        "curl",
        "openssl",
    ])?;
    let bytes = bench.size(64 << 20, 4 << 20);
    let (source, out) = (folder.join("scan.bin"), folder.join("out"));
    samples::random_file(&source, bytes, 3)?;
    let network = Network::new(folder, PATH)?;
    let nginx = Nginx::start(folder, SERVERS, &network.by_servers())?;
    let port = free_port()?;
    let setup = Setup {
        before: network.by_servers(),
        listen: format!("{SERVERS}:{port}"),
        url: Some(format!("https://{SERVERS}:{port}")),
        ..Setup::default()
    };
    let world = World::with(folder, setup, network.by_clients())?;
    let contestants = vec![
        ours(&world, &source, out.clone(), folder),
        curl(&network, &nginx, &source, &out),
    ];
    let contest = Contest {
        name: "distance",
        title: &format!("One file of {} over 50 ms and 1 % loss", size(bytes)),
        source,
        out,
        log: folder.join("log"),
        runs: bench.runs.min(3),
        contestants,
        before: Box::new(|| Ok(())),
    };
    let mut findings = contest.run()?;
    let counts = network.relay.as_ref().map(|relay| relay.counts.clone());
    if let Some([given, lost]) = counts.as_deref() {
        let (given, lost) = (given.load(Ordering::Relaxed), lost.load(Ordering::Relaxed));
        findings.note(format!("The path carried {given} packets and lost {lost}."));
    }
    findings.note(
        "Two network namespaces. 25 ms and a loss of 0.5 % in each direction come from a relay of our own for VXLAN datagrams, \
         each of which is one packet of the TCP between the ends; the kernel's `netem`, which not every kernel has, is not used.",
    );
    Ok(findings)
}

fn curl<'a>(network: &Network, nginx: &Nginx, source: &Path, out: &Path) -> Contestant<'a> {
    let far = shell_words(&network.by_clients());
    let curl = format!("{far} {} --http1.1", nginx.curl());
    let target = shell::quoted(out.join(source.file_name().unwrap_or_default()));
    let (source, url) = (shell::quoted(source), format!("{}/far/file", nginx.url));
    let folder = nginx.root.join("far");
    let get = format!("{curl} -o {target} {url}");
    Contestant {
        key: "curl",
        name: "curl to nginx, TLS 1.3, one connection: *plaintext at the server*",
        server: nginx.server.pid(),
        put: format!(
            "{curl} -T {source} {url}; sync -d {}",
            shell::quoted(folder.join("file"))
        ),
        get: Box::new(move || Ok(get.clone())),
        stored: vec![folder],
    }
}
