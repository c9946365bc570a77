//! X-Wing (HPKE KEM 0x647A): ML-KEM-768 and X25519 joined by SHA3-256, over a provider's X25519.
//!
//! HPKE's `DeriveKeyPair` is never used: implementations disagree on it. A key is 32 random bytes, expanded by SHAKE256.

use ml_kem::kem::{Decapsulate, KeyExport, KeyInit, TryKeyInit};
use ml_kem::ml_kem_768::{Ciphertext, DecapsulationKey, EncapsulationKey};
use sealpost_proto::crypto::xwing_x25519_part_is_sound;
use sha3::{Digest, Sha3_256};
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use zeroize::Zeroizing;

use crate::provider::{CryptoFailure, Provider};

/// Length of a public key.
pub(crate) const PUBLIC_LEN: usize = 1216;
/// Length of an encapsulation.
pub(crate) const ENC_LEN: usize = 1120;

const ML_KEM_PUBLIC_LEN: usize = 1184;
const ML_KEM_CT_LEN: usize = 1088;
const LABEL: &[u8; 6] = br"\.//^\";

type Shared = Zeroizing<[u8; 32]>;

struct Expanded {
    ml_kem: DecapsulationKey,
    x25519: Zeroizing<[u8; 32]>,
}

fn expand(seed: &[u8; 32]) -> Expanded {
    let mut hash = Shake256::default();
    hash.update(seed);
    let mut reader = hash.finalize_xof();
    let mut ml_kem_seed = Zeroizing::new([0; 64]);
    let mut x25519 = Zeroizing::new([0; 32]);
    reader.read(&mut *ml_kem_seed);
    reader.read(&mut *x25519);
    Expanded {
        ml_kem: DecapsulationKey::new((&*ml_kem_seed).into()),
        x25519,
    }
}

/// The public key of a seed.
pub(crate) fn public_key(provider: &dyn Provider, seed: &[u8; 32]) -> Result<[u8; PUBLIC_LEN], CryptoFailure> {
    let key = expand(seed);
    let ml_kem = key.ml_kem.encapsulation_key().to_bytes();
    join(&ml_kem, &provider.x25519_public(&key.x25519)?)
}

/// Encapsulates to a public key with 64 random bytes. Refuses a key that fails ML-KEM's modulus check (FIPS 203, 7.2) or whose
/// X25519 part implementations disagree on.
pub(crate) fn encapsulate(
    provider: &dyn Provider,
    public: &[u8; PUBLIC_LEN],
    randomness: &[u8; 64],
) -> Result<([u8; ENC_LEN], Shared), CryptoFailure> {
    if !xwing_x25519_part_is_sound(public) {
        return Err(CryptoFailure);
    }
    let (for_ml_kem, ephemeral) = split::<32, 32>(randomness)?;
    let (_, public_x) = split::<ML_KEM_PUBLIC_LEN, 32>(public)?;
    let (ct_m, ss_m) = ml_kem_public(public)?.encapsulate_deterministic(for_ml_kem.into());
    let ss_m = Zeroizing::new(<[u8; 32]>::from(ss_m));
    let ct_x = provider.x25519_public(ephemeral)?;
    let ss_x = provider.x25519(ephemeral, public_x)?;
    Ok((join(&ct_m, &ct_x)?, combine(&ss_m, &ss_x, &ct_x, public_x)))
}

/// Opens an encapsulation.
pub(crate) fn decapsulate(
    provider: &dyn Provider,
    seed: &[u8; 32],
    enc: &[u8; ENC_LEN],
) -> Result<Shared, CryptoFailure> {
    if !xwing_x25519_part_is_sound(enc) {
        return Err(CryptoFailure);
    }
    let key = expand(seed);
    let (ct_m, ct_x) = split::<ML_KEM_CT_LEN, 32>(enc)?;
    let ss_m = key.ml_kem.decapsulate(&Ciphertext::from(*ct_m));
    let ss_m = Zeroizing::new(<[u8; 32]>::from(ss_m));
    let ss_x = provider.x25519(&key.x25519, ct_x)?;
    let public_x = provider.x25519_public(&key.x25519)?;
    Ok(combine(&ss_m, &ss_x, ct_x, &public_x))
}

fn combine(ss_m: &[u8; 32], ss_x: &[u8; 32], ct_x: &[u8; 32], public_x: &[u8; 32]) -> Shared {
    let mut hash = Sha3_256::new();
    for part in [ss_m, ss_x, ct_x, public_x] {
        Digest::update(&mut hash, part);
    }
    Digest::update(&mut hash, LABEL);
    Zeroizing::new(hash.finalize().into())
}

fn ml_kem_public(public: &[u8; PUBLIC_LEN]) -> Result<EncapsulationKey, CryptoFailure> {
    let (ml_kem, _) = split::<ML_KEM_PUBLIC_LEN, 32>(public)?;
    TryKeyInit::new(ml_kem.into()).map_err(|_| CryptoFailure)
}

fn split<const A: usize, const B: usize>(bytes: &[u8]) -> Result<(&[u8; A], &[u8; B]), CryptoFailure> {
    let (head, tail) = bytes.split_first_chunk::<A>().ok_or(CryptoFailure)?;
    Ok((head, tail.try_into().map_err(|_| CryptoFailure)?))
}

fn join<const N: usize>(head: &[u8], tail: &[u8; 32]) -> Result<[u8; N], CryptoFailure> {
    [head, tail].concat().try_into().map_err(|_| CryptoFailure)
}

#[cfg(test)]
mod tests {
    use sealpost_proto::encoding::unhex_array;
    use serde_json::Value;

    use super::*;
    use crate::provider::{FAST, PORTABLE};

    #[test]
    fn published_vectors_with_both_providers() {
        let document: Value = serde_json::from_str(include_str!("../../../proto/vectors/x-wing.json")).unwrap();
        let vectors = document["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 3);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().unwrap();
            let seed = unhex_array(text("seed")).unwrap();
            let public: [u8; PUBLIC_LEN] = unhex_array(text("pk")).unwrap();
            let enc: [u8; ENC_LEN] = unhex_array(text("ct")).unwrap();
            let shared: [u8; 32] = unhex_array(text("ss")).unwrap();
            for provider in [FAST, PORTABLE] {
                assert_eq!(public_key(provider, &seed), Ok(public));
                let made = encapsulate(provider, &public, &unhex_array(text("eseed")).unwrap()).unwrap();
                assert_eq!(made, (enc, Zeroizing::new(shared)));
                assert_eq!(*decapsulate(provider, &seed, &enc).unwrap(), shared);
            }
        }
    }

    #[test]
    fn unsound_x25519_parts_are_refused_before_anything_is_computed() {
        let seed = [7; 32];
        let public = public_key(PORTABLE, &seed).unwrap();
        let (enc, _) = encapsulate(PORTABLE, &public, &[9; 64]).unwrap();
        for last in [[0_u8; 32], [0xff; 32]] {
            let mut bad = enc;
            bad[ML_KEM_CT_LEN..].copy_from_slice(&last);
            assert_eq!(decapsulate(FAST, &seed, &bad), Err(CryptoFailure));
            let mut bad = public;
            bad[ML_KEM_PUBLIC_LEN..].copy_from_slice(&last);
            assert_eq!(encapsulate(FAST, &bad, &[9; 64]), Err(CryptoFailure));
        }
    }
}
