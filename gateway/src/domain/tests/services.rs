//! Limits of service accounts: who may set them, and whom they reach.

use sealpost_proto::id::Label;
use sealpost_proto::key::{Body, ServiceLimits, SignedStatement, Statement, StatementType, Validity};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;

use crate::domain::fixture::{Clinic, NOW, Person, at};
use crate::domain::{Key, redeeming, statements};

const KEYS: [Key; 1] = [Key::Organisation];

/// The next limits of `label`, signed by the registrar, good for `days`.
fn limits(clinic: &Clinic, label: Label, days: u64) -> SignedStatement {
    let organisation = clinic.state.load(&KEYS).organisation().cloned().unwrap();
    let last = organisation
        .directory
        .unwrap()
        .last(Some(label), StatementType::Service);
    let body = Body::Service(ServiceLimits {
        scopes: "receive send".parse().unwrap(),
        networks: "10.0.0.0/8".parse().unwrap(),
        valid: Validity {
            not_before: NOW - 10,
            not_after: NOW - 10 + days * 86_400,
        },
    });
    let statement = Statement {
        org: clinic.org,
        label: Some(label),
        seq: last.map_or(1, |(seq, _)| seq + 1),
        prev: last.map(|(_, hash)| hash),
        body,
    };
    let mut note = statement.note().unwrap();
    note.sign_as("rk", &clinic.registrar);
    note.try_into().unwrap()
}

fn append(clinic: &mut Clinic, signed: &SignedStatement, by: &Person) -> Result<u64, ProblemKind> {
    let statements = std::slice::from_ref(signed);
    let requester = by.requester();
    let outcome = clinic.run(&KEYS, |l| {
        statements::append(l, at(1), statements, by.label, None, &requester)
    });
    outcome.map_err(|refusal| refusal.kind)
}

#[test]
fn registrars_alone_set_limits() {
    let mut clinic = Clinic::new();
    let (admin, provider) = (clinic.admin.clone(), clinic.provider.clone());
    let own = limits(&clinic, provider.label, 365);
    assert_eq!(append(&mut clinic, &own, &provider), Err(ProblemKind::Forbidden));
    let size = append(&mut clinic, &own, &admin).unwrap();
    assert_eq!(
        append(&mut clinic, &own, &admin),
        Ok(size),
        "the same again changes nothing"
    );
    let next = limits(&clinic, provider.label, 366);
    assert_eq!(append(&mut clinic, &next, &provider), Err(ProblemKind::Forbidden));
    assert_eq!(append(&mut clinic, &next, &admin), Ok(size + 1));
    assert_eq!(
        append(&mut clinic, &own, &admin),
        Ok(size + 1),
        "what was replaced does not come back"
    );
    let early = limits(&clinic, Label::from_bytes([99; 32]), 365);
    assert_eq!(
        append(&mut clinic, &early, &admin),
        Ok(size + 2),
        "before there are keys"
    );
}

#[test]
fn limits_are_for_a_year_and_never_for_a_registrar() {
    let mut clinic = Clinic::new();
    let (admin, provider) = (clinic.admin.clone(), clinic.provider.clone());
    let long = limits(&clinic, provider.label, 367);
    assert_eq!(append(&mut clinic, &long, &admin), Err(ProblemKind::StatementRefused));
    let of_registrar = limits(&clinic, admin.label, 365);
    assert_eq!(
        append(&mut clinic, &of_registrar, &admin),
        Err(ProblemKind::StatementRefused)
    );
}

#[test]
fn limits_have_a_leaf_and_no_visitor_sees_them() {
    let mut clinic = Clinic::new();
    let (admin, provider) = (clinic.admin.clone(), clinic.provider.clone());
    let signed = limits(&clinic, provider.label, 365);
    let requester = admin.requester();
    let loaded = clinic.state.load(&KEYS);
    let decided = statements::append(
        &loaded,
        at(1),
        std::slice::from_ref(&signed),
        admin.label,
        None,
        &requester,
    );
    let (_, effects) = decided.unwrap();
    let events: Vec<EventType> = effects.leaves.iter().map(|leaf| leaf.event).collect();
    assert_eq!(events, [EventType::KeyService]);

    append(&mut clinic, &signed, &admin).unwrap();
    let organisation = clinic.state.load(&KEYS).organisation().cloned().unwrap();
    let shown = redeeming::chain_of(&organisation, &provider.label, organisation.size());
    let kinds: Vec<StatementType> = shown
        .iter()
        .map(|text| text.parse::<SignedStatement>().unwrap().statement().kind())
        .collect();
    use StatementType::{Device, Member, Org, Registrar};
    assert_eq!(kinds, [Org, Registrar, Member, Device]);
}
