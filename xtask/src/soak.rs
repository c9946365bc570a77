//! `cargo xtask soak`: rounds of faults, added up in a results file until there are enough at the product as it is.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use sealpost_tests::results::{self, PRODUCT, Sum};

use crate::run::{Outcome, cargo, workspace};
use crate::strace;

/// Rounds of a batch: one line of the results file.
const BATCH: u64 = 100;

/// What to run, and for how long.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Options {
    /// Count what the results file has for this product, and add what is missing; else begin anew (old lines stay).
    #[arg(long)]
    resume: bool,
    /// This fault alone.
    #[arg(long)]
    fault: Option<Fault>,
    /// Rounds of each of kill and power, instead of 2,000. Calls that fail are as many as a session makes.
    #[arg(long, default_value_t = 2_000)]
    rounds: u64,
    /// Begin no batch after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
    /// Run nothing; print the table of what the results file has for this product.
    #[arg(long, conflicts_with_all = ["resume", "fault", "minutes"])]
    report: bool,
}

/// Kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// SIGKILL to gateway and client.
    Kill,
    /// Power cuts.
    Power,
    /// Full disks, from every call of a session once.
    Enospc,
    /// Failing disks, from every call of a session once.
    Eio,
}

impl Fault {
    const ALL: [Self; 4] = [Self::Enospc, Self::Eio, Self::Kill, Self::Power];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Power => "power",
            Self::Enospc => "enospc",
            Self::Eio => "eio",
        }
    }

    /// Rounds that are enough. One batch of a failing call is the whole session.
    fn goal(self, options: &Options) -> u64 {
        match self {
            Self::Kill | Self::Power => options.rounds,
            Self::Enospc | Self::Eio => 1,
        }
    }
}

/// Runs what is missing, or prints what there is.
pub(crate) fn run(options: &Options) -> Outcome {
    if options.report {
        return report();
    }
    strace::require()?;
    // Apart, so that the product is built with its own features and no others.
    cargo("build --release --package sealpost-gateway --package sealpost-client --bins --locked")?;
    cargo("build --release --package sealpost-tests --features faults --bin soak --locked")?;
    let known = if options.resume { sums()? } else { HashMap::new() };
    let until = options
        .minutes
        .map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
    for fault in Fault::ALL {
        if options.fault.is_some_and(|only| only != fault) {
            continue;
        }
        let mut done = known.get(fault.name()).map_or(0, |sum| sum.rounds);
        while done < fault.goal(options) {
            if until.is_some_and(|until| Instant::now() > until) {
                println!("The time is over; `cargo xtask soak --resume` goes on.");
                return report();
            }
            let rounds = BATCH.min(fault.goal(options) - done);
            batch(fault, rounds)?;
            done += rounds;
        }
    }
    report()
}

fn batch(fault: Fault, rounds: u64) -> Outcome {
    // As many lines as there are: every batch has a seed of its own, and the file says which.
    let seed = read()?.lines().count() + 1;
    println!("==> soak --fault {} --rounds {rounds} --seed {seed}", fault.name());
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let status = Command::new(target.join("release/soak"))
        .current_dir(workspace())
        .args(["--fault", fault.name(), "--rounds", &rounds.to_string()])
        .args(["--seed", &seed.to_string(), "--results"])
        .arg(file())
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "a batch of `{}` failed ({status}); what it printed says where to look",
        fault.name()
    )
    .into())
}

fn report() -> Outcome {
    let sums = sums()?.into_iter().collect();
    print!("{}", results::table(&sums));
    Ok(())
}

fn file() -> PathBuf {
    workspace().join("tests/soak/results.jsonl")
}

fn read() -> Outcome<String> {
    match fs::read_to_string(file()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => Ok(other?),
    }
}

/// Sums over all commits whose product is the one at hand.
fn sums() -> Outcome<HashMap<String, Sum>> {
    let mut same: HashMap<String, bool> = HashMap::new();
    let mut wanted = |commit: &str| *same.entry(commit.to_owned()).or_insert_with(|| is_same_product(commit));
    Ok(results::sums(&read()?, &mut wanted)?.into_iter().collect())
}

/// Whether nothing of the product has changed since a commit.
fn is_same_product(commit: &str) -> bool {
    let mut command = Command::new("git");
    command.args(["diff", "--quiet", commit, "--"]).args(PRODUCT);
    let status = command.current_dir(workspace()).status();
    status.is_ok_and(|status| status.success())
}
