//! Links, revoking and holding, with a property over sequences of what visitors, sender and sweep may do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sealpost_proto::api::{LinkState, OPENING_LIFETIME, TransferState};
use sealpost_proto::id::{OpeningId, TransferId};
use sealpost_proto::key::{Directory, SignedStatement};
use sealpost_proto::log::{EventType, LeafOutcome};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::{Argon2Params, Block, LinkKdf, Stanza};

use crate::domain::fixture::links::{auth, link, visitor};
use crate::domain::fixture::{Clinic, NOW, SHARE, at};
use crate::domain::redeeming::{Denied, LinkRelease, chain_of};
use crate::domain::shredding::{self, Step};
use crate::domain::{Change, Key, Opener, Refusal, ShredCause, holding, revoking};

const ID: TransferId = TransferId::from_bytes([1; 16]);
const KEYS: [Key; 1] = [Key::Transfer(ID)];

fn opening(n: u8) -> OpeningId {
    OpeningId::from_bytes([n; 16])
}

fn sent(links: &[(u8, u32)], has_recipient: bool) -> Clinic {
    let mut clinic = Clinic::new();
    clinic.sent_with_links(ID, 7, links, has_recipient);
    clinic
}

fn kind(outcome: Result<Result<LinkRelease, Denied>, Refusal>) -> Result<(), ProblemKind> {
    let refused = outcome.map(|redeemed| redeemed.map(drop).map_err(|denied| denied.refusal));
    refused.flatten().map_err(|refusal| refusal.kind)
}

/// Visitor `v` redeems link `n` with the right words, as opening `v`.
fn redeem(clinic: &mut Clinic, n: u8, v: u8, seconds: u64) -> Result<(), ProblemKind> {
    kind(clinic.redeem(ID, (n, &auth(n)), (&visitor(v), opening(v)), seconds))
}

fn guess(clinic: &mut Clinic, n: u8, seconds: u64) -> Result<(), ProblemKind> {
    kind(clinic.redeem(ID, (n, &[7; 32]), (&visitor(99), opening(99)), seconds))
}

fn revoke(clinic: &mut Clinic, seconds: u64) -> Result<(), Refusal> {
    let (sender, by) = (clinic.admin.label, clinic.admin.requester());
    clinic.run(&KEYS, |loaded| {
        revoking::revoke(loaded, at(seconds), &ID, &sender, false, &by)
    })
}

fn hold(clinic: &mut Clinic, seconds: u64) -> Result<(), Refusal> {
    let by = clinic.admin.requester();
    clinic.run(&KEYS, |loaded| holding::hold(loaded, at(seconds), &ID, &by))
}

fn rearm(clinic: &mut Clinic, share: &[u8; 32], seconds: u64) -> Result<(), ProblemKind> {
    let (sender, by) = (clinic.admin.label, clinic.admin.requester());
    let outcome = clinic.run(&KEYS, |loaded| {
        holding::rearm(loaded, at(seconds), &ID, &sender, share, &by)
    });
    outcome.map_err(|refusal| refusal.kind)
}

fn state(clinic: &Clinic, seconds: u64) -> TransferState {
    clinic.transfer(ID).unwrap().state(NOW + seconds)
}

#[test]
fn the_right_words_open_as_often_as_the_sender_said() {
    let mut clinic = sent(&[(1, 2)], false);
    assert_eq!(redeem(&mut clinic, 1, 1, 10), Ok(()));
    assert_eq!(redeem(&mut clinic, 1, 1, 20), Ok(()), "repeated, not counted");
    assert_eq!(redeem(&mut clinic, 1, 2, 30), Ok(()));
    assert_eq!(redeem(&mut clinic, 1, 3, 40), Err(ProblemKind::LimitReached));
    let transfer = clinic.transfer(ID).unwrap();
    assert_eq!(transfer.links[&link(1)].state(), LinkState::Used);
    assert_eq!(transfer.opener_of(&visitor(1).public()), Some(Opener::Link(link(1))));
    assert_eq!(
        redeem(&mut clinic, 1, 1, 10 + OPENING_LIFETIME),
        Err(ProblemKind::Conflict),
        "its opening has lapsed"
    );
    assert_eq!(
        redeem(&mut clinic, 2, 4, 40),
        Err(ProblemKind::LinkRefused),
        "no such link"
    );
    let late = 30 + OPENING_LIFETIME;
    assert_eq!(state(&clinic, late), TransferState::Used);
    assert_eq!(redeem(&mut clinic, 1, 2, late), Err(ProblemKind::LimitReached));
}

/// N101.
#[test]
fn n101_wrong_tries_are_written_down_slowed_and_locked() {
    let mut clinic = sent(&[(1, 1), (2, 1)], false);
    let mut seconds = 10;
    for _ in 0..5 {
        assert_eq!(guess(&mut clinic, 1, seconds), Err(ProblemKind::LinkRefused));
    }
    assert_eq!(guess(&mut clinic, 1, seconds), Err(ProblemKind::LinkDelayed));
    let denied = clinic.redeem(ID, (1, &auth(1)), (&visitor(1), opening(1)), seconds + 12);
    let denied = denied.unwrap().unwrap_err();
    assert_eq!(
        (denied.refusal.kind, denied.wait),
        (ProblemKind::LinkDelayed, 18),
        "the right ones as well"
    );
    for beyond in 0..5 {
        seconds += 30 << beyond;
        assert_eq!(
            guess(&mut clinic, 1, seconds),
            Err(ProblemKind::LinkRefused),
            "{beyond}"
        );
    }
    assert_eq!(
        redeem(&mut clinic, 1, 1, seconds + 50_000),
        Err(ProblemKind::LinkLocked)
    );
    assert_eq!(clinic.transfer(ID).unwrap().links[&link(1)].state(), LinkState::Locked);
    assert_eq!(
        redeem(&mut clinic, 2, 2, seconds),
        Ok(()),
        "another link is not touched"
    );
    clinic.unlock(ID, 1, seconds).unwrap();
    clinic.unlock(ID, 1, seconds).unwrap();
    assert_eq!(guess(&mut clinic, 1, seconds), Err(ProblemKind::LinkRefused));
    assert_eq!(redeem(&mut clinic, 1, 1, seconds), Ok(()));
    assert_eq!(
        clinic.transfer(ID).unwrap().links[&link(1)].tries.failures,
        0,
        "right words begin anew"
    );
}

#[test]
fn a_refusal_is_a_leaf_without_the_proof() {
    let mut clinic = sent(&[(1, 1)], false);
    let command = crate::domain::redeeming::RedeemCommand {
        transfer: ID,
        link: link(1),
        auth: zeroize::Zeroizing::new(vec![7; 32]),
        opening: opening(1),
        device: visitor(1).public(),
        kept: "base\nopening".to_owned(),
    };
    let by = clinic.admin.requester();
    let (_, effects) = clinic
        .effects(&KEYS, |loaded| {
            crate::domain::redeeming::redeem(loaded, at(10), &command, &by)
        })
        .unwrap();
    let [leaf] = &effects.leaves[..] else {
        panic!("one leaf");
    };
    assert_eq!(leaf.event, EventType::LinkFailed);
    assert_eq!(leaf.outcome, LeafOutcome::Denied("link_refused".to_owned()));
    assert_eq!(leaf.object.id, link(1).to_string());
    assert!(!format!("{command:?}").contains("[7, 7"), "nor is it shown");
    let change = serde_json::to_string(&effects.changes).unwrap();
    assert!(change.contains("link_failed") && !change.contains("base"));
}

#[test]
fn revoked_wins_over_all_that_comes_later() {
    let mut clinic = sent(&[(1, 2)], true);
    assert_eq!(redeem(&mut clinic, 1, 1, 10), Ok(()));
    revoke(&mut clinic, 20).unwrap();
    revoke(&mut clinic, 30).unwrap();
    let by = clinic.admin.requester();
    let later = [
        Change::TransferHeld {
            transfer: ID,
            at: NOW + 30,
        },
        Change::TransferRearmed {
            transfer: ID,
            at: NOW + 30,
        },
        Change::TransferShredded {
            transfer: ID,
            cause: ShredCause::Used,
            at: NOW + 30,
        },
        Change::LinkRearmed {
            transfer: ID,
            link: link(1),
        },
    ];
    for change in &later {
        clinic.state.apply(change).unwrap();
        assert_eq!(state(&clinic, 30), TransferState::Revoked, "{change:?}");
    }
    assert_eq!(state(&clinic, 8 * 86_400), TransferState::Revoked, "nor does it expire");
    assert_eq!(redeem(&mut clinic, 1, 1, 40), Err(ProblemKind::Revoked));
    assert_eq!(redeem(&mut clinic, 1, 2, 40), Err(ProblemKind::Revoked));
    assert_eq!(rearm(&mut clinic, &SHARE, 40), Err(ProblemKind::Revoked));
    assert_eq!(hold(&mut clinic, 40).unwrap_err().kind, ProblemKind::NotFound);
    let unlock = clinic.unlock(ID, 1, 40);
    assert_eq!(unlock.unwrap_err().kind, ProblemKind::Revoked);
    let again = clinic.run(&KEYS, |l| shredding::shred(l, at(40), &ID, &by));
    assert!(again.is_err());
    let next = shredding::next_step(&clinic.transfer(ID).unwrap(), NOW + 40);
    assert_eq!(next, Some(Step::Destroy));
}

#[test]
fn only_sender_and_registrar_revoke_and_what_has_ended_says_how() {
    let mut clinic = sent(&[], true);
    let (recipient, by) = (clinic.provider.label, clinic.provider.requester());
    let mut ask = |is_registrar, seconds| {
        let outcome = clinic.run(&KEYS, |l| {
            revoking::revoke(l, at(seconds), &ID, &recipient, is_registrar, &by)
        });
        outcome.map_err(|refusal| refusal.kind)
    };
    assert_eq!(ask(false, 10), Err(ProblemKind::NotFound));
    assert_eq!(ask(true, 7 * 86_400), Err(ProblemKind::Expired));
    assert_eq!(ask(true, 10), Ok(()));
    assert_eq!(ask(true, 8 * 86_400), Ok(()), "again, for ever");
}

#[test]
fn burning_the_only_way_ends_the_transfer() {
    for (links, has_recipient) in [(&[(1, 1)][..], true), (&[(1, 1), (2, 1)], false)] {
        let mut clinic = sent(links, has_recipient);
        for _ in 0..2 {
            clinic.burn(ID, 1, 10).unwrap();
            assert_eq!(state(&clinic, 10), TransferState::Available, "another way is left");
        }
        assert_eq!(redeem(&mut clinic, 1, 1, 20), Err(ProblemKind::Revoked));
        assert_eq!(clinic.unlock(ID, 1, 20).unwrap_err().kind, ProblemKind::Revoked);
        assert_eq!(clinic.burn(ID, 9, 20).unwrap_err().kind, ProblemKind::NotFound);
    }
    let mut clinic = sent(&[(1, 1)], false);
    clinic.burn(ID, 1, 10).unwrap();
    assert_eq!(state(&clinic, 10), TransferState::Revoked);
    assert!(clinic.transfer(ID).unwrap().awaits_destruction());

    let mut clinic = sent(&[(1, 1), (2, 1)], false);
    assert_eq!(redeem(&mut clinic, 1, 1, 10), Ok(()));
    clinic.burn(ID, 2, 20).unwrap();
    assert_eq!(
        state(&clinic, 20),
        TransferState::Available,
        "the first visitor may still be at it"
    );
    assert_eq!(state(&clinic, 10 + OPENING_LIFETIME), TransferState::Used);
    clinic.burn(ID, 1, 30).unwrap();
    assert_eq!(state(&clinic, 30), TransferState::Revoked);
}

#[test]
fn a_held_transfer_waits_for_the_right_share() {
    let mut clinic = sent(&[(1, 2)], true);
    assert_eq!(redeem(&mut clinic, 1, 1, 5), Ok(()));
    hold(&mut clinic, 10).unwrap();
    hold(&mut clinic, 11).unwrap();
    assert_eq!(redeem(&mut clinic, 1, 1, 20), Err(ProblemKind::Held), "not even again");
    assert_eq!(redeem(&mut clinic, 1, 2, 20), Err(ProblemKind::Held));
    assert_eq!(rearm(&mut clinic, &[0; 32], 20), Err(ProblemKind::SealRefused));
    assert_eq!(rearm(&mut clinic, &SHARE, 20), Ok(()));
    assert_eq!(rearm(&mut clinic, &SHARE, 21), Ok(()), "again");
    assert_eq!(rearm(&mut clinic, &[0; 32], 21), Err(ProblemKind::SealRefused));
    assert_eq!(redeem(&mut clinic, 1, 1, 30), Ok(()));
    hold(&mut clinic, 40).unwrap();
    assert_eq!(rearm(&mut clinic, &SHARE, 7 * 86_400), Err(ProblemKind::Expired));
}

#[test]
fn a_link_change_that_names_no_link_is_no_history() {
    let mut clinic = sent(&[(1, 1)], false);
    let change = Change::LinkRedeemed {
        transfer: ID,
        link: link(9),
        opening: opening(1),
        device: visitor(1).public(),
        at: NOW,
        request: String::new(),
    };
    assert!(clinic.state.apply(&change).is_err());
}

#[test]
fn a_visitor_sees_the_senders_chain_and_nobody_elses() {
    let clinic = Clinic::new();
    let loaded = clinic.state.load(&[Key::Organisation]);
    let organisation = loaded.organisation().unwrap();
    let chain = chain_of(organisation, &clinic.admin.label, u64::MAX).concat();
    assert!(chain.contains(&clinic.admin.label.to_string()));
    assert!(!chain.contains(&clinic.provider.label.to_string()));
    assert_eq!(
        chain_of(organisation, &clinic.provider.label, u64::MAX).len(),
        4,
        "org, registrar, member, device"
    );
}

/// Revocations below the size of the accepted receipt are served, those of a registrar with the keys that they revoke; later ones
/// are not.
#[test]
fn a_visitor_sees_what_was_revoked_before_the_transfer_was_accepted() {
    let mut clinic = Clinic::new();
    let before = clinic.state.load(&[Key::Organisation]).organisation().unwrap().size();
    let (admin, provider) = (clinic.admin.clone(), clinic.provider.clone());
    for person in [&provider, &admin] {
        let text = clinic.revoked_device(person).to_string();
        clinic.state.apply(&Change::StatementTaken { text }).unwrap();
    }
    let loaded = clinic.state.load(&[Key::Organisation]);
    let organisation = loaded.organisation().unwrap();
    let devices = |size: u64| {
        let mut directory = Directory::new(clinic.org);
        for text in chain_of(organisation, &provider.label, size) {
            directory.apply(&text.parse::<SignedStatement>().unwrap()).unwrap();
        }
        let is_good = |key| directory.device_below(&key, NOW, directory.size()).is_some();
        [&provider, &admin].map(|person| is_good(person.device.public()))
    };
    assert_eq!(
        devices(before),
        [true, false],
        "nothing of the registrar but that she is one"
    );
    assert_eq!(devices(before + 1), [false, false]);
    assert_eq!(devices(before + 2), [false, false]);
    let whole = chain_of(organisation, &provider.label, before + 2);
    assert_eq!(
        whole.len(),
        8,
        "org; registrar, member, device, revoke of the one; member, device, revoke of the other"
    );
}

/// What may happen to a transfer with two links.
#[derive(Debug, Clone, Copy)]
enum Act {
    Redeem { link: u8, visitor: u8 },
    Guess(u8),
    Verify(u8),
    Wait(u64),
    Unlock(u8),
    Burn(u8),
    Revoke,
    Hold,
    Rearm,
    Sweep,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let link = || 1_u8..3;
    let act = prop_oneof![
        8 => (link(), 0_u8..6).prop_map(|(link, visitor)| Act::Redeem { link, visitor }),
        6 => link().prop_map(Act::Guess),
        2 => (0_u8..6).prop_map(Act::Verify),
        4 => (1_u64..60_000).prop_map(Act::Wait),
        2 => link().prop_map(Act::Unlock),
        1 => link().prop_map(Act::Burn),
        1 => Just(Act::Revoke),
        1 => Just(Act::Hold),
        1 => Just(Act::Rearm),
        2 => Just(Act::Sweep),
    ];
    prop::collection::vec(act, 1..60)
}

/// What was seen of the transfer so far.
#[derive(Debug, Default)]
struct Seen {
    /// Link and first time of each visitor's opening.
    made: BTreeMap<u8, (u8, u64)>,
    /// Wrong tries in a row by link.
    wrong: BTreeMap<u8, u32>,
    burned: Vec<u8>,
    is_held: bool,
    is_revoked: bool,
    is_shredded: bool,
}

fn play(clinic: &mut Clinic, seen: &mut Seen, act: Act, time: u64) -> Result<(), TestCaseError> {
    match act {
        Act::Wait(_) => {}
        Act::Redeem { link, visitor } => {
            if redeem(clinic, link, visitor, time).is_ok() {
                prop_assert!(!seen.is_revoked && !seen.is_shredded && !seen.is_held && !seen.burned.contains(&link));
                prop_assert!(time < 7 * 86_400 && seen.wrong.get(&link).is_none_or(|wrong| *wrong < 10));
                let (of, first) = *seen.made.entry(visitor).or_insert((link, time));
                prop_assert!(of == link && time < first + OPENING_LIFETIME);
                // Only a new opening shows that the words were right to the counter.
                if first == time {
                    seen.wrong.remove(&link);
                }
            }
        }
        Act::Guess(link) => match guess(clinic, link, time) {
            Err(ProblemKind::LinkRefused) => *seen.wrong.entry(link).or_default() += 1,
            Err(ProblemKind::LinkDelayed) => prop_assert!(seen.wrong[&link] >= 5),
            Err(ProblemKind::LinkLocked) => prop_assert!(seen.wrong[&link] >= 10),
            other => prop_assert!(false, "a wrong proof gave {:?}", other),
        },
        Act::Verify(v) => {
            let receipt = clinic.visitors_receipt(ID, &visitor(v), time);
            let of = seen.made.get(&v).map(|(link, _)| *link);
            let outcome = clinic.take_visitors_receipt(ID, of.unwrap_or(1), (&visitor(v), opening(v)), receipt, time);
            prop_assert_eq!(outcome.is_ok(), of.is_some());
        }
        Act::Unlock(link) => {
            if clinic.unlock(ID, link, time).is_ok() {
                seen.wrong.remove(&link);
            }
        }
        Act::Burn(link) => {
            clinic.burn(ID, link, time).unwrap();
            let was_available = state(clinic, time) == TransferState::Revoked;
            seen.burned.push(link);
            seen.is_revoked |= was_available;
            if seen.burned.contains(&1) && seen.burned.contains(&2) {
                prop_assert_ne!(state(clinic, time), TransferState::Available);
            }
        }
        Act::Revoke => seen.is_revoked |= revoke(clinic, time).is_ok(),
        Act::Hold => seen.is_held |= hold(clinic, time).is_ok(),
        Act::Rearm => {
            if rearm(clinic, &SHARE, time).is_ok() {
                seen.is_held = false;
            }
        }
        Act::Sweep => {
            let by = clinic.admin.requester();
            let shred = clinic.run(&KEYS, |l| shredding::shred(l, at(time), &ID, &by));
            seen.is_shredded |= shred.is_ok();
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Openings by a link never exceed its limit and are counted exactly; a wrong proof never opens and is counted; what was
    /// revoked, burned, held or has ended never opens; revoked stays revoked.
    #[test]
    fn links_keep_their_rules(acts in acts(), limit in 1_u32..4) {
        let mut clinic = sent(&[(1, limit), (2, limit)], false);
        let (mut seen, mut time) = (Seen::default(), 1_u64);
        for act in acts {
            time += match act { Act::Wait(seconds) => seconds, _ => 1 };
            play(&mut clinic, &mut seen, act, time)?;
            let transfer = clinic.transfer(ID).unwrap();
            for n in [1, 2] {
                let made = seen.made.values().filter(|(link, _)| *link == n).count();
                prop_assert_eq!(transfer.links[&link(n)].openings_used as usize, made);
                prop_assert!(made <= limit as usize);
                let wrong = seen.wrong.get(&n).copied().unwrap_or_default();
                prop_assert_eq!(transfer.links[&link(n)].tries.failures, wrong);
            }
            if seen.is_revoked {
                prop_assert_eq!(state(&clinic, time), TransferState::Revoked);
            }
        }
    }
}

/// Those that the gateway makes up for a link that does not exist are the usual ones.
#[test]
fn a_link_has_the_usual_parameters_or_is_refused() {
    let mut clinic = Clinic::new();
    let (leaves, stored) = clinic.upload(ID, 1000);
    let command = clinic.seal_command(ID, &leaves, stored, 7);
    let command = clinic.with_links(command, &[(1, 1)], false);
    let mut unusual = command.clone();
    let stanzas = command.envelope.block.stanzas().iter().cloned();
    let changed = stanzas.map(|stanza| match stanza {
        Stanza::Link(mut link) => {
            link.kdf = LinkKdf::Argon2id {
                params: Argon2Params::new(Argon2Params::DEFAULT.m_kib() / 2, 3).unwrap(),
                salt: [1; 16],
            };
            Stanza::Link(link)
        }
        other => other,
    });
    unusual.envelope.block = Block::seal(changed.collect()).unwrap();
    assert_eq!(clinic.seal(&unusual, 0).unwrap_err().kind, ProblemKind::BadRequest);
    clinic.seal(&command, 0).unwrap();
}
