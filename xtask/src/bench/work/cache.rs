//! A page cache that has nothing of the files, and one that is full of other data, as on a machine that has run for weeks.

use std::path::{Path, PathBuf};

use super::super::contest::Contest;
use super::super::findings::Findings;
use super::super::gateway::World;
use super::super::peers::Peers;
use super::super::{Bench, machine, samples};
use super::{ours, size};
use crate::run::Outcome;

/// Rounds are long here: the cache is filled before each step.
const MOST_RUNS: usize = 3;
/// The files that are dropped from or pushed into the cache.
const JUNK: u64 = 2 << 30;
/// Room that is left to the contest itself.
const ASIDE: u64 = 10 << 30;

pub(super) fn run(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let bytes = bench.size(1 << 30, 64 << 20);
    let (source, out) = (folder.join("large.bin"), folder.join("out"));
    samples::random_file(&source, bytes, 2)?;
    let peers = Peers::start(&bench.needs, folder)?;
    let world = World::new(folder)?;
    let contest = |name, title: &str, before: Box<dyn Fn() -> Outcome>| {
        let mut contestants = vec![ours(&world, &source, out.clone(), folder)];
        contestants.extend(
            peers
                .of_file(&source, &out)
                .into_iter()
                .filter(|peer| peer.key == "curl"),
        );
        let contest = Contest {
            name,
            title: &format!("One file of {}, {title}", size(bytes)),
            source: source.clone(),
            out: out.clone(),
            log: folder.join("log"),
            runs: bench.runs.min(MOST_RUNS),
            contestants,
            before,
        };
        contest.run()
    };
    let mut findings = contest("cache_cold", "page cache empty before each step", Box::new(drop_cache))?;
    let junk = junk(bench, folder)?;
    let before = Box::new(move || junk.iter().try_for_each(|file| samples::read_through(file)));
    findings.join(contest("cache_full", "page cache full of other files", before)?);
    findings.note(format!(
        "After the last filling the machine had {} of memory that nothing used.",
        size(machine::free_memory() << 10)
    ));
    peers.note_missing(&mut findings);
    Ok(findings)
}

fn drop_cache() -> Outcome {
    std::fs::write("/proc/sys/vm/drop_caches", "3")
        .map_err(|error| format!("the page cache can be emptied by root alone: {error}").into())
}

/// Files that fill what memory is free, as far as the disk has room.
fn junk(bench: &Bench, folder: &Path) -> Outcome<Vec<PathBuf>> {
    let free = (machine::free_memory() << 10) + JUNK;
    let room = bench.place.room()?.saturating_sub(ASIDE);
    let files = bench.size(free.min(room) / JUNK, 1);
    let mut all = Vec::new();
    for n in 0..files {
        let file = folder.join(format!("junk-{n}"));
        samples::random_file(&file, bench.size(JUNK, 64 << 20), 100 + n)?;
        all.push(file);
    }
    println!("    {files} files of junk");
    Ok(all)
}
