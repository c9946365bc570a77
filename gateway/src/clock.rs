//! The time of day as a parameter, so that expiry can be tested.
//!
//! This file alone may ask the operating system; everything else takes a [`Clock`] or a stamp made from one.

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

#[cfg(test)]
pub(crate) mod fixture;

/// The clock that counts while the machine sleeps.
#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds of unix time. It may step backwards; who needs order keeps the last value.
    fn now_millis(&self) -> u64;

    /// Milliseconds since some moment before the process began. It never steps, and counts while the machine sleeps. A clock
    /// that cannot step may leave this out.
    fn boot_millis(&self) -> u64 {
        self.now_millis()
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the time comes from the system; all others take a Clock"
    )]
    fn now_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn boot_millis(&self) -> u64 {
        let since = clock_gettime(BOOT);
        let (seconds, nanos) = (u64::try_from(since.tv_sec), u64::try_from(since.tv_nsec));
        seconds.unwrap_or_default() * 1000 + nanos.unwrap_or_default() / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_moves_on_and_never_back() {
        let begun = SystemClock.boot_millis();
        let mut last = begun;
        while last < begun + 3 {
            let now = SystemClock.boot_millis();
            assert!(now >= last);
            last = now;
        }
    }
}
