//! Statements: the founding of the organisation, and what its directory log takes after that.

use std::collections::BTreeSet;

use sealpost_proto::api::{MAX_DEVICES, MAX_STATEMENTS, MAX_VALIDITY, OrgRequest};
use sealpost_proto::id::{InviteId, Label, OrgId, PublicKey};
use sealpost_proto::key::{Body, Directory, SignedStatement, StatementType};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;

use super::decision::{Data, Decision, Effects, Refusal, Requester, Stamp, ensure, object};
use super::enrolment::{device_key, founded};
use super::{Change, Invite, LeafDraft, Loaded, Organisation};

/// Parses statements as they came.
///
/// # Errors
/// `too_large` for too many, `statement_refused`.
pub fn parse(texts: &[String]) -> Result<Vec<SignedStatement>, Refusal> {
    ensure(texts.len() <= MAX_STATEMENTS, ProblemKind::TooLarge)?;
    let parsed: Result<_, _> = texts.iter().map(|text| text.parse()).collect();
    parsed.map_err(|_| ProblemKind::StatementRefused.into())
}

/// The organisation and the person that founding statements are about: the leaf's object, and whoever asks.
///
/// # Errors
/// `statement_refused` unless they are `org`, `registrar`, `member` and `device`, the last three about one person.
pub fn founder(statements: &[SignedStatement]) -> Result<(OrgId, Label), Refusal> {
    use StatementType::{Device, Member, Org, Registrar};
    let kinds = statements.iter().map(|s| s.statement().kind());
    ensure(
        kinds.eq([Org, Registrar, Member, Device]),
        ProblemKind::StatementRefused,
    )?;
    let mut labels = statements.iter().filter_map(|s| s.statement().label);
    let label = labels.next().ok_or(ProblemKind::StatementRefused)?;
    ensure(labels.all(|other| other == label), ProblemKind::StatementRefused)?;
    let org = statements.first().map(|s| s.statement().org);
    Ok((org.ok_or(ProblemKind::StatementRefused)?, label))
}

/// Founds the organisation by its first four statements; the request is signed by `device`, which they announce. The same
/// statements again change nothing and succeed: the first answer may have been lost, and keys must not be thrown away for that.
///
/// # Errors
/// `already_founded`, `statement_refused`.
pub fn found(loaded: &Loaded, at: Stamp, request: &OrgRequest, device: &PublicKey, by: &Requester) -> Decision<u64> {
    let statements = parse(&request.statements)?;
    let (org, owner) = founder(&statements)?;
    if let Some(existing) = loaded.organisation().filter(|o| o.directory.is_some()) {
        let is_repeat = statements.iter().all(|s| existing.statement(&s.hash()).is_some());
        ensure(is_repeat, ProblemKind::AlreadyFounded)?;
        return Ok((existing.size(), Effects::none()));
    }
    let mut directory = Directory::new(org);
    let mut effects = Effects::one(
        Change::OrganisationFounded { org, owner },
        by.did(EventType::OrgCreated, object::org(&org), None),
    );
    for signed in &statements {
        check_validity(signed)?;
        directory.apply(signed).map_err(|_| ProblemKind::StatementRefused)?;
        take(&mut effects, signed, by);
    }
    let is_trusted = directory.device(device, at.seconds()).is_some_and(|d| d.label == owner);
    ensure(
        is_trusted && directory.is_registrar(&owner, at.seconds()),
        ProblemKind::StatementRefused,
    )?;
    effects.changes.push(Change::AddressBound {
        label: owner,
        address: request.address.clone(),
    });
    Ok((directory.size(), effects))
}

/// The invitation that these statements confirm: the one to which their device was posted.
#[must_use]
pub fn confirms(organisation: &Organisation, statements: &[SignedStatement]) -> Option<InviteId> {
    let mut devices = statements.iter().filter_map(device_key);
    devices.find_map(|device| organisation.waiting.get(&device).copied())
}

/// Takes statements, all or none. `caller` may speak of itself but not of its limits, a registrar of everybody; a person who is not in the directory
/// yet comes in by confirming `invite`, with exactly the keys that were posted to it. Statements that the log holds already
/// succeed without a change.
///
/// # Errors
/// `forbidden`, `statement_refused`.
pub fn append(
    loaded: &Loaded,
    at: Stamp,
    statements: &[SignedStatement],
    caller: Label,
    invite: Option<InviteId>,
    by: &Requester,
) -> Decision<u64> {
    let organisation = founded(loaded)?;
    let mut directory = organisation.directory.clone().ok_or(ProblemKind::NotFound)?;
    ensure(!statements.is_empty(), ProblemKind::BadRequest)?;
    if statements.iter().all(|s| organisation.statement(&s.hash()).is_some()) {
        return Ok((organisation.size(), Effects::none()));
    }
    let is_registrar = organisation.is_registrar(&caller, at.seconds());
    let mut effects = Effects::none();
    for signed in statements {
        let about = signed.statement().label;
        // What limits somebody is no statement of their own, even if they come by a signed one.
        let is_own = about == Some(caller) && signed.statement().kind() != StatementType::Service;
        ensure(is_registrar || is_own, ProblemKind::Forbidden)?;
        // Renaming the organisation has no event yet, so it is not taken: nothing changes without a leaf.
        ensure(about.is_some(), ProblemKind::StatementRefused)?;
        check_validity(signed)?;
        directory.apply(signed).map_err(|_| ProblemKind::StatementRefused)?;
        take(&mut effects, signed, by);
    }
    check_devices(organisation, &directory, statements, at.seconds())?;
    for label in newcomers(organisation, statements) {
        let invite = invite.and_then(|id| loaded.invite(&id));
        let invite = invite.filter(|i| i.label == label && is_posted(i, statements));
        let invite = invite.ok_or(ProblemKind::StatementRefused)?;
        effects.changes.push(Change::InviteConfirmed { invite: invite.id });
        effects.changes.push(Change::AddressBound {
            label,
            address: invite.address.clone(),
        });
    }
    Ok((directory.size(), effects))
}

/// Refuses keys and accounts that would be good for longer than the format lets a transfer live: a lost device must not stay
/// trusted.
///
/// # Errors
/// `statement_refused`.
pub(super) fn check_validity(signed: &SignedStatement) -> Result<(), Refusal> {
    let valid = match &signed.statement().body {
        Body::Member { valid, .. } | Body::Device { valid, .. } => valid,
        Body::Service(limits) => &limits.valid,
        Body::Org { .. } | Body::Registrar { .. } | Body::Revoke { .. } => return Ok(()),
    };
    let is_short = valid.not_after.saturating_sub(valid.not_before) <= MAX_VALIDITY;
    ensure(is_short, ProblemKind::StatementRefused)
}

/// Refuses more live devices of a person than any has: every client holds and checks them all. `after` is the directory with
/// these statements.
fn check_devices(
    before: &Organisation,
    after: &Directory,
    statements: &[SignedStatement],
    now: u64,
) -> Result<(), Refusal> {
    for signed in statements.iter().filter(|s| device_key(s).is_some()) {
        let Some(label) = signed.statement().label else {
            continue;
        };
        let of_label = statements.iter().filter(|s| s.statement().label == Some(label));
        let mut keys: BTreeSet<PublicKey> = of_label.filter_map(device_key).collect();
        keys.extend(before.devices_of(&label));
        let live = keys.iter().filter(|key| after.device(key, now).is_some()).count();
        ensure(live <= MAX_DEVICES, ProblemKind::StatementRefused)?;
    }
    Ok(())
}

/// People whose first `member` statement is among these.
fn newcomers<'a>(
    organisation: &'a Organisation,
    statements: &'a [SignedStatement],
) -> impl Iterator<Item = Label> + 'a {
    let members = statements
        .iter()
        .filter(|s| s.statement().kind() == StatementType::Member);
    let labels = members.filter_map(|s| s.statement().label);
    labels.filter(|label| !organisation.is_member(label))
}

/// Whether the posted `member` text and the posted `device` statement are among these.
fn is_posted(invite: &Invite, statements: &[SignedStatement]) -> bool {
    let Some(posted) = invite.posted.as_ref().filter(|_| !invite.is_confirmed) else {
        return false;
    };
    let Ok(member) = posted.member.parse::<SignedStatement>() else {
        return false;
    };
    let has_member = statements.iter().any(|s| s.note().text() == member.note().text());
    let has_device = statements.iter().any(|s| s.to_string() == posted.device);
    has_member && has_device
}

fn take(effects: &mut Effects, signed: &SignedStatement, by: &Requester) {
    effects.changes.push(Change::StatementTaken {
        text: signed.to_string(),
    });
    effects.leaves.extend(leaf(signed, by));
}

/// The leaf of a statement; the organisation's own is part of `org.created`.
fn leaf(signed: &SignedStatement, by: &Requester) -> Option<LeafDraft> {
    let event = event_of(signed.statement().kind())?;
    let label = signed.statement().label?;
    let data = Data::default().hash("statement", &signed.hash()).done();
    Some(by.did(event, object::person(&label), data))
}

/// The event of a statement of this type.
#[must_use]
pub fn event_of(kind: StatementType) -> Option<EventType> {
    match kind {
        StatementType::Org => None,
        StatementType::Registrar => Some(EventType::KeyRegistrar),
        StatementType::Member => Some(EventType::KeyMember),
        StatementType::Device => Some(EventType::KeyDevice),
        StatementType::Revoke => Some(EventType::KeyRevoked),
        StatementType::Service => Some(EventType::KeyService),
    }
}
