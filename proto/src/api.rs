//! Bodies and limits of the HTTP API (proto/spec/api.md); no behaviour.
//!
//! Ids, hashes and keys are lower-case hex, other bytes padded base64, times unix seconds; statements, receipts and checkpoints
//! are texts. A gateway refuses unknown members in a request; a client ignores unknown members in an answer, so that a newer
//! gateway can say more.

mod feed;
mod links;

use serde::{Deserialize, Serialize};

pub use self::feed::{FEED_HEAD, FEED_INBOX, FEED_KEEP_ALIVE, FEED_SENT, FeedHead, FeedInbox, FeedSent};
pub use self::links::{
    LinkLookupRequest, LinkLookupResponse, LinkPatch, LinkRedeemRequest, LinkRedeemResponse, LinkState, LinkSummary,
    NewLink,
};

use crate::encoding::Base64;
use crate::id::{Address, GatewayId, Hash, InviteId, Kid, Label, OpeningId, PublicKey, TransferId};

/// Largest JSON body of a request.
pub const MAX_JSON_BODY: usize = 1 << 20;

/// Longest body of a request of a device that no statement names yet, in bytes: `POST /v1/org` and `POST /v1/enrol/redeem`.
pub const MAX_NEWCOMER_BODY: usize = 32 << 10;

/// Longest body of a request to open, in bytes.
pub const MAX_OPEN_BODY: usize = 512;

/// Longest body of a request to look a link up or to redeem it, in bytes.
pub const MAX_LINK_BODY: usize = 512;

/// Most live openings of one transfer by one device.
pub const MAX_LIVE_OPENINGS: usize = 16;

/// Most links of one transfer.
pub const MAX_LINKS: usize = 8;

/// Most openings of one link.
pub const MAX_LINK_OPENINGS: u32 = 1_000;

/// Most live devices of one person.
pub const MAX_DEVICES: usize = 16;

/// Most statements in one request.
pub const MAX_STATEMENTS: usize = 16;

/// Longest validity of a `member` or `device` statement, in seconds.
pub const MAX_VALIDITY: u64 = 366 * 86_400;

/// Largest difference between the time of a seal and the gateway's clock when it is handed over, in seconds.
pub const MAX_SEAL_AGE: u64 = 600;

/// Largest body of `POST /v1/transfers/{id}/seal`: block, manifest box and a small part with their frames.
pub const MAX_SEAL_BODY: usize = 20 << 20;

/// Most bytes of the only part that may come with the seal, without being announced.
pub const MAX_INLINE_PART: usize = 64 << 10;

/// Longest time for which an invitation may be open, in seconds.
pub const MAX_INVITE_LIFETIME: u64 = 30 * 86_400;

/// Most items on one page of a list, and most leaves in one answer.
pub const MAX_PAGE: usize = 1_000;

/// Time for which an opening may be repeated by its device, in seconds.
pub const OPENING_LIFETIME: u64 = 86_400;

/// Time after which a transfer that was announced and not sealed is dropped, in seconds.
pub const UNSEALED_LIFETIME: u64 = 48 * 3_600;

/// `GET /v1/info`, for everybody: whom one talks to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Info {
    /// The gateway's id.
    pub gateway: GatewayId,
    /// Versions of the API that it speaks.
    pub versions: Vec<String>,
    /// Program and version.
    pub software: String,
    /// Its clock, unix seconds.
    pub time: u64,
    /// Its log key.
    pub log: PublicKey,
}

/// `POST /v1/org`, once, with the secret of the setup string: the organisation's first statements.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgRequest {
    /// `setup_auth` of the setup string's secret.
    pub auth: Base64,
    /// The first administrator's address.
    pub address: Address,
    /// `org`, `registrar`, `member` and `device`, in this order.
    pub statements: Vec<String>,
}

/// `POST /v1/invites`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// Drawn by the registrar's client.
    pub invite: InviteId,
    /// The invitee's label.
    pub label: Label,
    /// The invitee's address.
    pub address: Address,
    /// Until when it may be used.
    pub expires_at: u64,
    /// SHA-256 of `invite_auth`.
    pub auth_sha256: Hash,
    /// The invitation's secret in a box that the registrar's own key file makes and opens; opaque to the gateway.
    pub secret_box: Base64,
}

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InviteState {
    /// Nobody has used it.
    Open,
    /// Keys were posted; a registrar has to confirm them.
    Posted,
    /// Done.
    Confirmed,
    /// Its time ran out before it was used.
    Expired,
}

/// What an invitee posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedKeys {
    /// `member` statement with the invitee's signature alone.
    pub member: String,
    /// `device` statement.
    pub device: String,
    /// MAC over label and keys.
    pub mac: Base64,
    /// When.
    pub posted_at: u64,
}

/// An invitation, for registrars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteSummary {
    /// Its id.
    pub invite: InviteId,
    /// Whom it is for.
    pub label: Label,
    /// The invitee's address.
    pub address: Address,
    /// Until when it may be used.
    pub expires_at: u64,
    /// Where it stands.
    pub state: InviteState,
    /// The registrar's sealed copy of its secret.
    pub secret_box: Base64,
    /// What was posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted: Option<PostedKeys>,
}

/// `GET /v1/invites`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InvitesResponse {
    /// All of them, newest first.
    pub invites: Vec<InviteSummary>,
}

/// `POST /v1/enrol/redeem`, signed by the device that it announces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedeemRequest {
    /// The invitation.
    pub invite: InviteId,
    /// `invite_auth` of its secret.
    pub auth: Base64,
    /// `member` statement with the invitee's signature.
    pub member: String,
    /// `device` statement.
    pub device: String,
    /// MAC over label and keys.
    pub mac: Base64,
}

/// Answer to [`RedeemRequest`]: what the invitee compares with its enrolment string.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RedeemResponse {
    /// The `org` and `registrar` statements.
    pub statements: Vec<String>,
    /// Checkpoint of the directory log.
    pub checkpoint: String,
}

/// `POST /v1/statements`: taken together or not at all.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementsRequest {
    /// In the order in which they are to stand in the log.
    pub statements: Vec<String>,
}

/// Size of the directory log after statements were taken.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DirectoryHead {
    /// Number of statements.
    pub size: u64,
}

/// `GET /v1/statements?from=`: bodies of the directory log's leaves, in log order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatementsResponse {
    /// At most [`MAX_PAGE`]; fewer where the log ends.
    pub statements: Vec<String>,
}

/// An address behind a label. A client shows it only if the label is its HMAC.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnownAddress {
    /// The label.
    pub label: Label,
    /// The address.
    pub address: Address,
}

/// `GET /v1/directory/addresses`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddressesResponse {
    /// Of all people in the directory.
    pub addresses: Vec<KnownAddress>,
}

/// `POST /v1/transfers`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnounceRequest {
    /// Drawn by the sender's client.
    pub transfer: TransferId,
    /// Stored bytes of the payload.
    pub bytes: u64,
}

/// A stored part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Number, from 0.
    pub number: u32,
    /// Stored bytes.
    pub len: u64,
    /// Subtree root over its segments.
    pub root: Hash,
}

/// `GET /v1/transfers/{id}/parts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartsResponse {
    /// In order of number.
    pub parts: Vec<Part>,
}

/// A public label: the one thing about the contents that a sender may say in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicLabel {
    /// A referral.
    Referral,
    /// Results.
    Results,
    /// Claims.
    Claims,
}

/// First field of the body of `POST /v1/transfers/{id}/seal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealOptions {
    /// How often each recipient may open it; absent: no limit. At least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openings: Option<u32>,
    /// Public label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_label: Option<PublicLabel>,
    /// What the gateway has to know of each link stanza of the block, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<NewLink>,
}

/// `POST /v1/transfers/{id}/rearm`, by the sender, for a transfer that is held.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RearmRequest {
    /// The release share (32 bytes), checked against the header's commitment.
    pub share: Base64,
}

impl std::fmt::Debug for RearmRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RearmRequest").finish_non_exhaustive()
    }
}

/// Answer to `DELETE /v1/transfers/{id}`, `POST /v1/transfers/{id}/rearm` and to changes of a link.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StateResponse {
    /// Where the transfer stands now.
    pub state: TransferState,
}

/// Answer to `POST /v1/transfers/{id}/seal`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SealResponse {
    /// The gateway's *accepted* receipt.
    pub receipt: String,
}

/// Where a sealed transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferState {
    /// Its recipients can open it.
    Available,
    /// Its time ran out.
    Expired,
    /// Its sender revoked it.
    Revoked,
    /// All openings were used.
    Used,
    /// The gateway lost its share, as after a restore, and waits for the sender to re-arm it.
    Held,
}

/// A sealed transfer as its parties see it. What counts is inside header, seal and receipts, which the client verifies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferSummary {
    /// Its id.
    pub transfer: TransferId,
    /// The header (248 bytes).
    pub header: Base64,
    /// The seal (224 bytes).
    pub seal: Base64,
    /// The gateway's *accepted* receipt.
    pub receipt: String,
    /// Public label, if the sender gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_label: Option<PublicLabel>,
    /// Where it stands.
    pub state: TransferState,
    /// How often each recipient may open it; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openings: Option<u32>,
    /// Recipients: for the sender all, for a recipient only that person.
    pub recipients: Vec<RecipientState>,
    /// Where it stands in the caller's inbox, in an answer to `GET /v1/inbox?after=` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Links, for the sender alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkSummary>,
}

/// How far a recipient has come with a transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecipientState {
    /// Who.
    pub label: Label,
    /// Encryption key that the transfer was sealed to.
    pub kid: Kid,
    /// Openings counted so far.
    pub openings_used: u32,
    /// When it was first opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<u64>,
    /// The recipient's receipt, *verified* or *rejected*, with both signatures. A *verified* one is never replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// `GET /v1/inbox` and `GET /v1/transfers`: newest first; with `after`, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransfersResponse {
    /// At most [`MAX_PAGE`].
    pub transfers: Vec<TransferSummary>,
    /// Value of `before`, or of `after`, for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// `POST /v1/transfers/{id}/open`: kept by the ledger with the signature base as the recipient's request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// Header hash of the transfer.
    pub hh: Hash,
    /// Drawn by the recipient's device; the same id again repeats the opening.
    pub opening: OpeningId,
}

/// Answer to [`OpenRequest`]. Never stored by the gateway.
#[derive(Clone, Serialize, Deserialize)]
pub struct OpenResponse {
    /// The opening.
    pub opening: OpeningId,
    /// Until when the same device may repeat it.
    pub expires_at: u64,
    /// Stanza block with everybody else's stanzas elided.
    pub block: Base64,
    /// The gateway's share; absent if the header asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Base64>,
}

impl std::fmt::Debug for OpenResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenResponse")
            .field("opening", &self.opening)
            .finish_non_exhaustive()
    }
}

/// `POST /v1/transfers/{id}/receipts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRequest {
    /// The opening that it ends.
    pub opening: OpeningId,
    /// *verified* or *rejected*, signed by the recipient's device.
    pub receipt: String,
}

/// Answer to [`ReceiptRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReceiptResponse {
    /// The receipt with the gateway's countersignature.
    pub receipt: String,
}

/// Where the caller stands: `GET /v1/me`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MeResponse {
    /// The caller's label.
    pub label: Label,
    /// The caller's address as the gateway routes it.
    pub address: Address,
    /// Whether the caller may enrol people.
    pub registrar: bool,
    /// Whether the caller may read the audit log.
    pub auditor: bool,
}
