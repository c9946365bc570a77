//! Holding: a transfer whose share is not here, as after a restore, waits until its sender hands the share over again
//! (security.md 9.5). So a restore brings nothing back to life that its sender does not know of.

use sealpost_proto::api::TransferState;
use sealpost_proto::crypto::constant_time_eq;
use sealpost_proto::id::{Label, TransferId};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::share_commit;

use super::decision::{Data, Decision, Effects, Refusal, Requester, Stamp, ensure, object};
use super::transfer::Transfer;
use super::{Change, Loaded};

/// Holds a sealed transfer whose share is missing. Again, it changes nothing.
///
/// # Errors
/// `not_found` if it is not sealed, has ended, or needs no share.
pub fn hold(loaded: &Loaded, at: Stamp, id: &TransferId, by: &Requester) -> Decision<()> {
    let transfer = loaded.transfer(id).filter(|t| t.shredded.is_none());
    let transfer = transfer.ok_or(ProblemKind::NotFound)?;
    let sealed = transfer.sealed.as_ref().ok_or(ProblemKind::NotFound)?;
    let commit = sealed.share_commit.as_ref().ok_or(ProblemKind::NotFound)?;
    if transfer.held_at.is_some() {
        return Ok(((), Effects::none()));
    }
    let change = Change::TransferHeld {
        transfer: *id,
        at: at.seconds(),
    };
    let data = Data::default().hash("share_commit", commit).done();
    let leaf = by.did(EventType::TransferHeld, object::transfer(id), data);
    Ok(((), Effects::one(change, leaf)))
}

/// Whether this sender may re-arm the transfer with this share at `now` (unix seconds); asked before the share is written, and
/// again when it is recorded.
///
/// # Errors
/// `not_found` for all but the sender; `seal_refused` for another share; `conflict` when it needs none; `expired`, `revoked`,
/// `limit_reached` when it has ended. One that is not held, or no more, takes its share again: the sender may repeat the request.
pub fn check_rearm(transfer: Option<&Transfer>, sender: &Label, share: &[u8; 32], now: u64) -> Result<(), Refusal> {
    let transfer = transfer.filter(|t| t.sender == *sender).ok_or(ProblemKind::NotFound)?;
    let sealed = transfer.sealed.as_ref().ok_or(ProblemKind::NotFound)?;
    let commit = sealed.share_commit.ok_or(ProblemKind::Conflict)?;
    let is_share = constant_time_eq(commit.as_bytes(), &share_commit(share));
    ensure(is_share, sealpost_proto::sealed::Reason::Share)?;
    match transfer.state(now) {
        TransferState::Held | TransferState::Available => Ok(()),
        TransferState::Expired => Err(ProblemKind::Expired.into()),
        TransferState::Revoked => Err(ProblemKind::Revoked.into()),
        TransferState::Used => Err(ProblemKind::LimitReached.into()),
    }
}

/// Records that the share, which is durable again, was handed over by the sender.
///
/// # Errors
/// As [`check_rearm`].
pub fn rearm(
    loaded: &Loaded,
    at: Stamp,
    id: &TransferId,
    sender: &Label,
    share: &[u8; 32],
    by: &Requester,
) -> Decision<()> {
    let transfer = loaded.transfer(id);
    check_rearm(transfer, sender, share, at.seconds())?;
    if transfer.is_some_and(|t| t.held_at.is_none()) {
        return Ok(((), Effects::none()));
    }
    let change = Change::TransferRearmed {
        transfer: *id,
        at: at.seconds(),
    };
    let leaf = by.did(EventType::TransferRearmed, object::transfer(id), None);
    Ok(((), Effects::one(change, leaf)))
}
