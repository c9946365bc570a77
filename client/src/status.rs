//! Where a sent transfer stands with each recipient: sealed, opened, verified, rejected, or over.
//!
//! *Verified* and *rejected* are believed only from the recipient's own signature, and *verified* is kept: nothing that the gateway
//! says later takes it back. *Opened* is the gateway's word.

use sealpost_proto::api::{RecipientState, TransferState, TransferSummary};
use sealpost_proto::id::{Address, Hash, Label, TransferId};
use sealpost_proto::sealed::{Reason, Seal};

use crate::error::Error;
use crate::records::SentRecord;
use crate::session::Session;
use crate::verify::{self, Verdict};

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
    /// The gateway showed a receipt that does not prove what it should.
    pub doubt: Option<String>,
}

/// A sent transfer.
#[derive(Debug, Clone)]
pub struct TransferStatus {
    /// Its id.
    pub transfer: TransferId,
    /// Whether this client remembers sending it.
    pub is_known: bool,
    /// Names of the files, if so.
    pub files: Vec<String>,
    /// When it was sealed.
    pub sealed_at: u64,
    /// Until when it can be opened.
    pub expires_at: u64,
    /// How often each recipient may open it.
    pub openings: Option<u32>,
    /// The recipients.
    pub recipients: Vec<RecipientStatus>,
}

/// A transfer that this client sent and the gateway does not list.
#[derive(Debug, Clone)]
pub struct Missing {
    /// Its id.
    pub transfer: TransferId,
    /// For whom.
    pub recipients: Vec<Address>,
    /// The gateway has signed that it accepted it: then it hides it. Else sending was interrupted.
    pub was_accepted: bool,
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
    let mut recipients = Vec::with_capacity(summary.recipients.len());
    for recipient in &summary.recipients {
        recipients.push(recipient_status(
            session,
            summary,
            recipient,
            &overview.seal,
            record.as_mut(),
        )?);
    }
    Ok(TransferStatus {
        transfer: summary.transfer,
        is_known: record.is_some(),
        files: record.map(|record| record.files).unwrap_or_default(),
        sealed_at: overview.seal.body.sealed_at,
        expires_at: overview.header.expires_at,
        openings: summary.openings,
        recipients,
    })
}

fn recipient_status(
    session: &Session,
    summary: &TransferSummary,
    recipient: &RecipientState,
    seal: &Seal,
    record: Option<&mut SentRecord>,
) -> Result<RecipientStatus, Error> {
    let at = &session.account.at;
    let directory = session.mirror.directory();
    let check = |text: &String| {
        let verdict = verify::recipients(text, at, seal, directory)?;
        if verdict.label == recipient.label {
            Ok(verdict)
        } else {
            Err(Error::Receipt("it is another person's"))
        }
    };
    let shown = recipient.receipt.as_ref().map(check).transpose();
    let kept = record.as_ref().and_then(|record| record.verified.get(&recipient.label));
    let kept = kept.map(|text| kept_time(text)).transpose()?;
    let (verdict, doubt) = match shown {
        Ok(verdict) => (verdict, None),
        Err(error) => (None, Some(error.to_string())),
    };
    if let (Some(verdict), Some(record), Some(text)) = (&verdict, record, &recipient.receipt)
        && verdict.rejected.is_none()
        && kept.is_none()
    {
        record.verified.insert(recipient.label, text.clone());
        record.put(&session.state, &session.env)?;
    }
    Ok(RecipientStatus {
        label: recipient.label,
        delivery: delivery(summary.state, recipient, verdict, kept),
        openings_used: recipient.openings_used,
        doubt,
    })
}

/// A kept receipt was verified before it was kept, under a seal of the state file.
fn kept_time(text: &str) -> Result<u64, Error> {
    let receipt: sealpost_proto::receipt::SignedReceipt = text.parse().map_err(|_| Error::State)?;
    Ok(receipt.receipt().facts.time)
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

/// Transfers that this client remembers and the gateway does not list, unless they have expired.
///
/// # Errors
/// [`Error`].
pub fn missing(session: &Session, listed: &[TransferSummary]) -> Result<Vec<Missing>, Error> {
    let now = session.env.now();
    let is_listed = |record: &SentRecord| listed.iter().any(|summary| summary.transfer == record.transfer);
    let records = SentRecord::all(&session.state)?;
    let missing = records
        .into_iter()
        .filter(|record| !is_listed(record) && record.expires_at > now);
    Ok(missing
        .map(|record| Missing {
            transfer: record.transfer,
            recipients: record.recipients,
            was_accepted: record.accepted.is_some(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_proto::id::{Kid, PublicKey};

    fn recipient(openings_used: u32) -> RecipientState {
        RecipientState {
            label: Label::from_bytes([1; 32]),
            kid: Kid::from_bytes([2; 32]),
            openings_used,
            opened_at: None,
            receipt: None,
        }
    }

    fn verdict(rejected: Option<Reason>) -> Option<Verdict> {
        Some(Verdict {
            rejected,
            label: Label::from_bytes([1; 32]),
            identity: PublicKey::from_bytes([3; 32]),
            time: 9,
        })
    }

    #[test]
    fn signatures_come_before_the_gateways_word() {
        use TransferState::{Available, Expired};
        assert_eq!(delivery(Available, &recipient(0), None, None), Delivery::Sealed);
        assert_eq!(
            delivery(Available, &recipient(1), None, None),
            Delivery::Opened { at: None }
        );
        assert_eq!(delivery(Expired, &recipient(1), None, None), Delivery::Over(Expired));
        let verified = Delivery::Verified { at: 9 };
        assert_eq!(delivery(Expired, &recipient(0), verdict(None), None), verified);
        let rejected = delivery(Available, &recipient(1), verdict(Some(Reason::Segment)), None);
        assert_eq!(
            rejected,
            Delivery::Rejected {
                at: 9,
                reason: Reason::Segment
            }
        );
    }

    #[test]
    fn verified_is_never_taken_back() {
        let later = [None, verdict(Some(Reason::Segment))];
        for verdict in later {
            let shown = delivery(TransferState::Revoked, &recipient(0), verdict, Some(5));
            assert_eq!(shown, Delivery::Verified { at: 5 });
        }
    }
}
