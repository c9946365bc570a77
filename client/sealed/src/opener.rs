//! Opening a sealed transfer, in the order of sealed-transfer.md, "Opening"; each refusal is one [`Reason`].
//!
//! [`Envelope::verify`] did what needs no key. Then: [`unwrap_secret`] (own stanza), [`Opener::new`] (share, commitment,
//! manifest), [`Opener::payload`] (leaf list), [`PayloadOpener::open_segment`], and [`crate::Unpacker`] (padding, digests).
//!
//! [`Envelope::verify`]: sealpost_proto::sealed::Envelope::verify

use sealpost_proto::crypto::constant_time_eq;
use sealpost_proto::sealed::{
    LeafList, PayloadLayout, Reason, STORED_SEGMENT_LEN, Sender, Stanza, VerifiedEnvelope, VerifiedGrant,
};

use crate::encryption_key::EncryptionKey;
use crate::link::LinkKey;
use crate::manifest::{Manifest, open_box};
use crate::provider::Provider;
use crate::schedule::{PayloadKeys, TransferSecret, TransferSecrets};
use crate::segment::open_in_place;
use crate::stanza::{unwrap_with_key, unwrap_with_link};

/// What a reader opens a stanza with.
#[derive(Clone, Copy, Debug)]
pub enum OpenWith<'a> {
    /// An encryption key.
    Key(&'a EncryptionKey),
    /// Words, a link's secret, or both.
    Link(&'a LinkKey),
}

/// Opens the reader's stanza: the one in the block, or the one that a verified grant carries.
///
/// The transfer secret alone opens no content; it is what a grant wraps again.
///
/// # Errors
/// [`Reason::Key`]; [`Reason::Grant`] when the grant is another transfer's.
pub fn unwrap_secret(
    provider: &dyn Provider,
    envelope: &VerifiedEnvelope,
    with: OpenWith<'_>,
    grant: Option<&VerifiedGrant>,
) -> Result<TransferSecret, Reason> {
    let hash = envelope.envelope().header.hash();
    let stanza = match grant {
        Some(granted) if granted.grant().header_hash != hash => return Err(Reason::Grant),
        Some(granted) => Some(granted.stanza()),
        None => own_stanza(envelope, with),
    };
    match (stanza, with) {
        (Some(Stanza::Hpke(stanza)), OpenWith::Key(key)) if stanza.kid == *key.kid() => {
            unwrap_with_key(provider, &hash, stanza, key)
        }
        (Some(Stanza::Link(stanza)), OpenWith::Link(link)) if stanza.link_id == link.link_id() => {
            unwrap_with_link(provider, &hash, stanza, link)
        }
        _ => Err(Reason::Key),
    }
}

fn own_stanza<'a>(envelope: &'a VerifiedEnvelope, with: OpenWith<'_>) -> Option<&'a Stanza> {
    let block = &envelope.envelope().block;
    match with {
        OpenWith::Key(key) => block.for_kid(key.kid()),
        OpenWith::Link(link) => block.for_link(&link.link_id()),
    }
}

/// A transfer whose manifest is open.
#[derive(Debug)]
pub struct Opener {
    provider: &'static dyn Provider,
    envelope: VerifiedEnvelope,
    secrets: TransferSecrets,
    keys: PayloadKeys,
    manifest: Manifest,
}

impl Opener {
    /// Joins the two shares, compares them with the commitment, and opens the manifest. `share` is the gateway's; it is not looked
    /// at when the header commits to none.
    ///
    /// # Errors
    /// [`Reason::Share`], [`Reason::Commitment`] or [`Reason::Manifest`].
    pub fn new(
        provider: &'static dyn Provider,
        envelope: VerifiedEnvelope,
        secret: TransferSecret,
        share: Option<&[u8]>,
    ) -> Result<Self, Reason> {
        let header = &envelope.envelope().header;
        let secrets = TransferSecrets::join(header, secret, share)?;
        if !constant_time_eq(&secrets.commitment(header), &header.commitment) {
            return Err(Reason::Commitment);
        }
        envelope.envelope().check_box()?;
        let keys = secrets.payload_keys(header);
        let manifest = open_box(provider, &keys, &envelope.envelope().manifest_box, header)?;
        Ok(Self {
            provider,
            secrets,
            keys,
            manifest,
            envelope,
        })
    }

    /// What the sender wrote.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Who sealed it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.envelope.sender()
    }

    /// The verified envelope.
    #[must_use]
    pub fn envelope(&self) -> &VerifiedEnvelope {
        &self.envelope
    }

    /// The secrets, to grant the transfer to someone else or to keep them in a sealed state file.
    #[must_use]
    pub fn secrets(&self) -> &TransferSecrets {
        &self.secrets
    }

    /// The payload's layout: what the seal states and what the manifest demands are the same.
    ///
    /// # Errors
    /// [`Reason::Leaves`].
    pub fn layout(&self) -> Result<PayloadLayout, Reason> {
        let sealed = self.envelope.envelope().seal.body.layout()?;
        let demanded = PayloadLayout::for_total(self.manifest.total());
        if demanded != Some(sealed) {
            return Err(Reason::Leaves);
        }
        Ok(sealed)
    }

    /// Checks a leaf list of `32 n` bytes; segments can be opened then.
    ///
    /// # Errors
    /// [`Reason::Leaves`].
    pub fn payload(&self, leaf_list: &[u8]) -> Result<PayloadOpener<'_>, Reason> {
        let layout = self.layout()?;
        let leaves = LeafList::parse(leaf_list, &self.envelope.envelope().seal)?;
        Ok(PayloadOpener {
            opener: self,
            layout,
            leaves,
        })
    }

    /// As [`Opener::payload`], with the leaf list made from the stored payload itself.
    ///
    /// # Errors
    /// [`Reason::Leaves`].
    pub fn payload_at_hand(&self, payload: &[u8]) -> Result<PayloadOpener<'_>, Reason> {
        let layout = self.layout()?;
        let leaves = LeafList::of_payload(payload, &self.envelope.envelope().seal)?;
        Ok(PayloadOpener {
            opener: self,
            layout,
            leaves,
        })
    }
}

/// Opens segments, in any order and from any thread.
#[derive(Debug)]
pub struct PayloadOpener<'a> {
    opener: &'a Opener,
    layout: PayloadLayout,
    leaves: LeafList,
}

impl PayloadOpener<'_> {
    /// Segments, parts and lengths.
    #[must_use]
    pub fn layout(&self) -> &PayloadLayout {
        &self.layout
    }

    /// Checks and opens a stored segment in place; returns the plaintext within it. On failure the buffer is of no use.
    ///
    /// # Errors
    /// [`Reason::Segment`].
    pub fn open_segment<'b>(&self, index: u64, stored: &'b mut [u8]) -> Result<&'b mut [u8], Reason> {
        self.leaves.check_segment(index, stored)?;
        self.open_checked(index, stored)
    }

    /// Checks all segments of a stored part, and then opens them in place one after the other; `take` gets the plaintext of each.
    ///
    /// # Errors
    /// [`Reason::Segment`], [`Reason::Leaves`] when it is not as long as the part, or the error of `take`.
    pub fn open_part<E: From<Reason>>(
        &self,
        number: u64,
        part: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let indices = self.layout.part_segments(number);
        let mut rest: &[u8] = part;
        let mut stored = Vec::new();
        for index in indices.clone() {
            let len = self.layout.stored_segment_len(index).ok_or(Reason::Leaves)?;
            let (segment, later) = rest.split_at_checked(len).ok_or(Reason::Leaves)?;
            stored.push(segment);
            rest = later;
        }
        if !rest.is_empty() {
            return Err(Reason::Leaves.into());
        }
        self.leaves.check_segments(indices.start, &stored)?;
        for (index, segment) in indices.zip(part.chunks_mut(STORED_SEGMENT_LEN)) {
            take(self.open_checked(index, segment)?)?;
        }
        Ok(())
    }

    fn open_checked<'b>(&self, index: u64, stored: &'b mut [u8]) -> Result<&'b mut [u8], Reason> {
        let is_last = self.layout.is_last(index);
        let derive = |salt: &[u8; 32]| self.opener.keys.segment(salt, index, is_last);
        open_in_place(self.opener.provider, stored, derive, Reason::Segment)
    }
}
