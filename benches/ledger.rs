//! Appends to the ledger with 1, 8 and 64 writers: decided, framed, hashed, durable. How long one waits is what the program
//! `appends` tells.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sealpost_benches::clinic::{Clinic, Stores};
use tokio::runtime::Runtime;

fn appends(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let stores = runtime
        .block_on(async { Stores::open(&folder.path().join("data")) })
        .expect("stores");
    let clinic = Clinic::of_numbers(&stores.ledger, stores.gateway.clone(), 1);
    let clinic = Arc::new(runtime.block_on(clinic).expect("an organisation"));
    let next = Arc::new(AtomicU64::new(0));
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(1));
    for writers in [1, 8, 64] {
        group.bench_function(BenchmarkId::new("append", writers), |bencher| {
            bencher.iter_custom(|times| runtime.block_on(append(&stores, &clinic, &next, writers, times)));
        });
    }
    group.finish();
}

/// How long `times` appends take all together.
async fn append(stores: &Stores, clinic: &Arc<Clinic>, next: &Arc<AtomicU64>, writers: u64, times: u64) -> Duration {
    let end = next.load(Ordering::Relaxed) + times;
    let begun = Instant::now();
    let tasks = (0..writers).map(|_| {
        let (ledger, clinic, next) = (stores.ledger.clone(), clinic.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= end {
                    return;
                }
                clinic.announce(ledger.as_ref(), n).await.expect("an append");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a writer that ends");
    }
    begun.elapsed()
}

criterion_group!(benches, appends);
criterion_main!(benches);
