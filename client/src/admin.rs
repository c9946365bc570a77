//! What a registrar does: invite people, see who has posted keys, and sign them in once the proof is right (security.md 4.4).
//!
//! The secret of an invitation is kept beside it at the gateway in a box that only the registrar's own key file makes and opens,
//! bound to whom it is for and until when. With it the registrar checks the MAC over the posted keys; the gateway, which has
//! neither, can plant no key of its own.

pub mod services;

use sealpost_proto::api::{InviteRequest, InviteState, InviteSummary, PostedKeys};
use sealpost_proto::crypto::{constant_time_eq, sha256};
use sealpost_proto::encoding::Base64;
use sealpost_proto::enrolment::{EnrolmentString, Secret};
use sealpost_proto::id::{Address, Hash, InviteId, Label, PublicKey};
use sealpost_proto::key::{Body, SignedStatement, Validity, fingerprint};
use sealpost_proto::problem::ProblemKind;

use crate::account::{Account, check_number};
use crate::error::Error;
use crate::invite_box::{self, Terms};
use crate::session::Session;

/// Longest validity of posted keys that is signed, and latest end from now on, in seconds: what this client makes itself
/// ([`crate::founding`]), and a day for clocks that differ.
const MAX_VALIDITY: u64 = 366 * 86_400;

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
    /// What the invitee sees as well before being signed in, to be compared by phone.
    pub check_number: String,
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
    let expires_at = env.now() + lifetime;
    let terms = Terms {
        invite: &string.invite,
        label: &label,
        address: &string.to,
        expires_at,
    };
    let request = InviteRequest {
        invite: string.invite,
        label,
        address: string.to.clone(),
        expires_at,
        auth_sha256: Hash::from_bytes(sha256(&[&*string.secret.invite_auth(&string.invite)])),
        secret_box: Base64(invite_box::seal(&account.state_key, terms, &string.secret, env)?),
    };
    let answer = session.api.invite(&request).await;
    answer.map_err(|error| match error.kind() {
        Some(ProblemKind::AlreadyEnrolled) => Error::HasKeys(string.to.clone()),
        _ => error.into(),
    })?;
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

/// Checks everything that was posted to an invitation, at `now`. None if nothing waits for confirmation.
///
/// # Errors
/// [`Error::NotTheInvitee`] when a proof is missing.
pub fn check_posted(account: &Account, invite: &InviteSummary, now: u64) -> Result<Option<Confirmable>, Error> {
    if account.registrar.is_none() {
        return Err(Error::NotRegistrar);
    }
    let Some(posted) = invite.posted.as_ref().filter(|_| invite.state == InviteState::Posted) else {
        return Ok(None);
    };
    let refuse = |why| Error::NotTheInvitee(invite.address.clone(), why);
    if account.label_of(&invite.address) != invite.label {
        return Err(refuse("its address is not the one of its label"));
    }
    let secret = open_box(account, invite)
        .ok_or_else(|| refuse("this key file did not make this invitation with this address and time"))?;
    // The box vouches for the time limit. When the keys came is the gateway's word: one that lies about it gains nothing but time
    // for the invited person, because the MAC below needs the secret all the same.
    if posted.posted_at > invite.expires_at {
        return Err(refuse("its keys came after its time"));
    }
    let (member, device) = statements(account, &invite.label, posted).ok_or_else(|| refuse("its statements"))?;
    let (
        Body::Member {
            identity,
            encryption,
            valid: member_valid,
            ..
        },
        Body::Device {
            key: device_key,
            valid: device_valid,
            ..
        },
    ) = (&member.statement().body, &device.statement().body)
    else {
        return Err(refuse("its statements"));
    };
    if !is_usual(member_valid, now) || !is_usual(device_valid, now) {
        return Err(refuse("its keys would be valid for more than a year"));
    }
    let mac = secret.invite_mac(&invite.invite, &invite.label, identity, encryption, device_key);
    if !constant_time_eq(&mac, &posted.mac.0) {
        return Err(refuse("its MAC"));
    }
    Ok(Some(Confirmable {
        invite: invite.invite,
        address: invite.address.clone(),
        identity: *identity,
        safety_number: fingerprint::safety_number(&account.identity.public(), identity),
        check_number: check_number(&account.org, identity),
        posted_at: posted.posted_at,
        member,
        device,
    }))
}

/// Whether keys are valid for no longer than this client would make them, from now on and in all.
fn is_usual(valid: &Validity, now: u64) -> bool {
    let length = valid.not_after.checked_sub(valid.not_before);
    length.is_some_and(|length| length <= MAX_VALIDITY) && valid.not_after <= now.saturating_add(MAX_VALIDITY)
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

/// The secret, if this key file sealed it for exactly what the gateway says of the invitation.
fn open_box(account: &Account, invite: &InviteSummary) -> Option<Secret> {
    let terms = Terms {
        invite: &invite.invite,
        label: &invite.label,
        address: &invite.address,
        expires_at: invite.expires_at,
    };
    invite_box::open(&account.state_key, terms, &invite.secret_box.0)
}

#[cfg(test)]
mod tests;
