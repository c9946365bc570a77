//! HPKE (RFC 9180), mode Base, one message: KEM X-Wing 0x647A, HKDF-SHA-256, AES-256-GCM, no associated data.
//!
//! The schedule stands here, over the provider's primitives, because the `hpke` crate's KEM trait demands a `DeriveKeyPair`
//! (which must not be called, see [`crate::xwing`]) and brings an AES of its own; that crate is the oracle of the tests.

use rand_core::CryptoRng;
use sealpost_proto::crypto::{XWING_KEM_ID, hmac_sha256};
use sealpost_proto::key::EncryptionPublicKey;
use zeroize::Zeroizing;

use crate::encryption_key::EncryptionKey;
use crate::provider::{CryptoFailure, Provider};
use crate::xwing::{ENC_LEN, decapsulate, encapsulate};

const KDF_HKDF_SHA256: u16 = 0x0001;
const AEAD_AES_256_GCM: u16 = 0x0002;
const MODE_BASE: u8 = 0;
const TAG_LEN: usize = 16;

/// Seals a short secret to an encryption key under a caller's `info`: `enc(1120) || ciphertext || tag(16)`.
///
/// # Errors
/// [`CryptoFailure`] when the public key is not one of ML-KEM, or the cryptographic library fails.
pub fn seal_secret(
    provider: &dyn Provider,
    to: &EncryptionPublicKey,
    info: &[u8],
    secret: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, CryptoFailure> {
    let mut randomness = Zeroizing::new([0; 64]);
    rng.fill_bytes(&mut *randomness);
    let (enc, shared) = encapsulate(provider, to.as_bytes(), &randomness)?;
    let (key, iv) = schedule(&suite_id(XWING_KEM_ID), &shared, info);
    let mut buffer = Zeroizing::new(secret.to_vec());
    let tag = provider.aead_seal(&key, &iv, &mut buffer)?;
    Ok([&enc[..], &buffer, &tag].concat())
}

/// Opens what [`seal_secret`] made under the same `info`.
///
/// # Errors
/// [`CryptoFailure`] for anything else, with no more told.
pub fn open_secret(
    provider: &dyn Provider,
    key: &EncryptionKey,
    info: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoFailure> {
    let (enc, ciphertext) = sealed.split_first_chunk::<ENC_LEN>().ok_or(CryptoFailure)?;
    let plaintext_len = ciphertext.len().checked_sub(TAG_LEN).ok_or(CryptoFailure)?;
    let shared = decapsulate(provider, key.seed(), enc)?;
    let (key, iv) = schedule(&suite_id(XWING_KEM_ID), &shared, info);
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    provider.aead_open(&key, &iv, &mut buffer)?;
    buffer.truncate(plaintext_len);
    Ok(buffer)
}

type SuiteId = [u8; 10];

fn suite_id(kem: u16) -> SuiteId {
    let [k0, k1] = kem.to_be_bytes();
    let [f0, f1] = KDF_HKDF_SHA256.to_be_bytes();
    let [a0, a1] = AEAD_AES_256_GCM.to_be_bytes();
    [b'H', b'P', b'K', b'E', k0, k1, f0, f1, a0, a1]
}

/// RFC 9180, 5.1, mode Base: key and IV of the first message.
fn schedule(suite: &SuiteId, shared: &[u8; 32], info: &[u8]) -> (Zeroizing<[u8; 32]>, [u8; 12]) {
    // Extracting with an empty salt is HMAC under a key of zeros (RFC 5869, 2.2).
    let psk_id_hash = labeled_extract(suite, &[0; 32], b"psk_id_hash", &[]);
    let info_hash = labeled_extract(suite, &[0; 32], b"info_hash", info);
    let context = [&[MODE_BASE], &psk_id_hash[..], &info_hash[..]].concat();
    let secret = labeled_extract(suite, shared, b"secret", &[]);
    let key = labeled_expand::<32>(suite, &secret, b"key", &context);
    let iv = labeled_expand::<12>(suite, &secret, b"base_nonce", &context);
    (key, *iv)
}

fn labeled_extract(suite: &SuiteId, salt: &[u8; 32], label: &[u8], ikm: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(hmac_sha256(salt, &[b"HPKE-v1", suite, label, ikm]))
}

/// At most 32 bytes: the first block of HKDF-Expand.
fn labeled_expand<const N: usize>(suite: &SuiteId, prk: &[u8; 32], label: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 32, "one block of HMAC-SHA-256") };
    let len = u16::try_from(N).unwrap_or(u16::MAX).to_be_bytes();
    let block = Zeroizing::new(hmac_sha256(prk, &[&len, b"HPKE-v1", suite, label, info, &[1]]));
    let mut out = Zeroizing::new([0; N]);
    for (place, byte) in out.iter_mut().zip(*block) {
        *place = byte;
    }
    out
}

#[cfg(test)]
mod tests {
    use hpke::kem::X25519HkdfSha256;
    use hpke::{Deserializable, Kem, OpModeR};
    use serde_json::Value;

    use super::*;
    use crate::provider::{FAST, PORTABLE};

    fn vectors() -> Vec<Value> {
        let text = include_str!("../../../proto/vectors/hpke-base.json");
        let document: Value = serde_json::from_str(text).unwrap();
        document["vectors"].as_array().unwrap().clone()
    }

    fn unhex(value: &Value) -> Vec<u8> {
        sealpost_proto::encoding::unhex(value.as_str().unwrap()).unwrap()
    }

    #[test]
    fn schedule_of_rfc_9180_a_2_1() {
        let vector = &vectors()[0];
        // The published vector is for another cipher with a key of the same length.
        let mut suite = suite_id(0x0020);
        suite[9] = 3;
        let shared = unhex(&vector["shared_secret"]).try_into().unwrap();
        let (key, iv) = schedule(&suite, &shared, &unhex(&vector["info"]));
        assert_eq!(key.to_vec(), unhex(&vector["key"]));
        assert_eq!(iv.to_vec(), unhex(&vector["base_nonce"]));
    }

    #[test]
    fn schedule_of_rfc_9180_with_aes_256_gcm() {
        let vector = &vectors()[1];
        let info = unhex(&vector["info"]);
        let sk = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&unhex(&vector["skRm"])).unwrap();
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&unhex(&vector["enc"])).unwrap();
        let shared = X25519HkdfSha256::decap(&sk, None, &enc).unwrap();
        let (key, iv) = schedule(&suite_id(0x0020), &shared.0.into(), &info);
        for provider in [FAST, PORTABLE] {
            let mut buffer = b"Beauty is truth".to_vec();
            let tag = provider.aead_seal(&key, &iv, &mut buffer).unwrap();
            buffer.extend_from_slice(&tag);
            let opened = hpke::single_shot_open::<hpke::aead::AesGcm256, hpke::kdf::HkdfSha256, X25519HkdfSha256>(
                &OpModeR::Base,
                &sk,
                &enc,
                &info,
                &buffer,
                b"",
            );
            assert_eq!(opened.unwrap(), b"Beauty is truth");
        }
    }
}
