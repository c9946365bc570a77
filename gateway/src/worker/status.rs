//! How the sweep is doing, for those who ask about the gateway's health.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How the sweep is doing.
#[derive(Debug, Default)]
pub struct SweepStatus {
    /// Unix seconds; 0 before the first.
    last_success: AtomicU64,
    is_failing: AtomicBool,
}

impl SweepStatus {
    /// When the last sweep that did all it had to ended, unix seconds; none before the first.
    #[must_use]
    pub fn last_success(&self) -> Option<u64> {
        Some(self.last_success.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Whether the last sweep left something undone.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    pub(super) fn succeeded(&self, at: u64) {
        self.last_success.store(at, Ordering::Relaxed);
        self.is_failing.store(false, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.is_failing.store(true, Ordering::Relaxed);
    }
}
