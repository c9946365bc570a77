//! Redeeming a link: somebody without an account proves to know its words or secret (security.md 4.1).
//!
//! Whoever does not prove it learns nothing: not whether the link exists, nor whether it has ended. Wrong tries are written down
//! and slow the next; whoever proves it gets the exact reason when nothing can be opened.

use sealpost_proto::api::MAX_LIVE_OPENINGS;
use sealpost_proto::crypto::sha256;
use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Hash, Label, OpeningId, PublicKey, TransferId};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use zeroize::Zeroizing;

use super::decision::{Data, Decision, Effects, Refusal, Requester, Stamp, ensure, object};
use super::link::Link;
use super::opening::check_state;
use super::sealed::Sealed;
use super::transfer::{Opener, Opening, Transfer};
use super::{Change, Loaded};

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
) -> Decision<Result<LinkRelease, Refusal>> {
    let now = at.seconds();
    let transfer = loaded.transfer(&command.transfer).ok_or(ProblemKind::LinkRefused)?;
    let link = transfer.links.get(&command.link).ok_or(ProblemKind::LinkRefused)?;
    let sealed = transfer.sealed.as_ref().ok_or(ProblemKind::LinkRefused)?;
    if let Err(kind) = link.tries.check(now) {
        return Ok((Err(kind.into()), refused(command, by, kind)));
    }
    if !link.is_auth(&command.auth) {
        let change = Change::LinkFailed {
            transfer: transfer.id,
            link: command.link,
            at: now,
        };
        let mut effects = refused(command, by, ProblemKind::LinkRefused);
        effects.changes.push(change);
        return Ok((Err(ProblemKind::LinkRefused.into()), effects));
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
        Err(refusal) => Ok((Err(refusal), refused(command, by, refusal.kind))),
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

fn refused(command: &RedeemCommand, by: &Requester, kind: ProblemKind) -> Effects {
    Effects {
        changes: Vec::new(),
        leaves: vec![by.was_refused(EventType::LinkFailed, object::link(&command.link), kind.into())],
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
    if sealed.recipients.is_empty() && is_last && check_state(transfer, at.seconds()).is_ok() {
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
