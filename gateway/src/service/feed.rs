//! The live feed of a person: what stands in the inbox behind a position, then what comes, and hints about what the person sent.
//!
//! A feed holds a cursor and one piece of news, never a list: whatever happened, it asks the views again.

use std::collections::BTreeSet;
use std::sync::Arc;

use sealpost_proto::api::{FeedHead, FeedInbox, FeedSent};
use sealpost_proto::id::{Label, TransferId};
use sealpost_proto::problem::ProblemKind;

use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::store::views::{TooMany, Views, Watch};

/// Most events that are read from the views at once.
const PAGE: usize = 64;

/// Bits of a cursor that hold the position; those above hold how many times the log was succeeded.
const POSITION_BITS: u32 = 48;

/// What a feed says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEvent {
    /// A transfer in the inbox.
    Inbox(FeedInbox),
    /// A change to a transfer that was sent.
    Sent(FeedSent),
}

/// An open feed. It takes a place among the feeds of its person until it is dropped.
#[expect(missing_debug_implementations, reason = "the port in it has none")]
pub struct Feed {
    views: Arc<dyn Views>,
    watch: Watch,
    label: Label,
    log: Log,
    /// Position of the last event of the inbox.
    position: u64,
    /// Whether the inbox may hold more.
    is_behind: bool,
    sent: BTreeSet<TransferId>,
}

/// Which audit log positions are of. After a loss was accepted numbers are given again to other records; so that nobody takes the
/// one for the other, a cursor says of which log it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    number: u64,
    /// Position of the last record.
    last: u64,
}

impl Log {
    /// A position as callers have it.
    pub(super) fn cursor(&self, position: u64) -> u64 {
        (self.successions() << POSITION_BITS) | position
    }

    /// The position that a caller gave; 0, from where everything comes again, if it is of a record that is not here.
    pub(super) fn position(&self, cursor: u64) -> u64 {
        let position = cursor & ((1 << POSITION_BITS) - 1);
        let is_here = cursor >> POSITION_BITS == self.successions() && position <= self.last;
        if is_here { position } else { 0 }
    }

    fn successions(&self) -> u64 {
        self.number.saturating_sub(1) & 0xffff
    }
}

impl Service {
    /// Opens a feed of the caller's inbox behind the cursor `after`, or of what comes from now on.
    ///
    /// # Errors
    /// `too_many_requests` if the caller has as many open as one may; `unavailable` if all together have.
    pub async fn feed(&self, grant: &Grant, after: Option<u64>) -> Result<(FeedHead, Feed), Error> {
        grant.for_action(Action::ReadTransfers)?;
        let label = grant.member()?.label;
        let views = Arc::clone(&self.ports.views);
        // Before anything is read: what is not read is told.
        let watch = views
            .watch(&label, self.ports.limits.feeds)
            .map_err(|full| match full {
                TooMany::OfOne => ProblemKind::TooManyRequests,
                TooMany::OfAll => ProblemKind::Unavailable,
            })?;
        let log = self.log().await?;
        let position = match after {
            Some(cursor) => log.position(cursor),
            None => newest(views.as_ref(), &label).await?,
        };
        let head = FeedHead {
            cursor: log.cursor(position),
        };
        let feed = Feed {
            views,
            watch,
            label,
            log,
            position,
            is_behind: true,
            sent: BTreeSet::new(),
        };
        Ok((head, feed))
    }

    /// The log, as it is now.
    pub(super) async fn log(&self) -> Result<Log, Error> {
        let views = &self.ports.views;
        Ok(Log {
            number: views.organisation().await?.audit.log,
            last: views.position().await?,
        })
    }
}

/// Position of the newest transfer in somebody's inbox; 0 if there is none.
async fn newest(views: &dyn Views, label: &Label) -> Result<u64, Error> {
    let page = views.inbox(label, None, 1).await?;
    Ok(page.first().map_or(0, |(position, _)| *position))
}

impl Feed {
    /// Waits for the next events, in order. May be dropped while it waits: nothing is lost by that.
    ///
    /// # Errors
    /// [`Error::Store`]; `unavailable` if so much changed that nobody knows any more what: then the feed has to be opened anew.
    pub async fn next(&mut self) -> Result<Vec<FeedEvent>, Error> {
        loop {
            if self.is_behind {
                let events = self.read_on().await?;
                if !events.is_empty() {
                    return Ok(events);
                }
            }
            if !self.sent.is_empty() {
                let sent = std::mem::take(&mut self.sent).into_iter();
                return Ok(sent.map(|transfer| FeedEvent::Sent(FeedSent { transfer })).collect());
            }
            let news = self.watch.news().await;
            self.is_behind |= news.inbox;
            self.sent.extend(news.sent);
            if news.is_overrun {
                return Err(ProblemKind::Unavailable.into());
            }
        }
    }

    async fn read_on(&mut self) -> Result<Vec<FeedEvent>, Error> {
        let page = self.views.inbox_after(&self.label, self.position, PAGE).await?;
        self.is_behind = page.len() == PAGE;
        if let Some((position, _)) = page.last() {
            self.position = *position;
        }
        let event = |(position, transfer): (u64, TransferId)| {
            let cursor = self.log.cursor(position);
            FeedEvent::Inbox(FeedInbox { transfer, cursor })
        };
        Ok(page.into_iter().map(event).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_the_log_it_is_of() {
        let first = Log { number: 1, last: 100 };
        let second = Log { number: 2, last: 100 };
        for position in [0, 1, 100] {
            assert_eq!(first.cursor(position), position);
            for log in [first, second] {
                assert_eq!(log.position(log.cursor(position)), position);
            }
            assert_eq!(second.position(first.cursor(position)), 0, "of the log before");
            assert_eq!(first.position(second.cursor(position)), 0);
        }
        assert!(second.cursor(0) > first.cursor(100), "cursors do not go backwards");
        assert_eq!(first.position(101), 0, "of a record that is not here");
        assert_eq!(first.position(u64::MAX), 0);
    }
}
