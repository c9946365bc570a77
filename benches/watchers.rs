//! What watchers of the live feed that hear nothing cost a running gateway: opens so many feeds of one account, each over a TLS
//! connection of its own, and reads the gateway's anonymous memory from `/proc` before and after. Prints one JSON object.
//!
//! The gateway has to allow it (`SEALPOST__LIMITS__FEEDS_PER_ACCOUNT`), and both processes need as many files.
//!
//! `cargo run --release --package sealpost-benches --bin watchers -- --home DIR --passphrase-file FILE --pid PID --watchers 5000`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use sealpost_benches::clinic::Failure;
use sealpost_benches::home;
use sealpost_client::Session;
use sealpost_client::feed::{Feed, FeedEvent};

/// Handshakes at once.
const AT_ONCE: usize = 16;
/// For so long all watch before memory is read again: every feed has had two lines that say it lives.
const REST: Duration = Duration::from_secs(35);

/// Measures the memory of a gateway with many idle watchers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The client's folder of a person of the gateway's organisation.
    #[arg(long)]
    home: PathBuf,
    /// The file with that person's passphrase.
    #[arg(long)]
    passphrase_file: PathBuf,
    /// Process id of the gateway.
    #[arg(long)]
    pid: u32,
    /// How many watch.
    #[arg(long, default_value_t = 5_000)]
    watchers: usize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let session = home::session(&arguments.home, &arguments.passphrase_file)?;
    // What the first connections make once and for all is no watcher's.
    let warm = open(&session, AT_ONCE).await?;
    let before = Memory::of(arguments.pid)?;
    let begun = Instant::now();
    let mut feeds = Vec::with_capacity(arguments.watchers);
    while feeds.len() < arguments.watchers {
        let missing = arguments.watchers - feeds.len();
        feeds.extend(open(&session, missing.min(AT_ONCE)).await?);
    }
    let opened = begun.elapsed();
    tokio::time::sleep(REST).await;
    let after = Memory::of(arguments.pid)?;
    let held = still_open(feeds).await;
    drop(warm);
    let kib = after.anonymous_kib.saturating_sub(before.anonymous_kib);
    let cpu = after.ticks.saturating_sub(before.ticks);
    say(&format!(
        r#"{{"watchers":{},"held":{held},"before_kib":{},"after_kib":{},"bytes_each":{},"open_ms":{},"cpu_ticks":{cpu}}}"#,
        arguments.watchers,
        before.anonymous_kib,
        after.anonymous_kib,
        kib * 1024 / arguments.watchers.max(1) as u64,
        opened.as_millis(),
    ));
    Ok(())
}

/// Feeds that have said where they begin.
async fn open(session: &Session, count: usize) -> Result<Vec<Feed>, Failure> {
    let opening = (0..count).map(|_| Feed::open(&session.api, None));
    let mut feeds = Vec::with_capacity(count);
    for feed in futures_util::future::join_all(opening).await {
        let mut feed = feed?;
        match feed.next().await? {
            FeedEvent::Head { .. } => feeds.push(feed),
            other => return Err(format!("a feed begins with {other:?}").into()),
        }
    }
    Ok(feeds)
}

/// How many have neither ended nor said anything.
async fn still_open(feeds: Vec<Feed>) -> usize {
    let waiting = feeds.into_iter().map(|mut feed| async move {
        let waited = tokio::time::timeout(Duration::from_secs(1), feed.next()).await;
        usize::from(waited.is_err())
    });
    futures_util::future::join_all(waiting).await.into_iter().sum()
}

/// What a process uses.
struct Memory {
    anonymous_kib: u64,
    /// Clock ticks of the processor, of user and system.
    ticks: u64,
}

impl Memory {
    fn of(pid: u32) -> Result<Self, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let anonymous = line.and_then(|line| line.split_whitespace().next());
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the name, which stands in parentheses and may hold anything: state is the first field.
        let (_, fields) = stat.rsplit_once(')').ok_or("no fields")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        Ok(Self {
            anonymous_kib: anonymous.ok_or("no RssAnon")?.parse()?,
            ticks: ticks.sum::<Result<_, _>>()?,
        })
    }
}

#[expect(clippy::print_stdout, reason = "this is what it is run for")]
fn say(line: &str) {
    println!("{line}");
}
