//! `engine`: sled alone, redb and our ledger under the same harness. `engine compare` prints the tables of the decision record;
//! `engine write` and `engine check` are the processes that it kills and asks.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its product")]

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use sealpost_tests::faults::acks::now;
use sealpost_tests::faults::engines::{Cut, Engine, Kind, kills, measure, power_cuts};
use sealpost_tests::faults::{Outcome, failed};
use tokio::runtime::Runtime;

const USAGE: &str = "engine compare FOLDER ROUNDS | engine write|check sled|redb|ours FOLDER";
const WRITERS: u64 = 8;
const MEASURED: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("engine: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["compare", folder, rounds] => compare(Path::new(folder), rounds.parse().map_err(failed("a number"))?),
        ["write", kind, folder] => write(Kind::named(kind).ok_or(USAGE)?, &PathBuf::from(folder)),
        ["check", kind, folder] => check(Kind::named(kind).ok_or(USAGE)?, &PathBuf::from(folder)),
        _ => Err(USAGE.to_owned()),
    }
}

/// Appends and says what was acknowledged, until the input ends; then it dies as by `kill -9`, with everything in flight.
fn write(kind: Kind, folder: &Path) -> Outcome {
    let engine = kind.open(folder)?;
    let runtime = Runtime::new().map_err(failed("a runtime"))?;
    // Keys of an earlier process are not used again.
    let next = Arc::new(AtomicU64::new(now()));
    println!("open");
    for _ in 0..WRITERS {
        runtime.spawn(append(Arc::clone(&engine), Arc::clone(&next)));
    }
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).map_err(failed("the input"))?;
    kill_process(getpid(), Signal::KILL).map_err(failed("kill"))
}

async fn append(engine: Arc<dyn Engine>, next: Arc<AtomicU64>) {
    loop {
        let key = next.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = engine.append(key).await {
            eprintln!("engine: {error}");
            return;
        }
        let line = format!("{key} {}\n", now());
        // Whoever reads it may have gone; then this process is about to.
        let _ = io::stdout().lock().write_all(line.as_bytes());
    }
}

/// Reads keys, and says of how many the record is there, is not there, or is another.
fn check(kind: Kind, folder: &Path) -> Outcome {
    let engine = kind.open(folder)?;
    let runtime = Runtime::new().map_err(failed("a runtime"))?;
    let (mut found, mut lost, mut wrong) = (0, 0, 0);
    for line in io::stdin().lock().lines() {
        let key = line.map_err(failed("the input"))?.parse().map_err(failed("a key"))?;
        match runtime.block_on(engine.check(key)) {
            Ok(true) => found += 1,
            Ok(false) => lost += 1,
            Err(error) => {
                eprintln!("engine: {error}");
                wrong += 1;
            }
        }
    }
    println!("{found} {lost} {wrong}");
    Ok(())
}

fn compare(folder: &Path, rounds: u64) -> Outcome {
    println!(
        "| engine | writers | records/s | p50 ms | p99 ms | max ms | bytes written per byte |\n|---|---|---|---|---|---|---|"
    );
    for kind in Kind::ALL {
        for writers in [1, 8, 64] {
            let measured = measure(kind, folder, writers, MEASURED)?;
            let [half, most, all] = [measured.half, measured.most, measured.all].map(|time| time.as_secs_f64() * 1e3);
            let (name, rate, written) = (kind.name(), measured.rate, measured.written);
            println!("| {name} | {writers} | {rate:.0} | {half:.2} | {most:.2} | {all:.1} | {written:.1} |");
        }
    }
    println!(
        "\n| engine | fault | rounds | acknowledged | lost | wrong | does not open |\n|---|---|---|---|---|---|---|"
    );
    for kind in Kind::ALL {
        let faults = [
            ("kill -9", kills(kind, folder, rounds, 1)?),
            ("power cut", power_cuts(kind, folder, rounds, 2, Cut::Strict)?),
            (
                "power cut, sync_file_range trusted",
                power_cuts(kind, folder, rounds, 2, Cut::Trusting)?,
            ),
        ];
        for (fault, found) in faults {
            let name = kind.name();
            let (acknowledged, lost, wrong, refused) = (found.acknowledged, found.lost, found.wrong, found.refused);
            println!("| {name} | {fault} | {rounds} | {acknowledged} | {lost} | {wrong} | {refused} |");
            for note in found.notes.iter().take(3) {
                eprintln!("{name}, {fault}: {note}");
            }
        }
    }
    Ok(())
}
