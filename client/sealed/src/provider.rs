//! The door to AES-256-GCM and X25519: one trait, two providers, the same bytes from both.

mod fast;
mod portable;

use thiserror::Error;
use zeroize::Zeroizing;

/// A primitive refused its input. It says no more, so that it cannot be asked what was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the cryptographic operation failed")]
pub struct CryptoFailure;

/// AES-256-GCM (SP 800-38D) without associated data, and X25519 (RFC 7748).
pub trait Provider: std::fmt::Debug + Send + Sync {
    /// Encrypts `buffer` in place and returns the tag. A pair of key and IV must never be used twice.
    ///
    /// # Errors
    /// [`CryptoFailure`] when the buffer is too long for AES-GCM.
    fn aead_seal(&self, key: &[u8; 32], iv: &[u8; 12], buffer: &mut [u8]) -> Result<[u8; 16], CryptoFailure>;

    /// Decrypts `ciphertext || tag` in place; on success the plaintext stands where the ciphertext stood.
    ///
    /// # Errors
    /// [`CryptoFailure`] when the tag is wrong; the buffer then holds nothing of use.
    fn aead_open(&self, key: &[u8; 32], iv: &[u8; 12], buffer: &mut [u8]) -> Result<(), CryptoFailure>;

    /// The public key of a secret scalar.
    ///
    /// # Errors
    /// [`CryptoFailure`] when the library fails.
    fn x25519_public(&self, secret: &[u8; 32]) -> Result<[u8; 32], CryptoFailure>;

    /// The shared secret.
    ///
    /// # Errors
    /// [`CryptoFailure`] when it is all zero: the other side sent a point of small order.
    fn x25519(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, CryptoFailure>;
}

/// AWS-LC: the default, several times as fast on large payloads.
pub static FAST: &dyn Provider = &fast::Fast;

/// RustCrypto: Rust alone, for every platform.
pub static PORTABLE: &dyn Provider = &portable::Portable;
