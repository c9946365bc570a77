//! How often somebody may ask: token buckets in memory, one for each key, of bounded number.
//!
//! A bucket is kept as the moment at which it will be full again (the generic cell rate algorithm): whoever takes a token moves
//! it on, and is refused when it would lie further ahead than a whole bucket. A bucket that is full is the same as none. What is
//! forgotten at a restart does no harm: it lets a burst through once more. When there are too many, those that are nearest to
//! full are forgotten first: nobody loses a token by that, and whoever emptied a bucket does not get it back.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most buckets.
const CAPACITY: usize = 1 << 16;

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

    /// The rate of so many together.
    #[must_use]
    pub fn times(self, many: u32) -> Self {
        Self {
            interval: self.interval / many.max(1),
            whole: self.whole,
        }
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
    /// The same in the order of time.
    by_time: BTreeSet<(Duration, K)>,
}

impl<K: Copy + Ord + Hash> Buckets<K> {
    /// Buckets that are all full.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::with_capacity(rate, CAPACITY)
    }

    fn with_capacity(rate: Rate, capacity: usize) -> Self {
        let table = Table {
            full_at: HashMap::new(),
            by_time: BTreeSet::new(),
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
        let after = table.full_at.get(&key).map_or(now, |full_at| now.max(*full_at)) + cost;
        let missing = after.saturating_sub(now + self.rate.whole);
        if missing.is_zero() {
            table.set(key, after);
            table.forget(now, self.capacity);
            return Ok(());
        }
        Err(RetryAfter(missing.as_secs() + u64::from(missing.subsec_nanos() > 0)))
    }
}

impl<K: Copy + Ord + Hash> Table<K> {
    fn set(&mut self, key: K, full_at: Duration) {
        if let Some(before) = self.full_at.insert(key, full_at) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((full_at, key));
    }

    /// Forgets the buckets that are full, and while there are too many those that are nearest to it.
    fn forget(&mut self, now: Duration, capacity: usize) {
        while let Some((full_at, key)) = self.by_time.first().copied() {
            if full_at > now && self.full_at.len() <= capacity {
                return;
            }
            self.by_time.remove(&(full_at, key));
            self.full_at.remove(&key);
        }
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
    fn memory_is_bounded_and_nobody_is_kept_out_by_others() {
        let buckets = Buckets::with_capacity(Rate::per_second(1, 2).unwrap(), 3);
        for _ in 0..2 {
            assert_eq!(buckets.take(1, Cost::Whole, NOW), Ok(()));
        }
        for key in 10..1_000 {
            assert_eq!(buckets.take(key, Cost::Whole, NOW), Ok(()), "newcomer {key}");
        }
        assert_eq!(
            buckets.take(1, Cost::Whole, NOW),
            Err(RetryAfter(1)),
            "whoever emptied a bucket gets no other"
        );
        let sizes = |buckets: &Buckets<u32>| {
            let table = buckets.table.lock().unwrap();
            (table.full_at.len(), table.by_time.len())
        };
        assert_eq!(sizes(&buckets), (3, 3));
        let later = NOW + Duration::from_secs(60);
        assert_eq!(buckets.take(10, Cost::Whole, later), Ok(()));
        assert_eq!(sizes(&buckets), (1, 1), "what is full is forgotten");
    }

    #[test]
    fn many_together_have_the_rate_of_many() {
        let rate = Rate::per_hour(30).map(|rate| rate.times(8));
        let buckets = buckets(rate);
        let taken = (0..500).filter(|_| buckets.take(1, Cost::Whole, NOW).is_ok()).count();
        assert_eq!(taken, 240);
        let hour = NOW + Duration::from_secs(3_600);
        let taken = (0..500).filter(|_| buckets.take(1, Cost::Whole, hour).is_ok()).count();
        assert_eq!(taken, 240);
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!((Rate::per_second(0, 5), Rate::per_hour(0)), (None, None));
    }
}
