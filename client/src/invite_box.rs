//! The registrar's copy of an invitation's secret, as the gateway keeps it: opaque to the gateway, and made by nobody else.
//!
//! `salt(32) || AES-256-GCM ciphertext(32) || tag(16)`. Key and IV come from the client's state key, the salt, and the terms of the
//! invitation: who cannot make such a box cannot choose the secret under which posted keys are checked, and no box opens under
//! another person's terms or a longer time. Never HPKE: to a public key anybody can seal (docs/decisions/0010).

use sealpost_proto::crypto::kdf;
use sealpost_proto::enrolment::Secret;
use sealpost_proto::id::{Address, InviteId, Label};
use sealpost_sealed::FAST;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::error::Error;

const SALT_LEN: usize = 32;
const SECRET_LEN: usize = 32;

/// What an invitation says, beside its secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) invite: &'a InviteId,
    pub(crate) label: &'a Label,
    pub(crate) address: &'a Address,
    /// Unix seconds.
    pub(crate) expires_at: u64,
}

impl Terms<'_> {
    /// Key and IV. All parts but the last have one length, so no two terms give the same bytes.
    fn keys(&self, state_key: &Secret, salt: &[u8; SALT_LEN]) -> Zeroizing<[u8; 44]> {
        let expires_at = self.expires_at.to_be_bytes();
        let info: [&[u8]; 5] = [
            b"sealpost/v1/invite-box\0",
            self.invite.as_bytes(),
            self.label.as_bytes(),
            &expires_at,
            self.address.as_str().as_bytes(),
        ];
        kdf(state_key.as_bytes(), salt, &info)
    }
}

/// Seals an invitation's secret.
///
/// # Errors
/// [`Error::Internal`] when the cryptographic library fails.
pub(crate) fn seal(state_key: &Secret, terms: Terms<'_>, secret: &Secret, env: &Env) -> Result<Vec<u8>, Error> {
    let failed = Error::Internal("sealing an invitation");
    let salt = env.draw();
    let keys = terms.keys(state_key, &salt);
    let mut sealed = Zeroizing::new(secret.as_bytes().to_vec());
    let tag = match split(&keys) {
        Some((key, iv)) => FAST.aead_seal(key, iv, &mut sealed).map_err(|_| failed)?,
        None => return Err(failed),
    };
    Ok([&salt[..], &sealed, &tag].concat())
}

/// Opens a box that was made with this state key, for exactly these terms; none for any other.
pub(crate) fn open(state_key: &Secret, terms: Terms<'_>, sealed: &[u8]) -> Option<Secret> {
    let (salt, sealed) = sealed.split_first_chunk::<SALT_LEN>()?;
    let keys = terms.keys(state_key, salt);
    let (key, iv) = split(&keys)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    FAST.aead_open(key, iv, &mut buffer).ok()?;
    let is_whole = buffer.len() == SECRET_LEN + 16;
    let secret: [u8; SECRET_LEN] = *buffer.first_chunk().filter(|_| is_whole)?;
    Some(Secret::from_bytes(secret))
}

fn split(keys: &[u8; 44]) -> Option<(&[u8; 32], &[u8; 12])> {
    Some((keys.first_chunk()?, keys.last_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_under_its_own_terms_and_key_alone() {
        let (env, key) = (Env::system(), Secret::from_bytes([1; 32]));
        let invites = [InviteId::from_bytes([2; 16]), InviteId::from_bytes([3; 16])];
        let labels = [Label::from_bytes([4; 32]), Label::from_bytes([5; 32])];
        let addresses: [Address; 2] = ["a@b.example".parse().unwrap(), "c@b.example".parse().unwrap()];
        let terms = |invite: usize, label: usize, address: usize, expires_at| Terms {
            invite: &invites[invite],
            label: &labels[label],
            address: &addresses[address],
            expires_at,
        };
        let secret = Secret::from_bytes([6; 32]);
        let sealed = seal(&key, terms(0, 0, 0, 9), &secret, &env).unwrap();
        let opened = open(&key, terms(0, 0, 0, 9), &sealed).unwrap();
        assert_eq!(opened.as_bytes(), secret.as_bytes());
        assert_ne!(
            sealed,
            seal(&key, terms(0, 0, 0, 9), &secret, &env).unwrap(),
            "a fresh salt"
        );
        for other in [
            terms(1, 0, 0, 9),
            terms(0, 1, 0, 9),
            terms(0, 0, 1, 9),
            terms(0, 0, 0, 10),
        ] {
            assert!(open(&key, other, &sealed).is_none(), "{other:?}");
        }
        assert!(open(&Secret::from_bytes([7; 32]), terms(0, 0, 0, 9), &sealed).is_none());
        for len in 0..sealed.len() {
            assert!(open(&key, terms(0, 0, 0, 9), &sealed[..len]).is_none(), "{len}");
        }
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(open(&key, terms(0, 0, 0, 9), &altered).is_none(), "{at}");
        }
    }
}
