//! Small files: 2,000 of them in one transfer, and 200 transfers of one each.

use std::path::Path;

use serde_json::json;

use super::super::contest::{Contest, Contestant};
use super::super::findings::Findings;
use super::super::gateway::{PROVIDER, World};
use super::super::peers::Peers;
use super::super::{Bench, samples, shell};
use super::{count, ours, real};
use crate::run::Outcome;

/// As one transfer.
pub(super) fn claims(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let files = bench.size(2_000, 100);
    let (source, out) = (folder.join("claims"), folder.join("out"));
    samples::claims(&source, files)?;
    let peers = Peers::start(&bench.needs, folder)?;
    let world = World::new(folder)?;
    let mut contestants = vec![ours(&world, &source, out.clone(), folder)];
    contestants.extend(peers.of_folder(&source, &out)?);
    let contest = Contest {
        name: "claims",
        title: &format!("{} files of 10 KiB", count(files)),
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

/// One by one, from one process.
pub(super) fn singles(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let transfers = bench.size(200, 20);
    let (source, out) = (folder.join("claims"), folder.join("out"));
    samples::claims(&source, transfers)?;
    let peers = Peers::start(&bench.needs, folder)?;
    let world = World::new(folder)?;
    let into = out.clone();
    let one = &world;
    let mut contestants = vec![Contestant {
        key: "ours",
        name: "**sealpost send --batch**: a sealed transfer each; all received in one process",
        server: world.gateway.pid(),
        put: batch(&world, &source, folder)?,
        get: Box::new(move || Ok(one.receive_all(&into))),
        stored: Vec::new(),
    }];
    contestants.extend(peers.of_folder(&source, &out)?.into_iter().filter(|peer| {
        // These put every file by itself from one process, as we do.
        matches!(peer.key, "curl" | "sftp")
    }));
    let contest = Contest {
        name: "singles",
        title: &format!("{} transfers of 10 KiB, one process", count(transfers)),
        source,
        out,
        log: folder.join("log"),
        runs: bench.runs,
        contestants,
        before: Box::new(|| Ok(())),
    };
    let mut findings = contest.run()?;
    if let Some(put) = findings.figures.get("singles.ours.put").copied() {
        findings.once("singles.per_second", real(transfers) / put.median);
    }
    findings
        .note("The time of the client has its start: the key file is opened with Argon2id, about a tenth of a second.");
    peers.note_missing(&mut findings);
    Ok(findings)
}

/// The line that sends every file of a folder as a transfer of its own.
pub(super) fn batch(world: &World, source: &Path, folder: &Path) -> Outcome<String> {
    let mut lines = String::new();
    for entry in std::fs::read_dir(source)? {
        let path = entry?.path();
        lines.push_str(&json!({"to": [PROVIDER], "paths": [super::super::text(&path)?]}).to_string());
        lines.push('\n');
    }
    let file = folder.join("batch.jsonl");
    std::fs::write(&file, lines)?;
    let line = world.line(&world.desk, &[&"--json", &"send", &"--batch", &file]);
    Ok(format!("{line} > {}", shell::quoted(folder.join("batch.answers"))))
}
