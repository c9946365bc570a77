//! Layout, parsing and verification of a sealed transfer (`proto/spec/sealed-transfer.md`).
//!
//! What a gateway and a client must agree on to the byte: header, stanza block, leaf tree, seal, grant and the offline
//! container. Nothing here takes or returns a content key or a plaintext. Every length is checked before anything is
//! allocated, and every refusal is one [`Reason`].

mod block;
mod container;
mod envelope;
mod grant;
mod header;
mod leaves;
mod payload;
mod reason;
mod seal;
mod stanza;
mod wire;

pub use block::Block;
pub use container::{Container, ContainerMap, container_head, container_tail};
pub use envelope::{Envelope, Sender, VerifiedEnvelope};
pub use grant::{Grant, GrantTerms, Purpose, VerifiedGrant};
pub use header::Header;
pub use leaves::{LeafHasher, LeafList};
pub use payload::{PayloadLayout, padme};
pub use reason::Reason;
pub use seal::{Seal, SealBody, box_hash};
pub use stanza::{Argon2Params, HpkeStanza, LinkKdf, LinkStanza, Role, Stanza};

/// Length of a header.
pub const HEADER_LEN: usize = 248;
/// Length of the part of the header before the commitment.
pub const HEADER_PREFIX_LEN: usize = 216;
/// Length of a seal: body and signature.
pub const SEAL_LEN: usize = 224;
/// Length of a grant.
pub const GRANT_LEN: usize = 209;

/// Plaintext bytes of every segment but the last.
pub const SEGMENT_LEN: usize = 262_144;
/// Bytes before the ciphertext of a segment or of the manifest box: its salt.
pub const SALT_LEN: usize = 32;
/// Bytes after the ciphertext: the tag of AES-256-GCM.
pub const TAG_LEN: usize = 16;
/// Bytes that sealing adds to a segment or to the manifest box.
pub const SEGMENT_OVERHEAD: usize = SALT_LEN + TAG_LEN;
/// Stored bytes of every segment but the last.
pub const STORED_SEGMENT_LEN: usize = SEGMENT_LEN + SEGMENT_OVERHEAD;
/// Segments in every part but the last.
pub const PART_SEGMENTS: u64 = 32;
/// Stored bytes of every part but the last.
pub const PART_LEN: usize = STORED_SEGMENT_LEN * 32;
/// Smallest padded length of a payload.
pub const PADDED_FLOOR: u64 = 16_384;
/// Padded payloads are shorter than this (1 TiB).
pub const PADDED_LIMIT: u64 = 1 << 40;

/// Most stanzas in a block.
pub const MAX_STANZAS: usize = 256;
/// Longest stanza block.
pub const MAX_BLOCK_LEN: usize = 1 << 20;
/// The manifest is padded to a multiple of this.
pub const BOX_UNIT: usize = 4096;
/// Longest padded manifest.
pub const MAX_MANIFEST_LEN: usize = 16 << 20;
/// Longest manifest box.
pub const MAX_BOX_LEN: usize = MAX_MANIFEST_LEN + SEGMENT_OVERHEAD;
/// Most files in a transfer.
pub const MAX_FILES: usize = 65_536;
/// Longest note, in bytes.
pub const MAX_NOTE_LEN: usize = 65_536;

/// Longest lifetime of a transfer, in seconds (366 days).
pub const MAX_LIFETIME: u64 = 366 * 86_400;
/// Seconds after its expiry for which a client still opens a transfer.
pub const EXPIRY_GRACE: u64 = 600;
/// Seconds by which a sender's clock may be ahead of the reader's.
pub const MAX_CLOCK_LEAD: u64 = 86_400;

/// Whether `len` is a length that a manifest box can have: salt and tag around one or more units, at most 16 MiB.
#[must_use]
pub fn is_box_len(len: usize) -> bool {
    match len.checked_sub(SEGMENT_OVERHEAD) {
        Some(padded) => (BOX_UNIT..=MAX_MANIFEST_LEN).contains(&padded) && padded.is_multiple_of(BOX_UNIT),
        None => false,
    }
}

/// The header's `share_commit` for a gateway share: `H("share", G)`.
#[must_use]
pub fn share_commit(share: &[u8; 32]) -> [u8; 32] {
    crate::crypto::h("share", &[share])
}
