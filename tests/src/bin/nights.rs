//! `nights`: rounds of nights of a billing company, and a line in the results file for every few of them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its product")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sealpost_tests::gateway::Gateway;
use sealpost_tests::nights::{Account, Claims, Outcome, Plan, Town};
use sealpost_tests::organisation::Organisation;
use sealpost_tests::results::{self, Batch, Place};

const USAGE: &str =
    "nights --rounds N --seed S --results FILE [--claims PROGRAM] [--together 2000] [--alone 200] [--folder DIR]";
const COMPANY: &str = "claims@billing.example";
/// Nights on one gateway: then a line is written, and the next ones have a gateway of their own.
const NIGHTS: u64 = 5;

struct Options {
    rounds: u64,
    seed: u64,
    results: PathBuf,
    folder: PathBuf,
    plan: Plan,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("nights: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Outcome<Options> {
    let mut options = Options {
        rounds: 100,
        seed: 1,
        results: PathBuf::from("tests/soak/results.jsonl"),
        folder: std::env::temp_dir(),
        plan: Plan {
            together: 2_000,
            alone: 200,
            claims: Claims::Own,
        },
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse::<u64>().map_err(|_| USAGE.to_owned());
        let size = || value.parse::<usize>().map_err(|_| USAGE.to_owned());
        match word.as_str() {
            "--rounds" => options.rounds = number()?,
            "--seed" => options.seed = number()?,
            "--together" => options.plan.together = size()?,
            "--alone" => options.plan.alone = size()?,
            "--claims" => options.plan.claims = Claims::Tool(PathBuf::from(value)),
            "--results" => options.results = PathBuf::from(value),
            "--folder" => options.folder = PathBuf::from(value),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(options)
}

/// Whether every file of every night arrived once.
fn run(options: &Options) -> Outcome<bool> {
    let place = Place::here(&options.folder);
    let end = options.seed + options.rounds;
    let mut seed = options.seed;
    while seed < end {
        let seeds = seed..end.min(seed + NIGHTS);
        let start = Instant::now();
        let (rounds, sum) = some(options, seeds)?;
        let batch = Batch {
            fault: "nights",
            rounds,
            seed,
            seconds: start.elapsed().as_secs_f64(),
            counts: [sum.sent, sum.lost, sum.doubled, sum.wrong],
            ended: now(),
        };
        results::append(&options.results, &place, &batch)?;
        println!("nights from {seed}: {rounds} in {:.1} s: {sum:?}", batch.seconds);
        if sum.lost + sum.doubled + sum.wrong > 0 {
            return Ok(false);
        }
        seed += rounds;
    }
    Ok(true)
}

/// Some nights on one gateway; a night that went wrong is the last, and what it left is kept.
fn some(options: &Options, seeds: std::ops::Range<u64>) -> Outcome<(u64, Account)> {
    let folder = options.folder.join(format!("sealpost-nights-{}", seeds.start));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut town = town(&folder)?;
    let (mut rounds, mut sum) = (0, Account::default());
    for seed in seeds {
        let account = town.night(&options.plan, seed)?;
        rounds += 1;
        sum.sent += account.sent;
        sum.lost += account.lost;
        sum.doubled += account.doubled;
        sum.wrong += account.wrong;
        if account.lost + account.doubled + account.wrong > 0 {
            println!("night {seed} went wrong; what it left is kept in {}", folder.display());
            return Ok((rounds, sum));
        }
    }
    drop(town);
    std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok((rounds, sum))
}

fn town(folder: &Path) -> Outcome<Town> {
    let gateway = Gateway::start(folder, "warn")?;
    let people = folder.join("people");
    let clinic = Organisation::found(
        &gateway.setup_string(),
        &people,
        "Example Clinic",
        "desk@clinic.example",
    )?;
    let company = clinic.member("company", COMPANY)?;
    Ok(Town {
        gateway,
        clinic: clinic.admin,
        company,
        company_address: COMPANY.to_owned(),
        folder: folder.join("nights"),
    })
}

#[expect(clippy::disallowed_methods, reason = "when a batch ended is written down for people")]
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
