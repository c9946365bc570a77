//! Fills the data folder of a gateway that is not running with sealed transfers, to measure a gateway with many.
//!
//! `cargo run --release --package sealpost-benches --bin fill -- --data DIR --transfers 1000000`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use sealpost_benches::clinic::{Clinic, Failure, Stores};
use sealpost_benches::home;
use sealpost_gateway::store::ledger::Ledger;

/// Fills the data folder of a gateway with sealed transfers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The data folder; its ring lies beside it.
    #[arg(long)]
    data: PathBuf,
    /// How many transfers.
    #[arg(long, default_value_t = 1_000_000)]
    transfers: u64,
    /// How many write at once.
    #[arg(long, default_value_t = 64)]
    writers: u64,
    /// How many people receive, in an organisation that is made for it.
    #[arg(long, default_value_t = 200, conflicts_with = "home")]
    people: u16,
    /// The client's folder of a person of the gateway's organisation, who sends to everybody else in it instead.
    #[arg(long, requires = "passphrase_file")]
    home: Option<PathBuf>,
    /// The file with that person's passphrase.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Announces only, which costs nothing but the ledger: how many records a second it takes.
    #[arg(long)]
    announce: bool,
    /// Ends without a stop, as a kill would.
    #[arg(long)]
    kill: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let begun = Instant::now();
    let stores = Arc::new(Stores::open(&arguments.data)?);
    let size = stores.ledger.audit_head().await?.0;
    say(&format!("opened with {size} leaves in {:?}", begun.elapsed()));
    let clinic = Arc::new(clinic(&arguments, &stores).await?);
    let begun = Instant::now();
    write_all(&arguments, &clinic, &stores, size).await?;
    let rate = u128::from(arguments.transfers) * 1_000_000 / begun.elapsed().as_micros().max(1);
    say(&format!(
        "{} in {:?}: {rate} a second",
        arguments.transfers,
        begun.elapsed()
    ));
    if arguments.kill {
        std::process::abort();
    }
    let begun = Instant::now();
    drop(stores);
    say(&format!("closed in {:?}", begun.elapsed()));
    Ok(())
}

async fn clinic(arguments: &Arguments, stores: &Stores) -> Result<Clinic, Failure> {
    let gateway = stores.gateway.clone();
    let (Some(home), Some(passphrase)) = (&arguments.home, &arguments.passphrase_file) else {
        return Clinic::of_numbers(&stores.ledger, gateway, arguments.people).await;
    };
    Clinic::of_account(&stores.ledger, gateway, &home::account(home, passphrase)?).await
}

/// Numbers go on where the log ends, so that nothing is sealed twice.
async fn write_all(
    arguments: &Arguments,
    clinic: &Arc<Clinic>,
    stores: &Arc<Stores>,
    size: u64,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let (all, announces) = (arguments.transfers, arguments.announce);
    let writers = (0..arguments.writers).map(|_| {
        let (clinic, stores, next) = (clinic.clone(), stores.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= all {
                    return Ok::<_, Failure>(());
                }
                if announces {
                    clinic.announce(stores.ledger.as_ref(), size + n).await?;
                } else {
                    clinic.clone().seal(&stores, size + n).await?;
                }
                if n % 100_000 == 99_999 {
                    say(&format!("{} after {:?}", n + 1, begun.elapsed()));
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what it is run for")]
fn say(line: &str) {
    println!("{line}");
}
