//! A whole transfer of one file in memory, keys and manifest included: sealed and signed; and verified, unwrapped and opened.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sealpost_benches::Transfer;
use sealpost_proto::sealed::STORED_SEGMENT_LEN;
use sealpost_sealed::FAST;

const SIZES: [u64; 4] = [10 << 10, 1 << 20, 8 << 20, 64 << 20];

fn transfers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transfer");
    group.sample_size(10);
    for size in SIZES {
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::new("seal and unwrap", size), |bencher| {
            bencher.iter(|| Transfer::of_len(FAST, size).expect("a sealed transfer").payload.len());
        });
        let transfer = Transfer::of_len(FAST, size).expect("a sealed transfer");
        let payload = transfer
            .opener
            .payload_at_hand(&transfer.payload)
            .expect("an open payload");
        group.bench_function(BenchmarkId::new("open", size), |bencher| {
            bencher.iter_batched_ref(
                || transfer.payload.clone(),
                |stored| {
                    let segments = (0..).zip(stored.chunks_mut(STORED_SEGMENT_LEN));
                    segments
                        .map(|(index, segment)| payload.open_segment(index, segment).expect("opened").len())
                        .sum::<usize>()
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, transfers);
criterion_main!(benches);
