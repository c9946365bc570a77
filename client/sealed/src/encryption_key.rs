//! An encryption key (EK): what transfers are sealed to.

use std::fmt;

use rand_core::CryptoRng;
use sealpost_proto::crypto::kid;
use sealpost_proto::id::Kid;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::provider::{FAST, Provider};
use crate::xwing::{PUBLIC_LEN, is_public_key, public_key};

/// Bytes that are not an encryption key which every implementation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the bytes are not a valid encryption key")]
pub struct InvalidKey;

/// The public half: an X-Wing key, checked, and its id.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionPublicKey {
    bytes: Box<[u8; PUBLIC_LEN]>,
    kid: Kid,
}

impl EncryptionPublicKey {
    /// Takes a public key that ML-KEM's modulus check and the list of D16 allow.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_bytes(bytes: &[u8; PUBLIC_LEN]) -> Result<Self, InvalidKey> {
        if !is_public_key(bytes) {
            return Err(InvalidKey);
        }
        Ok(Self {
            bytes: Box::new(*bytes),
            kid: kid(bytes),
        })
    }

    /// The 1,216 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PUBLIC_LEN] {
        &self.bytes
    }

    /// Its id.
    #[must_use]
    pub fn kid(&self) -> &Kid {
        &self.kid
    }
}

impl fmt::Debug for EncryptionPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncryptionPublicKey").field(&self.kid).finish()
    }
}

/// The secret half: a seed of 32 random bytes. Wiped when dropped; `Debug` shows the id alone.
#[derive(Clone)]
pub struct EncryptionKey {
    seed: Zeroizing<[u8; 32]>,
    public: EncryptionPublicKey,
}

impl EncryptionKey {
    /// A new key.
    ///
    /// # Errors
    /// [`InvalidKey`] when the cryptographic library fails.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Result<Self, InvalidKey> {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// The key of a seed.
    ///
    /// # Errors
    /// [`InvalidKey`] when the cryptographic library fails.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        Self::from_seed_with(FAST, seed)
    }

    pub(crate) fn from_seed_with(provider: &dyn Provider, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let public = public_key(provider, seed).map_err(|_| InvalidKey)?;
        Ok(Self {
            seed: Zeroizing::new(*seed),
            public: EncryptionPublicKey::from_bytes(&public)?,
        })
    }

    /// The seed, for the key file.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &EncryptionPublicKey {
        &self.public
    }

    /// Its id.
    #[must_use]
    pub fn kid(&self) -> &Kid {
        self.public.kid()
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey")
            .field("kid", self.kid())
            .finish_non_exhaustive()
    }
}
