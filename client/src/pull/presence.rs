//! Whether the gateway is there: told once when it goes, once when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::event::{Event, Listener};
use crate::progress::Progress;

/// Whether the gateway is there.
#[derive(Debug)]
pub(super) struct Presence {
    listener: Arc<dyn Listener>,
    is_away: AtomicBool,
}

impl Presence {
    pub(super) fn new(listener: Arc<dyn Listener>) -> Self {
        Self {
            listener,
            is_away: AtomicBool::new(false),
        }
    }

    /// It does not answer.
    pub(super) fn away(&self) {
        if !self.is_away.swap(true, Ordering::SeqCst) {
            self.listener.event(&Event::away());
        }
    }

    /// It has answered.
    pub(super) fn back(&self) {
        if self.is_away.swap(false, Ordering::SeqCst) {
            self.listener.event(&Event::back());
        }
    }
}

impl Progress for Presence {
    fn start(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn waiting(&self, is_waiting: bool) {
        if is_waiting {
            self.away();
        } else {
            self.back();
        }
    }
}
