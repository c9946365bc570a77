//! Many transfers in one process, over one session: the directory is looked at once, connections stay open, and small transfers are on
//! their way side by side, so that the disk makes the records of several durable at a time.
//!
//! Each transfer is kept, sealed and accepted exactly as if it were sent alone; one that fails does not stop the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealpost_proto::id::TransferId;
use tokio::task::JoinSet;

use super::once::{Once, once_in};
use super::{Draft, Sent, Taken, prepare_as};
use crate::error::Error;
use crate::progress::{Progress, Silent};
use crate::session::Session;

/// Small transfers that are on their way at once.
const IN_FLIGHT: usize = 16;
/// Files of more bytes than this in all are sent alone: their parts are on their way side by side already, and memory is bounded.
const SMALL: u64 = 1 << 20;

const STOPPED: Error = Error::Internal("a transfer of the batch stopped");

/// A transfer of a batch.
#[derive(Debug)]
pub struct Item {
    /// What is to be sent.
    pub draft: Draft,
    /// The key under which it is sent once.
    pub once: Option<String>,
}

/// What became of a transfer of a batch.
#[derive(Debug)]
pub enum Done {
    /// The gateway has signed for it.
    Sent {
        /// The transfer.
        sent: Sent,
        /// It was sent under its key before.
        was_sent: bool,
    },
    /// It was not sent, or whether it was is not known: the error says which.
    Failed(Error),
    /// It was not begun, because one before it failed.
    NotBegun,
}

/// Sends all of `items`, and tells `told` what became of each, in their order. With `stop_on_error` none is begun after one that failed.
///
/// # Errors
/// When the directory cannot be brought up to date at the start: then nothing was sent.
pub async fn batch(
    mut session: Session,
    items: Vec<Item>,
    stop_on_error: bool,
    told: impl FnMut(usize, Done),
) -> Result<(), Error> {
    session.update_and_check().await?;
    let mut running = Running {
        session: Arc::new(session),
        tasks: JoinSet::new(),
        unchecked: Vec::new(),
        results: Results {
            waiting: BTreeMap::new(),
            next: 0,
            told,
            has_failed: false,
        },
    };
    for (number, item) in items.into_iter().enumerate() {
        let is_small = item.draft.input.total() <= SMALL;
        running.leave(if is_small { IN_FLIGHT - 1 } else { 0 }).await?;
        if stop_on_error && running.results.has_failed {
            running.results.take(number, Done::NotBegun);
            continue;
        }
        running.start(number, item);
        if !is_small {
            running.leave(0).await?;
        }
    }
    running.leave(0).await
}

/// Transfers on their way.
struct Running<F> {
    session: Arc<Session>,
    tasks: JoinSet<(usize, Result<Once, Error>)>,
    /// Accepted with a larger directory than this session has seen.
    unchecked: Vec<(usize, Taken, bool)>,
    results: Results<F>,
}

impl<F: FnMut(usize, Done)> Running<F> {
    /// On a thread that may block: it waits for the disk again and again, and the disk serves many who wait in one go.
    fn start(&mut self, number: usize, item: Item) {
        let session = Arc::clone(&self.session);
        let runtime = tokio::runtime::Handle::current();
        self.tasks
            .spawn_blocking(move || (number, runtime.block_on(send(&session, item))));
    }

    /// Waits until so many are on their way at most.
    async fn leave(&mut self, number: usize) -> Result<(), Error> {
        while self.tasks.len() > number {
            let Some(ended) = self.tasks.join_next().await else {
                break;
            };
            let (number, result) = ended.map_err(|_| STOPPED)?;
            self.ended(number, result);
            if !self.unchecked.is_empty() {
                self.check().await?;
            }
        }
        Ok(())
    }

    fn ended(&mut self, number: usize, result: Result<Once, Error>) {
        let done = match result {
            Ok(Once::Before(sent)) => Done::Sent { sent, was_sent: true },
            Ok(Once::Taken { taken, was_sent }) if taken.needs_update(&self.session) => {
                self.unchecked.push((number, taken, was_sent));
                return;
            }
            Ok(Once::Taken { taken, was_sent }) => match taken.check_in(&self.session) {
                Ok(sent) => Done::Sent { sent, was_sent },
                Err(error) => Done::Failed(error),
            },
            Err(error) => Done::Failed(error),
        };
        self.results.take(number, done);
    }

    /// The directory has grown: once nobody reads this session's any more it is brought up to date, for those to come as well.
    async fn check(&mut self) -> Result<(), Error> {
        while let Some(ended) = self.tasks.join_next().await {
            let (number, result) = ended.map_err(|_| STOPPED)?;
            self.ended(number, result);
        }
        for (number, taken, was_sent) in std::mem::take(&mut self.unchecked) {
            let session = Arc::get_mut(&mut self.session).ok_or(STOPPED)?;
            let done = match taken.check(session).await {
                Ok(sent) => Done::Sent { sent, was_sent },
                Err(error) => Done::Failed(error),
            };
            self.results.take(number, done);
        }
        Ok(())
    }
}

/// Sends one, under its key if it has one.
async fn send(session: &Session, item: Item) -> Result<Once, Error> {
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    if let Some(key) = &item.once {
        return once_in(session, key, item.draft, &progress).await;
    }
    let transfer = TransferId::from_bytes(session.env.draw());
    let taken = prepare_as(session, transfer, item.draft)?
        .run(session, &progress)
        .await?;
    Ok(Once::Taken { taken, was_sent: false })
}

/// Results in the order of the items, whatever the order in which they come.
struct Results<F> {
    waiting: BTreeMap<usize, Done>,
    next: usize,
    told: F,
    has_failed: bool,
}

impl<F: FnMut(usize, Done)> Results<F> {
    fn take(&mut self, number: usize, done: Done) {
        self.has_failed |= matches!(done, Done::Failed(_));
        self.waiting.insert(number, done);
        while let Some(done) = self.waiting.remove(&self.next) {
            (self.told)(self.next, done);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_in_the_order_of_the_items() {
        let mut order = Vec::new();
        let mut results = Results {
            waiting: BTreeMap::new(),
            next: 0,
            told: |number, _| order.push(number),
            has_failed: false,
        };
        for number in [2, 0, 3, 1] {
            results.take(number, Done::NotBegun);
        }
        assert!(!results.has_failed);
        results.take(4, Done::Failed(Error::Declined));
        assert!(results.has_failed);
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }
}
