//! Waiting until a sent transfer has arrived: by the hints of the live feed, and by looking from time to time where there are none.
//!
//! A hint is never believed: what counts is what [`status`](crate::status) verifies from the recipients' own signatures.

use std::sync::Arc;
use std::time::Duration;

use sealpost_proto::api::TransferState;
use sealpost_proto::id::TransferId;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::api::Api;
use crate::error::Error;
use crate::feed::{Feed, FeedEvent};
use crate::session::Session;
use crate::status::{Delivery, TransferStatus, status};

/// Between two looks without a hint while the feed lives: a hint may be lost with its connection.
const LOOK_WITH_FEED: Duration = Duration::from_secs(30);
/// The same without a feed, growing.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long after a transfer's end its last receipt is waited for where no limit was given, in seconds.
const AFTER_EXPIRY: u64 = 600;

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everybody's device has signed that everything arrived intact.
    Verified,
    /// The time is over; the transfer stays as it is.
    TimedOut,
    /// It ended before everybody had it.
    Over(TransferState),
    /// Somebody's device has signed that a check failed.
    Rejected,
    /// What the gateway shows does not agree with what was sent, or proves nothing.
    Doubtful,
}

/// What waiting came to.
#[derive(Debug, Clone)]
pub struct Waited {
    /// How it ended.
    pub outcome: Outcome,
    /// The transfer as it was seen last; none if the gateway was away all the time.
    pub status: Option<TransferStatus>,
}

/// Waits until every recipient's *verified* receipt has been checked, at most for `limit` (by default until the transfer's end).
/// A gateway that goes away meanwhile is waited for.
///
/// # Errors
/// As of [`status`](fn@crate::status::status), and what the gateway refuses for good.
pub async fn verified(
    session: &mut Session,
    transfer: &TransferId,
    expires_at: u64,
    limit: Option<Duration>,
) -> Result<Waited, Error> {
    let until_end = || Duration::from_secs(expires_at.saturating_sub(session.env.now()) + AFTER_EXPIRY);
    let deadline = Instant::now() + limit.unwrap_or_else(until_end);
    let mut news = News {
        api: Arc::clone(&session.api),
        feed: None,
        pause: FIRST_PAUSE,
    };
    let mut last = None;
    loop {
        match look(session, transfer).await {
            Ok(status) => {
                let outcome = outcome(&status);
                last = Some(status);
                if let Some(outcome) = outcome {
                    return Ok(Waited { outcome, status: last });
                }
            }
            Err(Error::Api(error)) if error.is_transient() => {}
            Err(error) => return Err(error),
        }
        if timeout_at(deadline, news.of(transfer)).await.is_err() {
            let outcome = Outcome::TimedOut;
            return Ok(Waited { outcome, status: last });
        }
    }
}

/// The directory is brought up to date after the transfer was asked for: then it holds the devices of all honest receipts in it.
async fn look(session: &mut Session, transfer: &TransferId) -> Result<TransferStatus, Error> {
    let summary = session.api.transfer(transfer).await?;
    session.update().await?;
    status(session, &summary)
}

/// How it ended, if it has.
fn outcome(status: &TransferStatus) -> Option<Outcome> {
    let people = status.recipients.iter().map(|one| (&one.delivery, one.doubt.is_some()));
    let links = status.links.iter().map(|one| (&one.delivery, one.doubt.is_some()));
    let all: Vec<(&Delivery, bool)> = people.chain(links).collect();
    if all.iter().any(|(_, is_doubtful)| *is_doubtful) {
        return Some(Outcome::Doubtful);
    }
    let mut deliveries = all.iter().map(|(delivery, _)| *delivery);
    if deliveries.clone().any(|one| matches!(one, Delivery::Rejected { .. })) {
        return Some(Outcome::Rejected);
    }
    if deliveries.clone().all(|one| matches!(one, Delivery::Verified { .. })) {
        return Some(Outcome::Verified);
    }
    deliveries.find_map(|one| match one {
        // What is held can be armed again.
        Delivery::Over(TransferState::Held | TransferState::Available) => None,
        Delivery::Over(state) => Some(Outcome::Over(*state)),
        _ => None,
    })
}

/// Where hints come from.
struct News {
    api: Arc<Api>,
    feed: Option<Feed>,
    pause: Duration,
}

impl News {
    /// Returns when it is worth looking at the transfer.
    async fn of(&mut self, transfer: &TransferId) {
        if self.feed.is_none() {
            self.feed = Feed::open(&self.api, None).await.ok();
        }
        if let Some(feed) = &mut self.feed {
            match timeout(LOOK_WITH_FEED, hint(feed, transfer)).await {
                Ok(true) => {
                    self.pause = FIRST_PAUSE;
                    return;
                }
                Ok(false) => self.feed = None,
                Err(_) => return,
            }
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits for a hint at this transfer, or the beginning of the feed, before which anything may have happened. False when it ended.
async fn hint(feed: &mut Feed, transfer: &TransferId) -> bool {
    loop {
        match feed.next().await {
            Ok(FeedEvent::Head { .. }) => return true,
            Ok(FeedEvent::Sent { transfer: changed }) if changed == *transfer => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_proto::id::{Hash, Label};
    use sealpost_proto::sealed::Reason;

    use super::*;
    use crate::status::RecipientStatus;
    use crate::verify::Accepted;

    fn of(deliveries: &[Delivery]) -> TransferStatus {
        let recipient = |delivery: &Delivery| RecipientStatus {
            label: Label::from_bytes([1; 32]),
            delivery: *delivery,
            openings_used: 0,
            doubt: None,
        };
        TransferStatus {
            transfer: TransferId::from_bytes([1; 16]),
            is_known: true,
            files: Vec::new(),
            sealed_at: 0,
            accepted: Accepted {
                directory_size: 0,
                directory_root: Hash::from_bytes([0; 32]),
                time: 0,
            },
            expires_at: 0,
            openings: None,
            recipients: deliveries.iter().map(recipient).collect(),
            state: TransferState::Available,
            links: Vec::new(),
        }
    }

    #[test]
    fn it_has_arrived_when_everybody_has_it() {
        use Delivery::{Opened, Over, Rejected, Sealed, Verified};
        let (verified, sealed) = (Verified { at: 1 }, Sealed);
        let rejected = Rejected {
            at: 1,
            reason: Reason::Seal,
        };
        let ended = |all: &[Delivery]| outcome(&of(all));
        assert_eq!(ended(&[verified]), Some(Outcome::Verified));
        assert_eq!(ended(&[verified, sealed]), None);
        assert_eq!(ended(&[Opened { at: Some(1) }, verified]), None);
        assert_eq!(ended(&[sealed, rejected]), Some(Outcome::Rejected));
        assert_eq!(ended(&[verified, Over(TransferState::Held)]), None);
        for state in [TransferState::Expired, TransferState::Revoked, TransferState::Used] {
            assert_eq!(ended(&[verified, Over(state)]), Some(Outcome::Over(state)));
        }
        let mut doubtful = of(&[verified]);
        doubtful.recipients[0].doubt = Some("it is another person's".to_owned());
        assert_eq!(outcome(&doubtful), Some(Outcome::Doubtful));
    }
}
