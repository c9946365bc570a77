//! The clock of tests: both of its hands are set by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Clock;

/// Shows what a test says, until it says otherwise.
#[derive(Debug)]
pub(crate) struct TestClock {
    now: AtomicU64,
    boot: AtomicU64,
}

impl TestClock {
    /// A clock that shows `now`, milliseconds of unix time; its machine has run for a second.
    pub(crate) fn new(now: u64) -> Self {
        Self {
            now: AtomicU64::new(now),
            boot: AtomicU64::new(1_000),
        }
    }

    /// Sets both hands, milliseconds.
    pub(crate) fn set(&self, now: u64, boot: u64) {
        self.set_now(now);
        self.boot.store(boot, Ordering::SeqCst);
    }

    /// Sets the time of day alone, milliseconds of unix time: the clock steps.
    pub(crate) fn set_now(&self, now: u64) {
        self.now.store(now, Ordering::SeqCst);
    }

    /// So many seconds pass.
    pub(crate) fn pass(&self, seconds: u64) {
        for hand in [&self.now, &self.boot] {
            hand.fetch_add(seconds * 1000, Ordering::SeqCst);
        }
    }
}

impl Clock for TestClock {
    fn now_millis(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    fn boot_millis(&self) -> u64 {
        self.boot.load(Ordering::SeqCst)
    }
}
