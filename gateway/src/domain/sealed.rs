//! What was sealed: everything of a transfer that never changes.

use sealpost_proto::api::PublicLabel;
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, Kid, Label};
use sealpost_proto::receipt::{Kind, SignedReceipt};
use serde::{Deserialize, Serialize};

use super::link::LinkTerms;

/// What was sealed: written once.
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
    #[serde(default)]
    pub share_commit: Option<Hash>,
    /// Where things stand in the envelope object.
    pub envelope: EnvelopeSizes,
    /// How often each recipient may open it; none: no limit.
    #[serde(default)]
    pub openings: Option<u32>,
    /// Public label.
    #[serde(default)]
    pub public_label: Option<PublicLabel>,
    /// Whom it is for.
    pub recipients: Vec<Recipient>,
    /// Links for people without an account.
    #[serde(default)]
    pub links: Vec<LinkTerms>,
    /// Key of the sender's own copy.
    #[serde(default)]
    pub sender_copy: Option<Kid>,
    /// The gateway's *accepted* receipt.
    pub receipt: String,
}

impl Sealed {
    /// Bytes of the envelope object, without the part in it.
    #[must_use]
    pub fn envelope_len(&self) -> u64 {
        let EnvelopeSizes {
            block,
            manifest_box,
            leaves,
            part: _,
        } = self.envelope;
        let fixed = (self.header.0.len() + self.seal.0.len()) as u64;
        [block, manifest_box, leaves]
            .iter()
            .fold(fixed, |sum, len| sum.saturating_add(*len))
    }

    /// How many statements the directory had when the gateway accepted it, as its receipt says.
    #[must_use]
    pub fn directory_size(&self) -> Option<u64> {
        let receipt: SignedReceipt = self.receipt.parse().ok()?;
        match receipt.receipt().kind {
            Kind::Accepted { directory_size, .. } => Some(directory_size),
            _ => None,
        }
    }
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

/// Someone a transfer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Who.
    pub label: Label,
    /// Encryption key that it was sealed to.
    pub kid: Kid,
}

/// How far a recipient has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Openings counted.
    pub openings_used: u32,
    /// When it was first opened, unix seconds.
    pub opened_at: Option<u64>,
    /// Whether `receipt` is a *verified* one.
    pub is_verified: bool,
    /// The recipient's receipt with both signatures.
    pub receipt: Option<String>,
}
