//! The header: 248 bytes that name a transfer, its sender, its gateway, its lifetime and its key commitment.

use super::wire::{Reader, ensure};
use super::{EXPIRY_GRACE, HEADER_LEN, HEADER_PREFIX_LEN, MAX_CLOCK_LEAD, MAX_LIFETIME, Reason, SEGMENT_LEN};
use crate::crypto::h;
use crate::id::{PublicKey, TransferId};

const MAGIC: &[u8; 8] = b"SEALPOST";
const VERSION: u16 = 1;
const SUITE: u16 = 1;

const GATEWAY_SHARE: u32 = 1;
const NO_FORWARD: u32 = 1 << 1;
const ANON_SENDER: u32 = 1 << 2;
const RECOVERY_PRESENT: u32 = 1 << 3;

/// The header of a sealed transfer (sealed-transfer.md, "Header").
///
/// Flags that another field implies are not kept twice: `GATEWAY_SHARE` is `share_commit.is_some()`, `ANON_SENDER` is
/// `sender_identity.is_none()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Drawn by the sender's client.
    pub transfer_id: TransferId,
    /// Drawn by the sender's client; makes every header hash unique.
    pub header_salt: [u8; 32],
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// `H("audience", gateway id)`.
    pub audience: [u8; 32],
    /// The sender's identity key; none for an anonymous sender.
    pub sender_identity: Option<PublicKey>,
    /// The key that signs the seal.
    pub sender_device: PublicKey,
    /// `H("share", G)`; none when the transfer opens without a gateway.
    pub share_commit: Option<[u8; 32]>,
    /// Recipients may not forward the transfer.
    pub no_forward: bool,
    /// The block as sealed holds a stanza for the organisation's recovery key.
    pub recovery_present: bool,
    /// Commitment to the keys that follow from transfer secret and share.
    pub commitment: [u8; 32],
}

impl Header {
    /// Parses exactly 248 bytes and checks every rule that needs no clock.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        ensure(bytes.len() == HEADER_LEN, Reason::Format)?;
        let mut r = Reader::new(bytes);
        r.expect(MAGIC)?;
        ensure(r.u16()? == VERSION && r.u16()? == SUITE, Reason::Format)?;
        let flags = r.u32()?;
        ensure(flags < RECOVERY_PRESENT << 1, Reason::Format)?;
        let transfer_id = TransferId::from_bytes(r.array()?);
        let header_salt = r.array()?;
        let created_at = r.u64()?;
        let expires_at = r.u64()?;
        let audience = r.array()?;
        let sender_identity = present(r.array()?, flags & ANON_SENDER == 0)?.map(PublicKey::from_bytes);
        let sender_device = PublicKey::from_bytes(r.array()?);
        let share_commit = present(r.array()?, flags & GATEWAY_SHARE != 0)?;
        ensure(
            usize::try_from(r.u32()?) == Ok(SEGMENT_LEN) && r.u32()? == 0,
            Reason::Format,
        )?;
        let commitment = r.array()?;
        let header = Self {
            transfer_id,
            header_salt,
            created_at,
            expires_at,
            audience,
            sender_identity,
            sender_device,
            share_commit,
            no_forward: flags & NO_FORWARD != 0,
            recovery_present: flags & RECOVERY_PRESENT != 0,
            commitment,
        };
        ensure(header.has_valid_lifetime(), Reason::Format)?;
        Ok(header)
    }

    fn has_valid_lifetime(&self) -> bool {
        self.expires_at
            .checked_sub(self.created_at)
            .is_some_and(|lifetime| (1..=MAX_LIFETIME).contains(&lifetime))
    }

    /// The 248 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        join(&[&self.prefix(), &self.commitment])
    }

    /// The 216 bytes before the commitment.
    #[must_use]
    pub fn prefix(&self) -> [u8; HEADER_PREFIX_LEN] {
        let identity = self.sender_identity.map_or([0; 32], |key| *key.as_bytes());
        join(&[
            MAGIC,
            &VERSION.to_be_bytes(),
            &SUITE.to_be_bytes(),
            &self.flags().to_be_bytes(),
            self.transfer_id.as_bytes(),
            &self.header_salt,
            &self.created_at.to_be_bytes(),
            &self.expires_at.to_be_bytes(),
            &self.audience,
            &identity,
            self.sender_device.as_bytes(),
            &self.share_commit.unwrap_or([0; 32]),
            &[0, 4, 0, 0], // segment_size 262,144
            &[0; 4],
        ])
    }

    fn flags(&self) -> u32 {
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        flag(self.share_commit.is_some(), GATEWAY_SHARE)
            | flag(self.no_forward, NO_FORWARD)
            | flag(self.sender_identity.is_none(), ANON_SENDER)
            | flag(self.recovery_present, RECOVERY_PRESENT)
    }

    /// `HP = H("prefix", header[0..216])`.
    #[must_use]
    pub fn prefix_hash(&self) -> [u8; 32] {
        h("prefix", &[&self.prefix()])
    }

    /// `HH = H("header", header)`.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        h("header", &[&self.to_bytes()])
    }

    /// Refuses a transfer made for another gateway.
    ///
    /// # Errors
    /// [`Reason::Audience`].
    pub fn check_audience(&self, audience: &[u8; 32]) -> Result<(), Reason> {
        ensure(self.audience == *audience, Reason::Audience)
    }

    /// Refuses a transfer that is past its expiry and grace, or that claims to be made more than a day after `now`
    /// (unix seconds).
    ///
    /// # Errors
    /// [`Reason::Expired`].
    pub fn check_time(&self, now: u64) -> Result<(), Reason> {
        let is_past = now > self.expires_at.saturating_add(EXPIRY_GRACE);
        let is_ahead = self.created_at > now.saturating_add(MAX_CLOCK_LEAD);
        ensure(!is_past && !is_ahead, Reason::Expired)
    }
}

/// A field that is all zero exactly when its flag says that it is absent.
fn present(field: [u8; 32], is_present: bool) -> Result<Option<[u8; 32]>, Reason> {
    let is_zero = field == [0; 32];
    ensure(is_present != is_zero, Reason::Format)?;
    Ok(is_present.then_some(field))
}

/// The fields one after the other; their lengths add up to `N`.
pub(super) fn join<const N: usize>(fields: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let bytes = fields.iter().copied().flatten();
    for (place, byte) in out.iter_mut().zip(bytes) {
        *place = *byte;
    }
    debug_assert_eq!(fields.iter().map(|field| field.len()).sum::<usize>(), N);
    out
}
