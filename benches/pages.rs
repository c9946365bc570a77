//! Asks a running gateway for the first page of an inbox, again and again, over one connection: how long an answer takes. Prints
//! one JSON object.
//!
//! `cargo run --release --package sealpost-benches --bin pages -- --home DIR --passphrase-file FILE --times 1000`

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use sealpost_benches::clinic::Failure;
use sealpost_benches::{home, waits};
use sealpost_proto::api::MAX_PAGE;

/// Measures the first page of a person's inbox.
#[derive(Debug, Parser)]
struct Arguments {
    /// The person's client folder.
    #[arg(long)]
    home: PathBuf,
    /// The file with the person's passphrase.
    #[arg(long)]
    passphrase_file: PathBuf,
    /// How often to ask.
    #[arg(long, default_value_t = 1_000)]
    times: usize,
    /// How many transfers a page has.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let session = home::session(&arguments.home, &arguments.passphrase_file)?;
    let limit = arguments.limit.min(MAX_PAGE);
    // The first one makes the connection.
    let page = session.api.inbox(None, limit).await?;
    if page.transfers.len() < limit {
        return Err(format!("the inbox has {} transfers, less than a page", page.transfers.len()).into());
    }
    let (mut took, all) = (Vec::new(), Instant::now());
    for _ in 0..arguments.times {
        let begun = Instant::now();
        session.api.inbox(None, limit).await?;
        took.push(begun.elapsed());
    }
    let line = waits::line(&mut took, all.elapsed());
    say(&line);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what it is run for")]
fn say(line: &str) {
    println!("{line}");
}
