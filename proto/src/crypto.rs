//! The one door to hashes, key derivation and signatures.
//!
//! Nothing here sees a content key or a plaintext: HPKE and AEAD live in `sealpost-sealed`. Labels keep uses apart:
//! `H(label, x) = SHA-256("sealpost/v1/" || label || 0x00 || x)`, and every `info` of [`kdf`] starts with an ASCII label ended
//! by 0x00.

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity;
use ed25519_dalek::{Signature, Signer};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256 as Sha256Impl};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::id::{Kid, PublicKey};

/// Length of an X-Wing public key (ML-KEM-768 1,184 bytes, X25519 32 bytes).
pub const XWING_PUBLIC_KEY_LEN: usize = 1216;

/// HPKE's number of the KEM X-Wing.
pub const XWING_KEM_ID: u16 = 0x647A;

/// Why a signature or a public key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CryptoError {
    /// Not a canonical point of the prime-order group, or its neutral element.
    #[error("the key is not a valid Ed25519 public key")]
    PublicKey,
    /// The signature does not verify under the strict rules of RFC 8032.
    #[error("the signature is not valid")]
    Signature,
}

/// SHA-256 in pieces.
#[derive(Clone, Debug, Default)]
pub struct Sha256(Sha256Impl);

impl Sha256 {
    /// An empty hash.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything added.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// SHA-256 of the concatenation of `parts` (FIPS 180-4).
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finish()
}

/// `H(label, x)` over the concatenation of `parts`.
#[must_use]
pub fn h(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"sealpost/v1/");
    hash.update(label.as_bytes());
    hash.update(&[0]);
    for part in parts {
        hash.update(part);
    }
    hash.finish()
}

/// HMAC-SHA-256 (RFC 2104) over the concatenation of `parts`.
#[must_use]
pub fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // RFC 2104, section 2: a key shorter than the block of 64 bytes is filled up with zeros.
    let mut block = Zeroizing::new([0_u8; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256Impl>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF-SHA-256, extract and expand (RFC 5869), `N` bytes; `info` is the concatenation of its parts.
///
/// `N` is fixed at compile time and at most 8,160.
#[must_use]
pub fn kdf<const N: usize>(ikm: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF-SHA-256 gives at most 8,160 bytes") };
    let mut out = Zeroizing::new([0; N]);
    // Cannot fail: the only error is a length over 8,160 bytes, refused above when the code is compiled.
    let expanded = Hkdf::<Sha256Impl>::new(Some(salt), ikm).expand_multi_info(info, &mut *out);
    debug_assert!(expanded.is_ok());
    out
}

/// Whether two byte strings are equal, in time that depends on their lengths alone.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Id of an X-Wing public key: `H("kid", u16 0x647A || pk)`.
#[must_use]
pub fn kid(public_key: &[u8; XWING_PUBLIC_KEY_LEN]) -> Kid {
    Kid::from_bytes(h("kid", &[&XWING_KEM_ID.to_be_bytes(), public_key]))
}

/// Whether the X25519 part (the last 32 bytes) of an X-Wing public key or encapsulation is one that every implementation
/// takes: reduced and not of small order.
///
/// Implementations of X-Wing disagree on the all-zero shared secret; refusing these u-coordinates before decapsulation, and
/// when a statement announces a key, gives one verdict everywhere.
#[must_use]
pub fn xwing_x25519_part_is_sound(encoded: &[u8]) -> bool {
    let Some(u) = encoded.last_chunk::<32>() else {
        return false;
    };
    let mut u = *u;
    u[31] &= 0x7f;
    let is_reduced = u.iter().rev().lt(P25519.iter().rev());
    is_reduced && !SMALL_ORDER_U.contains(&u)
}

/// The prime 2^255 - 19, little-endian.
const P25519: [u8; 32] = {
    let mut p = [0xff; 32];
    p[0] = 0xed;
    p[31] = 0x7f;
    p
};

/// u-coordinates of small order on Curve25519 and its twist: 0, 1, p-1 and the two of order 8, little-endian.
const SMALL_ORDER_U: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = P25519;
        minus_one[0] -= 1;
        minus_one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

/// Verifies an Ed25519 signature strictly (RFC 8032 with security.md 3.7's additions): canonical S, A and R, both in the
/// prime-order group and neither its neutral element, so that the equations with and without cofactor agree.
///
/// # Errors
/// [`CryptoError::PublicKey`] or [`CryptoError::Signature`].
pub fn verify(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> Result<(), CryptoError> {
    check_public_key(key)?;
    let verifying = ed25519_dalek::VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| CryptoError::PublicKey)?;
    let signature = Signature::from_bytes(signature);
    if !is_prime_order_point(signature.r_bytes()) {
        return Err(CryptoError::Signature);
    }
    verifying
        .verify_strict(message, &signature)
        .map_err(|_| CryptoError::Signature)
}

/// Refuses a public key that is not canonical, not in the prime-order group, or its neutral element.
///
/// # Errors
/// [`CryptoError::PublicKey`].
pub fn check_public_key(key: &PublicKey) -> Result<(), CryptoError> {
    if is_prime_order_point(key.as_bytes()) {
        Ok(())
    } else {
        Err(CryptoError::PublicKey)
    }
}

fn is_prime_order_point(encoded: &[u8; 32]) -> bool {
    let Some(point) = CompressedEdwardsY(*encoded).decompress() else {
        return false;
    };
    let is_canonical = point.compress().as_bytes() == encoded;
    is_canonical && point.is_torsion_free() && !point.is_identity()
}

/// An Ed25519 signing key. Wiped when dropped; `Debug` shows the public half alone.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key whose RFC 8032 private key (seed) these 32 bytes are.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, for the key file.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs `message` (Ed25519, deterministic).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}
