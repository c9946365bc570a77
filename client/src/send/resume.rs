//! Going on with a transfer that was interrupted: what the gateway holds is kept, the rest is sealed anew under new keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::problem::ProblemKind;

use super::state::{self, Kept, KeptDraft, Sending};
use super::{Input, Sent, SharedSending, Taken, Transfer, hand_over, upload};
use crate::api::ApiError;
use crate::error::Error;
use crate::progress::Progress;
use crate::records::SentRecord;
use crate::resume::begun::Found;
use crate::resume::patience::persist;
use crate::session::Session;

/// A transfer that was sent to its end after an interruption.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// The transfer.
    pub sent: Sent,
    /// Stored bytes that were not sent again.
    pub kept_bytes: u64,
}

/// Goes on with an unfinished send.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Busy`], [`Error::ChangedSince`] and [`Error::TooLate`] (nothing of it is left then), or as of
/// [`super::send`].
pub async fn resume(
    session: &mut Session,
    transfer: &TransferId,
    progress: Arc<dyn Progress>,
) -> Result<Resumed, Error> {
    session.update_and_check().await?;
    let (sending, kept) = open(session, transfer)?;
    let (taken, kept_bytes) = go_on(session, sending, kept, None, &progress).await?;
    let sent = taken.check(session).await?;
    Ok(Resumed { sent, kept_bytes })
}

/// Goes on from what is kept, with the files as they were listed then or with `input`: the same files, listed anew. Also returns the
/// stored bytes that were not sent again.
pub(super) async fn go_on(
    session: &Session,
    sending: Sending,
    kept: Kept,
    input: Option<Input>,
    progress: &Arc<dyn Progress>,
) -> Result<(Taken, u64), Error> {
    if let Some(seal) = kept.seal {
        let kept_bytes = kept.draft.map_or(0, |draft| stored_len(&draft));
        let taken = hand_over::hand_over(session, sending, seal, progress).await?;
        return Ok((taken, kept_bytes));
    }
    let Some(draft) = kept.draft.as_deref() else {
        let transfer = sending.head.transfer;
        sending.remove()?;
        return Err(Error::TooLate(transfer));
    };
    let transfer = sending.head.transfer;
    match continue_upload(session, draft, &kept, sending, input, progress).await {
        Err(Error::Changed(path)) => Err(Error::ChangedSince(path)),
        Err(Error::File { path, source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::Gone { file: path, transfer })
        }
        other => other,
    }
}

/// Throws away what is kept of an unfinished send. What was uploaded is forgotten by the gateway 48 hours after it was announced.
/// Returns whether the gateway may have taken the transfer already: then `status` tells.
///
/// # Errors
/// [`Error`].
pub fn discard(session: &Session, transfer: &TransferId) -> Result<bool, Error> {
    let (sending, kept) = open(session, transfer)?;
    let is_handed_over = kept.seal.is_some();
    // Of an earlier request under the same id another record is kept, which tells what to ask for.
    let record = SentRecord::get(&session.state, transfer)?.filter(|record| record.hh == sending.head.hh);
    if let Some(record) = record.filter(|_| !is_handed_over) {
        record.remove(&session.state)?;
    }
    sending.remove()?;
    Ok(is_handed_over)
}

fn open(session: &Session, transfer: &TransferId) -> Result<(Sending, Kept), Error> {
    match state::open(&session.state, transfer)? {
        Some((Found::Free(sending), kept)) => Ok((sending, kept)),
        Some((Found::Busy(_), _)) => Err(Error::Busy(*transfer)),
        None => Err(Error::NotFound(format!("No transfer {transfer} is unfinished here."))),
    }
}

fn stored_len(draft: &KeptDraft) -> u64 {
    let restored = draft.restore();
    restored.map_or(0, |(sealer, _)| sealer.layout().stored_len())
}

async fn continue_upload(
    session: &Session,
    draft: &KeptDraft,
    kept: &Kept,
    sending: Sending,
    input: Option<Input>,
    progress: &Arc<dyn Progress>,
) -> Result<(Taken, u64), Error> {
    let (sealer, listed) = draft.restore()?;
    let input = input.unwrap_or(listed);
    if Hash::from_bytes(sealer.header().hash()) != sending.head.hh {
        return Err(Error::State);
    }
    let (id, layout) = (sealer.header().transfer_id, *sealer.layout());
    if session.env.now() >= sealer.header().expires_at {
        sending.remove()?;
        return Err(Error::TooLate(id));
    }
    check_recipients(session, draft)?;
    let link = sending.head.link.clone();
    let sending = SharedSending::new(sending);
    let stored = match stored(session, kept, &id, &layout, progress).await {
        Ok(stored) => stored,
        Err(error) => return Err(interrupted(Some(sending), error)?),
    };
    let kept_ranges = stored.keys().filter_map(|number| layout.part_range(*number));
    let kept_bytes = kept_ranges.map(|range| range.end - range.start).sum();
    progress.start(layout.stored_len());
    progress.advance(kept_bytes);
    let transfer = Transfer {
        sealer: Arc::new(sealer),
        options: draft.options.clone(),
        recipients: draft.recipients.clone(),
        link,
        directory_size: draft.directory_size,
    };
    let sending = Some(sending);
    let uploaded = upload::upload_all(session, &transfer.sealer, input, sending.clone(), stored, progress);
    let payload = match uploaded.await {
        Ok(payload) => payload,
        Err(error) => return Err(interrupted(sending, error)?),
    };
    let taken = transfer.hand_over(session, sending, &payload, &[], progress).await?;
    Ok((taken, kept_bytes))
}

/// What the gateway holds of what it acknowledged. It may know nothing of the transfer if the very announcement was interrupted.
async fn stored(
    session: &Session,
    kept: &Kept,
    id: &TransferId,
    layout: &sealpost_proto::sealed::PayloadLayout,
    progress: &Arc<dyn Progress>,
) -> Result<BTreeMap<u64, state::KeptPart>, Error> {
    let api = &session.api;
    match persist(&**progress, || api.parts(id)).await {
        Ok(parts) => Ok(kept.stored(layout, &parts)),
        Err(error) if error.kind() == Some(ProblemKind::NotFound) && kept.parts.is_empty() => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

/// It is sealed to the keys that people had then; a key that does not count any more must not be sealed to.
fn check_recipients(session: &Session, draft: &KeptDraft) -> Result<(), Error> {
    let now = session.env.now();
    for to in &draft.recipients {
        let member = session.mirror.recipient(&session.account, &to.address, now)?;
        if member.encryption.kid() != to.kid {
            return Err(Error::InvalidRecipient(to.address.clone()));
        }
    }
    Ok(())
}

/// Why uploading stopped, and whether what is kept is still of use: not after a file changed, nor when the gateway refuses for good
/// or has forgotten the transfer.
pub(super) fn interrupted(sending: Option<SharedSending>, error: Error) -> Result<Error, Error> {
    let Some(sending) = sending.and_then(|sending| sending.take()) else {
        return Ok(not_sent(error));
    };
    let transfer = sending.head.transfer;
    Ok(match error {
        Error::Api(error) if is_forgotten(&error) => {
            sending.remove()?;
            Error::TooLate(transfer)
        }
        Error::Api(error) if hand_over::is_final(&error) => {
            sending.remove()?;
            error.into()
        }
        Error::Api(error) if error.is_transient() || hand_over::may_change(&error) => Error::Unfinished(error),
        Error::Changed(path) => {
            sending.remove()?;
            Error::Changed(path)
        }
        other => other,
    })
}

/// The gateway drops what was not sealed within 48 hours, and lets nobody use its id again.
fn is_forgotten(error: &ApiError) -> bool {
    matches!(error.kind(), Some(ProblemKind::NotFound | ProblemKind::Conflict))
}

/// Before the seal nothing exists for anybody; says so where the gateway went away and nothing was kept.
fn not_sent(error: Error) -> Error {
    match error {
        Error::Api(error @ ApiError::Unreachable(_)) => Error::NotSent(error),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_went_away_got_nothing() {
        let told = not_sent(ApiError::Unreachable("https://gw.example: gone".to_owned()).into()).to_string();
        assert!(
            told.contains("https://gw.example") && told.contains("Nothing was sent"),
            "{told}"
        );
        let refused = not_sent(ApiError::WrongKey.into());
        assert!(matches!(refused, Error::Api(ApiError::WrongKey)), "{refused}");
    }
}
