//! The end of transfers, step by step.

use sealpost_proto::api::UNSEALED_LIFETIME;
use sealpost_proto::id::{Hash, OpeningId, TransferId};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;

use crate::domain::fixture::{Clinic, NOW, at};
use crate::domain::shredding::{self, Horizon, Step, next_step, next_step_within};
use crate::domain::{CIPHERTEXT_GRACE, Decision, KEY_REPLACEMENT, Key, Loaded, Stamp, StoredPart, uploading};

const ID: TransferId = TransferId::from_bytes([1; 16]);
const KEYS: [Key; 1] = [Key::Transfer(ID)];

fn step(clinic: &Clinic, seconds: u64) -> Option<Step> {
    next_step(&clinic.transfer(ID).unwrap(), NOW + seconds)
}

fn silent(clinic: &mut Clinic, seconds: u64, decide: fn(&Loaded, Stamp, &TransferId) -> Decision<()>) {
    let ((), effects) = clinic
        .effects(&KEYS, |loaded| decide(loaded, at(seconds), &ID))
        .unwrap();
    assert!(effects.leaves.is_empty());
}

#[test]
fn expiry_is_a_leaf_then_the_share_then_the_ciphertext() {
    let mut clinic = Clinic::new();
    clinic.sent(ID, 1, None);
    let by = clinic.admin.requester();
    assert_eq!(step(&clinic, 86_399), None);
    let early = clinic.run(&KEYS, |l| shredding::shred(l, at(86_399), &ID, &by));
    assert_eq!(early.unwrap_err().kind, ProblemKind::NotFound);
    assert_eq!(step(&clinic, 86_400), Some(Step::Shred));
    let ((), effects) = clinic
        .effects(&KEYS, |l| shredding::shred(l, at(86_400), &ID, &by))
        .unwrap();
    let leaf = &effects.leaves[0];
    let data = leaf.data.clone().unwrap();
    assert_eq!(leaf.event, EventType::TransferShredded);
    assert_eq!(data["cause"], "expired");
    assert_eq!(
        data["share_commit"],
        clinic.sealed(ID).share_commit.unwrap().to_string()
    );
    assert_eq!(step(&clinic, 86_400), Some(Step::Destroy));
    silent(&mut clinic, 86_401, shredding::destroyed);
    assert_eq!(step(&clinic, 86_401), None);
    assert_eq!(step(&clinic, 86_401 + CIPHERTEXT_GRACE), Some(Step::Sweep));
    silent(&mut clinic, 86_401 + CIPHERTEXT_GRACE, shredding::swept);
    assert_eq!(clinic.transfer(ID).unwrap().due_at(), None);
}

#[test]
fn the_last_opening_ends_it_when_it_lapses_and_the_days_key_is_replaced() {
    let mut clinic = Clinic::new();
    clinic.sent(ID, 7, Some(1));
    let (provider, by) = (clinic.provider.clone(), clinic.admin.requester());
    clinic.open(ID, &provider, OpeningId::from_bytes([1; 16]), 100).unwrap();
    assert_eq!(step(&clinic, 100 + 86_399), None);
    assert_eq!(step(&clinic, 100 + 86_400), Some(Step::Shred));
    let ((), effects) = clinic
        .effects(&KEYS, |l| shredding::shred(l, at(86_500), &ID, &by))
        .unwrap();
    assert_eq!(effects.leaves[0].data.clone().unwrap()["cause"], "used");
    silent(&mut clinic, 86_500, shredding::destroyed);
    assert_eq!(step(&clinic, 86_500), None, "keys are replaced for many at once");
    assert_eq!(step(&clinic, 86_500 + KEY_REPLACEMENT), Some(Step::ReplaceKey));
    silent(&mut clinic, 86_500 + KEY_REPLACEMENT, shredding::key_replaced);
    assert_eq!(step(&clinic, 86_500 + CIPHERTEXT_GRACE), Some(Step::Sweep));
}

/// N115: a clock in doubt ends nothing, but what has ended goes on to the new key of its day; the ciphertext waits.
#[test]
fn a_clock_in_doubt_has_a_say_in_no_end_and_in_new_keys_it_is_generous() {
    let mut clinic = Clinic::new();
    clinic.sent(ID, 7, Some(1));
    let (provider, by) = (clinic.provider.clone(), clinic.admin.requester());
    clinic.open(ID, &provider, OpeningId::from_bytes([1; 16]), 100).unwrap();
    let within = |clinic: &Clinic, horizon| next_step_within(&clinic.transfer(ID).unwrap(), &horizon);
    let years = Horizon::in_doubt(NOW + 1_000 * 86_400);
    assert_eq!(within(&clinic, years), None, "it has not ended");
    let day = Horizon::trusted(NOW + 86_500);
    assert_eq!(within(&clinic, day), Some(Step::Shred));

    clinic
        .effects(&KEYS, |l| shredding::shred(l, at(86_500), &ID, &by))
        .unwrap();
    assert_eq!(within(&clinic, Horizon::in_doubt(0)), Some(Step::Destroy));
    silent(&mut clinic, 86_500, shredding::destroyed);

    assert_eq!(within(&clinic, day), None, "keys are replaced for many at once");
    let due = clinic.transfer(ID).unwrap().due_at().unwrap();
    let generous = Horizon::in_doubt(due - KEY_REPLACEMENT);
    assert_eq!(within(&clinic, generous), Some(Step::ReplaceKey));
    assert_eq!(generous.end(), due, "it is found by its time");
    assert_eq!(within(&clinic, Horizon::in_doubt(due - KEY_REPLACEMENT - 1)), None);
    silent(&mut clinic, 86_500, shredding::key_replaced);

    assert_eq!(within(&clinic, years), None, "the ciphertext waits for a clock");
    let swept = Horizon::trusted(NOW + 86_500 + CIPHERTEXT_GRACE);
    assert_eq!(within(&clinic, swept), Some(Step::Sweep));
}

#[test]
fn an_upload_that_is_not_sealed_in_time_is_forgotten() {
    let mut clinic = Clinic::new();
    let (leaves, stored) = clinic.upload(ID, 1000);
    let command = clinic.seal_command(ID, &leaves, stored, 7);
    assert_eq!(step(&clinic, UNSEALED_LIFETIME - 1), None);
    assert_eq!(step(&clinic, UNSEALED_LIFETIME), Some(Step::Abandon));
    silent(&mut clinic, UNSEALED_LIFETIME, shredding::abandon);
    let late = clinic.seal(&command, UNSEALED_LIFETIME).unwrap_err();
    assert_eq!(late.kind, ProblemKind::NotFound);
    assert_eq!(step(&clinic, UNSEALED_LIFETIME), Some(Step::Remove));
    silent(&mut clinic, UNSEALED_LIFETIME, shredding::removed);
    assert!(clinic.transfer(ID).is_none());
}

#[test]
fn superseded_parts_go_after_the_seal() {
    let mut clinic = Clinic::new();
    let (leaves, stored) = clinic.upload(ID, 1000);
    let sender = clinic.admin.label;
    let sealed = clinic.transfer(ID).unwrap().parts[&0];
    let other = StoredPart {
        root: Hash::from_bytes([9; 32]),
        ..sealed
    };
    for part in [other, sealed] {
        clinic
            .run(&KEYS, |l| uploading::store_part(l, &ID, 0, part, &sender))
            .unwrap();
    }
    assert!(clinic.transfer(ID).unwrap().is_superseded(0, &other.root));
    assert!(!clinic.transfer(ID).unwrap().is_superseded(0, &sealed.root));
    assert_eq!(step(&clinic, 10), None, "as long as parts come, none is removed");
    let command = clinic.seal_command(ID, &leaves, stored, 7);
    clinic.seal(&command, 10).unwrap();
    assert_eq!(step(&clinic, 10), Some(Step::Tidy));
    silent(&mut clinic, 10, shredding::tidied);
    assert_eq!(step(&clinic, 10), None);
}

/// What another took the place of stays until the seal, so there is an end to it.
#[test]
fn so_many_parts_may_be_superseded_and_they_count() {
    let mut clinic = Clinic::new();
    let (_, stored) = clinic.upload(ID, 1000);
    let sender = clinic.admin.label;
    let part = |n: u8| StoredPart {
        len: stored,
        root: Hash::from_bytes([n; 32]),
    };
    let mut store = |n| {
        let stored = clinic.run(&KEYS, |l| uploading::store_part(l, &ID, 0, part(n), &sender));
        stored.map(drop).map_err(|refusal| refusal.kind)
    };
    let most = u8::try_from(uploading::MAX_SUPERSEDED).unwrap();
    for n in 100..100 + most {
        assert_eq!(store(n), Ok(()));
    }
    assert_eq!(store(200), Err(ProblemKind::Conflict));
    assert_eq!(store(100), Ok(()), "one that takes its place back");
    assert_eq!(store(201), Err(ProblemKind::Conflict));
    let transfer = clinic.transfer(ID).unwrap();
    assert_eq!(transfer.superseded.len(), uploading::MAX_SUPERSEDED);
    assert_eq!(uploading::stored_bytes(&transfer), stored * (u64::from(most) + 1));
}
