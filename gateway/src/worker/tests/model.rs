//! The crash matrix of security.md 9.4 as a state machine that is searched completely: one transfer with one allowed opening, two
//! openings that race for it, a receipt, a revocation, expiry, the sweep, and an end of the process between any two steps.
//!
//! The decisions are the real rules of `domain`, and a restart replays the real changes; only disk and steps are modelled. The
//! search is our own breadth-first one: `stateright` 0.31 brings second versions of `rand`, `getrandom` and `hashbrown` and a web
//! server into the tree, for a search of thirty lines. Each order that matters is also tried the wrong way round, and must be found.

use std::collections::{HashSet, VecDeque};

use sealpost_proto::id::{OpeningId, TransferId};

use crate::domain::fixture::{Clinic, NOW, at};
use crate::domain::opening::{self, OpenCommand, ReceiptCommand};
use crate::domain::sealing::{self, SealCommand};
use crate::domain::shredding::{self, Step};
use crate::domain::{Change, Decision, Key, Loaded, Opener, Stamp, Transfer, revoking};

const ID: TransferId = TransferId::from_bytes([1; 16]);
const DAYS: u64 = 1;
/// After the expiry, so many seconds after the beginning.
const LATE: u64 = DAYS * 86_400 + 60;
/// How often an opening may be repeated in the model; each time is a leaf.
const REPEATS: u8 = 1;

/// An order of steps that the gateway must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nowhere,
    /// The share leaves before its opening is recorded.
    ReleaseFirst,
    /// A seal is recorded before its share is kept.
    RecordFirst,
    /// A seal is acknowledged before it is recorded.
    AcknowledgeFirst,
    /// A share is destroyed before its end is recorded.
    DestroyFirst,
    /// A start serves before it has swept.
    ServeFirst,
}

/// How far a seal that is under way has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sealing {
    Idle,
    EnvelopeKept,
    ShareKept,
    Recorded,
}

/// How far an opening, or a destruction, that is under way has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Under {
    Idle,
    Recorded,
    Destroyed,
}

/// The gateway and what its clients know of it.
#[derive(Debug, Clone)]
struct House {
    // Durable.
    log: Vec<Change>,
    has_envelope: bool,
    has_share: bool,
    // What clients were told, and the time.
    is_seal_acknowledged: bool,
    is_revocation_acknowledged: bool,
    released: Vec<u8>,
    repeats: u8,
    is_late: bool,
    // Volatile.
    clinic: Clinic,
    is_serving: bool,
    sealing: Sealing,
    openings: [Under; 2],
    revoking: Under,
    sweeping: Under,
}

type Next = Vec<(&'static str, Result<House, String>)>;

struct Model {
    wrong: Wrong,
    begun: Clinic,
    command: SealCommand,
}

impl Model {
    fn new(wrong: Wrong) -> Self {
        let mut begun = Clinic::new();
        let (leaves, stored) = begun.upload(ID, 1_000);
        let mut command = begun.seal_command(ID, &leaves, stored, DAYS);
        command.options.openings = Some(1);
        Self { wrong, begun, command }
    }

    fn start(&self) -> House {
        House {
            log: Vec::new(),
            has_envelope: false,
            has_share: false,
            is_seal_acknowledged: false,
            is_revocation_acknowledged: false,
            released: Vec::new(),
            repeats: 0,
            is_late: false,
            clinic: self.begun.clone(),
            is_serving: true,
            sealing: Sealing::Idle,
            openings: [Under::Idle; 2],
            revoking: Under::Idle,
            sweeping: Under::Idle,
        }
    }

    /// Everything that can happen next.
    fn next(&self, house: &House) -> Next {
        let mut next = vec![("crash", self.crash(house))];
        self.sweep(house, &mut next);
        if !house.is_serving {
            let is_swept = house.due().is_none() && house.sweeping == Under::Idle;
            if is_swept || self.wrong == Wrong::ServeFirst {
                next.push(("serve", house.with(|h| h.is_serving = true)));
            }
            return next;
        }
        if !house.is_late {
            next.push(("time passes", house.with(|h| h.is_late = true)));
        }
        self.seal(house, &mut next);
        for opening in [0, 1] {
            self.open(house, opening, &mut next);
            verify(house, opening, &mut next);
        }
        self.revoke(house, &mut next);
        next
    }

    /// Memory is lost; the state is replayed from the log.
    fn crash(&self, house: &House) -> Result<House, String> {
        let mut after = House {
            clinic: self.begun.clone(),
            is_serving: false,
            sealing: Sealing::Idle,
            openings: [Under::Idle; 2],
            revoking: Under::Idle,
            sweeping: Under::Idle,
            ..house.clone()
        };
        for change in &house.log {
            let applied = after.clinic.state.apply(change);
            applied.map_err(|unfit| format!("the log does not replay: {unfit}"))?;
        }
        Ok(after)
    }

    fn seal(&self, house: &House, next: &mut Next) {
        let acknowledged_at = if self.wrong == Wrong::AcknowledgeFirst {
            Sealing::ShareKept
        } else {
            Sealing::Recorded
        };
        let keep = |h: &mut House| (h.has_share, h.sealing) = (true, Sealing::ShareKept);
        match house.sealing {
            Sealing::Idle if house.is_sealed() && house.is_seal_acknowledged => {}
            // The same seal again is answered from its record; nothing is written.
            Sealing::Idle if house.is_sealed() => {
                next.push(("seal again", house.with(|h| h.is_seal_acknowledged = true)));
            }
            Sealing::Idle => {
                let stored = |h: &mut House| (h.has_envelope, h.sealing) = (true, Sealing::EnvelopeKept);
                next.push(("envelope kept", house.with(stored)));
            }
            Sealing::EnvelopeKept if self.wrong == Wrong::RecordFirst => {
                next.push(("seal recorded", self.record_seal(house, Sealing::ShareKept)));
            }
            Sealing::ShareKept if self.wrong == Wrong::RecordFirst => {
                next.push((
                    "share kept",
                    house.with(|h| {
                        keep(h);
                        h.sealing = Sealing::Recorded;
                    }),
                ));
            }
            Sealing::EnvelopeKept => next.push(("share kept", house.with(keep))),
            Sealing::ShareKept => next.push(("seal recorded", self.record_seal(house, Sealing::Recorded))),
            Sealing::Recorded => {}
        }
        if house.sealing == acknowledged_at {
            next.push((
                "seal answered",
                house.with(|h| (h.is_seal_acknowledged, h.sealing) = (true, Sealing::Idle)),
            ));
        }
    }

    fn record_seal(&self, house: &House, then: Sealing) -> Result<House, String> {
        let mut after = house.clone();
        let (gateway, key) = (after.clinic.gateway.clone(), after.clinic.log_key.clone());
        let accept = move |receipt: &sealpost_proto::receipt::Receipt| {
            let mut signed = sealpost_proto::receipt::SignedReceipt::try_from(receipt.note().ok()?).ok()?;
            signed.countersign(&gateway, &key);
            Some(signed)
        };
        let by = after.clinic.admin.requester();
        let recorded = after.record(|loaded, at| sealing::seal(loaded, at, &self.command, &accept, &by));
        // Refused at the last moment, it leaves an orphan.
        after.sealing = if recorded.is_ok() { then } else { Sealing::Idle };
        Ok(after)
    }

    fn open(&self, house: &House, opening: u8, next: &mut Next) {
        let slot = usize::from(opening);
        let is_first = !house.has_opened(opening);
        if house.openings[slot] == Under::Idle && house.is_sealed() && (is_first || house.repeats < REPEATS) {
            let mut after = house.clone();
            after.repeats += u8::from(!is_first);
            if self.wrong == Wrong::ReleaseFirst {
                next.push(("share released", release(house, opening)));
            }
            let command = OpenCommand {
                transfer: ID,
                request: sealpost_proto::api::OpenRequest {
                    hh: house.clinic.sealed(ID).hh,
                    opening: id_of(opening),
                },
                by: house.clinic.provider.trusted(),
                kept: "base\nbody".to_owned(),
            };
            let by = house.clinic.provider.requester();
            // A refusal is an answer like any other.
            if after
                .record(|loaded, at| opening::open(loaded, at, &command, &by))
                .is_ok()
            {
                after.openings[slot] = Under::Recorded;
                next.push(("opening recorded", Ok(after)));
            }
        }
        if house.openings[slot] == Under::Recorded {
            let mut answered = release(house, opening);
            if let Ok(after) = &mut answered {
                after.openings[slot] = Under::Idle;
            }
            next.push(("opening answered", answered));
        }
    }

    fn revoke(&self, house: &House, next: &mut Next) {
        let end = |h: &mut House| h.revoking = Under::Destroyed;
        match house.revoking {
            Under::Idle if !house.is_sealed() || house.is_revocation_acknowledged => {}
            Under::Idle if self.wrong == Wrong::DestroyFirst && house.has_share => {
                next.push(("share destroyed", house.with(|h| h.has_share = false)));
            }
            Under::Idle => {
                let mut after = house.clone();
                let (sender, by) = (after.clinic.admin.label, after.clinic.admin.requester());
                if after
                    .record(|loaded, at| revoking::revoke(loaded, at, &ID, &sender, false, &by))
                    .is_ok()
                {
                    after.revoking = Under::Recorded;
                    next.push(("revocation recorded", Ok(after)));
                }
            }
            Under::Recorded => next.push((
                "share destroyed",
                house.with(|h| {
                    h.has_share = false;
                    end(h);
                }),
            )),
            Under::Destroyed => {
                let mut after = house.clone();
                // The sweep may have been there first.
                let _ = after.record(|loaded, at| shredding::destroyed(loaded, at, &ID));
                (after.revoking, after.is_revocation_acknowledged) = (Under::Idle, true);
                next.push(("revocation answered", Ok(after)));
            }
        }
    }

    /// One step of what is due; and shares without a seal, of which none is under way.
    fn sweep(&self, house: &House, next: &mut Next) {
        let by = house.clinic.admin.requester();
        let mut after = house.clone();
        match (house.sweeping, house.due()) {
            (Under::Idle, Some(Step::Shred)) => {
                let shredded = after.record(|loaded, at| shredding::shred(loaded, at, &ID, &by));
                next.push(("end recorded", shredded.map(|()| after)));
            }
            (Under::Idle, Some(Step::Destroy)) => {
                (after.has_share, after.sweeping) = (false, Under::Destroyed);
                next.push(("share destroyed by the sweep", Ok(after)));
            }
            (Under::Destroyed, _) => {
                let _ = after.record(|loaded, at| shredding::destroyed(loaded, at, &ID));
                after.sweeping = Under::Idle;
                next.push(("destruction recorded", Ok(after)));
            }
            _ => {}
        }
        if house.is_serving && house.has_share && !house.is_sealed() && house.sealing == Sealing::Idle {
            next.push(("orphan destroyed", house.with(|h| h.has_share = false)));
        }
    }
}

/// The gateway takes the share, if it is there, and answers.
fn release(house: &House, opening: u8) -> Result<House, String> {
    if !house.has_share {
        return Ok(house.clone());
    }
    if !house.has_opened(opening) {
        return Err(format!("opening {opening} was released before its event"));
    }
    if house.is_revocation_acknowledged {
        return Err(format!(
            "opening {opening} was released after the revocation was answered"
        ));
    }
    house.with(|h| h.released.push(opening)).map(|mut after| {
        after.released.sort_unstable();
        after.released.dedup();
        after
    })
}

/// The provider verifies, which uses the transfer up.
fn verify(house: &House, opening: u8, next: &mut Next) {
    if !house.released.contains(&opening) {
        return;
    }
    let mut after = house.clone();
    let (seconds, provider) = (after.seconds(), after.clinic.provider.clone());
    let trusted = provider.trusted();
    let command = ReceiptCommand {
        transfer: ID,
        opening: id_of(opening),
        receipt: after.clinic.receipt(ID, &provider, seconds, None),
        opener: Opener::Member(trusted.label),
        device: trusted.key,
        identity: trusted.identity,
        now: NOW + seconds,
    };
    let before = after.log.len();
    let by = provider.requester();
    let taken = after.record(|loaded, at| opening::take_receipt(loaded, at, &command, &|receipt| receipt, &by));
    if taken.is_ok() && after.log.len() > before {
        next.push(("verified", Ok(after)));
    }
}

fn id_of(opening: u8) -> OpeningId {
    OpeningId::from_bytes([opening + 1; 16])
}

impl House {
    fn with(&self, change: impl FnOnce(&mut Self)) -> Result<Self, String> {
        let mut after = self.clone();
        change(&mut after);
        Ok(after)
    }

    fn seconds(&self) -> u64 {
        if self.is_late { LATE } else { 0 }
    }

    /// A record: decided on the state as it is, and durable.
    fn record<T>(&mut self, decide: impl FnOnce(&Loaded, Stamp) -> Decision<T>) -> Result<(), String> {
        let stamp = at(self.seconds());
        let keys = [Key::Organisation, Key::Transfer(ID)];
        let (_, effects) = self
            .clinic
            .effects(&keys, |loaded| decide(loaded, stamp))
            .map_err(|refusal| format!("{refusal:?}"))?;
        self.log.extend(effects.changes);
        Ok(())
    }

    fn transfer(&self) -> std::sync::Arc<Transfer> {
        self.clinic.transfer(ID).expect("it was announced")
    }

    fn is_sealed(&self) -> bool {
        self.transfer().sealed.is_some()
    }

    fn has_opened(&self, opening: u8) -> bool {
        let opened =
            |change: &Change| matches!(change, Change::TransferOpened { opening: id, .. } if *id == id_of(opening));
        self.log.iter().any(opened)
    }

    fn due(&self) -> Option<Step> {
        let now = NOW + self.seconds();
        let step = shredding::next_step(&self.transfer(), now);
        step.filter(|step| matches!(step, Step::Shred | Step::Destroy))
    }

    /// What tells two states apart.
    fn fingerprint(&self) -> String {
        let Self { clinic: _, log, .. } = self;
        let log = serde_json::to_string(log).expect("a log");
        format!(
            "{log}{:?}",
            (
                (self.has_envelope, self.has_share, self.is_late, self.is_serving),
                (
                    self.is_seal_acknowledged,
                    self.is_revocation_acknowledged,
                    &self.released
                ),
                (self.repeats, self.sealing, self.openings, self.revoking, self.sweeping),
            )
        )
    }

    /// What must hold in every state.
    fn check(&self) -> Result<(), String> {
        let transfer = self.transfer();
        if self.is_seal_acknowledged && !transfer.sealed.as_ref().is_some_and(|_| self.has_envelope) {
            return Err("a seal was acknowledged and is not there".to_owned());
        }
        let has_ended = transfer.shredded.is_some();
        if self.is_seal_acknowledged && !has_ended && !self.has_share {
            return Err("a live transfer has no share".to_owned());
        }
        if self.is_revocation_acknowledged && (!has_ended || self.has_share) {
            return Err("a revocation was acknowledged and the share is there".to_owned());
        }
        if let Some(opening) = self.released.iter().find(|opening| !self.has_opened(**opening)) {
            return Err(format!("opening {opening} was released and is not in the log"));
        }
        let used = transfer.openings_used(&self.clinic.provider.label);
        if used > 1 || self.released.len() > 1 {
            return Err(format!(
                "{used} openings were counted, {:?} released, 1 allowed",
                self.released
            ));
        }
        Ok(())
    }

    /// What must hold of two states of which one follows the other.
    fn check_after(&self, before: &Self, event: &str) -> Result<(), String> {
        if !self.log.starts_with(&before.log) {
            return Err(format!("the log was rewritten by `{event}`"));
        }
        let ended_before = before.transfer().shredded.is_some_and(|s| s.destroyed_at.is_some());
        if ended_before && self.has_share {
            return Err(format!("a destroyed share came back by `{event}`"));
        }
        if event == "serve" && self.due() == Some(Step::Destroy) && self.has_share {
            return Err("it serves while a share that has ended is there".to_owned());
        }
        Ok(())
    }
}

/// What a search came to.
struct Searched {
    states: usize,
    events: HashSet<&'static str>,
}

/// Every state that can be reached, or the first that must not be.
fn search(wrong: Wrong) -> Result<Searched, String> {
    let model = Model::new(wrong);
    let start = model.start();
    let mut seen = HashSet::from([start.fingerprint()]);
    let mut events = HashSet::new();
    let mut queue = VecDeque::from([start]);
    while let Some(house) = queue.pop_front() {
        for (event, after) in model.next(&house) {
            let after = after.map_err(|broken| format!("{event}: {broken}"))?;
            after.check().map_err(|broken| format!("{event}: {broken}"))?;
            after.check_after(&house, event)?;
            events.insert(event);
            if seen.insert(after.fingerprint()) {
                queue.push_back(after);
            }
        }
    }
    Ok(Searched {
        states: seen.len(),
        events,
    })
}

#[test]
fn every_state_that_can_be_reached_keeps_the_promises() {
    let searched = search(Wrong::Nowhere).unwrap();
    assert!(searched.states > 500, "only {} states", searched.states);
    for event in [
        "crash",
        "serve",
        "seal again",
        "opening answered",
        "verified",
        "revocation answered",
        "end recorded",
        "share destroyed by the sweep",
        "destruction recorded",
        "orphan destroyed",
    ] {
        assert!(searched.events.contains(event), "`{event}` never happened");
    }
}

#[test]
fn a_wrong_order_of_any_two_steps_is_found() {
    for (wrong, broken) in [
        (Wrong::ReleaseFirst, "was released before its event"),
        (Wrong::RecordFirst, "a live transfer has no share"),
        (Wrong::AcknowledgeFirst, "a seal was acknowledged and is not there"),
        (Wrong::DestroyFirst, "a live transfer has no share"),
        (Wrong::ServeFirst, "it serves while a share that has ended is there"),
    ] {
        let found = search(wrong).err().unwrap_or_else(|| panic!("{wrong:?} was not found"));
        assert!(found.contains(broken), "{wrong:?}: {found}");
    }
}
