//! What a record of the ledger can say.

use sealpost_proto::api::PostedKeys;
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Address, Hash, InviteId, Label, OpeningId, OrgId, PublicKey, TransferId};
use sealpost_proto::log::{Actor, EventType, LeafOutcome, Object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::sealed::Sealed;
use super::state::Key;
use super::transfer::ShredCause;

/// One change of state. Written to the journal as JSON: variants and fields are never renamed, only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "c", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// The organisation was founded; its statements follow in the same record.
    OrganisationFounded {
        /// The organisation.
        org: OrgId,
        /// Its first administrator.
        owner: Label,
    },
    /// A statement was taken as the next of the directory log.
    StatementTaken {
        /// The signed note.
        text: String,
    },
    /// Mail for a label goes to this address.
    AddressBound {
        /// The label.
        label: Label,
        /// The address.
        address: Address,
    },
    /// The bytes of superseded parts are gone.
    PartsTidied {
        /// The transfer.
        transfer: TransferId,
    },
    /// An invitation was made.
    InviteCreated {
        /// The invitation.
        invite: InviteId,
        /// Whom it is for.
        label: Label,
        /// The invitee's address.
        address: Address,
        /// The registrar who invites.
        by: Label,
        /// When, unix seconds.
        at: u64,
        /// Until when it may be used, unix seconds.
        expires_at: u64,
        /// SHA-256 of what proves knowledge of its secret.
        auth_sha256: Hash,
        /// The registrar's sealed copy of its secret.
        secret_box: Base64,
    },
    /// An invitee posted keys.
    InvitePosted {
        /// The invitation.
        invite: InviteId,
        /// What was posted.
        keys: PostedKeys,
    },
    /// The device of an invitee waits for a registrar.
    DeviceWaiting {
        /// The device.
        device: PublicKey,
        /// The invitation to which it was posted.
        invite: InviteId,
    },
    /// A device whose clock is ahead signs requests; after a restart those up to `until` count as used.
    DeviceAhead {
        /// The device.
        device: PublicKey,
        /// Until when, unix seconds.
        until: u64,
        /// When this was noted, unix seconds.
        at: u64,
    },
    /// A registrar confirmed what was posted.
    InviteConfirmed {
        /// The invitation.
        invite: InviteId,
    },
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
    /// A transfer was sealed: from here on it exists for its recipients. One that came whole was never announced.
    TransferSealed {
        /// The transfer.
        transfer: TransferId,
        /// Its sender.
        sender: Label,
        /// What was sealed.
        sealed: Box<Sealed>,
    },
    /// A recipient's device made an opening.
    TransferOpened {
        /// The transfer.
        transfer: TransferId,
        /// The opening.
        opening: OpeningId,
        /// Whose.
        label: Label,
        /// The device that it is bound to.
        device: PublicKey,
        /// When, unix seconds.
        at: u64,
        /// Whether it counts against the recipient's limit.
        counted: bool,
        /// The kept request: signature base, LF, body.
        request: String,
    },
    /// The same device asked again within its opening.
    TransferReopened {
        /// The transfer.
        transfer: TransferId,
        /// The opening.
        opening: OpeningId,
        /// The kept request of a record that was written while repetitions were kept; now the leaf has its hash alone.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        request: String,
    },
    /// A recipient's receipt was countersigned.
    ReceiptTaken {
        /// The transfer.
        transfer: TransferId,
        /// The opening that it is about.
        opening: OpeningId,
        /// Whether it says *verified* (else *rejected*).
        verified: bool,
        /// When, unix seconds.
        at: u64,
        /// The receipt with both signatures.
        receipt: String,
    },
    /// The release share has to be destroyed, and nothing may be released any more.
    TransferShredded {
        /// The transfer.
        transfer: TransferId,
        /// Why.
        cause: ShredCause,
        /// When, unix seconds.
        at: u64,
    },
    /// The share's row is gone.
    ShareDestroyed {
        /// The transfer.
        transfer: TransferId,
        /// When, unix seconds.
        at: u64,
    },
    /// The key of the share's day was replaced since.
    KeyReplaced {
        /// The transfer.
        transfer: TransferId,
    },
    /// Parts and envelope of a shredded transfer are gone.
    CiphertextSwept {
        /// The transfer.
        transfer: TransferId,
    },
    /// A visitor made an opening by a link.
    LinkRedeemed {
        /// The transfer.
        transfer: TransferId,
        /// Hash of the link's id.
        link: Hash,
        /// The opening.
        opening: OpeningId,
        /// The key that the visitor drew, which it is bound to.
        device: PublicKey,
        /// When, unix seconds.
        at: u64,
        /// The kept request: signature base, LF, and the body without the proof.
        request: String,
    },
    /// Somebody tried a link with wrong words.
    LinkFailed {
        /// The transfer.
        transfer: TransferId,
        /// Hash of the link's id.
        link: Hash,
        /// When, unix seconds.
        at: u64,
    },
    /// The sender unlocked a link.
    LinkRearmed {
        /// The transfer.
        transfer: TransferId,
        /// Hash of the link's id.
        link: Hash,
    },
    /// The sender ended a link.
    LinkBurned {
        /// The transfer.
        transfer: TransferId,
        /// Hash of the link's id.
        link: Hash,
    },
    /// The share is not here: nothing is released until the sender hands it over again.
    TransferHeld {
        /// The transfer.
        transfer: TransferId,
        /// When this was found, unix seconds.
        at: u64,
    },
    /// The sender handed the share over again.
    TransferRearmed {
        /// The transfer.
        transfer: TransferId,
        /// When, unix seconds.
        at: u64,
    },
    /// An idempotency key was used.
    RequestNoted {
        /// Hash of device and key.
        request: Hash,
        /// SHA-256 of the request.
        digest: Hash,
        /// When, unix seconds.
        at: u64,
    },
    /// The operator accepted a loss: the audit log goes on as a successor, whose first leaf is in this record.
    LossAccepted {
        /// Number of the successor, from 2.
        log: u64,
        /// Leaves in the ledger before it.
        first_leaf: u64,
    },
    /// An announced transfer was not sealed in time: it takes no parts and no seal any more.
    TransferAbandoned {
        /// The transfer.
        transfer: TransferId,
    },
    /// The parts of an abandoned transfer are gone, and with them the transfer.
    TransferRemoved {
        /// The transfer.
        transfer: TransferId,
    },
}

impl Change {
    /// The aggregate that it changes.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::OrganisationFounded { .. }
            | Self::StatementTaken { .. }
            | Self::AddressBound { .. }
            | Self::DeviceWaiting { .. }
            | Self::DeviceAhead { .. }
            | Self::LossAccepted { .. } => Key::Organisation,
            Self::InviteCreated { invite, .. }
            | Self::InvitePosted { invite, .. }
            | Self::InviteConfirmed { invite } => Key::Invite(*invite),
            Self::TransferAnnounced { transfer, .. }
            | Self::PartStored { transfer, .. }
            | Self::TransferSealed { transfer, .. }
            | Self::TransferOpened { transfer, .. }
            | Self::TransferReopened { transfer, .. }
            | Self::ReceiptTaken { transfer, .. }
            | Self::TransferShredded { transfer, .. }
            | Self::ShareDestroyed { transfer, .. }
            | Self::PartsTidied { transfer }
            | Self::KeyReplaced { transfer }
            | Self::CiphertextSwept { transfer }
            | Self::LinkRedeemed { transfer, .. }
            | Self::LinkFailed { transfer, .. }
            | Self::LinkRearmed { transfer, .. }
            | Self::LinkBurned { transfer, .. }
            | Self::TransferHeld { transfer, .. }
            | Self::TransferRearmed { transfer, .. }
            | Self::TransferAbandoned { transfer }
            | Self::TransferRemoved { transfer } => Key::Transfer(*transfer),
            Self::RequestNoted { request, .. } => Key::Request(*request),
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
