//! What a registrar does: invite people, see who has posted keys, and sign them in once the proof is right (security.md 4.4).
//!
//! The secret of an invitation is kept beside it at the gateway in a box that only the registrar's own key opens. With it the
//! registrar checks the MAC over the posted keys; the gateway, which has neither, can plant no key of its own.

use sealpost_proto::api::{InviteRequest, InviteState, InviteSummary, PostedKeys};
use sealpost_proto::crypto::{constant_time_eq, sha256};
use sealpost_proto::encoding::Base64;
use sealpost_proto::enrolment::{EnrolmentString, Secret};
use sealpost_proto::id::{Address, Hash, InviteId, Kid, Label, PublicKey};
use sealpost_proto::key::{Body, SignedStatement, fingerprint};
use sealpost_sealed::{FAST, open_secret, seal_secret};

use crate::account::Account;
use crate::env::Env;
use crate::error::Error;
use crate::session::Session;

const KID_LEN: usize = 32;

/// Keys whose proof is right and that only lack the registrar's signature.
#[derive(Debug)]
pub struct Confirmable {
    /// The invitation.
    pub invite: InviteId,
    /// Whom it is for.
    pub address: Address,
    /// The invitee's identity key.
    pub identity: PublicKey,
    /// Safety number between the registrar and the invitee, to be compared by phone.
    pub safety_number: String,
    /// When the keys were posted.
    pub posted_at: u64,
    member: SignedStatement,
    device: SignedStatement,
}

/// Invites `to`: the gateway learns of the invitation, the returned string is handed over outside of it.
///
/// # Errors
/// [`Error`].
pub async fn invite(session: &Session, to: Address, lifetime: u64) -> Result<EnrolmentString, Error> {
    let (account, env) = (&session.account, &session.env);
    if account.registrar.is_none() {
        return Err(Error::NotRegistrar);
    }
    let string = EnrolmentString {
        at: account.at.clone(),
        org: account.org,
        directory_key: account.directory_key.clone(),
        to,
        invite: InviteId::from_bytes(env.draw()),
        secret: Secret::from_bytes(env.draw()),
    };
    let label = account.label_of(&string.to);
    let request = InviteRequest {
        invite: string.invite,
        label,
        address: string.to.clone(),
        expires_at: env.now() + lifetime,
        auth_sha256: Hash::from_bytes(sha256(&[&*string.secret.invite_auth(&string.invite)])),
        secret_box: Base64(seal_invite_secret(account, &string, &label, env)?),
    };
    session.api.invite(&request).await?;
    Ok(string)
}

/// All invitations, newest first, with addresses that their labels prove.
///
/// # Errors
/// [`Error::Mismatch`] if the gateway gives a label another address; [`Error::Api`].
pub async fn invitations(session: &Session) -> Result<Vec<InviteSummary>, Error> {
    let invites = session.api.invites().await?.invites;
    let is_proven = |invite: &InviteSummary| session.account.label_of(&invite.address) == invite.label;
    if invites.iter().all(is_proven) {
        Ok(invites)
    } else {
        Err(Error::Mismatch("the address of an invitation"))
    }
}

/// Checks everything that was posted to an invitation. None if nothing waits for confirmation.
///
/// # Errors
/// [`Error::NotTheInvitee`] when a proof is missing.
pub fn check_posted(account: &Account, invite: &InviteSummary) -> Result<Option<Confirmable>, Error> {
    if account.registrar.is_none() {
        return Err(Error::NotRegistrar);
    }
    let Some(posted) = invite.posted.as_ref().filter(|_| invite.state == InviteState::Posted) else {
        return Ok(None);
    };
    let refuse = |why| Error::NotTheInvitee(invite.address.clone(), why);
    let secret = open_invite_secret(account, invite).ok_or_else(|| refuse("its secret does not open with your key"))?;
    let (member, device) = statements(account, &invite.label, posted).ok_or_else(|| refuse("its statements"))?;
    let (
        Body::Member {
            identity, encryption, ..
        },
        Body::Device { key: device_key, .. },
    ) = (&member.statement().body, &device.statement().body)
    else {
        return Err(refuse("its statements"));
    };
    let mac = secret.invite_mac(&invite.invite, &invite.label, identity, encryption, device_key);
    if !constant_time_eq(&mac, &posted.mac.0) {
        return Err(refuse("its MAC"));
    }
    Ok(Some(Confirmable {
        invite: invite.invite,
        address: invite.address.clone(),
        identity: *identity,
        safety_number: fingerprint::safety_number(&account.identity.public(), identity),
        posted_at: posted.posted_at,
        member,
        device,
    }))
}

/// Signs checked keys as registrar and hands them to the directory.
///
/// # Errors
/// [`Error`].
pub async fn confirm(session: &Session, confirmable: Confirmable) -> Result<(), Error> {
    let registrar = session.account.registrar.as_ref().ok_or(Error::NotRegistrar)?;
    let Confirmable { mut member, device, .. } = confirmable;
    member.note_mut().sign_as("rk", registrar);
    let statements = vec![member.to_string(), device.to_string()];
    session.api.post_statements(statements).await?;
    Ok(())
}

/// Both statements, if they are the first of this label in this organisation, belong together, and are signed by the identity.
fn statements(account: &Account, label: &Label, posted: &PostedKeys) -> Option<(SignedStatement, SignedStatement)> {
    let member: SignedStatement = posted.member.parse().ok()?;
    let device: SignedStatement = posted.device.parse().ok()?;
    let Body::Member { identity, epoch, .. } = &member.statement().body else {
        return None;
    };
    let Body::Device { identity: owner, .. } = &device.statement().body else {
        return None;
    };
    let is_first = |signed: &SignedStatement| {
        let statement = signed.statement();
        statement.org == account.org && statement.label == Some(*label) && statement.seq == 1
    };
    let is_signed = |signed: &SignedStatement| signed.note().verify_as("ik", identity).is_ok();
    let is_right = owner == identity && *epoch == 1 && is_first(&member) && is_first(&device);
    (is_right && is_signed(&member) && is_signed(&device)).then_some((member, device))
}

/// `kid || HPKE box`, bound to the invitation and its label.
fn seal_invite_secret(account: &Account, string: &EnrolmentString, label: &Label, env: &Env) -> Result<Vec<u8>, Error> {
    let to = account.newest_encryption()?.key.public();
    let info = box_info(&string.invite, label, &to.kid());
    let sealed = seal_secret(FAST, to, &info, string.secret.as_bytes(), &mut env.rng());
    let sealed = sealed.map_err(|_| Error::Internal("HPKE"))?;
    Ok([&to.kid().as_bytes()[..], &sealed].concat())
}

fn open_invite_secret(account: &Account, invite: &InviteSummary) -> Option<Secret> {
    let (kid, sealed) = invite.secret_box.0.split_first_chunk::<KID_LEN>()?;
    let key = account.encryption_by_kid(&Kid::from_bytes(*kid))?;
    let info = box_info(&invite.invite, &invite.label, key.kid());
    let secret = open_secret(FAST, key, &info, sealed).ok()?;
    Some(Secret::from_bytes(secret.as_slice().try_into().ok()?))
}

fn box_info(invite: &InviteId, label: &Label, kid: &Kid) -> Vec<u8> {
    let parts: [&[u8]; 4] = [
        b"sealpost/v1/invite-secret\0",
        invite.as_bytes(),
        label.as_bytes(),
        kid.as_bytes(),
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrolment::tests::{invited, posted};

    fn summary(registrar: &Account, string: &EnrolmentString) -> InviteSummary {
        let (_, request) = posted(string);
        let label = registrar.label_of(&string.to);
        InviteSummary {
            invite: string.invite,
            label,
            address: string.to.clone(),
            expires_at: u64::MAX,
            state: InviteState::Posted,
            secret_box: Base64(seal_invite_secret(registrar, string, &label, &Env::system()).unwrap()),
            posted: Some(PostedKeys {
                member: request.member,
                device: request.device,
                mac: request.mac,
                posted_at: 1,
            }),
        }
    }

    #[test]
    fn the_invitees_keys_can_be_confirmed() {
        let (registrar, _, string) = invited();
        let invite = summary(&registrar, &string);
        let confirmable = check_posted(&registrar, &invite).unwrap().unwrap();
        assert_eq!(confirmable.address, string.to);
        let open = InviteSummary {
            state: InviteState::Open,
            posted: None,
            ..invite
        };
        assert!(check_posted(&registrar, &open).unwrap().is_none());
    }

    #[test]
    fn n104_keys_that_the_gateway_planted_are_refused() {
        let (registrar, _, string) = invited();
        let good = summary(&registrar, &string);
        let guess = EnrolmentString {
            secret: Secret::from_bytes([9; 32]),
            ..string.clone()
        };
        let planted = summary(&registrar, &guess).posted;
        let swapped_keys = InviteSummary {
            posted: planted,
            ..good.clone()
        };
        let mut mixed = good.clone();
        mixed.posted.as_mut().unwrap().device = summary(&registrar, &string).posted.unwrap().device;
        let mut other_invite = good.clone();
        other_invite.invite = InviteId::from_bytes([7; 16]);
        let (stranger, _, _) = invited();
        let other_box = InviteSummary {
            secret_box: summary(&stranger, &string).secret_box,
            ..good
        };
        for bad in [swapped_keys, mixed, other_invite, other_box] {
            let refused = check_posted(&registrar, &bad);
            assert!(matches!(refused, Err(Error::NotTheInvitee(..))), "{refused:?}");
        }
    }

    #[test]
    fn only_a_registrar_confirms() {
        let (mut account, _, string) = invited();
        let invite = summary(&account, &string);
        account.registrar = None;
        assert!(matches!(check_posted(&account, &invite), Err(Error::NotRegistrar)));
    }
}
