//! Openings and receipts, with a property over sequences of them.

use proptest::prelude::*;
use sealpost_proto::api::{OPENING_LIFETIME, OpenRequest, TransferState};
use sealpost_proto::id::{OpeningId, TransferId};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::Reason;

use crate::domain::fixture::{Clinic, NOW, Person, at};
use crate::domain::opening::{OpenCommand, open};
use crate::domain::shredding::{self, Step};
use crate::domain::{Change, Key, ShredCause};

const ID: TransferId = TransferId::from_bytes([1; 16]);

fn opening(n: u8) -> OpeningId {
    OpeningId::from_bytes([n; 16])
}

fn sent(days: u64, openings: Option<u32>) -> (Clinic, Person) {
    let mut clinic = Clinic::new();
    clinic.sent(ID, days, openings);
    let provider = clinic.provider.clone();
    (clinic, provider)
}

fn try_open(clinic: &mut Clinic, by: &Person, n: u8, seconds: u64) -> Result<(), ProblemKind> {
    clinic
        .open(ID, by, opening(n), seconds)
        .map(drop)
        .map_err(|refusal| refusal.kind)
}

#[test]
fn openings_are_counted_once_and_bound_to_their_device() {
    let (mut clinic, provider) = sent(7, Some(2));
    assert_eq!(try_open(&mut clinic, &provider, 1, 10), Ok(()));
    assert_eq!(try_open(&mut clinic, &provider, 1, 20), Ok(()), "repeated, not counted");
    let used = |clinic: &Clinic| clinic.progress(ID).openings_used;
    assert_eq!(used(&clinic), 1);
    assert_eq!(
        try_open(&mut clinic, &provider, 1, 10 + OPENING_LIFETIME),
        Err(ProblemKind::Conflict),
        "lapsed"
    );
    assert_eq!(try_open(&mut clinic, &provider, 2, 30), Ok(()));
    assert_eq!(try_open(&mut clinic, &provider, 3, 40), Err(ProblemKind::LimitReached));
    assert_eq!(
        try_open(&mut clinic, &provider, 2, 50),
        Ok(()),
        "the second may still be repeated"
    );
    assert_eq!(used(&clinic), 2);

    let mut second_device = provider;
    second_device.device = clinic.admin.device.clone();
    assert_eq!(try_open(&mut clinic, &second_device, 2, 60), Err(ProblemKind::Disabled));
    let admin = clinic.admin.clone();
    assert_eq!(
        try_open(&mut clinic, &admin, 2, 60),
        Err(ProblemKind::Conflict),
        "another's opening id"
    );
    assert_eq!(
        try_open(&mut clinic, &admin, 9, 60),
        Ok(()),
        "the sender's copy is not counted"
    );
    assert_eq!(used(&clinic), 2);
}

#[test]
fn strangers_see_nothing_and_parties_the_reason() {
    let (mut clinic, provider) = sent(1, Some(1));
    let stranger = Person::new(7);
    assert_eq!(try_open(&mut clinic, &stranger, 1, 10), Err(ProblemKind::Disabled));
    let unknown = clinic.open(TransferId::from_bytes([9; 16]), &provider, opening(1), 10);
    assert_eq!(unknown.unwrap_err().kind, ProblemKind::NotFound);
    assert_eq!(try_open(&mut clinic, &provider, 1, 86_400), Err(ProblemKind::Expired));
}

#[test]
fn verified_is_sticky_and_ends_the_opening() {
    let (mut clinic, provider) = sent(7, Some(1));
    try_open(&mut clinic, &provider, 1, 10).unwrap();
    let rejected = clinic.receipt(ID, &provider, 20, Some(Reason::Segment));
    let outcome = clinic
        .take_receipt(ID, &provider, opening(1), rejected.clone(), 20)
        .unwrap();
    assert!(!outcome.is_used_up && outcome.receipt.contains("/receipts "));
    assert_eq!(
        try_open(&mut clinic, &provider, 1, 25),
        Ok(()),
        "a rejected opening may be repeated"
    );

    let verified = clinic.receipt(ID, &provider, 30, None);
    let outcome = clinic.take_receipt(ID, &provider, opening(1), verified, 30).unwrap();
    assert!(outcome.is_used_up);
    let later = clinic.take_receipt(ID, &provider, opening(1), rejected, 40).unwrap();
    assert_eq!(
        later.receipt, outcome.receipt,
        "the same answer again, never a rejection"
    );
    let recipient = clinic.progress(ID);
    assert!(recipient.is_verified && recipient.receipt == Some(outcome.receipt));
    assert_eq!(try_open(&mut clinic, &provider, 1, 50), Err(ProblemKind::LimitReached));
    assert_eq!(clinic.transfer(ID).unwrap().state(NOW + 50), TransferState::Used);
}

#[test]
fn receipts_of_others_and_of_other_times_are_refused() {
    let (mut clinic, provider) = sent(7, None);
    try_open(&mut clinic, &provider, 1, 10).unwrap();
    let admin = clinic.admin.clone();
    try_open(&mut clinic, &admin, 2, 10).unwrap();
    let kind = |outcome: Result<_, crate::domain::Refusal>| outcome.map(drop).map_err(|refusal| refusal.kind);
    let theirs = clinic.receipt(ID, &admin, 20, None);
    let outcome = clinic.take_receipt(ID, &provider, opening(1), theirs, 20);
    assert_eq!(kind(outcome), Err(ProblemKind::ReceiptRefused));
    let own = clinic.receipt(ID, &provider, 20, None);
    let outcome = clinic.take_receipt(ID, &provider, opening(2), own.clone(), 20);
    assert_eq!(kind(outcome), Err(ProblemKind::NotFound), "another's opening");
    let outcome = clinic.take_receipt(ID, &provider, opening(1), own.clone(), 141);
    assert_eq!(kind(outcome), Err(ProblemKind::ReceiptRefused), "121 seconds late");
    let outcome = clinic.take_receipt(ID, &provider, opening(1), own, 140);
    assert_eq!(kind(outcome), Ok(()));
}

#[test]
fn a_device_cannot_fill_the_memory_with_openings() {
    let (mut clinic, provider) = sent(7, None);
    for n in 0..16 {
        assert_eq!(try_open(&mut clinic, &provider, n, 10), Ok(()));
    }
    assert_eq!(
        try_open(&mut clinic, &provider, 16, 10),
        Err(ProblemKind::TooManyRequests)
    );
    assert_eq!(
        try_open(&mut clinic, &provider, 15, 10),
        Ok(()),
        "a repetition is no new one"
    );
    let admin = clinic.admin.clone();
    assert_eq!(try_open(&mut clinic, &admin, 200, 10), Ok(()), "another device");
    for n in 0..100 {
        let verified = clinic.receipt(ID, &provider, 20, None);
        clinic.take_receipt(ID, &provider, opening(n), verified, 20).unwrap();
        // Sixteen are live before each of these, so the next to be verified is always sixteen behind.
        assert_eq!(try_open(&mut clinic, &provider, n + 16, 20), Ok(()), "{n}");
    }
    let remembered = clinic.transfer(ID).unwrap().openings.len();
    assert!(remembered <= 16 + 17 + 1, "{remembered}");
}

#[test]
fn a_repetition_keeps_no_text() {
    let (mut clinic, provider) = sent(7, None);
    let command = OpenCommand {
        transfer: ID,
        request: OpenRequest {
            hh: clinic.sealed(ID).hh,
            opening: opening(1),
        },
        by: provider.trusted(),
        kept: "base\nbody".to_owned(),
    };
    let by = provider.requester();
    let mut kept = || {
        let decided = clinic.effects(&[Key::Organisation, Key::Transfer(ID)], |loaded| {
            open(loaded, at(10), &command, &by)
        });
        let (_, effects) = decided.unwrap();
        let hash = effects.leaves[0].data.as_ref().unwrap()["request"].clone();
        (serde_json::to_string(&effects.changes).unwrap(), hash)
    };
    let (first, hash) = kept();
    let (second, same) = kept();
    assert!(first.contains("base") && !second.contains("base") && second.contains("transfer_reopened"));
    assert_eq!(hash, same, "the leaf names the request by its hash");
    let before = r#"{"c":"transfer_reopened","transfer":"01010101010101010101010101010101","opening":"01010101010101010101010101010101","request":"base"}"#;
    assert!(
        serde_json::from_str::<Change>(before).is_ok(),
        "older journals read back"
    );
}

/// What may happen to a transfer.
#[derive(Debug, Clone, Copy)]
enum Act {
    Open(u8),
    Verify(u8),
    Wait(u64),
    Sweep,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0_u8..6).prop_map(Act::Open),
        1 => (0_u8..6).prop_map(Act::Verify),
        2 => (1_u64..100_000).prop_map(Act::Wait),
        1 => Just(Act::Sweep),
    ];
    prop::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Openings are counted exactly, never above the limit; nothing is released after expiry or after the decision to shred.
    #[test]
    fn releases_keep_their_rules(acts in acts(), limit in prop::option::of(1_u32..4), days in 1_u64..4) {
        let (mut clinic, provider) = sent(days, limit);
        let (mut time, mut made) = (1_u64, std::collections::BTreeMap::new());
        let mut is_shredded = false;
        for act in acts {
            match act {
                Act::Wait(seconds) => time += seconds,
                Act::Open(n) => {
                    let outcome = try_open(&mut clinic, &provider, n, time);
                    if outcome.is_ok() {
                        prop_assert!(!is_shredded && time < days * 86_400);
                        let first = *made.entry(n).or_insert(time);
                        prop_assert!(time < first + OPENING_LIFETIME);
                    }
                    prop_assert!(limit.is_none_or(|limit| made.len() <= limit as usize));
                }
                Act::Verify(n) => {
                    let receipt = clinic.receipt(ID, &provider, time, None);
                    let outcome = clinic.take_receipt(ID, &provider, opening(n), receipt, time);
                    prop_assert_eq!(outcome.is_ok(), made.contains_key(&n));
                }
                Act::Sweep => {
                    let by = provider.requester();
                    let shred = clinic.run(&[Key::Transfer(ID)], |l| shredding::shred(l, at(time), &ID, &by));
                    is_shredded |= shred.is_ok();
                    let transfer = clinic.transfer(ID).unwrap();
                    if let Some(shredded) = &transfer.shredded {
                        prop_assert!(shredded.cause == ShredCause::Used || time >= days * 86_400);
                        prop_assert_eq!(shredding::next_step(&transfer, NOW + time), Some(Step::Destroy));
                    }
                }
            }
            let used = clinic.progress(ID).openings_used;
            prop_assert_eq!(used as usize, made.len());
        }
    }
}
