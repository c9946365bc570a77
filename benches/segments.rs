//! One segment of 256 KiB: sealed, opened, hashed as a leaf. Bulk speed on one core is this number.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sealpost_benches::{Transfer, rng};
use sealpost_proto::sealed::STORED_SEGMENT_LEN;
use sealpost_proto::tree::leaf_hash;
use sealpost_sealed::{FAST, PORTABLE};

fn segments(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("segment");
    group.throughput(Throughput::Bytes(STORED_SEGMENT_LEN as u64));
    for (name, provider) in [("fast", FAST), ("portable", PORTABLE)] {
        let transfer = Transfer::of_len(provider, 1 << 20).expect("a sealed transfer");
        let stored = transfer
            .payload
            .get(..STORED_SEGMENT_LEN)
            .expect("a whole segment")
            .to_vec();
        let payload = transfer
            .opener
            .payload_at_hand(&transfer.payload)
            .expect("an open payload");
        let mut rng = rng();
        group.bench_function(format!("seal/{name}"), |bencher| {
            bencher.iter_batched_ref(
                || stored.clone(),
                |buffer| transfer.sealer.seal_segment(0, buffer, &mut rng).expect("sealed"),
                BatchSize::LargeInput,
            );
        });
        group.bench_function(format!("open/{name}"), |bencher| {
            bencher.iter_batched_ref(
                || stored.clone(),
                |buffer| payload.open_segment(0, buffer).expect("opened").len(),
                BatchSize::LargeInput,
            );
        });
    }
    let stored = vec![0x5A; STORED_SEGMENT_LEN];
    group.bench_function("leaf", |bencher| bencher.iter(|| leaf_hash(black_box(&stored))));
    group.finish();
}

criterion_group!(benches, segments);
criterion_main!(benches);
