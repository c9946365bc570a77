//! Nonces seen in the last minutes: a signature is good for one request.

use std::collections::{HashMap, HashSet, VecDeque};

use sealpost_proto::id::PublicKey;
use sealpost_proto::problem::ProblemKind;

/// Length of a generation, in seconds.
const GENERATION: u64 = 60;

/// Generations that are kept: a nonce stays for at least five minutes, longer than any signature is fresh.
const GENERATIONS: usize = 6;

/// Most nonces that are kept, about 100 MiB. Only devices of the directory reach this cache.
const CAPACITY: usize = 4 << 20;

type Generation = HashMap<PublicKey, HashSet<[u8; 16]>>;

/// Nonces by device, in generations that are dropped whole.
#[derive(Debug)]
pub(super) struct Nonces {
    /// Newest first, with the number of its minute.
    generations: VecDeque<(u64, Generation)>,
    count: usize,
    capacity: usize,
}

impl Default for Nonces {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl Nonces {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            generations: VecDeque::new(),
            count: 0,
            capacity,
        }
    }

    /// Takes a nonce at `now` (unix seconds).
    ///
    /// # Errors
    /// `replayed` if this device used it before; `too_many_requests` when the cache is full, since forgetting would allow replay.
    pub(super) fn take(&mut self, device: &PublicKey, nonce: [u8; 16], now: u64) -> Result<(), ProblemKind> {
        self.advance(now / GENERATION);
        let is_known =
            |(_, generation): &(u64, Generation)| generation.get(device).is_some_and(|set| set.contains(&nonce));
        if self.generations.iter().any(is_known) {
            return Err(ProblemKind::Replayed);
        }
        if self.count >= self.capacity {
            return Err(ProblemKind::TooManyRequests);
        }
        if let Some((_, newest)) = self.generations.front_mut() {
            newest.entry(*device).or_default().insert(nonce);
            self.count += 1;
        }
        Ok(())
    }

    /// Begins the generation of a new minute and drops those that are too old. A clock that steps back begins none.
    fn advance(&mut self, minute: u64) {
        if self.generations.front().is_some_and(|(newest, _)| *newest >= minute) {
            return;
        }
        self.generations.push_front((minute, Generation::new()));
        let is_old = |begun: u64| minute - begun >= GENERATIONS as u64;
        while self.generations.back().is_some_and(|(begun, _)| is_old(*begun)) {
            let dropped = self.generations.pop_back();
            self.count -= dropped.map_or(0, |(_, generation)| generation.values().map(HashSet::len).sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u8) -> PublicKey {
        PublicKey::from_bytes([n; 32])
    }

    #[test]
    fn a_nonce_is_taken_once_in_five_minutes_and_by_device() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.take(&device(1), [7; 16], 1_000), Ok(()));
        assert_eq!(nonces.take(&device(2), [7; 16], 1_000), Ok(()));
        for later in [1_000, 1_059, 1_120, 1_299] {
            assert_eq!(
                nonces.take(&device(1), [7; 16], later),
                Err(ProblemKind::Replayed),
                "{later}"
            );
        }
        assert_eq!(nonces.take(&device(1), [7; 16], 1_400), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let mut nonces = Nonces::with_capacity(2);
        assert_eq!(nonces.take(&device(1), [1; 16], 1_000), Ok(()));
        assert_eq!(nonces.take(&device(1), [2; 16], 1_000), Ok(()));
        assert_eq!(
            nonces.take(&device(1), [3; 16], 1_000),
            Err(ProblemKind::TooManyRequests)
        );
        assert_eq!(nonces.take(&device(1), [3; 16], 1_500), Ok(()));
        assert_eq!(nonces.count, 1);
    }

    #[test]
    fn a_clock_that_steps_back_forgets_nothing() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.take(&device(1), [1; 16], 1_000), Ok(()));
        assert_eq!(nonces.take(&device(1), [1; 16], 900), Err(ProblemKind::Replayed));
    }
}
