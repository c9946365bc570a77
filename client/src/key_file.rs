//! The sealed form of key files (security.md 2.4): `keys.spk` of a client and the file of an organisation's root.
//!
//! `"SPKEY\x01" || u32 m_KiB || u8 t || u8 p || salt(16) || nonce(12) || AES-256-GCM ciphertext || tag(16)`, big-endian. The key
//! is Argon2id of the passphrase; everything before the ciphertext is authenticated with it. Contents are the caller's.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::env::Env;

const MAGIC: &[u8; 6] = b"SPKEY\x01";
const HEAD_LEN: usize = 40;
const TAG_LEN: usize = 16;

/// Longest key file, in bytes.
pub const MAX_LEN: u64 = 64 * 1024;

/// Fewest characters of a passphrase.
pub const MIN_PASSPHRASE: usize = 12;

/// Why a key file was not made or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFileError {
    /// Not a key file of this version.
    #[error("The file is not a Sealpost key file of version 1; check the path, or restore the file from your backup.")]
    Form,
    /// Its cost of Argon2id is below the floor or above the ceiling: somebody changed it.
    #[error(
        "The key file asks for a password hash weaker or dearer than Sealpost allows, so somebody has changed it; restore it from your backup."
    )]
    Cost,
    /// The passphrase is wrong, or the file was altered; nobody can tell which.
    #[error("The passphrase is wrong or the key file is damaged; try again, or restore the file from your backup.")]
    Passphrase,
    /// The passphrase is too short.
    #[error(
        "The passphrase is shorter than 12 characters, so a stolen key file could be opened by guessing; choose a longer one."
    )]
    ShortPassphrase,
    /// Argon2id or AES-GCM failed, most likely for want of memory.
    #[error(
        "The key file could not be processed, most likely because 64 MiB of memory are not free; close other programs and try again."
    )]
    Failed,
}

/// Cost of Argon2id with one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub m_kib: u32,
    /// Passes.
    pub t: u8,
}

impl Cost {
    /// The cost of new files: 64 MiB, 3 passes.
    pub const DEFAULT: Self = Self { m_kib: 65_536, t: 3 };

    /// 19 MiB to 1 GiB and 2 to 10 passes: below, guessing is cheap; above, opening is a trap.
    fn check(self) -> Result<Self, KeyFileError> {
        let is_allowed = (19_456..=1_048_576).contains(&self.m_kib) && (2..=10).contains(&self.t);
        is_allowed.then_some(self).ok_or(KeyFileError::Cost)
    }
}

/// Seals `plaintext` under a passphrase.
///
/// # Errors
/// [`KeyFileError::ShortPassphrase`], [`KeyFileError::Cost`] or [`KeyFileError::Failed`].
pub fn seal(plaintext: &[u8], passphrase: &str, cost: Cost, env: &Env) -> Result<Vec<u8>, KeyFileError> {
    if passphrase.chars().count() < MIN_PASSPHRASE {
        return Err(KeyFileError::ShortPassphrase);
    }
    let cost = cost.check()?;
    let salt: [u8; 16] = env.draw();
    let nonce: [u8; 12] = env.draw();
    let head = [&MAGIC[..], &cost.m_kib.to_be_bytes(), &[cost.t, 1], &salt, &nonce].concat();
    let key = derive(passphrase, &salt, cost)?;
    let mut sealed = plaintext.to_vec();
    let tag = aead(&key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&head), &mut sealed)
        .map_err(|_| KeyFileError::Failed)?;
    Ok([&head, &sealed, tag.as_ref()].concat())
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`KeyFileError::Form`], [`KeyFileError::Cost`], [`KeyFileError::Passphrase`] or [`KeyFileError::Failed`].
pub fn open(file: &[u8], passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let (head, sealed) = file.split_first_chunk::<HEAD_LEN>().ok_or(KeyFileError::Form)?;
    let (cost, salt, nonce) = read_head(head)?;
    let key = derive(passphrase, &salt, cost)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let len = aead(&key)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut buffer)
        .map_err(|_| KeyFileError::Passphrase)?
        .len();
    debug_assert_eq!(len + TAG_LEN, buffer.len());
    buffer.truncate(len);
    Ok(buffer)
}

fn read_head(head: &[u8; HEAD_LEN]) -> Result<(Cost, [u8; 16], [u8; 12]), KeyFileError> {
    let rest = head.strip_prefix(MAGIC).ok_or(KeyFileError::Form)?;
    let (m_kib, rest) = rest.split_first_chunk::<4>().ok_or(KeyFileError::Form)?;
    let ([t, lanes], rest) = rest.split_first_chunk::<2>().ok_or(KeyFileError::Form)?;
    let (salt, rest) = rest.split_first_chunk::<16>().ok_or(KeyFileError::Form)?;
    let nonce = rest.try_into().map_err(|_| KeyFileError::Form)?;
    if *lanes != 1 {
        return Err(KeyFileError::Cost);
    }
    let m_kib = u32::from_be_bytes(*m_kib);
    Ok((Cost { m_kib, t: *t }.check()?, *salt, nonce))
}

fn derive(passphrase: &str, salt: &[u8; 16], cost: Cost) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let params = Params::new(cost.m_kib, u32::from(cost.t), 1, Some(32)).map_err(|_| KeyFileError::Cost)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .map_err(|_| KeyFileError::Failed)?;
    Ok(key)
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, KeyFileError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| KeyFileError::Failed)?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { m_kib: 19_456, t: 2 };
    const PASSPHRASE: &str = "correct horse battery";

    fn sealed() -> Vec<u8> {
        seal(b"contents", PASSPHRASE, CHEAP, &Env::system()).unwrap()
    }

    #[test]
    fn opens_with_its_passphrase_alone() {
        let file = sealed();
        assert_eq!(&*open(&file, PASSPHRASE).unwrap(), b"contents");
        assert_eq!(open(&file, "another passphrase"), Err(KeyFileError::Passphrase));
        assert_ne!(file, sealed(), "fresh salt and nonce every time");
    }

    #[test]
    fn refuses_short_passphrases() {
        let short = seal(b"x", "eleven char", CHEAP, &Env::system());
        assert_eq!(short, Err(KeyFileError::ShortPassphrase));
    }

    #[test]
    fn enforces_floor_and_ceiling_when_reading_and_writing() {
        let with = |m_kib: u32, t: u8, p: u8| {
            let mut file = sealed();
            file[6..10].copy_from_slice(&m_kib.to_be_bytes());
            file[10] = t;
            file[11] = p;
            open(&file, PASSPHRASE)
        };
        for (m, t, p) in [
            (19_455, 2, 1),
            (1_048_577, 2, 1),
            (19_456, 1, 1),
            (19_456, 11, 1),
            (19_456, 2, 2),
        ] {
            assert_eq!(with(m, t, p), Err(KeyFileError::Cost), "m {m}, t {t}, p {p}");
        }
        let weak = Cost { m_kib: 8, t: 1 };
        assert_eq!(seal(b"x", PASSPHRASE, weak, &Env::system()), Err(KeyFileError::Cost));
    }

    #[test]
    fn every_byte_is_authenticated() {
        let file = sealed();
        let cost_bytes = 6..12;
        for at in (0..file.len()).filter(|at| !cost_bytes.contains(at)).step_by(5) {
            let mut bad = file.clone();
            bad[at] ^= 1;
            assert!(open(&bad, PASSPHRASE).is_err(), "byte {at}");
        }
        let mut dearer = file.clone();
        dearer[10] = 3;
        assert_eq!(open(&dearer, PASSPHRASE), Err(KeyFileError::Passphrase));
        for len in [0, 5, HEAD_LEN, file.len() - 1] {
            assert!(open(&file[..len], PASSPHRASE).is_err(), "{len} bytes");
        }
    }
}
