//! Founding, invitations and statements.

use sealpost_proto::api::{InviteRequest, InviteState, RedeemRequest};
use sealpost_proto::crypto::{SigningKey, sha256};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, InviteId};
use sealpost_proto::key::{Body, SignedStatement, Statement, StatementType, Validity};
use sealpost_proto::problem::ProblemKind;

use crate::domain::fixture::{Clinic, NOW, Person, at};
use crate::domain::{Change, Key, enrolment, statements};

const INVITE: InviteId = InviteId::from_bytes([3; 16]);
const AUTH: [u8; 32] = [6; 32];
const KEYS: [Key; 2] = [Key::Organisation, Key::Invite(INVITE)];

fn invite(clinic: &Clinic) -> InviteRequest {
    InviteRequest {
        invite: INVITE,
        label: clinic.provider.label,
        address: clinic.provider.address.clone(),
        expires_at: NOW + 86_400,
        auth_sha256: Hash::from_bytes(sha256(&[&AUTH])),
        secret_box: Base64(vec![1; 100]),
    }
}

fn redeem(clinic: &Clinic, person: &Person) -> RedeemRequest {
    RedeemRequest {
        invite: INVITE,
        auth: Base64(AUTH.to_vec()),
        member: person.member(clinic.org).to_string(),
        device: person.device(clinic.org).to_string(),
        mac: Base64(vec![2; 32]),
    }
}

fn try_redeem(clinic: &mut Clinic, request: &RedeemRequest, seconds: u64) -> Result<(), ProblemKind> {
    let (device, by) = (clinic.provider.device.public(), clinic.provider.requester());
    let outcome = clinic.run(&KEYS, |loaded| {
        enrolment::redeem(loaded, at(seconds), request, &device, &by)
    });
    outcome.map_err(|refusal| refusal.kind)
}

fn invited() -> Clinic {
    let mut clinic = Clinic::founded();
    let (request, label, by) = (invite(&clinic), clinic.admin.label, clinic.admin.requester());
    clinic
        .run(&KEYS, |loaded| enrolment::invite(loaded, at(0), &request, label, &by))
        .unwrap();
    clinic
}

fn confirm(clinic: &mut Clinic, texts: &[String]) -> Result<u64, ProblemKind> {
    let parsed = statements::parse(texts).unwrap();
    let (label, by) = (clinic.admin.label, clinic.admin.requester());
    let organisation = clinic.state.load(&KEYS).organisation().cloned().unwrap();
    let invite = statements::confirms(&organisation, &parsed);
    let outcome = clinic.run(&KEYS, |loaded| {
        statements::append(loaded, at(2), &parsed, label, invite, &by)
    });
    outcome.map_err(|refusal| refusal.kind)
}

#[test]
fn the_organisation_is_founded_once_and_by_its_own_device() {
    let mut clinic = Clinic::founded();
    let root = SigningKey::from_seed(&[200; 32]);
    let (request, by) = (clinic.founding(&root), clinic.admin.requester());
    let (device, stranger) = (clinic.admin.device.public(), clinic.provider.device.public());
    let again = clinic.run(&[Key::Organisation], |l| {
        statements::found(l, at(1), &request, &device, &by)
    });
    assert_eq!(
        again,
        Ok(4),
        "a repeat after a lost answer changes nothing and succeeds"
    );
    let foreign = clinic.founding(&SigningKey::from_seed(&[201; 32]));
    let foreign = clinic.run(&[Key::Organisation], |l| {
        statements::found(l, at(1), &foreign, &device, &by)
    });
    assert_eq!(foreign.unwrap_err().kind, ProblemKind::AlreadyFounded);
    clinic.state = crate::domain::State::default();
    let other = clinic.run(&[Key::Organisation], |l| {
        statements::found(l, at(1), &request, &stranger, &by)
    });
    assert_eq!(other.unwrap_err().kind, ProblemKind::StatementRefused);
    let mut short = request.clone();
    short.statements.pop();
    let short = clinic.run(&[Key::Organisation], |l| {
        statements::found(l, at(1), &short, &device, &by)
    });
    assert_eq!(short.unwrap_err().kind, ProblemKind::StatementRefused);
    assert_eq!(
        clinic.run(&[Key::Organisation], |l| statements::found(
            l,
            at(1),
            &request,
            &device,
            &by
        )),
        Ok(4)
    );
}

#[test]
fn an_invitee_is_confirmed_with_exactly_the_posted_keys() {
    let mut clinic = invited();
    let request = redeem(&clinic, &clinic.provider);
    try_redeem(&mut clinic, &request, 1).unwrap();
    try_redeem(&mut clinic, &request, 2).expect("the same again");
    let organisation = clinic.state.load(&KEYS).organisation().cloned().unwrap();
    assert!(organisation.waiting.contains_key(&clinic.provider.device.public()));

    let mut impostor = Person::new(7);
    impostor.label = clinic.provider.label;
    let (theirs, device) = (
        clinic.countersigned(&impostor).to_string(),
        impostor.device(clinic.org).to_string(),
    );
    assert_eq!(
        confirm(&mut clinic, &[theirs, device]),
        Err(ProblemKind::StatementRefused)
    );
    let member = clinic.countersigned(&clinic.provider).to_string();
    assert_eq!(
        confirm(&mut clinic, std::slice::from_ref(&member)),
        Err(ProblemKind::StatementRefused),
        "without the device"
    );
    assert_eq!(confirm(&mut clinic, &[member.clone(), request.device.clone()]), Ok(6));
    assert_eq!(
        confirm(&mut clinic, &[member, request.device.clone()]),
        Ok(6),
        "the same again"
    );

    let organisation = clinic.state.load(&KEYS).organisation().cloned().unwrap();
    assert!(organisation.waiting.is_empty());
    assert_eq!(
        organisation.addresses.get(&clinic.provider.label),
        Some(&clinic.provider.address)
    );
    assert_eq!(organisation.head_at(6), Some(organisation.head()));
    assert_eq!(organisation.head_at(7), None);
    let loaded = clinic.state.load(&KEYS);
    assert_eq!(loaded.invite(&INVITE).unwrap().state(NOW), InviteState::Confirmed);
}

#[test]
fn without_secret_time_or_own_keys_nothing_is_posted() {
    let mut clinic = invited();
    let good = redeem(&clinic, &clinic.provider);
    let mut impostor = Person::new(7);
    impostor.label = clinic.provider.label;
    let by_another_device = redeem(&clinic, &impostor);
    let mut wrong_secret = good.clone();
    wrong_secret.auth = Base64(vec![7; 32]);
    let mut swapped = good.clone();
    swapped.device = impostor.device(clinic.org).to_string();
    assert_eq!(try_redeem(&mut clinic, &wrong_secret, 1), Err(ProblemKind::NotFound));
    assert_eq!(
        try_redeem(&mut clinic, &by_another_device, 1),
        Err(ProblemKind::StatementRefused)
    );
    assert_eq!(try_redeem(&mut clinic, &swapped, 1), Err(ProblemKind::StatementRefused));
    assert_eq!(try_redeem(&mut clinic, &good, 86_401), Err(ProblemKind::InviteEnded));
    assert_eq!(try_redeem(&mut clinic, &good, 1), Ok(()));
    let mut other_mac = good;
    other_mac.mac = Base64(vec![3; 32]);
    assert_eq!(try_redeem(&mut clinic, &other_mac, 1), Err(ProblemKind::InviteEnded));
}

#[test]
fn nobody_speaks_for_another_and_nobody_is_invited_twice() {
    let mut clinic = Clinic::new();
    let (label, by) = (clinic.provider.label, clinic.provider.requester());
    let device = Person::new(7).device(clinic.org);
    let forged = clinic.run(&KEYS, |l| statements::append(l, at(1), &[device], label, None, &by));
    assert_eq!(forged.unwrap_err().kind, ProblemKind::Forbidden);
    let (request, admin, by) = (invite(&clinic), clinic.admin.label, clinic.admin.requester());
    let again = clinic.run(&KEYS, |l| enrolment::invite(l, at(1), &request, admin, &by));
    assert_eq!(again.unwrap_err().kind, ProblemKind::AlreadyEnrolled);
}

/// Device statements of one person: the `n`th announces the key with seed `n`, and is good for `days`.
fn devices(clinic: &Clinic, first: u64, count: u64, days: u64) -> Vec<SignedStatement> {
    let person = &clinic.provider;
    let organisation = clinic.state.load(&KEYS).organisation().cloned().unwrap();
    let directory = organisation.directory.unwrap();
    let (mut seq, mut prev) = directory.last(Some(person.label), StatementType::Device).unwrap();
    let announced = |n: u64| {
        seq += 1;
        let statement = Statement {
            org: clinic.org,
            label: Some(person.label),
            seq,
            prev: Some(prev),
            body: Body::Device {
                identity: person.identity.public(),
                key: SigningKey::from_seed(&[u8::try_from(n).unwrap() + 20; 32]).public(),
                encryption: person.encryption.clone(),
                valid: Validity {
                    not_before: NOW - 10,
                    not_after: NOW - 10 + days * 86_400,
                },
            },
        };
        let mut note = statement.note().unwrap();
        note.sign_as("ik", &person.identity);
        let signed: SignedStatement = note.to_string().parse().unwrap();
        prev = signed.hash();
        signed
    };
    (first..first + count).map(announced).collect()
}

fn append(clinic: &mut Clinic, statements: &[SignedStatement]) -> Result<u64, ProblemKind> {
    let (label, by) = (clinic.provider.label, clinic.provider.requester());
    let outcome = clinic.run(&KEYS, |l| statements::append(l, at(1), statements, label, None, &by));
    outcome.map_err(|refusal| refusal.kind)
}

#[test]
fn a_person_has_sixteen_live_devices() {
    let mut clinic = Clinic::new();
    let all = devices(&clinic, 0, 16, 300);
    assert_eq!(
        append(&mut clinic, &all),
        Err(ProblemKind::StatementRefused),
        "with the first it is 17"
    );
    for signed in &all[..15] {
        append(&mut clinic, std::slice::from_ref(signed)).unwrap();
    }
    assert_eq!(append(&mut clinic, &all[15..]), Err(ProblemKind::StatementRefused));
    let texts = vec![all[0].to_string(); 17];
    assert_eq!(statements::parse(&texts).unwrap_err().kind, ProblemKind::TooLarge);
    assert!(statements::parse(&texts[1..]).is_ok());
}

#[test]
fn keys_are_valid_for_a_year_and_a_day() {
    let mut clinic = Clinic::new();
    let long = devices(&clinic, 0, 1, 367);
    assert_eq!(append(&mut clinic, &long), Err(ProblemKind::StatementRefused));
    let year = devices(&clinic, 0, 1, 366);
    assert!(append(&mut clinic, &year).is_ok());

    let mut clinic = invited();
    let person = &clinic.provider;
    let statement = Statement {
        org: clinic.org,
        label: Some(person.label),
        seq: 1,
        prev: None,
        body: Body::Device {
            identity: person.identity.public(),
            key: person.device.public(),
            encryption: person.encryption.clone(),
            valid: Validity {
                not_before: NOW - 10,
                not_after: NOW + 367 * 86_400,
            },
        },
    };
    let mut note = statement.note().unwrap();
    note.sign_as("ik", &person.identity);
    let mut request = redeem(&clinic, person);
    request.device = note.to_string();
    assert_eq!(try_redeem(&mut clinic, &request, 1), Err(ProblemKind::StatementRefused));
}

#[test]
fn clocks_ahead_are_remembered_until_their_time_has_come() {
    let mut clinic = Clinic::new();
    let key = |n: u8| SigningKey::from_seed(&[n; 32]).public();
    for (device, until, now) in [(key(1), 60, 0), (key(2), 90, 1), (key(1), 40, 2), (key(3), 95, 70)] {
        let ahead = Change::DeviceAhead {
            device,
            until: NOW + until,
            at: NOW + now,
        };
        clinic.state.apply(&ahead).unwrap();
        if now == 2 {
            let organisation = clinic.state.load(&KEYS).organisation().cloned().unwrap();
            assert_eq!(organisation.ahead[&key(1)], NOW + 60, "never less");
        }
    }
    let organisation = clinic.state.load(&KEYS).organisation().cloned().unwrap();
    assert!(
        organisation
            .ahead
            .keys()
            .eq(&std::collections::BTreeSet::from([key(2), key(3)]))
    );
}
