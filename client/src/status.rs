//! Where a sent transfer stands with each recipient: sealed, opened, verified, rejected, or over.
//!
//! *Verified* and *rejected* are believed only from the recipient's own signature, and *verified* is kept: nothing that the gateway
//! says later takes it back. *Opened* is the gateway's word. Who the recipients are says the record of sending alone: the gateway
//! can neither add one nor leave one out unnoticed.

mod links;

use std::path::PathBuf;

use sealpost_proto::api::{RecipientState, TransferState, TransferSummary};
use sealpost_proto::id::{Address, Hash, Label, TransferId};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::Reason;

pub use links::LinkStatus;

use crate::error::Error;
use crate::records::{SentRecord, SentTo};
use crate::session::Session;
use crate::verify::{self, Accepted, Overview, Verdict};

/// How far a recipient has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The recipient can open it and has not.
    Sealed,
    /// The gateway says that the recipient opened it; there is no receipt yet.
    Opened {
        /// When, unix seconds.
        at: Option<u64>,
    },
    /// The recipient's device signed that everything arrived intact.
    Verified {
        /// When, unix seconds.
        at: u64,
    },
    /// The recipient's device signed that a check failed.
    Rejected {
        /// When, unix seconds.
        at: u64,
        /// Which check.
        reason: Reason,
    },
    /// It can no longer be opened, and was not received.
    Over(TransferState),
    /// It was sent to this person, and the gateway does not list that.
    NotListed,
    /// The gateway lists this person, and it was not sent there.
    NotSent,
}

/// A recipient of a sent transfer.
#[derive(Debug, Clone)]
pub struct RecipientStatus {
    /// Who.
    pub label: Label,
    /// How far.
    pub delivery: Delivery,
    /// Openings counted so far.
    pub openings_used: u32,
    /// What the gateway shows of this recipient does not agree with what was sent, or proves nothing.
    pub doubt: Option<String>,
}

/// A sent transfer.
#[derive(Debug, Clone)]
pub struct TransferStatus {
    /// Its id.
    pub transfer: TransferId,
    /// Whether this client remembers sending it. If not, the list of recipients is the gateway's word.
    pub is_known: bool,
    /// Names of the files, if so.
    pub files: Vec<String>,
    /// When it was sealed.
    pub sealed_at: u64,
    /// What the gateway signed when it accepted it.
    pub accepted: Accepted,
    /// Until when it can be opened.
    pub expires_at: u64,
    /// How often each recipient may open it.
    pub openings: Option<u32>,
    /// The recipients.
    pub recipients: Vec<RecipientStatus>,
    /// Where the transfer stands.
    pub state: TransferState,
    /// Its links.
    pub links: Vec<LinkStatus>,
}

/// A transfer that this client sent and the gateway does not list.
#[derive(Debug, Clone)]
pub struct Missing {
    /// Its id.
    pub transfer: TransferId,
    /// For whom.
    pub recipients: Vec<Address>,
    /// It has a link.
    pub has_link: bool,
    /// Until when it could be opened, unix seconds.
    pub expires_at: u64,
    /// The gateway has signed that it accepted it: then it hides it. Else sending was interrupted.
    pub was_accepted: bool,
    /// What is needed to go on with it is kept.
    pub is_unfinished: bool,
}

/// What can be proved about a sent transfer.
///
/// # Errors
/// [`Error::Rejected`] if the gateway shows a transfer as sent that the own devices did not seal; [`Error::Receipt`].
pub fn status(session: &Session, summary: &TransferSummary) -> Result<TransferStatus, Error> {
    let overview = verify::overview(summary, &session.account.at, &session.mirror)?;
    if overview.header.sender_identity != Some(session.account.identity.public()) {
        return Err(Reason::Sender.into());
    }
    let mut record = SentRecord::get(&session.state, &summary.transfer)?;
    let is_same = |record: &SentRecord| record.hh == Hash::from_bytes(overview.seal.body.header_hash);
    if record.as_ref().is_some_and(|record| !is_same(record)) {
        return Err(Reason::Seal.into());
    }
    if let Some(record) = &record {
        overview.accepted.check_not_before(record.directory_size)?;
    }
    let recipients = recipients(session, summary, &overview, record.as_mut())?;
    let links = links::links(session, summary, &overview.seal, record.as_mut())?;
    if let Some(record) = &mut record
        && record.forget_share(summary.state, session.env.now())
    {
        record.put(&session.state, &session.env)?;
    }
    Ok(TransferStatus {
        transfer: summary.transfer,
        is_known: record.is_some(),
        files: record.map(|record| record.files).unwrap_or_default(),
        sealed_at: overview.seal.body.sealed_at,
        accepted: overview.accepted,
        expires_at: overview.header.expires_at,
        openings: summary.openings,
        recipients,
        state: summary.state,
        links,
    })
}

/// Everybody to whom it was sent, then whom else the gateway lists. Without a record all are the gateway's word, but a key must
/// be the person's for whom it is listed.
fn recipients(
    session: &Session,
    summary: &TransferSummary,
    overview: &Overview,
    record: Option<&mut SentRecord>,
) -> Result<Vec<RecipientStatus>, Error> {
    let Some(record) = record else {
        let listed = summary.recipients.iter();
        return Ok(listed
            .map(|state| by_the_gateways_word(session, summary, overview, state))
            .collect());
    };
    let mut unmatched: Vec<&RecipientState> = summary.recipients.iter().collect();
    let mut shown = Vec::with_capacity(unmatched.len());
    for to in record.recipients.clone() {
        let listed = unmatched
            .iter()
            .position(|state| state.label == to.label && state.kid == to.kid);
        shown.push(match listed {
            Some(at) => sent_to(session, summary, overview, unmatched.remove(at), record)?,
            None => not_listed(&to, record)?,
        });
    }
    shown.extend(unmatched.into_iter().map(|state| RecipientStatus {
        label: state.label,
        delivery: Delivery::NotSent,
        openings_used: state.openings_used,
        doubt: Some("The gateway lists this recipient, and this device did not send to it.".to_owned()),
    }));
    Ok(shown)
}

/// A recipient of the record whom the gateway lists: a good *verified* receipt is kept.
fn sent_to(
    session: &Session,
    summary: &TransferSummary,
    overview: &Overview,
    state: &RecipientState,
    record: &mut SentRecord,
) -> Result<RecipientStatus, Error> {
    let kept = kept_time(record, &state.label)?;
    let (verdict, doubt) = shown_receipt(session, overview, state);
    let is_verified = verdict.is_some_and(|verdict| verdict.rejected.is_none());
    if let Some(text) = state.receipt.as_ref().filter(|_| is_verified && kept.is_none()) {
        record.verified.insert(state.label, text.clone());
        record.put(&session.state, &session.env)?;
    }
    Ok(RecipientStatus {
        label: state.label,
        delivery: delivery(summary.state, state, verdict, kept),
        openings_used: state.openings_used,
        doubt,
    })
}

fn not_listed(to: &SentTo, record: &SentRecord) -> Result<RecipientStatus, Error> {
    let kept = kept_time(record, &to.label)?;
    Ok(RecipientStatus {
        label: to.label,
        delivery: kept.map_or(Delivery::NotListed, |at| Delivery::Verified { at }),
        openings_used: 0,
        doubt: Some("The gateway does not list this recipient.".to_owned()),
    })
}

fn by_the_gateways_word(
    session: &Session,
    summary: &TransferSummary,
    overview: &Overview,
    state: &RecipientState,
) -> RecipientStatus {
    let (verdict, mut doubt) = shown_receipt(session, overview, state);
    if session.mirror.directory().label_of_kid(&state.kid) != Some(state.label) {
        doubt.get_or_insert_with(|| "The gateway lists a key that is not this person's.".to_owned());
    }
    RecipientStatus {
        label: state.label,
        delivery: delivery(summary.state, state, verdict, None),
        openings_used: state.openings_used,
        doubt,
    }
}

/// What the receipt that the gateway shows proves: it counts only if the device that signed is this recipient's. Else why not.
fn shown_receipt(session: &Session, overview: &Overview, state: &RecipientState) -> (Option<Verdict>, Option<String>) {
    let Some(text) = &state.receipt else {
        return (None, None);
    };
    let verdict = verify::recipients(text, &session.account.at, &overview.seal, session.mirror.directory());
    match verdict {
        Ok(verdict) if verdict.label == state.label => (Some(verdict), None),
        Ok(_) => (None, Some(Error::Receipt("it is another person's").to_string())),
        Err(error) => (None, Some(error.to_string())),
    }
}

/// When the kept receipt of this person says that it was verified: it was checked before it was kept, under a seal of the state
/// file.
fn kept_time(record: &SentRecord, label: &Label) -> Result<Option<u64>, Error> {
    let Some(text) = record.verified.get(label) else {
        return Ok(None);
    };
    let receipt: sealpost_proto::receipt::SignedReceipt = text.parse().map_err(|_| Error::State)?;
    Ok(Some(receipt.receipt().facts.time))
}

fn delivery(state: TransferState, recipient: &RecipientState, verdict: Option<Verdict>, kept: Option<u64>) -> Delivery {
    match (kept, verdict) {
        (Some(at), _) => Delivery::Verified { at },
        (
            None,
            Some(Verdict {
                rejected: None, time, ..
            }),
        ) => Delivery::Verified { at: time },
        (
            None,
            Some(Verdict {
                rejected: Some(reason),
                time,
                ..
            }),
        ) => Delivery::Rejected { at: time, reason },
        (None, None) if state != TransferState::Available => Delivery::Over(state),
        (None, None) if recipient.openings_used > 0 || recipient.opened_at.is_some() => Delivery::Opened {
            at: recipient.opened_at,
        },
        (None, None) => Delivery::Sealed,
    }
}

/// Transfers that this client remembers and the gateway does not list, unless they have expired; and the files of records that are
/// damaged.
///
/// # Errors
/// [`Error`].
pub fn missing(session: &Session, listed: &[TransferSummary]) -> Result<(Vec<Missing>, Vec<PathBuf>), Error> {
    let now = session.env.now();
    let is_listed = |record: &SentRecord| listed.iter().any(|summary| summary.transfer == record.transfer);
    let (mut records, damaged) = SentRecord::all(&session.state)?;
    // Also of what no list shows any more.
    for record in &mut records {
        if record.forget_share(TransferState::Available, now) {
            record.put(&session.state, &session.env)?;
        }
    }
    records.retain(|record| !is_listed(record) && record.expires_at > now);
    // The newest are likely to end last.
    records.sort_by_key(|record| std::cmp::Reverse(record.expires_at));
    Ok((as_missing(session, records)?, damaged))
}

fn as_missing(session: &Session, records: Vec<SentRecord>) -> Result<Vec<Missing>, Error> {
    let (unfinished, _) = crate::resume::unfinished(session)?;
    let missing = records.into_iter().map(|record| Missing {
        transfer: record.transfer,
        has_link: !record.links.is_empty(),
        expires_at: record.expires_at,
        recipients: record.recipients.into_iter().map(|to| to.address).collect(),
        was_accepted: record.accepted.is_some(),
        is_unfinished: unfinished.iter().any(|one| one.transfer == record.transfer),
    });
    Ok(missing.collect())
}

/// A transfer that this client remembers, by the beginning of its id, where asking the gateway for it came to `refused`.
///
/// # Errors
/// `refused` itself if it does not say that there is no such transfer, or if none is remembered; [`Error::Input`] if there are several.
pub fn missing_named(session: &Session, prefix: &str, refused: Error) -> Result<Missing, Error> {
    if !is_not_found(&refused) {
        return Err(refused);
    }
    let (mut records, _) = SentRecord::all(&session.state)?;
    records.retain(|record| record.transfer.to_string().starts_with(prefix));
    let mut named = as_missing(session, records)?;
    let Some(missing) = named.pop() else {
        return Err(refused);
    };
    if named.is_empty() {
        return Ok(missing);
    }
    Err(Error::Input(format!(
        "Several transfers have ids that begin with {prefix}; give more digits."
    )))
}

fn is_not_found(error: &Error) -> bool {
    match error {
        Error::NotFound(_) => true,
        Error::Api(error) => error.kind() == Some(ProblemKind::NotFound),
        _ => false,
    }
}

/// Puts a transfer that the gateway does not show aside: no list names it any more. Should the gateway show it again, all that was
/// remembered of it counts as before.
///
/// # Errors
/// [`Error::Input`] for one that is unfinished; [`Error`].
pub fn put_aside(session: &Session, missing: &Missing) -> Result<(), Error> {
    if missing.is_unfinished {
        return Err(Error::Input(format!(
            "Transfer {0} is not sent yet: `sealpost resume {0}` goes on with it, and with --discard throws it away.",
            missing.transfer
        )));
    }
    let record = SentRecord::get(&session.state, &missing.transfer)?;
    record.map_or(Ok(()), |record| record.put_aside(&session.state, &session.env))
}

#[cfg(test)]
mod tests;
