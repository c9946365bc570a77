//! `cargo xtask bench`: the real gateway and our client beside the peers, on one disk, one after the other in turns; and what else
//! `docs/PERFORMANCE.md` tells. Everything listens on this machine alone, and nothing is left of it, neither files nor processes.
//!
//! Each workload gives [`findings::Findings`]; with `--write` they are kept in `docs/performance/` and the document is written from
//! all that is kept there. Nothing here judges: no figure makes the command fail.

mod contest;
mod document;
mod findings;
mod gateway;
mod interrupt;
mod machine;
mod needs;
mod network;
mod peers;
mod place;
mod plots;
mod process;
mod promises;
mod relay;
mod samples;
mod servers;
mod shell;
mod timed;
mod work;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum as _};

use self::findings::{Findings, Record};
use self::needs::Needs;
use self::place::Place;
use self::work::Workload;
use crate::run::{Outcome, cargo, workspace};

/// What to measure, and what to do with it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// This workload alone; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Workload>,
    /// Rounds of each comparison.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Small files and few transfers: to see that it works. The figures mean nothing and are never kept.
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Keep the findings in docs/performance and write them into docs/PERFORMANCE.md.
    #[arg(long)]
    write: bool,
    /// Leave out what was kept of this very commit: go on after an interruption.
    #[arg(long, requires = "write")]
    missing: bool,
    /// Measure nothing; write the document from what is kept.
    #[arg(long, conflicts_with_all = ["only", "quick", "write"])]
    report: bool,
    /// Also measure with 10 million transfers stored: hours, and about 90 GB of disk.
    #[arg(long)]
    large: bool,
    /// Begin no workload after so many minutes; `--missing` goes on with the rest.
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Build nothing but this command; take the product as it lies in the folder of the release build.
    #[arg(long)]
    built: bool,
    /// Folder on the disk to measure on [default: in Cargo's target folder].
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// What every workload is given.
struct Bench {
    /// Where everything lies that is made.
    place: Place,
    /// Folder with the release binaries.
    binaries: PathBuf,
    needs: Needs,
    runs: usize,
    quick: bool,
    large: bool,
}

impl Bench {
    /// `whole`, or what is enough to see that it works.
    fn size<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// A program of the benches.
    fn program(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }
}

/// Measures, or writes the document.
pub(crate) fn run(options: &Options) -> Outcome {
    if options.report {
        return document::write();
    }
    if cfg!(debug_assertions) {
        return as_release();
    }
    interrupt::watch()?;
    let commit = machine::commit()?;
    let chosen = chosen(options, &commit)?;
    if chosen.is_empty() {
        println!("Everything was measured at {commit}.");
        return document::write();
    }
    if !options.built {
        // Apart, so that the product is built with its own features and no others.
        cargo("build --release --package sealpost-gateway --package sealpost-client --bins --locked")?;
        cargo("build --release --package sealpost-benches --bins --locked")?;
    }
    let bench = Bench {
        place: Place::new(options.folder.as_deref().unwrap_or(&target().join("bench")))?,
        binaries: target().join("release"),
        needs: Needs::install()?,
        runs: options.runs.max(1),
        quick: options.quick,
        large: options.large,
    };
    let until = Instant::now() + Duration::from_secs(options.minutes * 60);
    let mut failed = Vec::new();
    for workload in chosen {
        interrupt::check()?;
        if Instant::now() > until {
            println!("==> {}: not begun, the time is over", workload.name());
            failed.push(workload.name());
            continue;
        }
        if let Err(error) = measure(&bench, workload, &commit, options.write) {
            interrupt::check()?;
            eprintln!("error: {}: {error}", workload.name());
            failed.push(workload.name());
        }
    }
    if options.write {
        document::write()?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("not measured: {}", failed.join(", ")).into())
}

/// Runs the same command built for release: what compares bytes and relays packets must not be slow, and finds the programs of
/// its own profile.
fn as_release() -> Outcome {
    cargo("build --release --package xtask --locked --quiet")?;
    let error = Command::new(target().join("release/xtask"))
        .args(std::env::args_os().skip(1))
        .exec();
    Err(format!("the command built for release cannot be started: {error}").into())
}

fn chosen(options: &Options, commit: &str) -> Outcome<Vec<Workload>> {
    let mut chosen = Vec::new();
    for &workload in Workload::value_variants() {
        if !options.only.is_empty() && !options.only.contains(&workload) {
            continue;
        }
        let is_kept = Record::read(workload.name())?.is_some_and(|record| record.commit == commit);
        if !(options.missing && is_kept) {
            chosen.push(workload);
        }
    }
    Ok(chosen)
}

fn measure(bench: &Bench, workload: Workload, commit: &str, keeps: bool) -> Outcome {
    println!("==> {}: {}", workload.name(), workload.title());
    bench.place.check_room()?;
    machine::settle();
    let before = machine::Before::now()?;
    let begun = Instant::now();
    let folder = bench.place.folder(workload.name())?;
    let found = workload.run(bench, folder.path());
    folder.close()?;
    let findings: Findings = found?;
    let record = Record {
        name: workload.name().to_owned(),
        commit: commit.to_owned(),
        date: machine::date()?,
        machine: machine::describe(bench.place.path())?,
        before,
        seconds: begun.elapsed().as_secs(),
        findings,
    };
    print!("{}", record.text());
    if keeps { record.keep() } else { Ok(()) }
}

/// Cargo's target folder.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Where findings and plots are kept.
fn kept() -> PathBuf {
    workspace().join("docs/performance")
}

/// A path as text for a command line.
fn text(path: &Path) -> Outcome<&str> {
    path.to_str()
        .ok_or_else(|| format!("{} is not valid UTF-8", path.display()).into())
}
