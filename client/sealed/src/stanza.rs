//! Wrapping the transfer secret for a key or a link, and unwrapping it.

use rand_core::CryptoRng;
use sealpost_proto::id::Kid;
use sealpost_proto::key::EncryptionPublicKey;
use sealpost_proto::sealed::{Argon2Params, HpkeStanza, LinkKdf, LinkStanza, Reason, Role};

use crate::encryption_key::EncryptionKey;
use crate::hpke::{open_secret, seal_secret};
use crate::link::LinkKey;
use crate::provider::{CryptoFailure, Provider};
use crate::schedule::TransferSecret;

/// `"sealpost/v1/stanza\0" || HH || kid || u8 role`.
fn info(header_hash: &[u8; 32], kid: &Kid, role: Role) -> Vec<u8> {
    [
        &b"sealpost/v1/stanza\0"[..],
        header_hash,
        kid.as_bytes(),
        &[role.as_u8()],
    ]
    .concat()
}

pub(crate) fn wrap_for_key(
    provider: &dyn Provider,
    header_hash: &[u8; 32],
    secret: &TransferSecret,
    to: &EncryptionPublicKey,
    role: Role,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<HpkeStanza, CryptoFailure> {
    let kid = to.kid();
    let info = info(header_hash, &kid, role);
    let sealed = seal_secret(provider, to, &info, secret.as_bytes(), rng)?;
    let (enc, ct) = sealed.split_first_chunk().ok_or(CryptoFailure)?;
    Ok(HpkeStanza {
        role,
        kid,
        enc: Box::new(*enc),
        ct: ct.try_into().map_err(|_| CryptoFailure)?,
    })
}

pub(crate) fn unwrap_with_key(
    provider: &dyn Provider,
    header_hash: &[u8; 32],
    stanza: &HpkeStanza,
    key: &EncryptionKey,
) -> Result<TransferSecret, Reason> {
    let info = info(header_hash, key.kid(), stanza.role);
    let sealed = [&stanza.enc[..], &stanza.ct].concat();
    let secret = open_secret(provider, key, &info, &sealed).map_err(|_| Reason::Key)?;
    let secret = secret.as_slice().try_into().map_err(|_| Reason::Key)?;
    Ok(TransferSecret::from_bytes(secret))
}

/// Wraps for a link; words cost Argon2id with `params`.
pub(crate) fn wrap_for_link(
    provider: &dyn Provider,
    header_hash: &[u8; 32],
    secret: &TransferSecret,
    link: &LinkKey,
    params: Argon2Params,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<LinkStanza, CryptoFailure> {
    let kdf = if link.has_words() {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        LinkKdf::Argon2id { params, salt }
    } else {
        LinkKdf::None
    };
    let mut wrap_salt = [0; 32];
    rng.fill_bytes(&mut wrap_salt);
    let keys = link.key_material(&kdf)?.wrap(header_hash, &wrap_salt);
    let mut ct = [0; 48];
    let (buffer, tag) = ct.split_last_chunk_mut().ok_or(CryptoFailure)?;
    buffer.copy_from_slice(secret.as_bytes());
    *tag = provider.aead_seal(keys.key(), keys.iv(), buffer)?;
    Ok(LinkStanza {
        link_id: link.link_id(),
        kdf,
        wrap_salt,
        ct,
    })
}

pub(crate) fn unwrap_with_link(
    provider: &dyn Provider,
    header_hash: &[u8; 32],
    stanza: &LinkStanza,
    link: &LinkKey,
) -> Result<TransferSecret, Reason> {
    let material = link.key_material(&stanza.kdf).map_err(|_| Reason::Key)?;
    let keys = material.wrap(header_hash, &stanza.wrap_salt);
    let mut buffer = zeroize::Zeroizing::new(stanza.ct);
    provider
        .aead_open(keys.key(), keys.iv(), &mut *buffer)
        .map_err(|_| Reason::Key)?;
    let secret = buffer.first_chunk().ok_or(Reason::Key)?;
    Ok(TransferSecret::from_bytes(secret))
}
