//! The workloads, each a file; their order is that of the document.

mod bulk;
mod cache;
mod crowd;
mod distance;
mod idle;
mod ledger;
mod memory;
mod small;
mod stored;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::Value;

use super::Bench;
use super::contest::Contestant;
use super::findings::Findings;
use super::gateway::World;
use super::timed::untimed;
use crate::run::Outcome;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// 1 GiB, beside curl, age, rclone and sftp.
    Bulk,
    /// 2,000 files of 10 KiB in one transfer.
    Claims,
    /// 200 transfers of one small file from one process.
    Singles,
    /// Memory of both ends over the size of a file.
    Memory,
    /// The same 1 GiB with a page cache that is cold, and full of other data.
    Cache,
    /// A path of 50 ms that loses one packet in a hundred, between two network namespaces.
    Distance,
    /// 64 uploads at once.
    Crowd,
    /// 5,000 watchers of the live feed that hear nothing.
    Watchers,
    /// Appends to the ledger by 1, 8 and 64 writers.
    Ledger,
    /// A gateway with a thousand, a hundred thousand and a million transfers stored.
    Stored,
}

impl Workload {
    /// The name, as on the command line and in the document.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Claims => "claims",
            Self::Singles => "singles",
            Self::Memory => "memory",
            Self::Cache => "cache",
            Self::Distance => "distance",
            Self::Crowd => "crowd",
            Self::Watchers => "watchers",
            Self::Ledger => "ledger",
            Self::Stored => "stored",
        }
    }

    /// What it is, for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Bulk => "one large file, beside the peers",
            Self::Claims => "many small files in one transfer, beside the peers",
            Self::Singles => "many transfers of one small file",
            Self::Memory => "memory over the size of a file",
            Self::Cache => "a page cache that is cold, and one full of other data",
            Self::Distance => "a long path that loses packets",
            Self::Crowd => "many uploads at once",
            Self::Watchers => "watchers that hear nothing",
            Self::Ledger => "appends to the ledger",
            Self::Stored => "a gateway with many transfers",
        }
    }

    /// Measures it in `folder`.
    pub(super) fn run(self, bench: &Bench, folder: &Path) -> Outcome<Findings> {
        match self {
            Self::Bulk => bulk::run(bench, folder),
            Self::Claims => small::claims(bench, folder),
            Self::Singles => small::singles(bench, folder),
            Self::Memory => memory::run(bench, folder),
            Self::Cache => cache::run(bench, folder),
            Self::Distance => distance::run(bench, folder),
            Self::Crowd => crowd::run(bench, folder),
            Self::Watchers => idle::run(bench, folder),
            Self::Ledger => ledger::run(bench, folder),
            Self::Stored => stored::run(bench, folder),
        }
    }
}

/// Ourselves: `source` is sent as one transfer, and received into `out`.
fn ours<'a>(world: &'a World, source: &Path, out: PathBuf, folder: &Path) -> Contestant<'a> {
    let answer = folder.join("answer.json");
    Contestant {
        key: "ours",
        name: "**sealpost**: sealed at both ends, logged, receipts",
        server: world.gateway.pid(),
        put: world.send(source, &answer),
        get: Box::new(move || world.receive(&answer, &out)),
        stored: Vec::new(),
    }
}

/// Runs a line that prints one JSON object, and reads it.
fn asked(line: &str, folder: &Path) -> Outcome<Value> {
    let answer = folder.join("line.json");
    untimed(
        &format!("{line} > {}", super::shell::quoted(&answer)),
        &folder.join("log"),
    )?;
    Ok(serde_json::from_slice(&std::fs::read(answer)?)?)
}

/// A number in an answer.
fn number(answer: &Value, name: &str) -> Outcome<f64> {
    answer
        .get(name)
        .and_then(Value::as_f64)
        .ok_or_else(|| format!("{name} is not in the answer").into())
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// A count as people read it: `1,000,000`.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^53")]
fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_for_people() {
        assert_eq!(size(10 << 10), "10 KiB");
        assert_eq!(size(256 << 20), "256 MiB");
        assert_eq!(size(1 << 30), "1 GiB");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1,000,000");
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for workload in Workload::value_variants() {
            let value = workload.to_possible_value().expect("a name");
            assert_eq!(value.get_name(), workload.name());
        }
    }
}
