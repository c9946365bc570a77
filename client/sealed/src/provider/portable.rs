//! The provider over the RustCrypto crates.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Tag};
use zeroize::Zeroizing;

use super::{CryptoFailure, Provider};

const TAG_LEN: usize = 16;

#[derive(Debug)]
pub(super) struct Portable;

impl Provider for Portable {
    fn aead_seal(&self, key: &[u8; 32], iv: &[u8; 12], buffer: &mut [u8]) -> Result<[u8; 16], CryptoFailure> {
        let tag = Aes256Gcm::new(key.into())
            .encrypt_inout_detached(iv.into(), &[], buffer.into())
            .map_err(|_| CryptoFailure)?;
        Ok(tag.into())
    }

    fn aead_open(&self, key: &[u8; 32], iv: &[u8; 12], buffer: &mut [u8]) -> Result<(), CryptoFailure> {
        let (ciphertext, tag) = buffer.split_last_chunk_mut::<TAG_LEN>().ok_or(CryptoFailure)?;
        Aes256Gcm::new(key.into())
            .decrypt_inout_detached(iv.into(), &[], ciphertext.into(), &Tag::from(*tag))
            .map_err(|_| CryptoFailure)
    }

    fn x25519_public(&self, secret: &[u8; 32]) -> Result<[u8; 32], CryptoFailure> {
        Ok(x25519_dalek::x25519(*secret, x25519_dalek::X25519_BASEPOINT_BYTES))
    }

    fn x25519(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, CryptoFailure> {
        let shared = Zeroizing::new(x25519_dalek::x25519(*secret, *public));
        if subtle::ConstantTimeEq::ct_eq(&shared[..], &[0; 32][..]).into() {
            return Err(CryptoFailure);
        }
        Ok(shared)
    }
}
