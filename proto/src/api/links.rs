//! Bodies of the routes of links (proto/spec/api.md, "Links"), and what their senders see.

use serde::{Deserialize, Serialize};

use super::{OpenResponse, TransferSummary};
use crate::encoding::Base64;
use crate::id::{Address, Hash, LinkId, OpeningId};

/// A link for somebody without an account, as its sender registers it. The words and the link's secret never reach the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// Id of the link, as in its stanza.
    pub link: LinkId,
    /// SHA-256 of what proves knowledge of words or secret.
    pub auth_sha256: Hash,
    /// How often it may be opened: 1 to [`super::MAX_LINK_OPENINGS`].
    pub openings: u32,
}

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It can be opened.
    Open,
    /// There were too many wrong tries; its sender can re-arm it.
    Locked,
    /// All its openings are used.
    Used,
    /// Its sender ended it.
    Burned,
}

/// A link as its sender sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkSummary {
    /// Hash of the link's id.
    pub link: Hash,
    /// Where it stands; whether the transfer itself has ended, its state says.
    pub state: LinkState,
    /// How often it may be opened.
    pub openings: u32,
    /// Openings counted so far.
    pub openings_used: u32,
    /// Wrong tries since the last right one.
    pub failures: u32,
    /// When it was first opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<u64>,
    /// The visitor's receipt, *verified* or *rejected*, with both signatures. A *verified* one is never replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// `POST /v1/links/lookup`: what is needed to prove that the words are known. Unknown links look like known ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkLookupRequest {
    /// Id of the link.
    pub link: LinkId,
}

/// Answer to [`LinkLookupRequest`]: Argon2id's parameters. Clients refuse what lies outside their bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkLookupResponse {
    /// Memory in KiB.
    pub m_kib: u32,
    /// Passes.
    pub t: u8,
    /// Salt (16 bytes).
    pub salt: Base64,
}

/// `POST /v1/links/redeem`, signed by a key that the visitor draws for it: makes an opening of that key, or repeats a live one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkRedeemRequest {
    /// Id of the link.
    pub link: LinkId,
    /// Proof that words or secret are known (32 bytes).
    pub auth: Base64,
    /// Drawn by the visitor; the same id again repeats the opening.
    pub opening: OpeningId,
}

impl std::fmt::Debug for LinkRedeemRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkRedeemRequest")
            .field("opening", &self.opening)
            .finish_non_exhaustive()
    }
}

/// Answer to [`LinkRedeemRequest`]. Never stored by the gateway. Bytes and receipts follow on the routes of an opening, signed by
/// the same key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkRedeemResponse {
    /// The transfer, without recipients and links.
    pub transfer: TransferSummary,
    /// Block and share.
    pub opened: OpenResponse,
    /// Address of the sender, as the gateway has it.
    pub sender: Address,
    /// The sender's chain: `org`, `registrar`, `member`, `device` and `revoke` statements in the order of the directory, below the
    /// size that the *accepted* receipt names.
    pub statements: Vec<String>,
}

/// `PATCH /v1/links/{hash}`, by the sender.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPatch {
    /// `false` re-arms the link; `true` is refused.
    pub locked: bool,
}
