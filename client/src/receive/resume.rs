//! The state of a receive around one try at it: found or made before the gateway is asked, and ended when the files are in place, when
//! the transfer is refused, or when it is thrown away.

use std::sync::Arc;

use sealpost_proto::id::{Hash, OpeningId};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::Header;

use super::again::{is_begun, place_again};
use super::staging;
use super::state::{self, Pulled, Receiving, ReceivingHead, Staged};
use super::{Attempt, Note, Options, Received, Try};
use crate::api::ApiError;
use crate::error::Error;
use crate::progress::Progress;
use crate::records::{Progress as Stage, ReceivedRecord};
use crate::resume::begun::{Begun, Found};
use crate::resume::expiry::is_past;
use crate::session::Session;
use crate::verify;

/// Goes on with an unfinished receive, within the same opening. The directory has been brought up to date.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Busy`], [`Error::Lapsed`] when it would need another opening, or as of [`super::receive`].
pub async fn resume(session: &Session, hh: &Hash, progress: Arc<dyn Progress>) -> Result<Received, Error> {
    let head = head(session, hh)?;
    check_own(&head)?;
    let summary = match session.api.transfer(&head.transfer).await {
        Ok(summary) => summary,
        Err(error) if is_over(&error) => {
            discard(session, hh)?;
            return Err(error.into());
        }
        Err(error) => return Err(interrupted(error)),
    };
    let (header, _) = verify::pieces(&summary)?;
    if Hash::from_bytes(header.hash()) != head.hh {
        return Err(sealpost_proto::sealed::Reason::Seal.into());
    }
    let kind = Try {
        is_resumed: true,
        unattended: None,
    };
    super::attempt(session, &summary, &head.options()?, kind, progress).await
}

/// Throws away what is staged of an unfinished receive. Its opening is remembered, so that receiving it again within 24 hours is not
/// counted.
///
/// # Errors
/// [`Error`].
pub fn discard(session: &Session, hh: &Hash) -> Result<(), Error> {
    match state::open(&session.state, &hh.to_string())? {
        Some((Found::Free(receiving), _)) => end(session, receiving),
        Some((Found::Busy(head), _)) => Err(Error::Busy(head.transfer)),
        None => Ok(()),
    }
}

/// Ends a receive whose transfer has expired. Staged plaintext goes; but where giving the verified files their names was interrupted,
/// that is finished, and the receipt goes out; by the puller that began it, if one did.
///
/// # Errors
/// [`Error`].
pub(crate) fn expire(session: &Session, hh: &Hash) -> Result<(), Error> {
    let (receiving, staged) = match state::open(&session.state, &hh.to_string())? {
        Some((Found::Free(receiving), staged)) => (receiving, staged),
        Some((Found::Busy(head), _)) => return Err(Error::Busy(head.transfer)),
        None => return Err(Error::NotFound("No such transfer is unfinished here.".to_owned())),
    };
    if let Some(placing) = staged.placing.as_deref()
        && is_begun(&receiving.head, placing)?
    {
        check_own(&receiving.head)?;
        if place_again(&receiving.head, placing)?.is_some() {
            return placed(session, receiving);
        }
    }
    end(session, receiving)
}

/// What pullers began here and have not finished. Of one that cannot be read `resume` tells.
pub(crate) fn pulled(session: &Session) -> Result<Vec<ReceivingHead>, Error> {
    let names = session.state.names(state::RECEIVING)?;
    let heads = names
        .iter()
        .map(|name| Begun::head(&session.state, state::RECEIVING, name));
    let readable = heads.filter(|head| !matches!(head, Err(Error::State)));
    let all: Vec<Option<ReceivingHead>> = readable.collect::<Result<_, _>>()?;
    Ok(all.into_iter().flatten().filter(|head| head.pulled.is_some()).collect())
}

/// Finishes for a puller what it had verified whole, whatever has become of the transfer since: that needs no gateway. None if there is
/// nothing to place, or if it has expired before any of its files had a name.
///
/// # Errors
/// [`Error`].
pub(crate) fn place_pulled(session: &Session, hh: &Hash, note: Note<'_>) -> Result<Option<Received>, Error> {
    if super::is_received(session, hh)? {
        forget_finished(session, hh)?;
        return Ok(None);
    }
    let Some((Found::Free(receiving), staged)) = state::open(&session.state, &hh.to_string())? else {
        return Ok(None);
    };
    let head = &receiving.head;
    let (Some(pulled), Some(placing)) = (&head.pulled, &staged.placing) else {
        return Ok(None);
    };
    if is_past(head.expires_at(), session.env.now()) && !is_begun(head, placing)? {
        return Ok(None);
    }
    let summary = pulled.summary(head.transfer);
    let (header, seal) = verify::pieces(&summary)?;
    let accepted = verify::accepted(&summary.receipt, &session.account.at, &seal, &session.mirror)?;
    let Some(paths) = place_again(head, placing)? else {
        return Ok(None);
    };
    let len = seal.body.payload_len;
    let attempt = Attempt {
        session,
        summary: &summary,
        header,
        seal,
        record: opened(head),
        note: Some(note),
    };
    let received = attempt.received(&placing.manifest, accepted, paths, len);
    attempt.placed(&received, receiving)?;
    Ok(Some(received))
}

/// Notes that the files are in place: that is on disk before the receipt goes out, so that a crash costs neither.
pub(super) fn placed(session: &Session, receiving: Receiving) -> Result<(), Error> {
    let record = opened(&receiving.head);
    let earlier = ReceivedRecord::get(&session.state, &record.hh)?;
    let is_recorded = |earlier: &ReceivedRecord| earlier.is_received() && earlier.opening == record.opening;
    if !earlier.as_ref().is_some_and(is_recorded) {
        let placed = ReceivedRecord {
            progress: Stage::Placed,
            ..record
        };
        placed.put(&session.state, &session.env)?;
    }
    receiving.remove().map(drop)
}

/// A puller owes more than files for what it began, a run of its command, so nobody else finishes it.
fn check_own(head: &ReceivingHead) -> Result<(), Error> {
    if head.pulled.is_none() {
        return Ok(());
    }
    Err(Error::Input(format!(
        "`sealpost pull` began transfer {} and goes on with it, so that what is to be done with its files is done; run that, or throw away what it holds with `sealpost resume {} --discard`.",
        head.transfer, head.transfer
    )))
}

fn head(session: &Session, hh: &Hash) -> Result<ReceivingHead, Error> {
    let head = Begun::head(&session.state, state::RECEIVING, &hh.to_string())?;
    head.ok_or_else(|| Error::NotFound("No such transfer is unfinished here.".to_owned()))
}

/// The state of a receive that is about to be tried: what an interruption left, if it is received in the same way, else a new one. It
/// is on disk before the gateway is asked, so that the opening can be repeated.
pub(super) fn state_for(
    session: &Session,
    header: &Header,
    options: &Options,
    earlier: Option<&ReceivedRecord>,
    pulled: Option<Pulled>,
) -> Result<(Receiving, Staged), Error> {
    let (transfer, hh) = (header.transfer_id, Hash::from_bytes(header.hash()));
    let head = |opening| {
        let head = ReceivingHead::new(transfer, hh, opening, options, session.env.now(), header.expires_at)?;
        Ok::<_, Error>(head.of_puller(pulled.clone()))
    };
    let opening = match state::open(&session.state, &hh.to_string())? {
        Some((Found::Busy(_), _)) => return Err(Error::Busy(transfer)),
        Some((Found::Free(mut receiving), staged)) => {
            if pulled.is_none() {
                check_own(&receiving.head)?;
            }
            let opening = receiving.head.opening;
            if receiving.head.is_alike(&head(opening)?) {
                adopt(session, &mut receiving, pulled)?;
                return Ok((receiving, staged));
            }
            end(session, receiving)?;
            Some(opening)
        }
        None => earlier
            .filter(|record| !record.is_received())
            .map(|record| record.opening),
    };
    let opening = opening.unwrap_or_else(|| OpeningId::from_bytes(session.env.draw()));
    let receiving = state::begin(&session.state, &session.env, &hh.to_string(), head(opening)?)?;
    Ok((receiving, Staged::default()))
}

/// What was begun by hand is a puller's from the moment at which one goes on with it.
fn adopt(session: &Session, receiving: &mut Receiving, pulled: Option<Pulled>) -> Result<(), Error> {
    if pulled.is_none() || receiving.head.pulled.is_some() {
        return Ok(());
    }
    let head = receiving.head.clone().of_puller(pulled);
    receiving.put_head(head, &session.env)
}

/// Draws another opening for a receive whose opening has ended.
pub(super) fn open_anew(session: &Session, receiving: &mut Receiving) -> Result<(), Error> {
    let mut head = receiving.head.clone();
    head.opening = OpeningId::from_bytes(session.env.draw());
    receiving.put_head(head, &session.env)
}

/// Ends a receive whose files are not in place: staging goes, the opening is remembered.
pub(super) fn end(session: &Session, receiving: Receiving) -> Result<(), Error> {
    let head = &receiving.head;
    staging::remove(&head.target()?, &head.transfer)?;
    let earlier = ReceivedRecord::get(&session.state, &head.hh)?;
    if !earlier.is_some_and(|record| record.is_received()) {
        opened(head).put(&session.state, &session.env)?;
    }
    receiving.remove().map(drop)
}

/// The record of an opening of which nothing is in place.
pub(super) fn opened(head: &ReceivingHead) -> ReceivedRecord {
    ReceivedRecord {
        transfer: head.transfer,
        hh: head.hh,
        opening: head.opening,
        progress: Stage::Opened,
        receipt: None,
    }
}

/// Ends the state of a receive that a crash left behind after its files had been recorded as received.
pub(crate) fn forget_finished(session: &Session, hh: &Hash) -> Result<(), Error> {
    let Some(record) = ReceivedRecord::get(&session.state, hh)?.filter(ReceivedRecord::is_received) else {
        return Ok(());
    };
    match state::open(&session.state, &hh.to_string())? {
        Some((Found::Free(receiving), _)) if receiving.head.opening == record.opening => {
            if let Ok(target) = receiving.head.target() {
                // Where the folder is gone, so is what was staged in it.
                staging::remove(&target, &receiving.head.transfer)?;
            }
            receiving.remove().map(drop)
        }
        _ => Ok(()),
    }
}

/// A gateway that went away in the middle leaves what can be resumed.
pub(super) fn interrupted(error: ApiError) -> Error {
    if error.is_transient() {
        Error::Unfinished(error)
    } else {
        error.into()
    }
}

/// Whether nothing is left to go on with after this refusal. What is staged outlives one that passes: a transfer that is held, a gateway
/// that is busy for more than a minute.
pub(super) fn is_end(error: &ApiError, staged: &Staged, is_resumed: bool) -> bool {
    is_over(error) || (error.is_definite_refusal() && staged.is_empty() && !is_resumed)
}

/// Whether a transfer can never be opened again by this person.
pub(crate) fn is_over(error: &ApiError) -> bool {
    matches!(
        error.kind(),
        Some(ProblemKind::Expired | ProblemKind::Revoked | ProblemKind::LimitReached | ProblemKind::NotFound)
    )
}

#[cfg(test)]
mod tests {
    use sealpost_proto::problem::Problem;

    use super::*;

    fn refused(kind: ProblemKind) -> ApiError {
        ApiError::Refused {
            problem: Box::new(Problem::new(kind, "r".to_owned())),
            local_time: 0,
            retry_after: None,
        }
    }

    #[test]
    fn what_is_staged_outlives_a_refusal_that_passes() {
        let staged = Staged {
            parts: vec![Hash::from_bytes([1; 32])],
            placing: None,
        };
        for kind in [
            ProblemKind::Held,
            ProblemKind::TooManyRequests,
            ProblemKind::Unconfirmed,
        ] {
            assert!(!is_end(&refused(kind), &staged, false), "{kind:?}");
            assert!(
                is_end(&refused(kind), &Staged::default(), false),
                "{kind:?}: nothing is lost"
            );
            assert!(
                !is_end(&refused(kind), &Staged::default(), true),
                "{kind:?}: it is asked for again"
            );
        }
        for kind in [ProblemKind::Revoked, ProblemKind::Expired, ProblemKind::LimitReached] {
            assert!(is_end(&refused(kind), &staged, false), "{kind:?}");
            assert!(is_end(&refused(kind), &staged, true), "{kind:?}");
        }
        let away = ApiError::Unreachable("away".to_owned());
        assert!(!is_end(&away, &Staged::default(), false));
    }
}
