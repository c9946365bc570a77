//! Wrong tries on links that do not exist: delayed and locked as those on real ones, so that nobody learns which is which. And
//! an alarm when there are many.
//!
//! In memory and bounded: what is forgotten tells at most that a link never existed, after a restart or after more tries than
//! addresses are allowed in weeks. Tries on one link, real or not, come one after the other, so that what is kept here can follow
//! what was recorded: a try that could not be written down counts for neither.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use sealpost_proto::id::Hash;

use crate::domain::link::Tries;

/// Most links that do not exist and were tried, and most links of which a refusal was written down within an hour.
const CAPACITY: usize = 1 << 16;

/// Turns, of which each link has one.
const TURNS: usize = 64;

/// Wrong tries within an hour of which the operator is told.
const ALARM: u32 = 100;

const HOUR: u64 = 3_600;

/// Wrong tries.
#[derive(Debug)]
pub(super) struct Guesses {
    inner: Mutex<Inner>,
    turns: [tokio::sync::Mutex<()>; TURNS],
}

/// Somebody's turn to try a link.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _turn: Option<tokio::sync::MutexGuard<'a, ()>>,
}

#[derive(Debug, Default)]
struct Inner {
    unknown: HashMap<Hash, Tries>,
    /// The same by the time of the last try, oldest first.
    by_time: BTreeSet<(u64, Hash)>,
    /// When a refusal that counts for nothing was last written down.
    noted: HashMap<Hash, u64>,
    hour_began_at: u64,
    in_hour: u32,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }
}

impl Guesses {
    /// Waits until nobody else tries this link.
    pub(super) async fn turn(&self, link: &Hash) -> Turn<'_> {
        let [first, ..] = link.as_bytes();
        let turn = self.turns.get(usize::from(*first) % TURNS);
        Turn {
            _turn: match turn {
                Some(turn) => Some(turn.lock().await),
                None => None,
            },
        }
    }

    /// Wrong tries on a link that does not exist.
    pub(super) fn tries(&self, link: &Hash) -> Tries {
        self.lock().unknown.get(link).copied().unwrap_or_default()
    }

    /// Keeps what `tries` became by one that was written down.
    pub(super) fn keep(&self, link: &Hash, tries: Tries) {
        self.lock().keep(link, tries, CAPACITY);
    }

    /// Whether a refusal that counts for nothing was written down for this link within the hour before `now` (unix seconds).
    pub(super) fn is_noted(&self, link: &Hash, now: u64) -> bool {
        let noted_at = self.lock().noted.get(link).copied();
        noted_at.is_some_and(|at| now.saturating_sub(at) < HOUR)
    }

    /// One was written down at `now` (unix seconds).
    pub(super) fn note(&self, link: &Hash, now: u64) {
        self.lock().note(link, now, CAPACITY);
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
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep(&mut self, link: &Hash, tries: Tries, capacity: usize) {
        if let Some(before) = self.unknown.insert(*link, tries) {
            self.by_time.remove(&(before.failed_at, *link));
        }
        self.by_time.insert((tries.failed_at, *link));
        while self.unknown.len() > capacity {
            let Some((_, oldest)) = self.by_time.pop_first() else {
                break;
            };
            self.unknown.remove(&oldest);
        }
    }

    /// When there is no room even without those of earlier hours, all are forgotten: then some are written down once more.
    fn note(&mut self, link: &Hash, now: u64, capacity: usize) {
        if self.noted.len() >= capacity {
            self.noted.retain(|_, at| now.saturating_sub(*at) < HOUR);
        }
        if self.noted.len() >= capacity {
            self.noted.clear();
        }
        self.noted.insert(*link, now);
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
        let tries = |failed_at| Tries { failures: 1, failed_at };
        for n in 0..4 {
            inner.keep(&link(n), tries(1_000 + u64::from(n)), 3);
        }
        assert_eq!((inner.unknown.len(), inner.by_time.len()), (3, 3));
        assert!(!inner.unknown.contains_key(&link(0)));
        for n in 0..20 {
            inner.keep(&link(1), tries(2_000 + n), 3);
        }
        assert_eq!((inner.unknown.len(), inner.by_time.len()), (3, 3));
    }

    #[test]
    fn what_was_noted_is_bounded() {
        let mut inner = Inner::default();
        for n in 0..100 {
            inner.note(&link(n), 10_000 + u64::from(n), 3);
            assert!(inner.noted.len() <= 3);
            assert!(inner.noted.contains_key(&link(n)));
        }
    }
}
