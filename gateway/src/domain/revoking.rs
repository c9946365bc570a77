//! Revoking: the sender, or a registrar, takes a transfer back (security.md 3.10). From the record on nothing is released; then
//! the share is destroyed, and within a day the key of its day.

use sealpost_proto::api::TransferState;
use sealpost_proto::id::{Label, TransferId};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;

use super::decision::{Data, Decision, Effects, Requester, Stamp, object};
use super::transfer::{ShredCause, Transfer};
use super::{Change, Loaded};

/// Takes a transfer back. One that is not sealed yet is given up. Again, it succeeds.
///
/// # Errors
/// `not_found` for all but the sender and registrars; `expired` or `limit_reached` if it ended in another way before.
pub fn revoke(
    loaded: &Loaded,
    at: Stamp,
    id: &TransferId,
    caller: &Label,
    is_registrar: bool,
    by: &Requester,
) -> Decision<()> {
    let transfer = loaded.transfer(id).filter(|t| t.sender == *caller || is_registrar);
    let transfer = transfer.ok_or(ProblemKind::NotFound)?;
    if transfer.sealed.is_none() {
        return Ok(((), given_up(transfer, by)));
    }
    match transfer.state(at.seconds()) {
        TransferState::Revoked => Ok(((), Effects::none())),
        TransferState::Expired => Err(ProblemKind::Expired.into()),
        TransferState::Used => Err(ProblemKind::LimitReached.into()),
        TransferState::Available | TransferState::Held => Ok(((), ended(transfer, at, by))),
    }
}

/// The end of a sealed transfer by its sender's will.
pub(super) fn ended(transfer: &Transfer, at: Stamp, by: &Requester) -> Effects {
    let commit = transfer.sealed.as_ref().and_then(|s| s.share_commit.as_ref());
    let cause = ShredCause::Revoked;
    let data = Data::default()
        .optional_hash("share_commit", commit)
        .text("cause", cause.name())
        .done();
    Effects {
        changes: vec![Change::TransferShredded {
            transfer: transfer.id,
            cause,
            at: at.seconds(),
        }],
        leaves: vec![
            by.did(EventType::TransferRevoked, object::transfer(&transfer.id), None),
            by.did(EventType::TransferShredded, object::transfer(&transfer.id), data),
        ],
    }
}

fn given_up(transfer: &Transfer, by: &Requester) -> Effects {
    if transfer.is_abandoned {
        return Effects::none();
    }
    let change = Change::TransferAbandoned { transfer: transfer.id };
    Effects::one(
        change,
        by.did(EventType::TransferRevoked, object::transfer(&transfer.id), None),
    )
}
