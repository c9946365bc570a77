//! One segment, sealed or opened in the caller's buffer: `salt(32) || ciphertext || tag(16)`.

use rand_core::CryptoRng;
use sealpost_proto::sealed::{Reason, SALT_LEN, TAG_LEN};

use crate::provider::{CryptoFailure, Provider};
use crate::schedule::KeyAndIv;

/// Where the plaintext stands in a buffer for a stored segment: behind the salt, before the tag. None when it is too short.
#[must_use]
pub fn plaintext_mut(stored: &mut [u8]) -> Option<&mut [u8]> {
    let end = stored.len().checked_sub(TAG_LEN)?;
    stored.get_mut(SALT_LEN..end)
}

/// Keyed BLAKE3 of a segment's plaintext under [`crate::Sealer::resume_key`]: by it a resuming sender knows that what it reads is
/// what it sealed before. It stays with the sender.
#[must_use]
pub fn resume_hash(key: &[u8; 32], plaintext: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(key, plaintext).as_bytes()
}

/// Seals the plaintext in `stored` under a fresh salt; `derive` makes key and IV from it.
pub(crate) fn seal_in_place(
    provider: &dyn Provider,
    stored: &mut [u8],
    derive: impl FnOnce(&[u8; SALT_LEN]) -> KeyAndIv,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(), CryptoFailure> {
    let (salt, rest) = stored.split_first_chunk_mut::<SALT_LEN>().ok_or(CryptoFailure)?;
    let (buffer, tag) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(CryptoFailure)?;
    rng.fill_bytes(salt);
    let keys = derive(salt);
    *tag = provider.aead_seal(keys.key(), keys.iv(), buffer)?;
    Ok(())
}

/// Opens the stored bytes and returns the plaintext within them.
pub(crate) fn open_in_place<'a>(
    provider: &dyn Provider,
    stored: &'a mut [u8],
    derive: impl FnOnce(&[u8; SALT_LEN]) -> KeyAndIv,
    otherwise: Reason,
) -> Result<&'a mut [u8], Reason> {
    let (salt, rest) = stored.split_first_chunk_mut::<SALT_LEN>().ok_or(otherwise)?;
    let keys = derive(salt);
    provider.aead_open(keys.key(), keys.iv(), rest).map_err(|_| otherwise)?;
    let (plaintext, _) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(otherwise)?;
    Ok(plaintext)
}
