//! The envelope: everything of a sealed transfer but its payload, and the checks that need no key.

use super::wire::ensure;
use super::{Block, Header, MAX_BOX_LEN, Reason, Seal, box_hash};
use crate::crypto::constant_time_eq;
use crate::id::PublicKey;

/// Header, stanza block, manifest box and seal, each well formed. Nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The header.
    pub header: Header,
    /// The stanza block, perhaps with elided stanzas.
    pub block: Block,
    /// The manifest box, as it stands.
    pub manifest_box: Vec<u8>,
    /// The seal.
    pub seal: Seal,
}

/// Who sealed a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The directory vouches that the device belongs to this identity.
    Confirmed(PublicKey),
    /// Sealed without an identity; to be shown as unverified.
    Anonymous,
}

impl Envelope {
    /// Parses the four pieces as a reader does.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn parse(header: &[u8], block: &[u8], manifest_box: &[u8], seal: &[u8]) -> Result<Self, Reason> {
        ensure(manifest_box.len() <= MAX_BOX_LEN, Reason::Format)?;
        let header = Header::parse(header)?;
        let block = Block::parse(block)?;
        block.check_recovery(&header)?;
        Ok(Self {
            header,
            block,
            manifest_box: manifest_box.to_vec(),
            seal: Seal::parse(seal)?,
        })
    }

    /// Every check of a recipient up to the own stanza, in order: audience, time (`now` in unix seconds), seal, sender, stanzas.
    ///
    /// `identity_of` names the identity that the directory gives to a device, if it vouches for it at all; it is not asked about
    /// an anonymous sender.
    ///
    /// # Errors
    /// The first [`Reason`] that applies.
    pub fn verify(
        self,
        audience: &[u8; 32],
        now: u64,
        identity_of: impl FnOnce(&PublicKey) -> Option<PublicKey>,
    ) -> Result<VerifiedEnvelope, Reason> {
        self.header.check_audience(audience)?;
        self.header.check_time(now)?;
        self.check_seal()?;
        let sender = self.check_sender(identity_of)?;
        self.check_stanzas()?;
        Ok(VerifiedEnvelope { envelope: self, sender })
    }

    /// Signature, header hash and time of the seal.
    ///
    /// # Errors
    /// [`Reason::Seal`].
    pub fn check_seal(&self) -> Result<(), Reason> {
        self.seal.verify(&self.header.sender_device)?;
        let body = &self.seal.body;
        ensure(constant_time_eq(&body.header_hash, &self.header.hash()), Reason::Seal)?;
        let lifetime = self.header.created_at..=self.header.expires_at;
        ensure(lifetime.contains(&body.sealed_at), Reason::Seal)
    }

    /// Who sealed, by the directory.
    ///
    /// # Errors
    /// [`Reason::Sender`].
    pub fn check_sender(&self, identity_of: impl FnOnce(&PublicKey) -> Option<PublicKey>) -> Result<Sender, Reason> {
        let Some(identity) = self.header.sender_identity else {
            return Ok(Sender::Anonymous);
        };
        ensure(
            identity_of(&self.header.sender_device) == Some(identity),
            Reason::Sender,
        )?;
        Ok(Sender::Confirmed(identity))
    }

    /// Whether the block, elided or not, is the sealed one.
    ///
    /// # Errors
    /// [`Reason::Stanzas`].
    pub fn check_stanzas(&self) -> Result<(), Reason> {
        ensure(self.seal.body.stanzas_hash == self.block.hash(), Reason::Stanzas)
    }

    /// Whether the manifest box is the sealed one.
    ///
    /// # Errors
    /// [`Reason::Manifest`].
    pub fn check_box(&self) -> Result<(), Reason> {
        ensure(
            self.seal.body.box_hash == box_hash(&self.manifest_box),
            Reason::Manifest,
        )
    }
}

/// An envelope that passed every check of a recipient up to the own stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEnvelope {
    envelope: Envelope,
    sender: Sender,
}

impl VerifiedEnvelope {
    /// The envelope.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Who sealed it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender
    }
}
