//! Watchers of the live feed that hear nothing: memory of the gateway for each.

use std::path::Path;

use super::super::findings::{Findings, Table};
use super::super::gateway::{Setup, World};
use super::super::{Bench, shell};
use super::{asked, count, number, real};
use crate::run::Outcome;

/// Files that both ends may have open.
const FILES: u64 = 20_000;

pub(super) fn run(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let watchers: u64 = bench.size(5_000, 200);
    let limit = ["prlimit", &format!("--nofile={FILES}:{FILES}")]
        .map(str::to_owned)
        .to_vec();
    let most = (watchers + 1_000).to_string();
    let setup = Setup {
        before: limit.clone(),
        settings: vec![
            ("SEALPOST__LIMITS__CONNECTIONS", most.clone()),
            ("SEALPOST__LIMITS__FEEDS_PER_ACCOUNT", most),
        ],
        ..Setup::default()
    };
    let world = World::with(folder, setup, Vec::new())?;
    let program = bench.program("watchers");
    let line = format!(
        "{} {} --home {} --passphrase-file {} --pid {} --watchers {watchers}",
        limit.join(" "),
        shell::quoted(program),
        shell::quoted(world.provider.home()),
        shell::quoted(world.provider.passphrase_file()),
        world.gateway.pid()
    );
    let answer = asked(&line, folder)?;
    let (held, bytes) = (number(&answer, "held")?, number(&answer, "bytes_each")?);
    let mut findings = Findings::default();
    findings.once("watchers.kib_each", bytes / 1024.0);
    findings.once("watchers.held", held);
    let mut table = Table::new(
        "",
        &[
            "watchers",
            "held",
            "KiB each, anonymous, at the gateway",
            "opened after, s",
        ],
    );
    table.rows.push(vec![
        count(watchers),
        format!("{held:.0}"),
        format!("{:.1}", bytes / 1024.0),
        format!("{:.1}", number(&answer, "open_ms")? / 1000.0),
    ]);
    findings.tables.push(table);
    if held < real(watchers) {
        findings.note("Not all were held to the end.");
    }
    findings.note(format!(
        "With `limits.connections` and `limits.feeds_per_account` at {}, and as many files allowed to both processes.",
        count(watchers + 1_000)
    ));
    Ok(findings)
}
