//! A transfer, from announced to shredded.

use std::collections::BTreeMap;

use sealpost_proto::id::{Hash, Label, TransferId};

/// A transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// Its sender.
    pub sender: Label,
    /// Announced stored bytes.
    pub bytes: u64,
    /// When it was announced, unix seconds.
    pub announced_at: u64,
    /// Parts that are durable: length and root.
    pub parts: BTreeMap<u32, (u64, Hash)>,
}
