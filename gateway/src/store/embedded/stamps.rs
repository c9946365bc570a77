//! Times of records: never decreasing, and never from a clock that has stepped far ahead (security.md 9.5).
//!
//! The last time of a record binds all that follow, also after a restart. So only what is written counts, and a clock that has run
//! away from the boot clock by more than a day is not believed: one record of it would end every transfer and every key for good.

use std::io;

use crate::clock::Clock;
use crate::store::ledger::Stamp;

/// By how much the time of day may run ahead of the boot clock since the start, in milliseconds.
const MAX_STEP: u64 = 24 * 3_600 * 1_000;

/// Where the clock stood at the start, and the time of the last record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamps {
    begun_millis: u64,
    begun_boot: u64,
    last_millis: u64,
}

impl Stamps {
    /// From the time of the last record in the journal, milliseconds of unix time.
    pub(super) fn new(clock: &dyn Clock, last_millis: u64) -> Self {
        Self {
            begun_millis: clock.now_millis(),
            begun_boot: clock.boot_millis(),
            last_millis,
        }
    }

    /// The stamp of a decision that is taken now.
    ///
    /// # Errors
    /// The clock has stepped ahead by more than a day since the start.
    pub(super) fn next(&self, clock: &dyn Clock) -> io::Result<Stamp> {
        let passed = clock.boot_millis().saturating_sub(self.begun_boot);
        let latest = self.begun_millis.saturating_add(passed).saturating_add(MAX_STEP);
        let now = clock.now_millis();
        if now > latest {
            return Err(io::Error::other(
                "the clock has stepped ahead by more than a day; set it right, or start the gateway again if it is right now",
            ));
        }
        Ok(Stamp {
            millis: now.max(self.last_millis),
        })
    }

    /// Notes the time of a record.
    pub(super) fn written(&mut self, millis: u64) {
        self.last_millis = self.last_millis.max(millis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::fixture::TestClock;

    const DAY: u64 = 24 * 3_600 * 1_000;

    #[test]
    fn only_what_is_written_binds_and_a_runaway_clock_is_not_believed() {
        let clock = TestClock::new(1_000 * DAY);
        clock.set(1_000 * DAY, 0);
        let mut stamps = Stamps::new(&clock, 1_000 * DAY - 5);
        clock.set(1_400 * DAY, 1_000);
        assert!(stamps.next(&clock).is_err(), "400 days ahead");
        clock.set(1_000 * DAY + 3_600_000, 1_000);
        assert_eq!(stamps.next(&clock).unwrap().millis, 1_000 * DAY + 3_600_000);
        clock.set(1_000 * DAY + 2_000, 2_000);
        let stamp = stamps.next(&clock).unwrap();
        assert_eq!(stamp.millis, 1_000 * DAY + 2_000, "nothing was written an hour ahead");
        stamps.written(stamp.millis);
        clock.set(1_000 * DAY - 3_600_000, 3_000);
        assert_eq!(stamps.next(&clock).unwrap().millis, stamp.millis, "never back");
        clock.set(1_400 * DAY, 400 * DAY);
        assert!(stamps.next(&clock).is_ok(), "400 days have passed");
    }
}
