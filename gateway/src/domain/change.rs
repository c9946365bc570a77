//! What a record of the ledger can say.

use sealpost_proto::id::{Hash, InviteId, Label, TransferId};
use sealpost_proto::log::{Actor, EventType, LeafOutcome, Object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::state::Key;

/// One change of state. Written to the journal as JSON: variants and fields are never renamed, only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "c", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A sender announced a transfer.
    TransferAnnounced {
        /// The transfer.
        transfer: TransferId,
        /// Its sender.
        sender: Label,
        /// Stored bytes that will come, for the quota.
        bytes: u64,
        /// When, unix seconds.
        at: u64,
    },
    /// A part of an announced transfer is durable.
    PartStored {
        /// The transfer.
        transfer: TransferId,
        /// Number of the part, from 0.
        number: u32,
        /// Stored bytes.
        len: u64,
        /// Subtree root over its segments.
        root: Hash,
    },
    /// An invitation was made.
    InviteCreated {
        /// The invitation.
        invite: InviteId,
        /// Whom it is for.
        label: Label,
    },
}

impl Change {
    /// The aggregate that it changes.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::TransferAnnounced { transfer, .. } | Self::PartStored { transfer, .. } => Key::Transfer(*transfer),
            Self::InviteCreated { invite, .. } => Key::Invite(*invite),
        }
    }
}

/// An audit leaf before the ledger gives it id, time, node and its predecessor on the same object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafDraft {
    /// What happened.
    pub event: EventType,
    /// How it ended.
    pub outcome: LeafOutcome,
    /// Who did it.
    pub actor: Actor,
    /// What it was done to.
    pub object: Object,
    /// Truncated network address of the caller.
    pub peer: Option<String>,
    /// Id of the request.
    pub req_id: Option<String>,
    /// Facts by type.
    pub data: Option<Map<String, Value>>,
}
