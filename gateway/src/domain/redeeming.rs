//! Redeeming a link: somebody without an account proves to know its words or secret (security.md 4.1).
//!
//! Whoever does not prove it learns nothing: not whether the link exists, nor whether it has ended. Wrong tries are written down
//! and slow the next; whoever proves it gets the exact reason when nothing can be opened. What a link's holder is shown of the
//! directory is the chain of its sender alone.

use std::collections::BTreeSet;

use sealpost_proto::api::{MAX_LIVE_OPENINGS, TransferState};
use sealpost_proto::crypto::sha256;
use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Hash, Label, OpeningId, PublicKey, TransferId};
use sealpost_proto::key::{Body, SignedStatement, StatementType};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use zeroize::Zeroizing;

use super::decision::{Data, Decision, Effects, Refusal, Requester, Stamp, ensure, object};
use super::link::{Link, Tries};
use super::opening::check_state;
use super::sealed::Sealed;
use super::transfer::{Opener, Opening, Transfer};
use super::{Change, Loaded, LoggedStatement, Organisation};

/// A signed request to redeem a link.
#[derive(Clone)]
pub struct RedeemCommand {
    /// The transfer that the link is of.
    pub transfer: TransferId,
    /// Hash of the link's id.
    pub link: Hash,
    /// Proof that words or secret are known.
    pub auth: Zeroizing<Vec<u8>>,
    /// Drawn by the visitor.
    pub opening: OpeningId,
    /// The key that the visitor drew and signed with.
    pub device: PublicKey,
    /// What is kept of the request: signature base, LF, opening id. The body has the proof in it and is not kept.
    pub kept: String,
}

impl std::fmt::Debug for RedeemCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedeemCommand")
            .field("transfer", &self.transfer)
            .field("opening", &hex(self.opening.as_bytes()))
            .finish_non_exhaustive()
    }
}

/// What may leave the gateway for a link's opening, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRelease {
    /// Until when the same key may repeat the opening.
    pub expires_at: u64,
    /// Who sent it.
    pub sender: Label,
    /// The transfer as it stands.
    pub sealed: Sealed,
}

/// Why nothing was released to somebody with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// The reason.
    pub refusal: Refusal,
    /// Seconds after which to try again, for `link_delayed`; else 0.
    pub wait: u64,
}

impl Denied {
    fn because(kind: ProblemKind) -> Self {
        Self {
            refusal: kind.into(),
            wait: 0,
        }
    }

    /// Whether the proof was wrong, or not even looked at.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        matches!(
            self.refusal.kind,
            ProblemKind::LinkRefused | ProblemKind::LinkDelayed | ProblemKind::LinkLocked
        )
    }

    /// Whether the try came while the link was locked or had to wait, so that it counted for nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.refusal.kind, ProblemKind::LinkDelayed | ProblemKind::LinkLocked)
    }
}

/// Refuses a try that comes too early or too late at `now` (unix seconds), before its proof is looked at. Links that do not exist
/// are asked for in the same way.
///
/// # Errors
/// `link_delayed`, `link_locked`.
pub fn check_tries(tries: &Tries, now: u64) -> Result<(), Denied> {
    tries.check(now).map_err(|kind| Denied {
        refusal: kind.into(),
        wait: match kind {
            ProblemKind::LinkDelayed => tries.free_at().saturating_sub(now),
            _ => 0,
        },
    })
}

/// What somebody is told about a link that does not exist. Counts the try.
#[must_use]
pub fn deny_unknown(tries: &mut Tries, now: u64) -> Denied {
    match check_tries(tries, now) {
        Err(denied) => denied,
        Ok(()) => {
            tries.fail(now);
            Denied::because(ProblemKind::LinkRefused)
        }
    }
}

/// Makes an opening, repeats a live one of the same key, or refuses. A refusal can have effects (a wrong try is written down), so
/// it is the outcome.
///
/// # Errors
/// `link_refused` if there is no such link. In the outcome: `link_refused` for a wrong proof, `link_delayed`, `link_locked`; with
/// the right one `expired`, `revoked`, `held`, `limit_reached`, `conflict`.
pub fn redeem(
    loaded: &Loaded,
    at: Stamp,
    command: &RedeemCommand,
    by: &Requester,
) -> Decision<Result<LinkRelease, Denied>> {
    let now = at.seconds();
    let transfer = loaded.transfer(&command.transfer).ok_or(ProblemKind::LinkRefused)?;
    let link = transfer.links.get(&command.link).ok_or(ProblemKind::LinkRefused)?;
    let sealed = transfer.sealed.as_ref().ok_or(ProblemKind::LinkRefused)?;
    if let Err(denied) = check_tries(&link.tries, now) {
        return Ok((Err(denied), refused(&command.link, by, denied.refusal)));
    }
    if !link.is_auth(&command.auth) {
        let change = Change::LinkFailed {
            transfer: transfer.id,
            link: command.link,
            at: now,
        };
        let denied = Denied::because(ProblemKind::LinkRefused);
        let mut effects = refused(&command.link, by, denied.refusal);
        effects.changes.push(change);
        return Ok((Err(denied), effects));
    }
    match opened(transfer, link, command, now) {
        Ok((change, event, opened_at)) => {
            let release = LinkRelease {
                expires_at: Opening::expiry(opened_at),
                sender: transfer.sender,
                sealed: sealed.clone(),
            };
            let request = Hash::from_bytes(sha256(&[command.kept.as_bytes()]));
            let data = Data::default()
                .hash("hh", &sealed.hh)
                .text("opening", &command.opening)
                .hash("request", &request)
                .done();
            let leaf = by.did(event, object::link(&command.link), data);
            Ok((Ok(release), Effects::one(change, leaf)))
        }
        Err(refusal) => Ok((Err(Denied { refusal, wait: 0 }), refused(&command.link, by, refusal))),
    }
}

/// The change that opens it for somebody who has proved to know it.
fn opened(
    transfer: &Transfer,
    link: &Link,
    command: &RedeemCommand,
    now: u64,
) -> Result<(Change, EventType, u64), Refusal> {
    ensure(!link.is_burned, ProblemKind::Revoked)?;
    check_state(transfer, now)?;
    // A key is drawn for one link, so that it names one visitor.
    let opener = transfer.opener_of(&command.device);
    let is_own_key = opener.is_none_or(|opener| opener == Opener::Link(command.link));
    ensure(is_own_key, ProblemKind::Conflict)?;
    if let Some(opening) = transfer.openings.get(&command.opening) {
        let is_own = opening.device == command.device && opening.opener == Opener::Link(command.link);
        ensure(is_own && opening.is_live(now), ProblemKind::Conflict)?;
        let change = Change::TransferReopened {
            transfer: transfer.id,
            opening: command.opening,
            request: String::new(),
        };
        return Ok((change, EventType::TransferReopened, opening.at));
    }
    ensure(link.is_left(), ProblemKind::LimitReached)?;
    let live = transfer.live_openings(&command.device, now);
    ensure(live < MAX_LIVE_OPENINGS, ProblemKind::TooManyRequests)?;
    let change = Change::LinkRedeemed {
        transfer: transfer.id,
        link: command.link,
        opening: command.opening,
        device: command.device,
        at: now,
        request: command.kept.clone(),
    };
    Ok((change, EventType::LinkRedeemed, now))
}

/// What a refused try leaves behind, whether or not there is such a link.
#[must_use]
pub fn refused(link: &Hash, by: &Requester, refusal: Refusal) -> Effects {
    Effects {
        changes: Vec::new(),
        leaves: vec![by.was_refused(EventType::LinkFailed, object::link(link), refusal)],
    }
}

/// Unlocks a link of this sender after wrong tries. One that is not locked stays as it is.
///
/// # Errors
/// `not_found` for all but the sender; `revoked` for a link that was ended; `expired`, `limit_reached`, `held` as for the transfer.
pub fn rearm(loaded: &Loaded, at: Stamp, id: &TransferId, hash: &Hash, sender: &Label, by: &Requester) -> Decision<()> {
    let (transfer, link) = own_link(loaded, id, hash, sender)?;
    ensure(!link.is_burned, ProblemKind::Revoked)?;
    check_state(transfer, at.seconds())?;
    if link.tries.failures == 0 {
        return Ok(((), Effects::none()));
    }
    let change = Change::LinkRearmed {
        transfer: *id,
        link: *hash,
    };
    let leaf = by.did(EventType::LinkRearmed, object::link(hash), None);
    Ok(((), Effects::one(change, leaf)))
}

/// Ends a link of this sender for good. When nobody else can open the transfer any more, that ends as well: see
/// [`super::revoking::revoke`]. Ending it again succeeds.
///
/// # Errors
/// `not_found` for all but the sender.
pub fn burn(loaded: &Loaded, at: Stamp, id: &TransferId, hash: &Hash, sender: &Label, by: &Requester) -> Decision<()> {
    let (transfer, link) = own_link(loaded, id, hash, sender)?;
    if link.is_burned {
        return Ok(((), Effects::none()));
    }
    let change = Change::LinkBurned {
        transfer: *id,
        link: *hash,
    };
    let leaf = by.did(EventType::LinkBurned, object::link(hash), None);
    let mut effects = Effects::one(change, leaf);
    let sealed = transfer.sealed.as_ref().ok_or(ProblemKind::NotFound)?;
    let is_last = transfer
        .links
        .iter()
        .all(|(other, link)| other == hash || link.is_burned);
    let is_alive = matches!(
        transfer.state(at.seconds()),
        TransferState::Available | TransferState::Held
    );
    if sealed.recipients.is_empty() && is_last && is_alive {
        let end = super::revoking::ended(transfer, at, by);
        effects.changes.extend(end.changes);
        effects.leaves.extend(end.leaves);
    }
    Ok(((), effects))
}

fn own_link<'a>(
    loaded: &'a Loaded,
    id: &TransferId,
    hash: &Hash,
    sender: &Label,
) -> Result<(&'a Transfer, &'a Link), Refusal> {
    let transfer = loaded.transfer(id).filter(|t| t.sender == *sender);
    let transfer = transfer.ok_or(ProblemKind::NotFound)?;
    let link = transfer.links.get(hash).ok_or(ProblemKind::NotFound)?;
    Ok((transfer, link))
}

/// The statements from which somebody without the directory sees whose device a transfer's sender had when the gateway accepted it
/// under `size` statements, in the order of the directory: the organisation's, the sender's own with what revokes keys of it, and
/// those of the registrars who signed any of them. What came later is not among them, because it does not count (security.md 3.8).
#[must_use]
pub fn chain_of(organisation: &Organisation, sender: &Label, size: u64) -> Vec<String> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let statements = organisation.statements.iter().take(size);
    let before: Vec<About<'_>> = statements.map(|s| (label_in(&s.text), &**s)).collect();
    let (whole, registrars) = concerned(&before, sender);
    let is_needed = |(label, s): &&About<'_>| match (s.kind, label) {
        (StatementType::Org, _) => true,
        // No key hangs on it, and networks are nothing for a visitor to know.
        (StatementType::Service, _) => false,
        (StatementType::Registrar, Some(label)) => whole.contains(label) || registrars.contains(label),
        (_, Some(label)) => whole.contains(label),
        (_, None) => false,
    };
    let needed = before.iter().filter(is_needed);
    needed.map(|(_, s)| s.text.clone()).collect()
}

/// A statement, and the label of whom it is about.
type About<'a> = (Option<Label>, &'a LoggedStatement);

/// Of whom everything is needed, and of whom only what makes them registrars. A revocation says nothing without the key that it
/// revokes, so that of a registrar with one everything is needed, and then also whoever signed that.
fn concerned(before: &[About<'_>], sender: &Label) -> (BTreeSet<Label>, BTreeSet<Label>) {
    let mut whole = BTreeSet::from([*sender]);
    loop {
        let is_of_whole = |label: &Option<Label>| label.is_some_and(|label| whole.contains(&label));
        let countersigned = before
            .iter()
            .filter(|(label, s)| matches!(s.kind, StatementType::Member | StatementType::Revoke) && is_of_whole(label));
        let signers: BTreeSet<PublicKey> = countersigned.flat_map(|(_, s)| registrar_keys(&s.text)).collect();
        let named = before.iter().filter(|(_, s)| s.kind == StatementType::Registrar);
        let registrars: BTreeSet<Label> = named
            .filter_map(|(_, s)| registrar_of(&s.text))
            .filter(|(key, _)| signers.contains(key))
            .map(|(_, label)| label)
            .collect();
        let revoked = before.iter().filter(|(_, s)| s.kind == StatementType::Revoke);
        let added: Vec<Label> = revoked
            .filter_map(|(label, _)| *label)
            .filter(|label| registrars.contains(label) && !whole.contains(label))
            .collect();
        if added.is_empty() {
            return (whole, registrars);
        }
        whole.extend(added);
    }
}

/// The label that a statement is about.
fn label_in(text: &str) -> Option<Label> {
    text.lines().find_map(|line| line.strip_prefix("label "))?.parse().ok()
}

/// Keys of the registrars whose signatures a statement has.
fn registrar_keys(text: &str) -> Vec<PublicKey> {
    let Ok(signed) = text.parse::<SignedStatement>() else {
        return Vec::new();
    };
    let signatures = signed.note().signatures().iter();
    signatures.filter_map(|signature| signature.key_of("rk")).collect()
}

/// The key that a `registrar` statement names, and whose it is.
fn registrar_of(text: &str) -> Option<(PublicKey, Label)> {
    let signed: SignedStatement = text.parse().ok()?;
    match (&signed.statement().body, signed.statement().label) {
        (Body::Registrar { key, .. }, Some(label)) => Some((*key, label)),
        _ => None,
    }
}
