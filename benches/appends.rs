//! Appends to a ledger, durable and decided by the domain's rules, by several writers at once: how many a second, and how long one
//! waits. Prints one JSON object.
//!
//! `cargo run --release --package sealpost-benches --bin appends -- --data DIR --writers 64 --appends 100000`

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use sealpost_benches::clinic::{Clinic, Failure, Stores};
use sealpost_benches::waits;

/// Measures appends to a new ledger.
#[derive(Debug, Parser)]
struct Arguments {
    /// A data folder; its ring lies beside it.
    #[arg(long)]
    data: PathBuf,
    /// How many write at once.
    #[arg(long)]
    writers: u64,
    /// How many appends all of them make together.
    #[arg(long)]
    appends: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let stores = Stores::open(&arguments.data)?;
    let clinic = Clinic::of_numbers(&stores.ledger, stores.gateway.clone(), 1).await?;
    let each = arguments.appends / arguments.writers.max(1);
    let clinic = std::sync::Arc::new(clinic);
    let begun = Instant::now();
    let mut writers = Vec::new();
    for writer in 0..arguments.writers {
        let (clinic, ledger) = (clinic.clone(), stores.ledger.clone());
        writers.push(tokio::spawn(async move {
            let mut took = Vec::new();
            for n in 0..each {
                let begun = Instant::now();
                clinic.announce(ledger.as_ref(), writer * each + n).await?;
                took.push(begun.elapsed());
            }
            Ok::<_, Failure>(took)
        }));
    }
    let mut took = Vec::new();
    for writer in writers {
        took.extend(writer.await??);
    }
    let line = waits::line(&mut took, begun.elapsed());
    say(&line);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what it is run for")]
fn say(line: &str) {
    println!("{line}");
}
