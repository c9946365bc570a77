//! The provider over AWS-LC.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use zeroize::Zeroizing;

use super::{CryptoFailure, Provider};

#[derive(Debug)]
pub(super) struct Fast;

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, CryptoFailure> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| CryptoFailure)?;
    Ok(LessSafeKey::new(key))
}

fn private_key(secret: &[u8; 32]) -> Result<PrivateKey, CryptoFailure> {
    PrivateKey::from_private_key(&X25519, secret).map_err(|_| CryptoFailure)
}

impl Provider for Fast {
    fn aead_seal(&self, key: &[u8; 32], iv: &[u8; 12], buffer: &mut [u8]) -> Result<[u8; 16], CryptoFailure> {
        let nonce = Nonce::assume_unique_for_key(*iv);
        let tag = aead(key)?
            .seal_in_place_separate_tag(nonce, Aad::empty(), buffer)
            .map_err(|_| CryptoFailure)?;
        tag.as_ref().try_into().map_err(|_| CryptoFailure)
    }

    fn aead_open(&self, key: &[u8; 32], iv: &[u8; 12], buffer: &mut [u8]) -> Result<(), CryptoFailure> {
        let nonce = Nonce::assume_unique_for_key(*iv);
        match aead(key)?.open_in_place(nonce, Aad::empty(), buffer) {
            Ok(_plaintext) => Ok(()),
            Err(_) => Err(CryptoFailure),
        }
    }

    fn x25519_public(&self, secret: &[u8; 32]) -> Result<[u8; 32], CryptoFailure> {
        let public = private_key(secret)?.compute_public_key().map_err(|_| CryptoFailure)?;
        public.as_ref().try_into().map_err(|_| CryptoFailure)
    }

    fn x25519(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, CryptoFailure> {
        let peer = UnparsedPublicKey::new(&X25519, public);
        agree(&private_key(secret)?, peer, CryptoFailure, |shared| {
            let mut out = Zeroizing::new([0; 32]);
            out.copy_from_slice(shared.get(..32).ok_or(CryptoFailure)?);
            Ok(out)
        })
    }
}
