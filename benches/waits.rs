//! How long each of many acts took, as one line of JSON that `cargo xtask bench` reads.

use std::time::Duration;

/// `{"count":..,"per_second":..,"p50_us":..,"p99_us":..,"max_us":..}`; sorts what it is given.
#[must_use]
pub fn line(took: &mut [Duration], all: Duration) -> String {
    took.sort_unstable();
    let at = |percent: usize| {
        let index = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(index).map_or(0, Duration::as_micros)
    };
    let per_second = took.len() as u128 * 1_000_000 / all.as_micros().max(1);
    format!(
        r#"{{"count":{},"per_second":{per_second},"p50_us":{},"p99_us":{},"max_us":{}}}"#,
        took.len(),
        at(50),
        at(99),
        at(100)
    )
}
