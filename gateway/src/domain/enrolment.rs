//! Enrolment: invitations, and the keys that invitees post to them.
//!
//! The gateway can neither read an invitation's secret nor make the MAC over the posted keys; it only keeps both for the
//! registrar, whose client verifies them before it signs.

use sealpost_proto::api::{InviteRequest, InviteState, MAX_INVITE_LIFETIME, PostedKeys, RedeemRequest};
use sealpost_proto::id::{Label, PublicKey};
use sealpost_proto::key::{Body, SignedStatement};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;

use super::decision::{Data, Decision, Effects, Refusal, Requester, Stamp, ensure, object};
use super::statements::check_validity;
use super::{Change, Invite, Loaded, Organisation};

/// Longest sealed copy of an invitation's secret: an X-Wing box of 32 bytes is far shorter.
const MAX_SECRET_BOX: usize = 4096;

/// Makes an invitation. The same one again succeeds without a change.
///
/// # Errors
/// `bad_request` for an impossible lifetime, `already_enrolled`, `conflict`.
pub fn invite(loaded: &Loaded, at: Stamp, request: &InviteRequest, registrar: Label, by: &Requester) -> Decision<()> {
    let now = at.seconds();
    if let Some(existing) = loaded.invite(&request.invite) {
        ensure(is_same(existing, request, registrar), ProblemKind::Conflict)?;
        return Ok(((), Effects::none()));
    }
    let is_possible = request.expires_at > now && request.expires_at <= now + MAX_INVITE_LIFETIME;
    let is_boxed = (1..=MAX_SECRET_BOX).contains(&request.secret_box.0.len());
    ensure(is_possible && is_boxed, ProblemKind::BadRequest)?;
    let organisation = founded(loaded)?;
    ensure(!organisation.is_member(&request.label), ProblemKind::AlreadyEnrolled)?;
    let is_taken = organisation
        .addresses
        .values()
        .any(|address| *address == request.address);
    ensure(!is_taken, ProblemKind::Conflict)?;
    let change = Change::InviteCreated {
        invite: request.invite,
        label: request.label,
        address: request.address.clone(),
        by: registrar,
        at: now,
        expires_at: request.expires_at,
        auth_sha256: request.auth_sha256,
        secret_box: request.secret_box.clone(),
    };
    let leaf = by.did(EventType::KeyInvited, object::invite(&request.invite), None);
    Ok(((), Effects::one(change, leaf)))
}

fn is_same(existing: &Invite, request: &InviteRequest, registrar: Label) -> bool {
    existing.by == registrar
        && existing.label == request.label
        && existing.address == request.address
        && existing.expires_at == request.expires_at
        && existing.auth_sha256 == request.auth_sha256
        && existing.secret_box == request.secret_box
}

/// Takes the keys of an invitee, whose request is signed by `device`. The same keys again succeed without a change.
///
/// # Errors
/// `not_found` without the secret, `invite_ended`, `already_enrolled`, `statement_refused`.
pub fn redeem(loaded: &Loaded, at: Stamp, request: &RedeemRequest, device: &PublicKey, by: &Requester) -> Decision<()> {
    let now = at.seconds();
    let invite = loaded.invite(&request.invite).ok_or(ProblemKind::NotFound)?;
    ensure(invite.is_auth(&request.auth.0), ProblemKind::NotFound)?;
    if let Some(posted) = &invite.posted {
        let is_same = posted.member == request.member && posted.device == request.device && posted.mac == request.mac;
        ensure(is_same, ProblemKind::InviteEnded)?;
        return Ok(((), Effects::none()));
    }
    ensure(invite.state(now) == InviteState::Open, ProblemKind::InviteEnded)?;
    let organisation = founded(loaded)?;
    ensure(!organisation.is_member(&invite.label), ProblemKind::AlreadyEnrolled)?;
    let member = check_posted(organisation, invite, request, device, now)?;
    let posted = Change::InvitePosted {
        invite: invite.id,
        keys: PostedKeys {
            member: request.member.clone(),
            device: request.device.clone(),
            mac: request.mac.clone(),
            posted_at: now,
        },
    };
    let waiting = Change::DeviceWaiting {
        device: *device,
        invite: invite.id,
    };
    let data = Data::default().hash("statement", &member.hash()).done();
    let leaf = by.did(EventType::KeyEnrolled, object::invite(&invite.id), data);
    let effects = Effects {
        changes: vec![posted, waiting],
        leaves: vec![leaf],
    };
    Ok(((), effects))
}

/// Whether the posted statements are the invitee's own, for this label and this device. The registrar's signature comes later,
/// and with it the directory's own check.
fn check_posted(
    organisation: &Organisation,
    invite: &Invite,
    request: &RedeemRequest,
    device: &PublicKey,
    now: u64,
) -> Result<SignedStatement, Refusal> {
    let refused = ProblemKind::StatementRefused;
    ensure(request.mac.0.len() == 32, ProblemKind::BadRequest)?;
    let member: SignedStatement = request.member.parse().map_err(|_| refused)?;
    let announced: SignedStatement = request.device.parse().map_err(|_| refused)?;
    let directory = organisation.directory.as_ref().ok_or(refused)?;
    for signed in [&member, &announced] {
        let statement = signed.statement();
        let is_first = statement.seq == 1 && statement.label == Some(invite.label) && statement.org == directory.org();
        ensure(is_first, refused)?;
        check_validity(signed)?;
    }
    let Body::Member {
        identity,
        encryption,
        valid,
        ..
    } = &member.statement().body
    else {
        return Err(refused.into());
    };
    let Body::Device {
        identity: owner,
        key,
        valid: device_valid,
        ..
    } = &announced.statement().body
    else {
        return Err(refused.into());
    };
    let is_signed = [&member, &announced]
        .iter()
        .all(|s| s.note().verify_as("ik", identity).is_ok());
    let is_new = directory.member_by_identity(identity).is_none()
        && directory.label_of_kid(&encryption.kid()).is_none()
        && !organisation.waiting.contains_key(key);
    let is_current = valid.contains(now) && device_valid.contains(now);
    ensure(
        is_signed && is_new && is_current && owner == identity && key == device,
        refused,
    )?;
    Ok(member)
}

/// The organisation, which must have been founded for anything but its founding.
pub(super) fn founded(loaded: &Loaded) -> Result<&Organisation, Refusal> {
    let organisation = loaded.organisation().filter(|o| o.directory.is_some());
    organisation.ok_or_else(|| ProblemKind::NotFound.into())
}

/// The device key that a `device` statement announces.
#[must_use]
pub fn device_key(signed: &SignedStatement) -> Option<PublicKey> {
    match &signed.statement().body {
        Body::Device { key, .. } => Some(*key),
        _ => None,
    }
}
