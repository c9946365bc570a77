//! Wrapping of one share: AES-256-GCM under the key of its day, bound to its transfer and commitment. Pure.

use std::fmt;
use std::io;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Tag};
use sealpost_proto::id::{Hash, TransferId};
use zeroize::Zeroizing;

use crate::random::Random;
use crate::store::share::Share;

/// Length of a nonce: random, as 96 bits allow for 2^32 shares of a day's key (SP 800-38D, 8.3).
pub(super) const NONCE_LEN: usize = 12;
/// Length of a wrapped share: ciphertext and tag.
pub(super) const WRAPPED_LEN: usize = 32 + 16;

/// Key of a day. Wiped when dropped; never shown.
pub(super) struct DayKey(Zeroizing<[u8; 32]>);

impl DayKey {
    pub(super) fn draw(random: &dyn Random) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(&mut *key)?;
        Ok(Self(key))
    }

    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DayKey(..)")
    }
}

/// Which share it is: what the wrapping is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ShareId {
    pub(super) transfer: TransferId,
    pub(super) commit: Hash,
}

impl ShareId {
    fn associated_data(&self) -> [u8; 48] {
        let mut data = [0; 48];
        let parts = self.transfer.as_bytes().iter().chain(self.commit.as_bytes());
        data.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        data
    }
}

/// A wrapped share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrapped {
    pub(super) nonce: [u8; NONCE_LEN],
    pub(super) bytes: [u8; WRAPPED_LEN],
}

/// Wraps a share under a fresh nonce.
pub(super) fn wrap(key: &DayKey, id: &ShareId, share: &Share, random: &dyn Random) -> io::Result<Wrapped> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce)?;
    let mut buffer = share.clone();
    let tag = key
        .cipher()
        .encrypt_inout_detached((&nonce).into(), &id.associated_data(), buffer.as_mut_slice().into())
        .map_err(|_| io::Error::other("the share could not be wrapped"))?;
    let mut bytes = [0; WRAPPED_LEN];
    let sealed = buffer.iter().chain(tag.iter());
    bytes.iter_mut().zip(sealed).for_each(|(to, from)| *to = *from);
    Ok(Wrapped { nonce, bytes })
}

/// Unwraps a share; `None` if it was not wrapped under this key for this transfer and commitment.
pub(super) fn unwrap(key: &DayKey, id: &ShareId, wrapped: &Wrapped) -> Option<Share> {
    let (ciphertext, tag) = wrapped.bytes.split_first_chunk::<32>()?;
    let tag: Tag = Tag::try_from(tag).ok()?;
    let mut share = Zeroizing::new(*ciphertext);
    key.cipher()
        .decrypt_inout_detached(
            (&wrapped.nonce).into(),
            &id.associated_data(),
            share.as_mut_slice().into(),
            &tag,
        )
        .ok()?;
    Some(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn opens_only_where_it_belongs() {
        let id = ShareId {
            transfer: TransferId::from_bytes([1; 16]),
            commit: Hash::from_bytes([2; 32]),
        };
        let key = DayKey::draw(&SystemRandom).unwrap();
        let share = Zeroizing::new([7; 32]);
        let wrapped = wrap(&key, &id, &share, &SystemRandom).unwrap();
        assert_eq!(unwrap(&key, &id, &wrapped), Some(share.clone()));
        assert_ne!(wrap(&key, &id, &share, &SystemRandom).unwrap().nonce, wrapped.nonce);

        let elsewhere = ShareId {
            transfer: TransferId::from_bytes([9; 16]),
            ..id
        };
        let otherwise = ShareId {
            commit: Hash::from_bytes([9; 32]),
            ..id
        };
        assert_eq!(unwrap(&key, &elsewhere, &wrapped), None);
        assert_eq!(unwrap(&key, &otherwise, &wrapped), None);
        assert_eq!(unwrap(&DayKey::from_bytes(&[0; 32]), &id, &wrapped), None);
        for at in 0..WRAPPED_LEN {
            let mut bad = wrapped;
            bad.bytes[at] ^= 1;
            assert_eq!(unwrap(&key, &id, &bad), None);
        }
    }
}
