//! Whether the clock can be trusted with destroying things (security.md 9.5).
//!
//! The time of day is compared with the boot clock, which counts while the machine sleeps: a suspend is no jump. If the time of
//! day has stepped, in either direction, or is behind what the ledger was told before, nothing that expired is destroyed until
//! they agree again or the operator has set the clock and restarted. What was revoked or used up is destroyed all the same: no
//! clock has a say in that. `open` does not come here: it refuses by the ledger's stamps, which never go back.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;

/// Difference between the clocks, in milliseconds, that is no step: the leap of a second, and reading one after the other.
const TOLERANCE: u64 = 5_000;

/// How far, in milliseconds, the clock may be behind the ledger's last stamp at the start.
const BEHIND: u64 = 60_000;

/// What the clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// It can be trusted.
    Trusted,
    /// It has stepped by so many seconds since the start; negative for backwards.
    Stepped(i64),
    /// At the start it was so many seconds behind what the ledger was told before.
    Behind(u64),
}

/// Watches a clock.
#[derive(Debug)]
pub struct ClockWatch {
    clock: Arc<dyn Clock>,
    /// What the time of day was ahead of the boot clock at the start.
    offset: i128,
    /// The last stamp of the ledger at the start.
    last_stamp: u64,
    last: Mutex<ClockState>,
}

impl ClockWatch {
    /// Watches `clock` from now on. `last_stamp` is the ledger's, in milliseconds of unix time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, last_stamp: u64) -> Self {
        let watch = Self {
            offset: offset(clock.as_ref()),
            clock,
            last_stamp,
            last: Mutex::new(ClockState::Trusted),
        };
        watch.state();
        watch
    }

    /// What the clock is worth now. A change is logged.
    pub fn state(&self) -> ClockState {
        let state = self.compare();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // A step is one event, by however many milliseconds it is measured.
        if std::mem::discriminant(&*last) != std::mem::discriminant(&state) {
            log(state);
        }
        *last = state;
        state
    }

    /// The time by which things may be destroyed, unix seconds: while the clock is in doubt the beginning of time, at which
    /// nothing has expired and only what ended in another way is due.
    pub fn destruction_time(&self) -> u64 {
        match self.state() {
            ClockState::Trusted => self.clock.now_millis() / 1000,
            ClockState::Stepped(_) | ClockState::Behind(_) => 0,
        }
    }

    /// The later of what the clock says and what it would say had it never stepped since the start, unix seconds.
    #[must_use]
    pub fn latest_time(&self) -> u64 {
        let steady = i128::from(self.clock.boot_millis()) + self.offset;
        let steady = u64::try_from(steady / 1000).unwrap_or_default();
        steady.max(self.clock.now_millis() / 1000)
    }

    fn compare(&self) -> ClockState {
        let behind = self.last_stamp.saturating_sub(self.clock.now_millis());
        let step = offset(self.clock.as_ref()) - self.offset;
        if step.unsigned_abs() > u128::from(TOLERANCE) {
            return ClockState::Stepped(i64::try_from(step / 1000).unwrap_or(i64::MAX));
        }
        if behind > BEHIND {
            return ClockState::Behind(behind / 1000);
        }
        ClockState::Trusted
    }
}

fn offset(clock: &dyn Clock) -> i128 {
    i128::from(clock.now_millis()) - i128::from(clock.boot_millis())
}

fn log(state: ClockState) {
    match state {
        ClockState::Trusted => tracing::info!("the clock agrees again: what is due is destroyed"),
        ClockState::Stepped(seconds) => tracing::warn!(
            seconds,
            "the clock has stepped: nothing that expired is destroyed until it is set right; if it is right now, restart the gateway"
        ),
        ClockState::Behind(seconds) => tracing::warn!(
            seconds,
            "the clock is behind what the journal was told before: nothing that expired is destroyed until it has caught up"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::fixture::TestClock;

    const START: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn watched(last_stamp: u64) -> (Arc<TestClock>, ClockWatch) {
        let clock = Arc::new(TestClock::new(START));
        let watch = ClockWatch::new(clock.clone(), last_stamp);
        (clock, watch)
    }

    #[test]
    fn a_suspend_is_no_step() {
        let (clock, watch) = watched(START);
        clock.set(START + HOUR + 2_000, 1_000 + HOUR);
        assert_eq!(watch.state(), ClockState::Trusted);
        assert_eq!(watch.destruction_time(), (START + HOUR + 2_000) / 1000);
    }

    #[test]
    fn n115_a_clock_that_steps_is_not_believed_until_it_agrees_again() {
        let (clock, watch) = watched(START);
        for (now, seconds) in [(START - HOUR, -3_600), (START + HOUR, 3_600)] {
            clock.set(now, 1_000);
            assert_eq!(watch.state(), ClockState::Stepped(seconds));
            assert_eq!(watch.destruction_time(), 0);
            clock.set(START + 10_000, 11_000);
            assert_eq!(watch.state(), ClockState::Trusted);
        }
    }

    #[test]
    fn a_start_before_the_last_stamp_waits_until_the_clock_has_caught_up() {
        let (clock, watch) = watched(START + 2 * HOUR);
        assert_eq!(watch.state(), ClockState::Behind(7_200));
        assert_eq!(watch.destruction_time(), 0);
        clock.set(START + 2 * HOUR, 1_000 + 2 * HOUR);
        assert_eq!(watch.state(), ClockState::Trusted);
        let (_, near) = watched(START + 59_000);
        assert_eq!(near.state(), ClockState::Trusted);
    }
}
