//! The commit point of sending: the request to seal, kept before it goes out and repeated as it was until there is an answer.
//!
//! An attempt without an answer may have been taken, so no refusal of a later one is the end: what is kept is forgotten only when the
//! gateway also says that it has no such transfer.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sealpost_proto::api::{SealOptions, TransferSummary};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::seal_request::SealRequest;
use sealpost_proto::sealed::Seal;
use sealpost_sealed::Sealer;

use super::state::{KeptSeal, Sending, SendingRecord};
use super::work::SealedPayload;
use super::{Sent, Taken, seal_error};
use crate::api::ApiError;
use crate::error::Error;
use crate::link::DrawnLink;
use crate::progress::Progress;
use crate::records::{KeptSecret, SentRecord, SentTo};
use crate::resume::patience::persist;
use crate::session::Session;
use crate::verify::{self, Accepted};

/// Seconds after which a seal whose time the gateway refuses is made anew; a younger one is refused because a clock is wrong.
const FRESH: u64 = 60;

/// The gateway shows something else under the id.
const ANOTHER: Error = Error::Receipt("it is of another transfer");

/// What this client remembers of a transfer from now on.
pub(super) fn record(
    sealer: &Sealer,
    recipients: &[SentTo],
    link: Option<&DrawnLink>,
    directory_size: u64,
) -> SentRecord {
    SentRecord {
        transfer: sealer.header().transfer_id,
        hh: Hash::from_bytes(sealer.header().hash()),
        recipients: recipients.to_vec(),
        directory_size,
        files: sealer.manifest().files.iter().map(|file| file.name.clone()).collect(),
        expires_at: sealer.header().expires_at,
        accepted: None,
        verified: BTreeMap::new(),
        links: link.into_iter().map(DrawnLink::to_record).collect(),
        share: sealer.secrets().share().map(KeptSecret::new),
    }
}

/// Seals manifest and transfer.
pub(super) fn request(
    session: &Session,
    sealer: &Sealer,
    payload: &SealedPayload,
    part: &[u8],
    options: SealOptions,
) -> Result<KeptSeal, Error> {
    let (account, env) = (&session.account, &session.env);
    let manifest_box = sealer
        .seal_manifest(&payload.digests, &mut env.rng())
        .map_err(seal_error)?;
    let sealed_at = env.now().max(sealer.header().created_at);
    let seal = sealer
        .seal(&account.device, &manifest_box, &payload.leaves, sealed_at)
        .map_err(seal_error)?;
    let request = SealRequest {
        options,
        header: &sealer.header().to_bytes(),
        block: &sealer.block().to_bytes(),
        manifest_box: &manifest_box,
        seal: &seal.to_bytes(),
        share: sealer.secrets().share().map_or(&[], |share| &share[..]),
        part,
    };
    kept(session, &request)
}

fn kept(session: &Session, request: &SealRequest<'_>) -> Result<KeptSeal, Error> {
    let body = request
        .to_bytes()
        .map_err(|_| Error::Internal("the request to seal is too long"))?;
    Ok(KeptSeal {
        body: Base64(body),
        idempotency_key: session.api.idempotency_key(),
    })
}

/// The same transfer with a seal of now: the gateway takes none that was made long ago.
fn renewed(session: &Session, seal: &KeptSeal) -> Result<Option<KeptSeal>, Error> {
    let mut request = SealRequest::parse(&seal.body.0).map_err(|_| Error::State)?;
    let old = Seal::parse(request.seal).map_err(|_| Error::State)?;
    let mut body = old.body;
    body.sealed_at = session.env.now();
    if body.sealed_at < old.body.sealed_at + FRESH {
        return Ok(None);
    }
    let new = body.sign(&session.account.device).to_bytes();
    request.seal = &new;
    kept(session, &request).map(Some)
}

/// Hands over what is kept, and verifies what the gateway signs in return. Then nothing unfinished is left.
pub(super) async fn hand_over(
    session: &Session,
    mut sending: Sending,
    mut seal: KeptSeal,
    progress: &Arc<dyn Progress>,
) -> Result<Taken, Error> {
    let record = SentRecord::get(&session.state, &sending.head.transfer)?.ok_or(Error::State)?;
    loop {
        let (api, body) = (&session.api, Bytes::from(seal.body.0.clone()));
        let ask = || api.seal_bytes(&record.transfer, body.clone(), seal.idempotency_key.clone());
        let error = match persist(&**progress, ask).await {
            Ok(answer) => return accepted(session, sending, record, &sealed(&seal)?, answer.receipt),
            Err(error) => error,
        };
        match error.kind() {
            Some(ProblemKind::ClockSkew) => match renewed(session, &seal)? {
                Some(new) => {
                    let kept = SendingRecord::Seal(new.clone());
                    sending.append(&kept, &session.env)?;
                    seal = new;
                }
                None => return settle(session, sending, record, error).await,
            },
            _ => return settle(session, sending, record, error).await,
        }
    }
}

/// What a request to seal came to that was not answered with a receipt.
enum Settled {
    /// The gateway has the transfer: an earlier attempt was taken, or of two seals the other one.
    Shown(Box<TransferSummary>),
    /// It has none, and never will have this one.
    Over,
    /// It has none, but may take it yet.
    Open,
    /// It does not say.
    Unknown,
}

impl Settled {
    /// From why the request was refused, and what the gateway then shows of the transfer.
    fn of(refused: &ApiError, shown: Result<TransferSummary, ApiError>) -> Self {
        match shown {
            Ok(summary) => Self::Shown(Box::new(summary)),
            Err(error) if error.kind() != Some(ProblemKind::NotFound) => Self::Unknown,
            Err(_) if is_final(refused) => Self::Over,
            Err(_) => Self::Open,
        }
    }
}

/// Asks the gateway what became of the transfer whose seal it refused. Where it cannot be asked, all stays as it is.
async fn settle(session: &Session, sending: Sending, record: SentRecord, error: ApiError) -> Result<Taken, Error> {
    if matches!(error, ApiError::Unreachable(_)) {
        return Err(Error::PerhapsSent(error));
    }
    if error.is_wrong_gateway() {
        return Err(error.into());
    }
    let settled = Settled::of(&error, session.api.transfer(&record.transfer).await);
    end(session, sending, record, error, settled)
}

/// What is refused for good is forgotten; anything else is asked again by [`super::resume`].
fn end(
    session: &Session,
    sending: Sending,
    record: SentRecord,
    error: ApiError,
    settled: Settled,
) -> Result<Taken, Error> {
    match settled {
        Settled::Shown(summary) => {
            let seal = our_seal(session, &record, &summary)?.ok_or(ANOTHER)?;
            accepted(session, sending, record, &seal, summary.receipt)
        }
        Settled::Over => {
            record.remove(&session.state)?;
            sending.remove()?;
            Err(error.into())
        }
        Settled::Open => Err(Error::Unfinished(error)),
        Settled::Unknown => Err(Error::PerhapsSent(error)),
    }
}

fn sealed(seal: &KeptSeal) -> Result<Seal, Error> {
    let request = SealRequest::parse(&seal.body.0).map_err(|_| Error::State)?;
    Seal::parse(request.seal).map_err(|_| Error::State)
}

/// The seal that the gateway shows of a transfer, if this device made it for just this header.
fn our_seal(session: &Session, record: &SentRecord, shown: &TransferSummary) -> Result<Option<Seal>, Error> {
    let (header, seal) = verify::pieces(shown)?;
    let is_ours = Hash::from_bytes(header.hash()) == record.hh
        && seal.body.header_hash == header.hash()
        && seal.verify(&session.account.device.public()).is_ok();
    Ok(is_ours.then_some(seal))
}

/// The gateway has signed: that is kept, and what was unfinished ends.
fn accepted(
    session: &Session,
    sending: Sending,
    mut record: SentRecord,
    seal: &Seal,
    receipt: String,
) -> Result<Taken, Error> {
    let accepted = Accepted::read(&receipt, &session.account.at, seal)?.check_not_before(record.directory_size)?;
    record.accepted = Some(receipt);
    record.put(&session.state, &session.env)?;
    let head = sending.remove()?;
    let sent = Sent {
        transfer: record.transfer,
        hh: record.hh,
        total: head.total,
        expires_at: record.expires_at,
        recipients: record.recipients.into_iter().map(|to| to.address).collect(),
        link: head.link,
    };
    Ok(Taken { sent, accepted })
}

/// What became of a transfer whose request to seal may have gone out, and of which nothing else is kept: by the receipt that the
/// gateway shows, `total` bytes were sent. None if it never took it.
pub(super) async fn look_up(session: &Session, mut record: SentRecord, total: u64) -> Result<Option<Taken>, Error> {
    let summary = match session.api.transfer(&record.transfer).await {
        Ok(summary) => summary,
        Err(error) if error.kind() == Some(ProblemKind::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let seal = our_seal(session, &record, &summary)?.ok_or(ANOTHER)?;
    let accepted = Accepted::read(&summary.receipt, &session.account.at, &seal)?;
    let accepted = accepted.check_not_before(record.directory_size)?;
    record.accepted = Some(summary.receipt);
    record.put(&session.state, &session.env)?;
    let sent = sent_before(record, total);
    Ok(Some(Taken { sent, accepted }))
}

/// Whether the gateway says that it has no such transfer.
pub(super) async fn is_unknown(session: &Session, transfer: &TransferId) -> bool {
    let shown = session.api.transfer(transfer).await;
    shown.is_err_and(|error| error.kind() == Some(ProblemKind::NotFound))
}

/// What was sent, as far as the record of it says.
pub(super) fn sent_before(record: SentRecord, total: u64) -> Sent {
    Sent {
        transfer: record.transfer,
        hh: record.hh,
        total,
        expires_at: record.expires_at,
        recipients: record.recipients.into_iter().map(|to| to.address).collect(),
        link: None,
    }
}

/// Whether asking again can never succeed. A person, an account, a clock or a directory that is put right later can make the others
/// succeed.
pub(super) fn is_final(error: &ApiError) -> bool {
    error.is_definite_refusal() && !may_change(error) && !error.is_wrong_gateway()
}

/// Whether the refusal is of the caller or of the moment, and not of the transfer.
pub(super) fn may_change(error: &ApiError) -> bool {
    matches!(
        error.kind(),
        Some(
            ProblemKind::ClockSkew
                | ProblemKind::Unauthenticated
                | ProblemKind::Unconfirmed
                | ProblemKind::Disabled
                | ProblemKind::Forbidden
                | ProblemKind::ServiceOver
                | ProblemKind::ServiceElsewhere
                | ProblemKind::Replayed
                | ProblemKind::TooManyRequests
        )
    )
}

#[cfg(test)]
mod tests;
