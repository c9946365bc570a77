//! `soak`: rounds of one kind of fault, and a line in the results file. `cargo xtask soak` runs it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its product")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use sealpost_tests::faults::acks::now;
use sealpost_tests::faults::inject::Fault;
use sealpost_tests::faults::power::Syncs;
use sealpost_tests::faults::world::World;
use sealpost_tests::faults::{Outcome, Verdict, inject, kill, power};
use sealpost_tests::results::{self, Batch, Place};

const USAGE: &str =
    "soak --fault kill|power|enospc|eio --rounds N --seed S --results FILE [--folder DIR] [--only TEXT]";

/// What to run.
struct Options {
    fault: String,
    rounds: u64,
    seed: u64,
    results: PathBuf,
    folder: PathBuf,
    /// Of the calls that can fail, those whose description contains this, to repeat one: `pwrite64 3 on data/journal`.
    only: String,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Outcome<Options> {
    let mut options = Options {
        fault: String::new(),
        rounds: 100,
        seed: 1,
        results: PathBuf::from("tests/soak/results.jsonl"),
        folder: std::env::temp_dir(),
        only: String::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse::<u64>().map_err(|_| USAGE.to_owned());
        match word.as_str() {
            "--fault" => options.fault = value,
            "--rounds" => options.rounds = number()?,
            "--seed" => options.seed = number()?,
            "--results" => options.results = PathBuf::from(value),
            "--folder" => options.folder = PathBuf::from(value),
            "--only" => options.only = value,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(options)
}

/// Whether nothing was lost, doubled or wrong.
fn run(options: &Options) -> Outcome<bool> {
    let place = Place::here(&options.folder);
    let world = World::found(&options.folder, options.seed)?;
    let start = Instant::now();
    let (rounds, verdict) = rounds(options, &world)?;
    let batch = Batch {
        fault: &options.fault,
        rounds,
        seed: options.seed,
        seconds: start.elapsed().as_secs_f64(),
        counts: [verdict.acknowledged, verdict.lost, verdict.doubled, verdict.wrong],
        ended: now() / 1_000_000,
    };
    results::append(&options.results, &place, &batch)?;
    println!(
        "{}: {} rounds in {:.1} s: {verdict}",
        options.fault, rounds, batch.seconds
    );
    if verdict.is_clean() {
        return Ok(true);
    }
    println!("what a failed round left is kept in {}", shown(&world.keep()));
    Ok(false)
}

/// Runs them, and says how many there were: up to the first kill or power cut that finds a fault, and of calls that fail as many as
/// a session makes.
fn rounds(options: &Options, world: &World) -> Outcome<(u64, Verdict)> {
    let Options {
        rounds, seed, ref only, ..
    } = *options;
    match options.fault.as_str() {
        "kill" => kill::run(world, rounds, seed),
        "power" => power::run(world, rounds, seed, Syncs::Kept),
        "enospc" => inject::run(world, Fault::Enospc, 1, only, seed),
        "eio" => inject::run(world, Fault::Eio, 1, only, seed),
        _ => Err(USAGE.to_owned()),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
