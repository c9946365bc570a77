//! 1 GiB of bytes that nothing can compress, put until durable and got again.

use std::path::Path;

use super::super::Bench;
use super::super::contest::Contest;
use super::super::findings::Findings;
use super::super::gateway::World;
use super::super::peers::Peers;
use super::super::samples;
use super::{ours, size};
use crate::run::Outcome;

pub(super) fn run(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let bytes = bench.size(1 << 30, 64 << 20);
    let (source, out) = (folder.join("large.bin"), folder.join("out"));
    samples::random_file(&source, bytes, 1)?;
    let peers = Peers::start(&bench.needs, folder)?;
    let world = World::new(folder)?;
    let mut contestants = vec![ours(&world, &source, out.clone(), folder)];
    contestants.extend(peers.of_file(&source, &out));
    let contest = Contest {
        name: "bulk",
        title: &format!("One file of {}", size(bytes)),
        source,
        out,
        log: folder.join("log"),
        runs: bench.runs,
        contestants,
        before: Box::new(|| Ok(())),
    };
    let mut findings = contest.run()?;
    peers.note_missing(&mut findings);
    Ok(findings)
}
