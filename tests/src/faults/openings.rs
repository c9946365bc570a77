//! Openings by their ids: what the audit log has of them, against what was asked for and what was answered.
//!
//! Counts would not do: an opening that was lost and one that was never answered make a right sum.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_proto::api::OPENING_LIFETIME;
use sealpost_proto::id::{OpeningId, TransferId};
use sealpost_proto::log::{EventType, Leaf, LeafOutcome, ObjectKind};
use serde_json::Value;

use super::Verdict;
use super::acks::Acks;

/// What the log has of the openings of all transfers.
#[derive(Debug, Default)]
pub struct Openings(BTreeMap<TransferId, History>);

/// Openings of a transfer, by recipients or by its link.
#[derive(Debug, Default)]
struct History {
    /// When each was made, unix milliseconds.
    made: BTreeMap<OpeningId, u64>,
    /// More often than once or not.
    count: u32,
    verified: BTreeSet<OpeningId>,
    /// As the sender sealed it.
    limit: Option<u32>,
}

impl History {
    /// Whether as many were made as may be, and each has ended at `now` (unix milliseconds).
    fn is_used_up(&self, limit: Option<u32>, now: u64) -> bool {
        let is_over = |(id, at): (&OpeningId, &u64)| {
            self.verified.contains(id) || now >= at + OPENING_LIFETIME.saturating_mul(1000)
        };
        limit == Some(self.count) && self.made.iter().all(is_over)
    }
}

impl Openings {
    /// How many the log has of a transfer.
    #[must_use]
    pub fn count(&self, transfer: &TransferId) -> u32 {
        self.0.get(transfer).map_or(0, |history| history.count)
    }

    /// Whether all that are allowed were made and have ended at `now` (unix milliseconds), each by its receipt or by its time.
    #[must_use]
    pub fn is_used_up(&self, transfer: &TransferId, limit: Option<u32>, now: u64) -> bool {
        self.0
            .get(transfer)
            .is_some_and(|history| history.is_used_up(limit, now))
    }
}

/// Reads the log from its beginning: every answered opening is in it, none twice, none that nobody asked for, and no share was
/// destroyed as used up before it was.
pub fn check(acks: &Acks, leaves: &[Leaf], verdict: &mut Verdict) -> Openings {
    let mut openings = Openings::default();
    for leaf in leaves.iter().filter(|leaf| leaf.outcome == LeafOutcome::Ok) {
        let Some(transfer) = transfer_of(acks, leaf) else {
            if leaf.event == EventType::LinkRedeemed {
                verdict.doubled(format!("the link {} was opened, and nobody has it", leaf.object.id));
            }
            continue;
        };
        let history = openings.0.entry(transfer).or_default();
        match leaf.event {
            EventType::TransferSealed => history.limit = limit_in(leaf),
            EventType::TransferOpened | EventType::LinkRedeemed => opened(acks, transfer, history, leaf, verdict),
            EventType::TransferVerified => history.verified.extend(opening_in(leaf)),
            EventType::TransferShredded if text_in(leaf, "cause") == Some("used") => {
                let limit = limit_of(acks, &transfer).unwrap_or(history.limit);
                if !history.is_used_up(limit, leaf.t) {
                    let made = history.count;
                    verdict.wrong(format!(
                        "the share of {transfer} was destroyed as used up after {made} of {limit:?} openings"
                    ));
                }
            }
            _ => {}
        }
    }
    answered(acks, &openings, verdict);
    openings
}

/// An opening that the log has.
fn opened(acks: &Acks, transfer: TransferId, history: &mut History, leaf: &Leaf, verdict: &mut Verdict) {
    history.count += 1;
    let Some(opening) = opening_in(leaf) else {
        verdict.wrong(format!("an opening of {transfer} is without its id in the audit log"));
        return;
    };
    if history.made.insert(opening, leaf.t).is_some() {
        verdict.doubled(format!("the opening {opening} of {transfer} is twice in the audit log"));
    }
    let is_asked = acks.asked.get(&transfer).is_some_and(|asked| asked.contains(&opening));
    if !is_asked {
        verdict.doubled(format!("nobody asked for the opening {opening} of {transfer}"));
    }
}

/// What was answered is in the log.
fn answered(acks: &Acks, openings: &Openings, verdict: &mut Verdict) {
    let has = |transfer, opening| {
        let history = openings.0.get(transfer);
        history.is_some_and(|history: &History| history.made.contains_key(opening))
    };
    for (transfer, answered) in &acks.openings {
        for opening in answered.keys() {
            verdict.acknowledged(has(transfer, opening), || {
                format!("the opening {opening} of {transfer}")
            });
        }
    }
    for (transfer, linked) in &acks.links {
        for (drawn, _) in &linked.opened {
            let made = drawn.iter().filter(|opening| has(transfer, opening)).count();
            verdict.acknowledged(made > 0, || format!("a visitor's opening of the link of {transfer}"));
            if made > 1 {
                verdict.doubled(format!("a visitor of the link of {transfer} was let in {made} times"));
            }
        }
    }
}

/// Which transfer a leaf is about, be it by its link.
fn transfer_of(acks: &Acks, leaf: &Leaf) -> Option<TransferId> {
    if leaf.event != EventType::LinkRedeemed {
        return leaf
            .object
            .id
            .parse()
            .ok()
            .filter(|_| leaf.object.kind == ObjectKind::Transfer);
    }
    let mut links = acks.links.iter();
    let linked = links.find(|(_, linked)| linked.hash.to_string() == leaf.object.id);
    linked.map(|(transfer, _)| *transfer)
}

/// How often a transfer may be opened by the account of its sender; none if its seal was not acknowledged.
fn limit_of(acks: &Acks, transfer: &TransferId) -> Option<Option<u32>> {
    let linked = acks.links.get(transfer).map(|linked| Some(linked.limit));
    acks.sealed.get(transfer).map(|sealed| sealed.limit).or(linked)
}

fn text_in<'a>(leaf: &'a Leaf, name: &str) -> Option<&'a str> {
    leaf.data.as_ref()?.get(name)?.as_str()
}

fn opening_in(leaf: &Leaf) -> Option<OpeningId> {
    text_in(leaf, "opening")?.parse().ok()
}

fn limit_in(leaf: &Leaf) -> Option<u32> {
    let limit = leaf.data.as_ref()?.get("openings").and_then(Value::as_u64)?;
    u32::try_from(limit).ok()
}

#[cfg(test)]
mod tests {
    use sealpost_proto::id::Hash;
    use sealpost_proto::log::{Actor, ActorKind, Object};
    use serde_json::json;

    use super::super::acks::Sealed;
    use super::*;

    const TRANSFER: TransferId = TransferId::from_bytes([1; 16]);
    const A: OpeningId = OpeningId::from_bytes([0xa; 16]);
    const B: OpeningId = OpeningId::from_bytes([0xb; 16]);
    const C: OpeningId = OpeningId::from_bytes([0xc; 16]);

    /// An account of a transfer with a limit: what was asked for, and of that what was answered.
    fn account(limit: u32, asked: &[OpeningId], answered: &[OpeningId]) -> Acks {
        let mut acks = Acks::default();
        let sealed = Sealed {
            hh: Hash::from_bytes([2; 32]),
            digest: String::new(),
            limit: Some(limit),
            at: 1,
        };
        acks.sealed.insert(TRANSFER, sealed);
        asked.iter().for_each(|opening| acks.ask(TRANSFER, *opening));
        answered.iter().for_each(|opening| acks.open(TRANSFER, *opening));
        acks
    }

    fn leaf(event: EventType, t: u64, data: &Value) -> Leaf {
        Leaf {
            v: 1,
            id: String::new(),
            t,
            node: "n".to_owned(),
            tenant: None,
            event,
            outcome: LeafOutcome::Ok,
            actor: Actor {
                kind: ActorKind::Gateway,
                id: "n".to_owned(),
                dk: None,
            },
            object: Object {
                kind: ObjectKind::Transfer,
                id: TRANSFER.to_string(),
            },
            peer: None,
            req_id: None,
            prev_obj: None,
            data: data.as_object().cloned(),
        }
    }

    fn opened(opening: OpeningId) -> Leaf {
        leaf(
            EventType::TransferOpened,
            1_000,
            &json!({ "opening": opening.to_string() }),
        )
    }

    fn verified(opening: OpeningId) -> Leaf {
        leaf(
            EventType::TransferVerified,
            2_000,
            &json!({ "opening": opening.to_string() }),
        )
    }

    fn used_up(t: u64) -> Leaf {
        leaf(EventType::TransferShredded, t, &json!({ "cause": "used" }))
    }

    /// Lost, doubled, wrong.
    fn found(acks: &Acks, leaves: &[Leaf]) -> [u64; 3] {
        let mut verdict = Verdict::default();
        check(acks, leaves, &mut verdict);
        [verdict.lost, verdict.doubled, verdict.wrong]
    }

    #[test]
    fn a_lost_opening_is_noticed_though_another_makes_the_sum_right() {
        // A was answered, B was asked for and not answered.
        let acks = account(3, &[A, B], &[A]);
        assert_eq!(found(&acks, &[opened(A)]), [0, 0, 0]);
        assert_eq!(found(&acks, &[opened(A), opened(B)]), [0, 0, 0]);
        assert_eq!(found(&acks, &[opened(B)]), [1, 0, 0]);
        assert_eq!(found(&acks, &[]), [1, 0, 0]);
    }

    #[test]
    fn a_doubled_opening_is_noticed_though_as_many_were_asked_for() {
        let acks = account(3, &[A, B, C], &[A]);
        assert_eq!(found(&acks, &[opened(A), opened(A)]), [0, 1, 0]);
        let acks = account(3, &[A, B], &[A]);
        assert_eq!(found(&acks, &[opened(A), opened(C)]), [0, 1, 0], "nobody asked for C");
    }

    #[test]
    fn a_share_that_was_destroyed_too_early_is_noticed() {
        let acks = account(3, &[A, B, C], &[A]);
        let all = [A, B, C].map(opened);
        let early = [opened(A), verified(A), used_up(3_000)];
        assert_eq!(found(&acks, &early), [0, 0, 1], "one of three");
        let open = [&all[..], &[verified(A), verified(B), used_up(3_000)]].concat();
        assert_eq!(found(&acks, &open), [0, 0, 1], "the third goes on");
        let over = [&all[..], &[verified(A), verified(B), verified(C), used_up(3_000)]].concat();
        assert_eq!(found(&acks, &over), [0, 0, 0]);
        let lapsed = [&all[..], &[used_up(1_000 + OPENING_LIFETIME * 1_000)]].concat();
        assert_eq!(found(&acks, &lapsed), [0, 0, 0]);
    }

    #[test]
    fn used_up_is_believed_of_the_log_alone() {
        let acks = account(1, &[A], &[A]);
        let is_used_up =
            |leaves: &[Leaf], now| check(&acks, leaves, &mut Verdict::default()).is_used_up(&TRANSFER, Some(1), now);
        assert!(!is_used_up(&[], 3_000));
        assert!(!is_used_up(&[opened(A)], 3_000));
        assert!(is_used_up(&[opened(A), verified(A)], 3_000));
        assert!(is_used_up(&[opened(A)], 1_000 + OPENING_LIFETIME * 1_000));
    }
}
