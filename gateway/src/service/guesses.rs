//! Wrong tries on links that do not exist: delayed and locked as those on real ones, so that nobody learns which is which. And
//! an alarm when there are many.
//!
//! In memory and bounded: what is forgotten tells at most that a link never existed, after a restart or after more tries than
//! addresses are allowed in weeks.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use sealpost_proto::id::Hash;

use crate::domain::link::Tries;
use crate::domain::redeeming::{Denied, deny_unknown};

/// Most links that do not exist and were tried.
const CAPACITY: usize = 1 << 16;

/// Wrong tries within an hour of which the operator is told.
const ALARM: u32 = 100;

const HOUR: u64 = 3_600;

/// Wrong tries.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    unknown: HashMap<Hash, Tries>,
    /// The same by the time of the last try, oldest first.
    by_time: BTreeSet<(u64, Hash)>,
    hour_began_at: u64,
    in_hour: u32,
}

impl Guesses {
    /// What somebody is told who tries a link that does not exist at `now` (unix seconds).
    pub(super) fn unknown(&self, link: &Hash, now: u64) -> Denied {
        self.lock().unknown(link, now, CAPACITY)
    }

    /// Counts a try without proof, on whatever link. The operator is told once an hour when there are many.
    pub(super) fn count(&self, now: u64) {
        if self.lock().count(now) {
            tracing::warn!(
                limit = ALARM,
                "links were tried with wrong words many times within an hour: somebody may be guessing"
            );
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn unknown(&mut self, link: &Hash, now: u64, capacity: usize) -> Denied {
        let mut tries = self.unknown.get(link).copied().unwrap_or_default();
        self.by_time.remove(&(tries.failed_at, *link));
        let denied = deny_unknown(&mut tries, now);
        self.unknown.insert(*link, tries);
        self.by_time.insert((tries.failed_at, *link));
        while self.unknown.len() > capacity {
            let Some((_, oldest)) = self.by_time.pop_first() else {
                break;
            };
            self.unknown.remove(&oldest);
        }
        denied
    }

    /// Whether this is the try of which the operator is to be told.
    fn count(&mut self, now: u64) -> bool {
        if now.saturating_sub(self.hour_began_at) >= HOUR {
            self.hour_began_at = now;
            self.in_hour = 0;
        }
        self.in_hour = self.in_hour.saturating_add(1);
        self.in_hour == ALARM + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(n: u8) -> Hash {
        Hash::from_bytes([n; 32])
    }

    #[test]
    fn the_alarm_sounds_once_an_hour() {
        let mut inner = Inner::default();
        let sounded = |inner: &mut Inner, now| (0..500).filter(|_| inner.count(now)).count();
        assert_eq!(
            (0..100).filter(|n| inner.count(10_000 + n)).count(),
            0,
            "not for a hundred"
        );
        assert_eq!(sounded(&mut inner, 10_100), 1);
        assert_eq!(sounded(&mut inner, 13_599), 0);
        assert_eq!(sounded(&mut inner, 13_600), 1, "the next hour");
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut inner = Inner::default();
        for n in 0..4 {
            let _ = inner.unknown(&link(n), 1_000 + u64::from(n), 3);
        }
        assert_eq!((inner.unknown.len(), inner.by_time.len()), (3, 3));
        assert!(!inner.unknown.contains_key(&link(0)));
        for _ in 0..20 {
            let _ = inner.unknown(&link(1), 2_000, 3);
        }
        assert_eq!((inner.unknown.len(), inner.by_time.len()), (3, 3));
    }
}
