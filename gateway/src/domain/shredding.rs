//! The end of a transfer: the leaf first, then the share, then the ciphertext.
//!
//! Every step is a record of its own, so that a gateway that stops between two of them goes on with the next at its start.

use sealpost_proto::id::TransferId;
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;

use super::decision::{Data, Decision, Effects, Requester, Stamp, ensure, object};
use super::transfer::{KEY_REPLACEMENT, Transfer};
use super::{Change, Loaded};

/// What the sweep has to do next for a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Write down that its share is to be destroyed ([`shred`]).
    Shred,
    /// Destroy the share's row, then [`destroyed`].
    Destroy,
    /// Give the share's day a new key, unless the day has ended, then [`key_replaced`].
    ReplaceKey,
    /// Delete superseded parts, then [`tidied`].
    Tidy,
    /// Delete parts and envelope, then [`swept`].
    Sweep,
    /// Stop taking parts and a seal ([`abandon`]).
    Abandon,
    /// Delete the parts, then [`removed`].
    Remove,
}

/// The times by which steps are due, unix seconds. They differ while the clock is in doubt (security.md 9.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    now: u64,
    /// By when keys of days are to be replaced.
    keys: u64,
}

impl Horizon {
    /// The clock can be trusted: it is `now`.
    #[must_use]
    pub const fn trusted(now: u64) -> Self {
        Self { now, keys: now }
    }

    /// The clock is in doubt, and says `latest` at most. Then nothing has expired, and only what no clock has a say in is due. For
    /// keys the time is generous: a new key destroys nothing that lives, and what was revoked must not wait until the clock is set
    /// right.
    #[must_use]
    pub const fn in_doubt(latest: u64) -> Self {
        Self {
            now: 0,
            keys: latest.saturating_add(KEY_REPLACEMENT),
        }
    }

    /// A time by which everything is due that has a step within this horizon, and perhaps more.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.keys
    }
}

/// The next step that is due within `horizon`.
#[must_use]
pub fn next_step_within(transfer: &Transfer, horizon: &Horizon) -> Option<Step> {
    let replacing = || next_step(transfer, horizon.keys).filter(|step| *step == Step::ReplaceKey);
    next_step(transfer, horizon.now).or_else(replacing)
}

/// The next step that is due at `now` (unix seconds).
#[must_use]
pub fn next_step(transfer: &Transfer, now: u64) -> Option<Step> {
    if transfer.due_at().is_none_or(|due| now < due) {
        return None;
    }
    match &transfer.shredded {
        Some(shredded) if shredded.destroyed_at.is_none() => Some(Step::Destroy),
        Some(shredded) if !shredded.is_key_replaced => Some(Step::ReplaceKey),
        Some(_) => Some(Step::Sweep),
        None if transfer.sealed.is_some() && !transfer.superseded.is_empty() => Some(Step::Tidy),
        None if transfer.sealed.is_some() => Some(Step::Shred),
        None if transfer.is_abandoned => Some(Step::Remove),
        None => Some(Step::Abandon),
    }
}

/// Decides that a share is to be destroyed. From here on nothing is released.
///
/// # Errors
/// `not_found` if there is nothing to shred yet, or no more.
pub fn shred(loaded: &Loaded, at: Stamp, id: &TransferId, by: &Requester) -> Decision<()> {
    let transfer = due(loaded, id, at, Step::Shred)?;
    let (_, cause) = transfer.end_time().ok_or(ProblemKind::NotFound)?;
    let change = Change::TransferShredded {
        transfer: *id,
        cause,
        at: at.seconds(),
    };
    let commit = transfer.sealed.as_ref().and_then(|s| s.share_commit.as_ref());
    let data = Data::default()
        .optional_hash("share_commit", commit)
        .text("cause", cause.name())
        .done();
    let leaf = by.did(EventType::TransferShredded, object::transfer(id), data);
    Ok(((), Effects::one(change, leaf)))
}

/// Records that the share's row is gone.
///
/// # Errors
/// `not_found` if it was not to be destroyed.
pub fn destroyed(loaded: &Loaded, at: Stamp, id: &TransferId) -> Decision<()> {
    due(loaded, id, at, Step::Destroy)?;
    let change = Change::ShareDestroyed {
        transfer: *id,
        at: at.seconds(),
    };
    Ok(((), silent(change)))
}

/// Records that the key of the share's day is another one now.
///
/// # Errors
/// `not_found` if it was not to be replaced.
pub fn key_replaced(loaded: &Loaded, _: Stamp, id: &TransferId) -> Decision<()> {
    // When it is due, a clock says that may have stepped since; what counts is that the row is gone.
    let transfer = loaded.transfer(id).ok_or(ProblemKind::NotFound)?;
    let is_open = |s: &super::Shredded| s.destroyed_at.is_some() && !s.is_key_replaced;
    ensure(transfer.shredded.as_ref().is_some_and(is_open), ProblemKind::NotFound)?;
    Ok(((), silent(Change::KeyReplaced { transfer: *id })))
}

/// Records that superseded parts are gone.
///
/// # Errors
/// `not_found` if there are none, or the transfer still takes parts.
pub fn tidied(loaded: &Loaded, at: Stamp, id: &TransferId) -> Decision<()> {
    due(loaded, id, at, Step::Tidy)?;
    Ok(((), silent(Change::PartsTidied { transfer: *id })))
}

/// Records that parts and envelope are gone.
///
/// # Errors
/// `not_found` before the grace time is over.
pub fn swept(loaded: &Loaded, at: Stamp, id: &TransferId) -> Decision<()> {
    due(loaded, id, at, Step::Sweep)?;
    Ok(((), silent(Change::CiphertextSwept { transfer: *id })))
}

/// Gives up a transfer that was not sealed in time.
///
/// # Errors
/// `not_found` if it was sealed, or its time is not over.
pub fn abandon(loaded: &Loaded, at: Stamp, id: &TransferId) -> Decision<()> {
    due(loaded, id, at, Step::Abandon)?;
    Ok(((), silent(Change::TransferAbandoned { transfer: *id })))
}

/// Forgets an abandoned transfer whose parts are gone.
///
/// # Errors
/// `not_found` if it was not abandoned.
pub fn removed(loaded: &Loaded, at: Stamp, id: &TransferId) -> Decision<()> {
    due(loaded, id, at, Step::Remove)?;
    Ok(((), silent(Change::TransferRemoved { transfer: *id })))
}

fn due<'a>(loaded: &'a Loaded, id: &TransferId, at: Stamp, step: Step) -> Result<&'a Transfer, super::Refusal> {
    let transfer = loaded.transfer(id).ok_or(ProblemKind::NotFound)?;
    ensure(next_step(transfer, at.seconds()) == Some(step), ProblemKind::NotFound)?;
    Ok(transfer)
}

/// A change without a leaf: it only continues what a leaf has said.
fn silent(change: Change) -> Effects {
    Effects {
        changes: vec![change],
        leaves: Vec::new(),
    }
}
