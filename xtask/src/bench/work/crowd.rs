//! 64 uploads at once: what the gateway holds in memory for them.

use std::path::Path;
use std::time::Duration;

use super::super::contest::mib;
use super::super::findings::{Findings, Table};
use super::super::gateway::{PROVIDER, World};
use super::super::timed::timed_within;
use super::super::{Bench, samples};
use super::{real, size};
use crate::run::Outcome;

const UPLOADS: u64 = 64;
const LIMIT: Duration = Duration::from_secs(900);
/// What is left free beside the uploads.
const ASIDE: u64 = 4 << 30;

pub(super) fn run(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let room = bench.place.room()?.saturating_sub(ASIDE);
    let fits = |bytes: &u64| bytes * (UPLOADS + 1) < room;
    let whole = [1 << 30, 256 << 20, 64 << 20].into_iter().find(fits);
    let bytes = bench.size(whole.ok_or("the disk has no room for 64 uploads")?, 8 << 20);
    let source = folder.join("large.bin");
    samples::random_file(&source, bytes, 4)?;
    let world = World::new(folder)?;
    let send = world.line(&world.desk, &[&"send", &"--to", &PROVIDER, &source]);
    let script = format!(
        "all=(); for n in $(seq {UPLOADS}); do {send} > /dev/null & all+=($!); done; \
         for one in \"${{all[@]}}\"; do wait $one; done"
    );
    let took = timed_within(&script, Some(world.gateway.pid()), &folder.join("log"), LIMIT)?;
    let mut findings = Findings::default();
    let anonymous = mib(took.server.anonymous);
    findings.once("crowd.gateway_anonymous", anonymous);
    let head = [
        "uploads",
        "of",
        "all sealed after, s",
        "MiB/s",
        "gateway MiB, anonymous",
        "gateway CPU s",
    ];
    let mut table = Table::new("", &head);
    table.rows.push(vec![
        UPLOADS.to_string(),
        size(bytes),
        format!("{:.1}", took.wall),
        format!("{:.0}", real(UPLOADS * (bytes >> 20)) / took.wall),
        format!("{anonymous:.1}"),
        format!("{:.1}", took.server_cpu),
    ]);
    findings.tables.push(table);
    if bytes < 1 << 30 && !bench.quick {
        findings.note(format!(
            "Files of {} instead of 1 GiB: the disk had no room for more. What is in flight does not depend on it.",
            size(bytes)
        ));
    }
    findings.note("A process each, all started at once.");
    Ok(findings)
}
