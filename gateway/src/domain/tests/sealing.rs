//! Parts, seals and recipients; N10, N11, N14, N15, N68 and N94 to N97 by number.

use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::key::Body;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::{Kind, SignedReceipt};
use sealpost_proto::sealed::{Block, Reason};

use crate::domain::fixture::{Clinic, NOW, Person, SHARE, at};
use crate::domain::sealing::{SealCommand, check};
use crate::domain::{Key, StoredPart, uploading};

const ID: TransferId = TransferId::from_bytes([1; 16]);

fn kind(clinic: &mut Clinic, command: &SealCommand) -> ProblemKind {
    clinic.seal(command, 10).unwrap_err().kind
}

#[test]
fn a_seal_stands_over_its_parts_whatever_their_number() {
    // One part; a full one with a second; three with a last of one segment; many.
    for total in [1_000_u64, 9 << 20, (64 << 18) + 1, 100 << 20] {
        let mut clinic = Clinic::new();
        let (leaves, stored) = clinic.upload(ID, total);
        let command = clinic.seal_command(ID, &leaves, stored, 7);
        let outcome = clinic.seal(&command, 10).unwrap();
        assert!(outcome.is_new, "{total} bytes");
        let receipt: SignedReceipt = outcome.receipt.parse().unwrap();
        receipt
            .verify_gateway(&clinic.gateway, &clinic.log_key.public())
            .unwrap();
        assert!(matches!(
            receipt.receipt().kind,
            Kind::Accepted { directory_size: 6, .. }
        ));
        let again = clinic.seal(&command, 20).unwrap();
        assert_eq!(
            (again.receipt, again.is_new),
            (outcome.receipt, false),
            "N97: the same seal, the same answer"
        );
    }
}

#[test]
fn parts_and_seal_that_do_not_fit_are_refused() {
    let mut clinic = Clinic::new();
    let (leaves, stored) = clinic.upload(ID, 20 << 20);
    let good = clinic.seal_command(ID, &leaves, stored, 7);

    let mut swapped = leaves.clone();
    swapped.swap(0, 1);
    let swapped = clinic.seal_command(ID, &swapped, stored, 7);
    assert_eq!(kind(&mut clinic, &swapped), ProblemKind::RootMismatch, "N96");
    let shorter = clinic.seal_command(ID, &leaves[..1], 16_384 + 48, 7);
    assert_eq!(kind(&mut clinic, &shorter), ProblemKind::RootMismatch);
    let other = TransferId::from_bytes([2; 16]);
    let unannounced = clinic.seal_command(other, &leaves, stored, 7);
    assert_eq!(kind(&mut clinic, &unannounced), ProblemKind::NotFound);
    let mut inline = good.clone();
    inline.inline_root = Some(Hash::from_bytes([1; 32]));
    assert_eq!(kind(&mut clinic, &inline), ProblemKind::Conflict);

    let request = sealpost_proto::api::AnnounceRequest {
        transfer: other,
        bytes: stored,
    };
    let (label, by) = (clinic.admin.label, clinic.admin.requester());
    clinic
        .run(&[Key::Transfer(other)], |l| {
            uploading::announce(l, at(0), &request, label, u64::MAX, &by)
        })
        .unwrap();
    assert_eq!(kind(&mut clinic, &unannounced), ProblemKind::PartMissing);
    let mut again = |bytes, sender| {
        let request = sealpost_proto::api::AnnounceRequest { bytes, ..request };
        let outcome = clinic.run(&[Key::Transfer(other)], |l| {
            uploading::announce(l, at(0), &request, sender, u64::MAX, &by)
        });
        outcome.map_err(|refusal| refusal.kind)
    };
    let stranger = sealpost_proto::id::Label::from_bytes([77; 32]);
    assert_eq!(again(stored, label), Ok(()), "a repeat after a lost answer succeeds");
    assert_eq!(again(stored + 1, label), Err(ProblemKind::Conflict));
    assert_eq!(again(stored, stranger), Err(ProblemKind::Conflict));

    clinic.seal(&good, 10).unwrap();
    let mut second = good.clone();
    second.options.openings = Some(1);
    assert_eq!(
        kind(&mut clinic, &second),
        ProblemKind::AlreadySealed,
        "N97: a second, different one"
    );
    let part = StoredPart {
        len: 8_390_144,
        root: Hash::from_bytes([9; 32]),
    };
    let late = clinic.run(&[Key::Transfer(ID)], |l| uploading::store_part(l, &ID, 0, part, &label));
    assert_eq!(late.unwrap_err().kind, ProblemKind::AlreadySealed, "N94");
}

#[test]
fn a_part_has_its_number_and_length() {
    let mut clinic = Clinic::new();
    clinic.upload(ID, 20 << 20);
    let (admin, provider) = (clinic.admin.label, clinic.provider.label);
    let part_len = |number, who| {
        let transfer = clinic.transfer(ID);
        uploading::part_len(transfer.as_deref(), who, number).map_err(|refusal| refusal.kind)
    };
    assert_eq!(part_len(0, &admin), Ok(8_390_144));
    assert_eq!(part_len(3, &admin), Err(ProblemKind::PartMissing), "N95");
    assert_eq!(part_len(0, &provider), Err(ProblemKind::NotFound));
}

#[test]
fn recipients_are_people_of_the_directory_and_copies_are_the_senders_own() {
    let mut clinic = Clinic::new();
    let (leaves, stored) = clinic.upload(ID, 1000);
    let stranger = Person::new(9);
    let mut to_stranger = clinic.clone();
    to_stranger.provider = stranger;
    let command = to_stranger.seal_command(ID, &leaves, stored, 7);
    assert_eq!(kind(&mut clinic, &command), ProblemKind::UnknownRecipient);
    // The provider's key as a "sender's copy" would escape the count of openings.
    let mut swapped = clinic.clone();
    std::mem::swap(&mut swapped.admin.encryption, &mut swapped.provider.encryption);
    let command = swapped.seal_command(ID, &leaves, stored, 7);
    assert_eq!(kind(&mut clinic, &command), ProblemKind::UnknownRecipient);
}

#[test]
fn what_every_client_would_refuse_is_not_taken() {
    let clinic = Clinic::new();
    let audience = clinic.gateway.audience();
    let good = clinic.seal_command(ID, &[[1; 32]], 16_384 + 48, 7);
    let verdict = |command: &SealCommand, share: Option<&[u8; 32]>, now| {
        check(command, &audience, share, now)
            .map(drop)
            .map_err(|refusal| refusal.reason)
    };
    assert_eq!(verdict(&good, Some(&SHARE), NOW), Ok(()));
    assert_eq!(verdict(&good, Some(&[8; 32]), NOW), Err(Some(Reason::Share)), "N14");
    assert_eq!(verdict(&good, None, NOW), Err(Some(Reason::Share)), "N15");
    assert_eq!(
        verdict(&good, Some(&SHARE), NOW + 7 * 86_400),
        Err(Some(Reason::Expired)),
        "N10"
    );
    assert_eq!(
        verdict(&good, Some(&SHARE), NOW - 2 * 86_400),
        Err(Some(Reason::Expired)),
        "made in the future"
    );
    assert_eq!(
        check(&good, &[0; 32], Some(&SHARE), NOW).unwrap_err().reason,
        Some(Reason::Audience),
        "N11"
    );

    let mut by_another = good.clone();
    by_another.by = clinic.provider.trusted();
    assert_eq!(
        verdict(&by_another, Some(&SHARE), NOW),
        Err(Some(Reason::Sender)),
        "N68"
    );
    let mut resealed = good.clone();
    resealed.envelope.seal = resealed.envelope.seal.body.sign(&clinic.provider.device);
    assert_eq!(verdict(&resealed, Some(&SHARE), NOW), Err(Some(Reason::Seal)));
    let mut elided = good.clone();
    elided.envelope.block = elided.envelope.block.elide(|_| false);
    assert_eq!(verdict(&elided, Some(&SHARE), NOW), Err(Some(Reason::Format)));
    let mut fewer = good.clone();
    fewer.envelope.block = Block::seal(vec![fewer.envelope.block.stanzas()[0].clone()]).unwrap();
    assert_eq!(verdict(&fewer, Some(&SHARE), NOW), Err(Some(Reason::Stanzas)));
    let mut other_box = good.clone();
    other_box.envelope.manifest_box[0] ^= 1;
    assert_eq!(verdict(&other_box, Some(&SHARE), NOW), Err(Some(Reason::Manifest)));
    let mut never = good;
    never.options.openings = Some(0);
    assert_eq!(
        check(&never, &audience, Some(&SHARE), NOW).unwrap_err().kind,
        ProblemKind::BadRequest
    );
}

#[test]
fn a_revoked_sender_seals_no_more() {
    let mut clinic = Clinic::new();
    let (leaves, stored) = clinic.upload(ID, 1000);
    let command = clinic.seal_command(ID, &leaves, stored, 7);
    let statement = sealpost_proto::key::Statement {
        org: clinic.org,
        label: Some(clinic.admin.label),
        seq: 1,
        prev: None,
        body: Body::Revoke {
            key: sealpost_proto::key::RevokedKey::Device(clinic.admin.device.public()),
            time: NOW,
        },
    };
    let mut note = statement.note().unwrap();
    note.sign_as("ik", &clinic.admin.identity);
    clinic
        .state
        .apply(&crate::domain::Change::StatementTaken { text: note.to_string() })
        .unwrap();
    assert_eq!(kind(&mut clinic, &command), ProblemKind::Disabled);
}

#[test]
fn a_seal_states_its_time_truly() {
    let mut clinic = Clinic::new();
    let (leaves, stored) = clinic.upload(ID, 1000);
    let good = clinic.seal_command(ID, &leaves, stored, 7);
    assert_eq!(
        clinic.seal(&good, 601).unwrap_err().kind,
        ProblemKind::ClockSkew,
        "backdated"
    );
    let mut ahead = good.clone();
    ahead.envelope.seal.body.sealed_at = NOW + 611;
    assert_eq!(kind(&mut clinic, &ahead), ProblemKind::ClockSkew);
    for (created_at, expected) in [
        (NOW - 48 * 3_600 - 591, Err(ProblemKind::ClockSkew)),
        (NOW + 611, Err(ProblemKind::ClockSkew)),
        (NOW - 48 * 3_600, Ok(())),
    ] {
        let mut command = good.clone();
        command.envelope.header.created_at = created_at;
        let outcome = clinic
            .clone()
            .seal(&command, 10)
            .map(drop)
            .map_err(|refusal| refusal.kind);
        assert_eq!(outcome, expected, "{created_at}");
    }
    clinic.seal(&good, 600).unwrap();
    let again = clinic.seal(&good, 86_400).unwrap();
    assert!(!again.is_new, "the same seal has the same answer for ever");
}
