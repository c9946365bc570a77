//! Appends to the ledger: decided by the rules of the domain, framed, hashed, with their leaf, durable when answered.

use std::path::Path;

use super::super::findings::{Findings, Table};
use super::super::{Bench, interrupt, shell};
use super::{asked, count, number};
use crate::run::Outcome;

/// Writers, and appends of all together.
const WRITERS: [(u64, u64); 3] = [(1, 20_000), (8, 60_000), (64, 200_000)];

pub(super) fn run(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let mut findings = Findings::default();
    let head = ["writers", "appends", "a second", "p50, µs", "p99, µs", "longest, µs"];
    let mut table = Table::new("", &head);
    for (writers, appends) in WRITERS {
        let appends = bench.size(appends, 1_000);
        let mut runs: [Vec<f64>; 4] = Default::default();
        for run in 0..bench.runs.min(3) {
            interrupt::check()?;
            let data = folder.join(format!("{writers}-{run}"));
            let line = format!(
                "{} --data {} --writers {writers} --appends {appends}",
                shell::quoted(bench.program("appends")),
                shell::quoted(&data)
            );
            let answer = asked(&line, folder)?;
            for (values, name) in runs.iter_mut().zip(["per_second", "p50_us", "p99_us", "max_us"]) {
                values.push(number(&answer, name)?);
            }
        }
        let mut row = vec![writers.to_string(), count(appends)];
        for (values, name) in runs.iter().zip(["per_second", "p50_us", "p99_us", "max_us"]) {
            let name = format!("ledger.{writers}.{name}");
            findings.spread(name.clone(), values);
            row.push(
                findings
                    .figures
                    .get(&name)
                    .map_or_else(String::new, |spread| spread.text(0)),
            );
        }
        table.rows.push(row);
    }
    findings.tables.push(table);
    findings
        .note("Each append is the announcement of a transfer: one change and one leaf. A new ledger for every run.");
    Ok(findings)
}
