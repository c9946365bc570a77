//! How often somebody may ask: token buckets in memory, one for each key, of bounded number.
//!
//! A bucket is kept as the moment at which it will be full again (the generic cell rate algorithm): whoever takes a token moves
//! it on, and is refused when it would lie further ahead than a whole bucket. A bucket that is full is the same as none. What is
//! forgotten at a restart does no harm: it lets a burst through once more.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most buckets; those who come when all are in use share one.
const CAPACITY: usize = 1 << 16;

/// Least time between two looks for buckets that are full again.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);

/// A rate with its burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time after which a token is back.
    interval: Duration,
    /// Time after which an empty bucket is full.
    whole: Duration,
}

impl Rate {
    /// So many a second over time, `burst` of them at once; none if there is no limit.
    #[must_use]
    pub fn per_second(count: u32, burst: u32) -> Option<Self> {
        Self::new(Duration::from_secs(1), count, burst)
    }

    /// So many an hour; none if there is no limit.
    #[must_use]
    pub fn per_hour(count: u32) -> Option<Self> {
        Self::new(Duration::from_secs(3_600), count, count)
    }

    fn new(time: Duration, count: u32, burst: u32) -> Option<Self> {
        let interval = time.checked_div(count)?;
        Some(Self {
            interval,
            whole: interval.saturating_mul(burst),
        })
    }
}

/// What a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// One token.
    Whole,
    /// A tenth of one.
    Tenth,
}

/// Who asks too often may ask again after so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(pub u64);

/// Buckets by key.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    capacity: usize,
    table: Mutex<Table<K>>,
}

#[derive(Debug)]
struct Table<K> {
    /// When each bucket is full again.
    full_at: HashMap<K, Duration>,
    /// The same of the bucket that those share for whom there is none.
    shared: Duration,
    pruned_at: Duration,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Buckets that are all full.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::with_capacity(rate, CAPACITY)
    }

    fn with_capacity(rate: Rate, capacity: usize) -> Self {
        let table = Table {
            full_at: HashMap::new(),
            shared: Duration::ZERO,
            pruned_at: Duration::ZERO,
        };
        Self {
            rate,
            capacity,
            table: Mutex::new(table),
        }
    }

    /// Takes `cost` out of the bucket of `key` at `now`, a time of a clock that never steps.
    ///
    /// # Errors
    /// When to ask again, if there is not so much in it. Nothing was taken then.
    pub fn take(&self, key: K, cost: Cost, now: Duration) -> Result<(), RetryAfter> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = match cost {
            Cost::Whole => self.rate.interval,
            Cost::Tenth => self.rate.interval / 10,
        };
        let full_at = table.bucket(key, now, self.capacity);
        let after = (*full_at).max(now) + cost;
        let missing = after.saturating_sub(now + self.rate.whole);
        if missing.is_zero() {
            *full_at = after;
            return Ok(());
        }
        Err(RetryAfter(missing.as_secs() + u64::from(missing.subsec_nanos() > 0)))
    }
}

impl<K: Eq + Hash> Table<K> {
    fn bucket(&mut self, key: K, now: Duration, capacity: usize) -> &mut Duration {
        if self.full_at.len() >= capacity && now >= self.pruned_at + PRUNE_INTERVAL {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.full_at.shrink_to_fit();
            self.pruned_at = now;
        }
        if self.full_at.len() >= capacity && !self.full_at.contains_key(&key) {
            return &mut self.shared;
        }
        self.full_at.entry(key).or_insert(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn buckets(rate: Option<Rate>) -> Buckets<u32> {
        Buckets::new(rate.unwrap())
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_counts() {
        let buckets = buckets(Rate::per_second(2, 10));
        for _ in 0..10 {
            assert_eq!(buckets.take(1, Cost::Whole, NOW), Ok(()));
        }
        assert_eq!(buckets.take(1, Cost::Whole, NOW), Err(RetryAfter(1)));
        assert_eq!(buckets.take(2, Cost::Whole, NOW), Ok(()), "another key");
        let half = NOW + Duration::from_millis(500);
        assert_eq!(buckets.take(1, Cost::Whole, half), Ok(()));
        assert_eq!(buckets.take(1, Cost::Whole, half), Err(RetryAfter(1)));
        let later = NOW + Duration::from_secs(3_600);
        let taken = (0..100).filter(|_| buckets.take(1, Cost::Whole, later).is_ok()).count();
        assert_eq!(taken, 10, "never more than a bucket");
    }

    #[test]
    fn whoever_waits_as_long_as_told_is_admitted_and_refusals_cost_nothing() {
        let buckets = buckets(Rate::per_hour(30));
        let taken = (0..500).filter(|_| buckets.take(1, Cost::Whole, NOW).is_ok()).count();
        assert_eq!(taken, 30);
        let RetryAfter(wait) = buckets.take(1, Cost::Whole, NOW).unwrap_err();
        assert_eq!(wait, 120);
        assert_eq!(buckets.take(1, Cost::Whole, NOW + Duration::from_secs(wait)), Ok(()));
    }

    #[test]
    fn bulk_costs_a_tenth() {
        let buckets = buckets(Rate::per_second(1, 1));
        let taken = (0..100).filter(|_| buckets.take(1, Cost::Tenth, NOW).is_ok()).count();
        assert_eq!(taken, 10);
    }

    #[test]
    fn memory_is_bounded_and_newcomers_then_share_a_bucket() {
        let buckets = Buckets::with_capacity(Rate::per_second(1, 2).unwrap(), 3);
        for key in 0..3 {
            assert_eq!(buckets.take(key, Cost::Whole, NOW), Ok(()));
        }
        let newcomers = (10..20).filter(|key| buckets.take(*key, Cost::Whole, NOW).is_ok());
        assert_eq!(newcomers.count(), 2);
        assert_eq!(buckets.take(0, Cost::Whole, NOW), Ok(()), "those who have one keep it");
        let later = NOW + Duration::from_secs(60);
        assert_eq!(buckets.take(10, Cost::Whole, later), Ok(()));
        assert_eq!(
            buckets.table.lock().unwrap().full_at.len(),
            1,
            "what is full is forgotten"
        );
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!((Rate::per_second(0, 5), Rate::per_hour(0)), (None, None));
    }
}
