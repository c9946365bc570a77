//! The first page of an inbox with 100,000 transfers, as the ledger answers it; `pages` asks a whole gateway.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sealpost_benches::clinic::{Clinic, Stores};
use sealpost_gateway::store::views::Views;
use tokio::runtime::Runtime;

const STORED: u64 = 100_000;
const WRITERS: u8 = 64;

fn inbox(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let stores = runtime
        .block_on(async { Stores::open(&folder.path().join("data")) })
        .expect("stores");
    let stores = Arc::new(stores);
    let clinic = Clinic::of_numbers(&stores.ledger, stores.gateway.clone(), 1);
    let clinic = Arc::new(runtime.block_on(clinic).expect("an organisation"));
    runtime.block_on(fill(&stores, &clinic));
    let recipient = clinic.first_recipient().expect("a recipient");
    let mut group = criterion.benchmark_group("inbox");
    for limit in [50, 1_000] {
        group.bench_function(BenchmarkId::new("first page", limit), |bencher| {
            bencher.iter(|| {
                let page = runtime.block_on(stores.ledger.inbox(&recipient, None, limit));
                assert_eq!(page.expect("a page").len(), limit, "a page is full");
            });
        });
    }
    group.finish();
}

async fn fill(stores: &Arc<Stores>, clinic: &Arc<Clinic>) {
    let writers = (0..WRITERS).map(|writer| {
        let (stores, clinic) = (stores.clone(), clinic.clone());
        tokio::spawn(async move {
            for n in (u64::from(writer)..STORED).step_by(usize::from(WRITERS)) {
                clinic.clone().seal(&stores, n).await.expect("a sealed transfer");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer that ends");
    }
}

criterion_group!(benches, inbox);
criterion_main!(benches);
