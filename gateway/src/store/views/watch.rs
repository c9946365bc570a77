//! Who is told that something concerns them, and of what: never the thing itself, which is asked of the views.
//!
//! Whoever watches first and asks then misses nothing. What was not fetched yet adds up to one piece of news of bounded size,
//! however slow the reader.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_proto::id::{Label, TransferId};
use tokio::sync::Notify;

/// Most transfers that one piece of news names.
const MAX_SENT: usize = 256;

/// What somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Something came into this person's inbox.
    Inbox(Label),
    /// Something about a transfer that this person sent changed.
    Sent(Label, TransferId),
}

/// What happened since the last time somebody looked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Something came into the inbox.
    pub inbox: bool,
    /// Transfers that the person sent and that changed.
    pub sent: BTreeSet<TransferId>,
    /// There were more of them than are kept: nobody knows any more which.
    pub is_overrun: bool,
}

/// How many may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MostWatches {
    /// By one person.
    pub of_one: usize,
    /// By all together.
    pub of_all: usize,
}

/// Why somebody may not watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// The person watches often enough.
    OfOne,
    /// There are too many watches of all people together.
    OfAll,
}

/// All who watch.
#[derive(Debug, Default)]
pub struct Watchers {
    slots: Mutex<HashMap<Label, Vec<Arc<Slot>>>>,
    count: AtomicUsize,
}

/// Where news waits for one watch.
#[derive(Debug, Default)]
struct Slot {
    news: Mutex<News>,
    wake: Notify,
}

/// A place among those who watch, given up when dropped.
#[derive(Debug)]
pub struct Watch {
    of: Arc<Watchers>,
    label: Label,
    slot: Arc<Slot>,
}

impl News {
    fn take(&mut self, concern: Concern) {
        match concern {
            Concern::Inbox(_) => self.inbox = true,
            Concern::Sent(_, transfer) if self.sent.len() < MAX_SENT || self.sent.contains(&transfer) => {
                self.sent.insert(transfer);
            }
            Concern::Sent(..) => self.is_overrun = true,
        }
    }
}

impl Concern {
    fn label(&self) -> &Label {
        match self {
            Self::Inbox(label) | Self::Sent(label, _) => label,
        }
    }
}

impl Watchers {
    /// Begins to watch what concerns a person. All that the views show from before this moment has to be asked of them.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn watch(self: &Arc<Self>, label: Label, most: MostWatches) -> Result<Watch, TooMany> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if self.count.load(Ordering::Relaxed) >= most.of_all {
            return Err(TooMany::OfAll);
        }
        let own = slots.get(&label).map_or(0, Vec::len);
        if own >= most.of_one {
            return Err(TooMany::OfOne);
        }
        let slot = Arc::<Slot>::default();
        slots.entry(label).or_default().push(Arc::clone(&slot));
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(Watch {
            of: Arc::clone(self),
            label,
            slot,
        })
    }

    /// Whether anybody watches. Whoever asks this under the lock that a reader needs, and is told no, need tell nobody.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Tells those who watch. The lock is held for one of them at a time.
    pub fn tell(&self, concerns: impl IntoIterator<Item = Concern>) {
        for concern in concerns {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            for slot in slots.get(concern.label()).into_iter().flatten() {
                slot.news.lock().unwrap_or_else(PoisonError::into_inner).take(concern);
                slot.wake.notify_one();
            }
        }
    }
}

impl Watch {
    /// Waits for news. May be dropped while it waits: nothing is lost by that.
    pub async fn news(&self) -> News {
        loop {
            let news = std::mem::take(&mut *self.slot.news.lock().unwrap_or_else(PoisonError::into_inner));
            if news != News::default() {
                return news;
            }
            // Whoever tells between these lines leaves a permit.
            self.slot.wake.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut slots = self.of.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = slots.get_mut(&self.label) {
            own.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
            if own.is_empty() {
                slots.remove(&self.label);
            }
        }
        self.of.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MOST: MostWatches = MostWatches { of_one: 2, of_all: 3 };

    fn label(n: u8) -> Label {
        Label::from_bytes([n; 32])
    }

    fn id(n: u16) -> TransferId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        TransferId::from_bytes(bytes)
    }

    #[test]
    fn those_whom_it_concerns_are_told_and_nobody_else() {
        let watchers = Arc::new(Watchers::default());
        assert!(!watchers.is_any());
        let (own, same, other) = (
            watchers.watch(label(1), MOST).unwrap(),
            watchers.watch(label(1), MOST).unwrap(),
            watchers.watch(label(2), MOST).unwrap(),
        );
        watchers.tell([Concern::Inbox(label(1)), Concern::Sent(label(1), id(7))]);
        for watch in [&own, &same] {
            let news = watch.news().now_or_never().unwrap();
            assert!(news.inbox && news.sent.contains(&id(7)) && news.sent.len() == 1);
            assert!(watch.news().now_or_never().is_none(), "told once");
        }
        assert!(other.news().now_or_never().is_none());
    }

    #[test]
    fn a_watch_has_its_place_until_it_is_dropped() {
        let watchers = Arc::new(Watchers::default());
        let first = watchers.watch(label(1), MOST).unwrap();
        let _second = watchers.watch(label(1), MOST).unwrap();
        assert_eq!(watchers.watch(label(1), MOST).err(), Some(TooMany::OfOne));
        let third = watchers.watch(label(2), MOST).unwrap();
        assert_eq!(watchers.watch(label(3), MOST).err(), Some(TooMany::OfAll));
        drop(first);
        assert!(watchers.watch(label(1), MOST).is_ok());
        drop(third);
        assert_eq!(
            watchers.slots.lock().unwrap().len(),
            1,
            "nothing is kept of who is gone"
        );
    }

    #[test]
    fn what_a_slow_reader_did_not_fetch_is_bounded() {
        let watchers = Arc::new(Watchers::default());
        let watch = watchers.watch(label(1), MOST).unwrap();
        for n in 0..10_000 {
            watchers.tell([Concern::Sent(label(1), id(n)), Concern::Inbox(label(1))]);
        }
        let news = watch.news().now_or_never().unwrap();
        assert!(news.is_overrun && news.sent.len() == MAX_SENT);
        watchers.tell([Concern::Sent(label(1), id(1))]);
        assert!(!watch.news().now_or_never().unwrap().is_overrun);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let watchers = Arc::new(Watchers::default());
        let watch = watchers.watch(label(1), MOST).unwrap();
        let waiting = tokio::spawn(async move { watch.news().await });
        tokio::task::yield_now().await;
        watchers.tell([Concern::Inbox(label(1))]);
        assert!(waiting.await.unwrap().inbox);
    }
}
