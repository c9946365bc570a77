//! The secret half of an encryption key (EK): what transfers sealed to its public half open with.

use std::fmt;

use rand_core::CryptoRng;
use sealpost_proto::id::Kid;
use sealpost_proto::key::EncryptionPublicKey;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::provider::{FAST, Provider};
use crate::xwing::public_key;

/// The cryptographic library failed to make a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the encryption key could not be made")]
pub struct InvalidKey;

/// The secret half: a seed of 32 random bytes. Wiped when dropped; `Debug` shows the id alone.
#[derive(Clone)]
pub struct EncryptionKey {
    seed: Zeroizing<[u8; 32]>,
    public: EncryptionPublicKey,
    kid: Kid,
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
        let public = EncryptionPublicKey::from_bytes(public).map_err(|_| InvalidKey)?;
        Ok(Self {
            seed: Zeroizing::new(*seed),
            kid: public.kid(),
            public,
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
        &self.kid
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey")
            .field("kid", self.kid())
            .finish_non_exhaustive()
    }
}
