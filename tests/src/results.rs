//! The results file of the soak: one line of JSON for each batch of rounds, with everything needed to repeat it, and the table made
//! of them. What is counted and how is the business of the fault harness.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// What makes a gateway and a client: results count for every commit that has the same.
pub const PRODUCT: [&str; 5] = ["Cargo.lock", "Cargo.toml", "client", "gateway", "proto"];

/// Where the rounds were run.
#[derive(Debug, Clone)]
pub struct Place {
    /// Commit of the sources.
    pub commit: String,
    /// Whether the product differed from it.
    pub is_dirty: bool,
    machine: Value,
}

impl Place {
    /// Asks Git and the system. `folder` is where the rounds write.
    #[must_use]
    pub fn here(folder: &Path) -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let machine = json!({
            "cpu": model.map_or("unknown", |(_, name)| name),
            "cores": cores,
            "kernel": said("uname", &["-sr"]),
            "file_system": said("stat", &["-f", "-c", "%T", &folder.to_string_lossy()]),
        });
        Self {
            commit: said("git", &["rev-parse", "HEAD"]),
            is_dirty: !said("git", &[&["status", "--porcelain", "--"], &PRODUCT[..]].concat()).is_empty(),
            machine,
        }
    }
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// A batch of rounds.
#[derive(Debug)]
pub struct Batch<'a> {
    /// `kill`, `power`, `enospc`, `eio` or `fuzz`.
    pub fault: &'a str,
    /// How many.
    pub rounds: u64,
    /// From which seed.
    pub seed: u64,
    /// How long they took.
    pub seconds: f64,
    /// Acknowledged, lost, doubled, wrong.
    pub counts: [u64; 4],
    /// When they ended, unix seconds.
    pub ended: u64,
}

/// Adds a batch to the results file.
///
/// # Errors
/// Of the file system.
pub fn append(file: &Path, place: &Place, batch: &Batch<'_>) -> Result<(), String> {
    let [acknowledged, lost, doubled, wrong] = batch.counts;
    let line = json!({
        "fault": batch.fault,
        "rounds": batch.rounds,
        "acknowledged": acknowledged,
        "lost": lost,
        "doubled": doubled,
        "wrong": wrong,
        "seconds": (batch.seconds * 10.0).round() / 10.0,
        "seed": batch.seed,
        "commit": place.commit,
        "dirty": place.is_dirty,
        "machine": place.machine,
        "ended": batch.ended,
    });
    let bad = || |error: std::io::Error| format!("{}: {error}", file.display());
    fs::create_dir_all(file.parent().unwrap_or(file)).map_err(bad())?;
    let mut open = OpenOptions::new().create(true).append(true).open(file).map_err(bad())?;
    writeln!(open, "{line}").map_err(bad())
}

/// Sums of a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// Rounds.
    pub rounds: u64,
    /// Acknowledged, lost, doubled, wrong.
    pub counts: [u64; 4],
}

/// Sums by fault over the lines of a results file whose commit is `wanted` and whose product was that commit's.
///
/// # Errors
/// The line that is none.
pub fn sums(text: &str, wanted: &mut dyn FnMut(&str) -> bool) -> Result<BTreeMap<String, Sum>, String> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("a line of the results: {error}"))?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
        let is_dirty = value.get("dirty").and_then(Value::as_bool).unwrap_or(true);
        if is_dirty || !wanted(text("commit")) {
            continue;
        }
        let sum = sums.entry(text("fault").to_owned()).or_default();
        sum.rounds += number("rounds");
        for (count, name) in sum.counts.iter_mut().zip(["acknowledged", "lost", "doubled", "wrong"]) {
            *count += number(name);
        }
    }
    Ok(sums)
}

/// The table of the sums.
#[must_use]
pub fn table(sums: &BTreeMap<String, Sum>) -> String {
    let mut table =
        String::from("| fault | rounds | acknowledged | lost | doubled | wrong |\n|---|---|---|---|---|---|\n");
    for (fault, Sum { rounds, counts }) in sums {
        let [acknowledged, lost, doubled, wrong] = counts;
        // Writing to a text does not fail.
        let _ = writeln!(
            table,
            "| {fault} | {rounds} | {acknowledged} | {lost} | {doubled} | {wrong} |"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_a_commit_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("soak/results.jsonl");
        let mut place = Place::here(folder.path());
        place.commit = "a".to_owned();
        place.is_dirty = false;
        let batch = Batch {
            fault: "kill",
            rounds: 10,
            seed: 7,
            seconds: 1.26,
            counts: [2, 1, 0, 0],
            ended: 9,
        };
        append(&file, &place, &batch).unwrap();
        append(&file, &place, &batch).unwrap();
        place.commit = "b".to_owned();
        append(&file, &place, &batch).unwrap();
        (place.commit, place.is_dirty) = ("a".to_owned(), true);
        append(&file, &place, &batch).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let sums = sums(&text, &mut |commit| commit == "a").unwrap();
        assert_eq!(table(&sums).lines().last(), Some("| kill | 20 | 4 | 2 | 0 | 0 |"));
    }
}
