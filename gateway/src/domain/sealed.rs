//! What was sealed: everything of a transfer that never changes, but for its recipients' progress.

use sealpost_proto::api::PublicLabel;
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, Kid, Label};
use serde::{Deserialize, Serialize};

/// What was sealed: written once, but for the recipients' progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The header's 248 bytes.
    pub header: Base64,
    /// The seal's 224 bytes.
    pub seal: Base64,
    /// Header hash (HH).
    pub hh: Hash,
    /// Segments.
    pub segments: u64,
    /// Stored bytes of the payload.
    pub payload_len: u64,
    /// Root over the leaves of the stored segments.
    pub payload_root: Hash,
    /// `H("manifest-box", box)`.
    pub mic: Hash,
    /// When the sender sealed, unix seconds.
    pub sealed_at: u64,
    /// When it expires, unix seconds.
    pub expires_at: u64,
    /// The header's `share_commit`; none when it opens without the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_commit: Option<Hash>,
    /// Where things stand in the envelope object.
    pub envelope: EnvelopeSizes,
    /// How often each recipient may open it; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openings: Option<u32>,
    /// Public label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_label: Option<PublicLabel>,
    /// Whom it is for.
    pub recipients: Vec<Recipient>,
    /// Key of the sender's own copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_copy: Option<Kid>,
    /// The gateway's *accepted* receipt.
    pub receipt: String,
}

/// Lengths of the fields of an envelope object, in their order after the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSizes {
    /// Stanza block.
    pub block: u64,
    /// Manifest box.
    pub manifest_box: u64,
    /// Leaf list; 0 when it stands beside the parts.
    pub leaves: u64,
    /// The only part; 0 when parts are objects of their own.
    pub part: u64,
}

/// Someone a transfer is for, and how far that person has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Who.
    pub label: Label,
    /// Encryption key that it was sealed to.
    pub kid: Kid,
    /// Openings counted. Progress follows from later changes and is not part of the one that sealed.
    #[serde(skip)]
    pub openings_used: u32,
    /// When it was first opened, unix seconds.
    #[serde(skip)]
    pub opened_at: Option<u64>,
    /// Whether `receipt` is a *verified* one.
    #[serde(skip)]
    pub is_verified: bool,
    /// The recipient's receipt with both signatures.
    #[serde(skip)]
    pub receipt: Option<String>,
}

impl Recipient {
    /// Somebody who has not opened it yet.
    #[must_use]
    pub fn new(label: Label, kid: Kid) -> Self {
        Self {
            label,
            kid,
            openings_used: 0,
            opened_at: None,
            is_verified: false,
            receipt: None,
        }
    }
}
