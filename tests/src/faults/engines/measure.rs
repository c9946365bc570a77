//! How fast an engine is, and what it writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{Engine, Kind, RECORD_LEN};
use crate::faults::{Outcome, failed};

/// What writers saw.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Records a second, all writers together.
    pub rate: f64,
    /// Half of the answers came within this time.
    pub half: Duration,
    /// 99 of 100 did.
    pub most: Duration,
    /// All did.
    pub all: Duration,
    /// Bytes that went to the disk for each byte of records.
    pub written: f64,
}

/// Lets `writers` append for some time to a new engine below `folder`, each waiting for its answer before the next.
///
/// # Errors
/// Of the engine.
pub fn measure(kind: Kind, folder: &Path, writers: u64, time: Duration) -> Outcome<Measured> {
    let place = tempfile::tempdir_in(folder).map_err(failed("a folder"))?;
    let runtime = Runtime::new().map_err(failed("a runtime"))?;
    let engine = kind.open(place.path())?;
    let before = written()?;
    let start = Instant::now();
    let mut times = runtime.block_on(write(&engine, writers, start + time))?;
    let took = start.elapsed();
    // What is still in memory counts as well.
    drop(engine);
    let bytes = written()?.saturating_sub(before);
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    Ok(Measured {
        rate: times.len() as f64 / took.as_secs_f64(),
        half: at(50).copied().unwrap_or_default(),
        most: at(99).copied().unwrap_or_default(),
        all: at(100).copied().unwrap_or_default(),
        written: bytes as f64 / (times.len() * RECORD_LEN) as f64,
    })
}

async fn write(engine: &Arc<dyn Engine>, writers: u64, until: Instant) -> Outcome<Vec<Duration>> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..writers {
        let (engine, next) = (Arc::clone(engine), Arc::clone(&next));
        tasks.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let start = Instant::now();
                engine.append(next.fetch_add(1, Ordering::Relaxed)).await?;
                times.push(start.elapsed());
            }
            Outcome::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times.map_err(failed("a writer"))??);
    }
    Ok(all)
}

/// Bytes that this process has caused to be written to disks.
fn written() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/self/io").map_err(failed("/proc/self/io"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok())
        .ok_or_else(|| "no write_bytes in /proc/self/io".to_owned())
}
