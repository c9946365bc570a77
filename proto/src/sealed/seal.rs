//! The seal: the sender's signature over everything that was sealed.

use super::header::join;
use super::wire::{Reader, ensure};
use super::{PayloadLayout, Reason, SEAL_LEN};
use crate::crypto::{SigningKey, h, verify};
use crate::id::PublicKey;

const MAGIC: &[u8; 8] = b"SPSEAL1\0";
const DOMAIN: &[u8] = b"sealpost/v1/seal\0";
const BODY_LEN: usize = 160;

/// `H("manifest-box", box)`.
#[must_use]
pub fn box_hash(manifest_box: &[u8]) -> [u8; 32] {
    h("manifest-box", &[manifest_box])
}

/// What a seal says (sealed-transfer.md, "Seal").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealBody {
    /// `HH`.
    pub header_hash: [u8; 32],
    /// `SH`.
    pub stanzas_hash: [u8; 32],
    /// `H("manifest-box", box)`.
    pub box_hash: [u8; 32],
    /// Segments, `n`.
    pub segments: u64,
    /// Stored bytes of the payload.
    pub payload_len: u64,
    /// Root over the leaves of the stored segments.
    pub payload_root: [u8; 32],
    /// Unix seconds.
    pub sealed_at: u64,
}

impl SealBody {
    /// The 160 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BODY_LEN] {
        join(&[
            MAGIC,
            &self.header_hash,
            &self.stanzas_hash,
            &self.box_hash,
            &self.segments.to_be_bytes(),
            &self.payload_len.to_be_bytes(),
            &self.payload_root,
            &self.sealed_at.to_be_bytes(),
        ])
    }

    /// Signs with the device key.
    #[must_use]
    pub fn sign(self, device: &SigningKey) -> Seal {
        Seal {
            signature: device.sign(&[DOMAIN, &self.to_bytes()].concat()),
            body: self,
        }
    }

    /// The payload's layout.
    ///
    /// # Errors
    /// [`Reason::Leaves`] when count and length do not fit each other.
    pub fn layout(&self) -> Result<PayloadLayout, Reason> {
        PayloadLayout::from_sealed(self.payload_len, self.segments)
    }
}

/// A seal: body and signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// What it says.
    pub body: SealBody,
    /// Ed25519 over the domain label and the body.
    pub signature: [u8; 64],
}

impl Seal {
    /// Parses exactly 224 bytes.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        ensure(bytes.len() == SEAL_LEN, Reason::Format)?;
        let mut r = Reader::new(bytes);
        r.expect(MAGIC)?;
        let body = SealBody {
            header_hash: r.array()?,
            stanzas_hash: r.array()?,
            box_hash: r.array()?,
            segments: r.u64()?,
            payload_len: r.u64()?,
            payload_root: r.array()?,
            sealed_at: r.u64()?,
        };
        let signature = r.array()?;
        Ok(Self { body, signature })
    }

    /// The 224 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SEAL_LEN] {
        join(&[&self.body.to_bytes(), &self.signature])
    }

    /// Verifies the signature strictly.
    ///
    /// # Errors
    /// [`Reason::Seal`].
    pub fn verify(&self, device: &PublicKey) -> Result<(), Reason> {
        let message = [DOMAIN, &self.body.to_bytes()].concat();
        verify(device, &message, &self.signature).map_err(|_| Reason::Seal)
    }
}
