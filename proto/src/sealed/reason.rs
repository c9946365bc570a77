//! The one closed list of reasons for which a sealed transfer is refused.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a sealed transfer or a grant was refused; in the order in which a reader checks (sealed-transfer.md, "Opening").
///
/// The list is closed: it is what people are shown, what *rejected* receipts carry, and nothing else is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not a sealed transfer of version 1, or a part of it breaks the rules of the format.
    #[error("This is not a sealed transfer that this version can read: its format is broken or unknown.")]
    Format,
    /// The header names another gateway.
    #[error("The transfer was made for another gateway and was replayed here.")]
    Audience,
    /// Past its expiry, or dated more than a day ahead of the reader's clock.
    #[error("The transfer is not open at this time: it has expired, or one of the clocks is wrong.")]
    Expired,
    /// The seal's signature, header hash or time is wrong.
    #[error("The sender's seal does not verify: the transfer was altered or was not sealed by this device.")]
    Seal,
    /// The directory does not vouch for the device that sealed.
    #[error("The sender cannot be confirmed: the sealing device does not belong to the named identity.")]
    Sender,
    /// The stanza block is not the one that was sealed.
    #[error("The list of recipients is not the one that the sender sealed.")]
    Stanzas,
    /// No stanza opens with the reader's key, words or link.
    #[error("The transfer does not open with this key, these words or this link.")]
    Key,
    /// The gateway's share is missing or not the one that the header commits to.
    #[error("The gateway's half of the key is missing or wrong.")]
    Share,
    /// The keys are not those that the header commits to.
    #[error("The key is not the one that the sender committed to for all recipients.")]
    Commitment,
    /// The manifest box is not the sealed one, does not decrypt, or breaks the rules for manifests.
    #[error("The list of files was altered or breaks the rules for names, sizes or values.")]
    Manifest,
    /// The leaf list, the segment count or the payload's length does not fit the seal and the manifest.
    #[error("The payload's length or its list of hashes is not the one that the sender sealed.")]
    Leaves,
    /// A segment is not the sealed one or does not decrypt.
    #[error("A part of the payload was altered, moved or replaced.")]
    Segment,
    /// The padding behind the last file is not all zero.
    #[error("The padding behind the last file is not empty.")]
    Padding,
    /// A file is not the one whose digest the manifest names.
    #[error("A file does not have the digest that the sender wrote down.")]
    Digest,
    /// The grant that carries the reader's stanza breaks a rule, or its granter cannot be confirmed.
    #[error("The forwarding of this transfer is not valid.")]
    Grant,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 15] = [
        Self::Format,
        Self::Audience,
        Self::Expired,
        Self::Seal,
        Self::Sender,
        Self::Stanzas,
        Self::Key,
        Self::Share,
        Self::Commitment,
        Self::Manifest,
        Self::Leaves,
        Self::Segment,
        Self::Padding,
        Self::Digest,
        Self::Grant,
    ];

    /// The word that stands for the reason in receipts and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::Seal => "seal",
            Self::Sender => "sender",
            Self::Stanzas => "stanzas",
            Self::Key => "key",
            Self::Share => "share",
            Self::Commitment => "commitment",
            Self::Manifest => "manifest",
            Self::Leaves => "leaves",
            Self::Segment => "segment",
            Self::Padding => "padding",
            Self::Digest => "digest",
            Self::Grant => "grant",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_and_json_agree_and_the_order_is_that_of_the_checks() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert!(Reason::ALL.is_sorted());
    }
}
