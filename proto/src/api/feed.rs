//! Events of the live feed (proto/spec/api.md, "The feed"): names and data. Their frame is that of server-sent events.

use serde::{Deserialize, Serialize};

use crate::id::TransferId;

/// Name of the event with which every feed begins: [`FeedHead`].
pub const FEED_HEAD: &str = "head";

/// Name of the event of a transfer in the caller's inbox: [`FeedInbox`].
pub const FEED_INBOX: &str = "inbox";

/// Name of the event of a change to one of the caller's sent transfers: [`FeedSent`].
pub const FEED_SENT: &str = "sent";

/// Seconds after which a feed without events has a comment line.
pub const FEED_KEEP_ALIVE: u64 = 15;

/// Where a feed begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedHead {
    /// All events of the inbox have larger cursors. Another than the `after` that was asked for when the gateway was put back from a
    /// copy and knows that one no longer; the caller goes on with this one.
    pub cursor: u64,
}

/// A transfer in the caller's inbox: sealed, or re-armed after it was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedInbox {
    /// The transfer.
    pub transfer: TransferId,
    /// Its position: the `after` with which a feed goes on behind it.
    pub cursor: u64,
}

/// Something about one of the caller's sent transfers changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedSent {
    /// The transfer.
    pub transfer: TransferId,
}
