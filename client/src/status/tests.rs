//! What may count as delivered: signatures of those to whom it was sent, and nothing that the gateway says beside them.

use std::collections::BTreeMap;

use sealpost_proto::id::{Kid, PublicKey};
use sealpost_proto::key::SignedStatement;

use super::*;
use crate::account::Account;
use crate::enrolment::tests::{invited, posted};
use crate::receive::tests::{Sealed, sealed_by, verified_by};
use crate::records::KeptSecret;

fn recipient(openings_used: u32) -> RecipientState {
    RecipientState {
        label: Label::from_bytes([1; 32]),
        kid: Kid::from_bytes([2; 32]),
        openings_used,
        opened_at: None,
        receipt: None,
    }
}

fn verdict(rejected: Option<Reason>) -> Option<Verdict> {
    Some(Verdict {
        rejected,
        label: Label::from_bytes([1; 32]),
        identity: PublicKey::from_bytes([3; 32]),
        time: 9,
    })
}

#[test]
fn signatures_come_before_the_gateways_word() {
    use TransferState::{Available, Expired};
    assert_eq!(delivery(Available, &recipient(0), None, None), Delivery::Sealed);
    assert_eq!(
        delivery(Available, &recipient(1), None, None),
        Delivery::Opened { at: None }
    );
    assert_eq!(delivery(Expired, &recipient(1), None, None), Delivery::Over(Expired));
    let verified = Delivery::Verified { at: 9 };
    assert_eq!(delivery(Expired, &recipient(0), verdict(None), None), verified);
    let rejected = delivery(Available, &recipient(1), verdict(Some(Reason::Segment)), None);
    assert_eq!(
        rejected,
        Delivery::Rejected {
            at: 9,
            reason: Reason::Segment
        }
    );
}

#[test]
fn verified_is_never_taken_back() {
    let later = [None, verdict(Some(Reason::Segment))];
    for verdict in later {
        let shown = delivery(TransferState::Revoked, &recipient(0), verdict, Some(5));
        assert_eq!(shown, Delivery::Verified { at: 5 });
    }
}

/// The founder's transfer to herself, and another confirmed member of her organisation.
struct World {
    sealed: Sealed,
    colluder: Account,
}

impl World {
    fn new() -> Self {
        let (founder, mut statements, string) = invited();
        let (colluder, request) = posted(&string);
        let mut member: SignedStatement = request.member.parse().unwrap();
        member.note_mut().sign_as("rk", founder.registrar.as_ref().unwrap());
        statements.extend([member.to_string(), request.device]);
        Self {
            sealed: sealed_by(founder, &statements, &[1]),
            colluder,
        }
    }

    fn keep_record(&self) {
        let (session, summary) = (&self.sealed.session, &self.sealed.summary);
        let (header, _) = verify::pieces(summary).unwrap();
        let record = SentRecord {
            transfer: summary.transfer,
            hh: Hash::from_bytes(header.hash()),
            recipients: self.sealed.sent_to.clone(),
            directory_size: session.mirror.size(),
            files: vec!["file 0.bin".into()],
            expires_at: header.expires_at,
            accepted: Some(summary.receipt.clone()),
            verified: BTreeMap::new(),
            links: Vec::new(),
            share: Some(KeptSecret::new(&[7; 32])),
        };
        record.put(&session.state, &session.env).unwrap();
    }

    fn record(&self) -> SentRecord {
        let (session, summary) = (&self.sealed.session, &self.sealed.summary);
        SentRecord::get(&session.state, &summary.transfer).unwrap().unwrap()
    }

    /// An entry of the gateway's list with a *verified* receipt of this account's own device.
    fn entry(&self, account: &Account) -> RecipientState {
        let (_, seal) = verify::pieces(&self.sealed.summary).unwrap();
        RecipientState {
            label: account.label(),
            kid: *account.newest_encryption().unwrap().key.kid(),
            receipt: Some(verified_by(account, &account.device, &seal, true)),
            ..recipient(1)
        }
    }

    fn status(&self, listed: Vec<RecipientState>) -> Vec<RecipientStatus> {
        let mut summary = self.sealed.summary.clone();
        summary.recipients = listed;
        status(&self.sealed.session, &summary).unwrap().recipients
    }
}

#[test]
fn a_colluding_members_receipt_never_counts() {
    let world = World::new();
    world.keep_record();
    let founder = &world.sealed.session.account;
    // As an entry of its own: shown with a doubt, and not kept.
    let extra = RecipientState {
        receipt: None,
        ..world.entry(founder)
    };
    let shown = world.status(vec![world.entry(&world.colluder), extra.clone()]);
    assert_eq!(shown.len(), 2);
    assert_eq!(
        (shown[0].label, shown[0].delivery),
        (founder.label(), Delivery::Opened { at: None })
    );
    assert_eq!(shown[1].delivery, Delivery::NotSent);
    assert!(shown[0].doubt.is_none() && shown[1].doubt.is_some());
    assert!(
        world.record().verified.is_empty(),
        "only recipients are kept as verified"
    );
    // Under the recipient's name.
    let borrowed = RecipientState {
        receipt: world.entry(&world.colluder).receipt,
        ..extra
    };
    let shown = world.status(vec![borrowed]);
    assert_eq!(shown[0].delivery, Delivery::Opened { at: None });
    assert!(shown[0].doubt.is_some());
    assert!(world.record().verified.is_empty());
    // Instead of the recipient's key.
    let other_key = RecipientState {
        kid: Kid::from_bytes([9; 32]),
        ..world.entry(founder)
    };
    let shown = world.status(vec![other_key]);
    assert_eq!(
        [shown[0].delivery, shown[1].delivery],
        [Delivery::NotListed, Delivery::NotSent]
    );
    assert!(world.record().verified.is_empty());
}

#[test]
fn a_recipient_who_is_left_out_is_missed() {
    let world = World::new();
    world.keep_record();
    let shown = world.status(Vec::new());
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].delivery, Delivery::NotListed);
    assert!(shown[0].doubt.is_some());
    // What was proved before stays proved, and the doubt is told all the same.
    let founder = &world.sealed.session.account;
    let listed = world.status(vec![world.entry(founder), world.entry(founder)]);
    assert!(matches!(listed[0].delivery, Delivery::Verified { .. }) && listed[0].doubt.is_none());
    assert_eq!(listed[1].delivery, Delivery::NotSent, "each recipient is listed once");
    let shown = world.status(Vec::new());
    assert!(matches!(shown[0].delivery, Delivery::Verified { .. }) && shown[0].doubt.is_some());
}

#[test]
fn without_a_record_a_key_must_still_be_the_persons() {
    let world = World::new();
    let founder = &world.sealed.session.account;
    let good = world.status(vec![world.entry(founder)]);
    assert!(good[0].doubt.is_none());
    let other_key = RecipientState {
        kid: *world.colluder.newest_encryption().unwrap().key.kid(),
        ..world.entry(founder)
    };
    assert!(world.status(vec![other_key])[0].doubt.is_some());
}

#[test]
fn a_receipt_under_an_older_directory_than_at_sending_is_refused() {
    let world = World::new();
    world.keep_record();
    let mut record = world.record();
    record.directory_size += 1;
    record
        .put(&world.sealed.session.state, &world.sealed.session.env)
        .unwrap();
    let refused = status(&world.sealed.session, &world.sealed.summary);
    assert!(matches!(refused, Err(Error::Receipt(_))), "{refused:?}");
}

#[test]
fn the_share_is_forgotten_once_all_have_verified() {
    let world = World::new();
    world.keep_record();
    let founder = &world.sealed.session.account;
    let opened = RecipientState {
        receipt: None,
        ..world.entry(founder)
    };
    world.status(vec![opened]);
    assert!(world.record().share.is_some(), "opened is not verified");
    world.status(vec![world.entry(founder)]);
    assert!(world.record().share.is_none());
}
