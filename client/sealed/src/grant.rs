//! Granting: a holder of the transfer secret wraps it for one more key and signs for it (sealed-transfer.md, "Grants").

use rand_core::CryptoRng;
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::sealed::{Argon2Params, Grant, GrantTerms, Header, Role, Stanza};

use crate::provider::Provider;
use crate::schedule::TransferSecret;
use crate::sealer::{Recipient, SealError};
use crate::stanza::{wrap_for_key, wrap_for_link};

/// Makes the stanza for a new key or link, and the grant that carries it. It needs no gateway share.
///
/// # Errors
/// [`SealError::Refused`] when the rules do not allow the grant: the purpose does not fit the recipient, the transfer is not to
/// be forwarded, or the time lies outside its life; [`SealError::Recipient`] when the new key is not valid.
pub fn make_grant(
    provider: &dyn Provider,
    header: &Header,
    secret: &TransferSecret,
    to: &Recipient,
    terms: GrantTerms,
    device: &SigningKey,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(Grant, Stanza), SealError> {
    let hash = header.hash();
    let stanza = match to {
        Recipient::Key { key, .. } => wrap_for_key(provider, &hash, secret, key, Role::Forwarded, rng)
            .map(Stanza::Hpke)
            .map_err(|_| SealError::Recipient(key.kid()))?,
        Recipient::Link { key } => {
            Stanza::Link(wrap_for_link(provider, &hash, secret, key, Argon2Params::DEFAULT, rng)?)
        }
    };
    let grant = Grant::sign(header, &stanza, terms, device).map_err(SealError::Refused)?;
    Ok((grant, stanza))
}
