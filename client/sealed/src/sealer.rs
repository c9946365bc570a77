//! Making a sealed transfer: header and stanzas at once, segments in any order, then manifest box and seal.

use rand_core::CryptoRng;
use sealpost_proto::crypto::{SigningKey, constant_time_eq};
use sealpost_proto::id::{Kid, PublicKey, TransferId};
use sealpost_proto::key::EncryptionPublicKey;
use sealpost_proto::sealed::{
    Argon2Params, Block, Header, PayloadLayout, Reason, Role, Seal, SealBody, Stanza, box_hash, share_commit,
};
use sealpost_proto::tree::leaf_hash;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::link::LinkKey;
use crate::manifest::{ManifestDraft, ManifestError, seal_box};
use crate::provider::{CryptoFailure, Provider};
use crate::schedule::{PayloadKeys, TransferSecrets};
use crate::segment::seal_in_place;
use crate::stanza::{wrap_for_key, wrap_for_link};
use crate::unpack::FileDigests;

/// What the sender decides about a transfer, beside its contents.
#[derive(Clone, Debug)]
pub struct TransferDraft {
    /// Drawn by the client.
    pub transfer_id: TransferId,
    /// `H("audience", gateway id)`.
    pub audience: [u8; 32],
    /// The sender's identity; none to send anonymously.
    pub sender_identity: Option<PublicKey>,
    /// The device key that will sign the seal.
    pub sender_device: PublicKey,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds, after `created_at` and at most 366 days later.
    pub expires_at: u64,
    /// Recipients may not forward the transfer.
    pub no_forward: bool,
}

/// Whom a transfer is sealed for.
#[derive(Clone, Debug)]
pub enum Recipient {
    /// A person, the sender, the recovery key or a shared mailbox.
    Key {
        /// The encryption key, checked against the directory.
        key: EncryptionPublicKey,
        /// [`Role::Recipient`], [`Role::SenderCopy`], [`Role::Recovery`] or [`Role::Group`]; grants always use
        /// [`Role::Forwarded`].
        role: Role,
    },
    /// Someone without an account.
    Link {
        /// Words, a secret, or both.
        key: LinkKey,
    },
}

/// Why sealing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// Files, note or purpose break a rule.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Recipients, dates or roles break a rule of the format.
    #[error("The transfer cannot be sealed: recipients, roles or dates are not allowed. ({0})")]
    Refused(Reason),
    /// A recipient's key is not a valid ML-KEM key.
    #[error("The encryption key {0} is not valid. Nothing was sealed; ask its owner to enrol again.")]
    Recipient(Kid),
    /// The buffer does not have the length that the segment has.
    #[error("The buffer does not fit segment {0}.")]
    Buffer(u64),
    /// The device key is not the one that the header names.
    #[error("The device key is not the one that the header names.")]
    Device,
    /// What was kept to resume with does not belong together.
    #[error("The secrets that were kept are not the ones that the header commits to.")]
    Kept,
    /// The cryptographic library failed.
    #[error("The cryptographic library failed.")]
    Crypto(#[from] CryptoFailure),
}

/// A transfer that is being sealed. Shared between threads by reference; wiped when dropped.
#[derive(Debug)]
pub struct Sealer {
    provider: &'static dyn Provider,
    header: Header,
    block: Block,
    secrets: TransferSecrets,
    keys: PayloadKeys,
    manifest: ManifestDraft,
    layout: PayloadLayout,
}

impl Sealer {
    /// Makes header and stanzas. The secrets are new ones, from [`TransferSecrets::generate`].
    ///
    /// # Errors
    /// [`SealError`] for anything that a reader would refuse.
    pub fn new(
        provider: &'static dyn Provider,
        draft: &TransferDraft,
        recipients: &[Recipient],
        manifest: ManifestDraft,
        secrets: TransferSecrets,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, SealError> {
        let total = manifest.check()?;
        let layout = PayloadLayout::for_total(total).ok_or(ManifestError::TooLarge)?;
        let header = make_header(draft, recipients, &secrets, rng)?;
        let block = make_block(provider, &header, recipients, &secrets, rng)?;
        Ok(Self {
            provider,
            keys: secrets.payload_keys(&header),
            header,
            block,
            secrets,
            manifest,
            layout,
        })
    }

    /// The sealer of a transfer that was begun before, from what was kept of it: nothing is drawn, so header, stanzas and content
    /// keys are the same, and segments that are sealed now get new salts.
    ///
    /// # Errors
    /// [`SealError::Kept`] when the secrets are not the ones that the header commits to; [`SealError::Manifest`].
    pub fn resume(
        provider: &'static dyn Provider,
        header: Header,
        block: Block,
        manifest: ManifestDraft,
        secrets: TransferSecrets,
    ) -> Result<Self, SealError> {
        let total = manifest.check()?;
        let layout = PayloadLayout::for_total(total).ok_or(ManifestError::TooLarge)?;
        let is_share = secrets.share().map(share_commit) == header.share_commit;
        if !is_share || !constant_time_eq(&secrets.commitment(&header), &header.commitment) {
            return Err(SealError::Kept);
        }
        Ok(Self {
            provider,
            keys: secrets.payload_keys(&header),
            header,
            block,
            secrets,
            manifest,
            layout,
        })
    }

    /// What the sender writes, as it was given.
    #[must_use]
    pub fn manifest(&self) -> &ManifestDraft {
        &self.manifest
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The stanza block, nothing elided.
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Segments, parts and lengths.
    #[must_use]
    pub fn layout(&self) -> &PayloadLayout {
        &self.layout
    }

    /// Bytes of all files; what follows in the plaintext is padding.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.manifest.files.iter().map(|file| file.len).sum()
    }

    /// The secrets: the share goes to the gateway with the seal, all of it into a sealed state file.
    #[must_use]
    pub fn secrets(&self) -> &TransferSecrets {
        &self.secrets
    }

    /// Key for keyed BLAKE3 over a segment's plaintext, by which a resuming sender knows that a file has not changed.
    #[must_use]
    pub fn resume_key(&self) -> Zeroizing<[u8; 32]> {
        self.keys.resume()
    }

    /// Seals segment `index` in place and returns its leaf.
    ///
    /// `stored` has the length of [`PayloadLayout::stored_segment_len`]; the plaintext stands in it 32 bytes from the start and 16
    /// from the end ([`crate::plaintext_mut`]), with zeros behind the last file. Segments come in any order, from any thread, and
    /// may be sealed again: each time under a new key.
    ///
    /// # Errors
    /// [`SealError::Buffer`] for another length, [`SealError::Crypto`] when the cryptographic library fails.
    pub fn seal_segment(
        &self,
        index: u64,
        stored: &mut [u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<[u8; 32], SealError> {
        self.seal_segment_unhashed(index, stored, rng)?;
        Ok(leaf_hash(stored))
    }

    /// As [`Sealer::seal_segment`], for a caller who makes the leaves of many segments together
    /// ([`sealpost_proto::tree::leaf_hashes`]).
    ///
    /// # Errors
    /// As [`Sealer::seal_segment`].
    pub fn seal_segment_unhashed(
        &self,
        index: u64,
        stored: &mut [u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(), SealError> {
        if self.layout.stored_segment_len(index) != Some(stored.len()) {
            return Err(SealError::Buffer(index));
        }
        let is_last = self.layout.is_last(index);
        seal_in_place(
            self.provider,
            stored,
            |salt| self.keys.segment(salt, index, is_last),
            rng,
        )?;
        Ok(())
    }

    /// Seals the manifest, now that every file was read; `digests` in the order of the files.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_manifest(
        &self,
        digests: &[FileDigests],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, SealError> {
        let manifest = self.manifest.complete(&self.header, digests)?;
        seal_box(self.provider, &self.keys, &manifest, &self.header, rng)
    }

    /// Signs everything: the manifest box, and the leaves of all segments in order. `sealed_at` in unix seconds.
    ///
    /// # Errors
    /// [`SealError::Device`] for another key than the header's; [`SealError::Refused`] for a missing leaf, or a time outside the
    /// transfer's life.
    pub fn seal(
        &self,
        device: &SigningKey,
        manifest_box: &[u8],
        leaves: &[[u8; 32]],
        sealed_at: u64,
    ) -> Result<Seal, SealError> {
        if device.public() != self.header.sender_device {
            return Err(SealError::Device);
        }
        if !(self.header.created_at..=self.header.expires_at).contains(&sealed_at) {
            return Err(SealError::Refused(Reason::Seal));
        }
        let body = SealBody {
            header_hash: self.header.hash(),
            stanzas_hash: self.block.hash(),
            box_hash: box_hash(manifest_box),
            segments: self.layout.segments(),
            payload_len: self.layout.stored_len(),
            payload_root: self.layout.root(leaves).map_err(SealError::Refused)?,
            sealed_at,
        };
        Ok(body.sign(device))
    }
}

fn make_header(
    draft: &TransferDraft,
    recipients: &[Recipient],
    secrets: &TransferSecrets,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Header, SealError> {
    let mut header_salt = [0; 32];
    rng.fill_bytes(&mut header_salt);
    let is_recovery = |r: &Recipient| {
        matches!(
            r,
            Recipient::Key {
                role: Role::Recovery,
                ..
            }
        )
    };
    let mut header = Header {
        transfer_id: draft.transfer_id,
        header_salt,
        created_at: draft.created_at,
        expires_at: draft.expires_at,
        audience: draft.audience,
        sender_identity: draft.sender_identity,
        sender_device: draft.sender_device,
        share_commit: secrets.share().map(share_commit),
        no_forward: draft.no_forward,
        recovery_present: recipients.iter().any(is_recovery),
        commitment: [0; 32],
    };
    header.commitment = secrets.commitment(&header);
    // The reader's own rules decide what may be sealed.
    Header::parse(&header.to_bytes()).map_err(SealError::Refused)
}

fn make_block(
    provider: &dyn Provider,
    header: &Header,
    recipients: &[Recipient],
    secrets: &TransferSecrets,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Block, SealError> {
    let hash = header.hash();
    let secret = secrets.secret();
    let mut stanzas = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        stanzas.push(match recipient {
            Recipient::Key { key, role } => wrap_for_key(provider, &hash, secret, key, *role, rng)
                .map(Stanza::Hpke)
                .map_err(|_| SealError::Recipient(key.kid()))?,
            Recipient::Link { key } => {
                Stanza::Link(wrap_for_link(provider, &hash, secret, key, Argon2Params::DEFAULT, rng)?)
            }
        });
    }
    Block::seal(stanzas).map_err(SealError::Refused)
}
