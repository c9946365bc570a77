//! Where the links of a sent transfer stand. Which links there are says the record of sending; a visitor's *verified* receipt is
//! believed from its signatures and kept.

use sealpost_proto::api::{LinkState, LinkSummary, TransferState, TransferSummary};
use sealpost_proto::id::Hash;
use sealpost_proto::sealed::Seal;

use super::Delivery;
use crate::error::Error;
use crate::records::{SentLink, SentRecord};
use crate::session::Session;
use crate::verify;

/// Digits of an id that are shown.
const SHOWN_DIGITS: usize = 8;

/// A link of a sent transfer.
#[derive(Debug, Clone)]
pub struct LinkStatus {
    /// Its name where the id must not stand.
    pub link: Hash,
    /// The beginning of the id that stands in its text, if this device made it.
    pub id: Option<String>,
    /// Its text, if this device knows it and it holds no secret.
    pub text: Option<String>,
    /// Where it stands; none if the gateway does not list it.
    pub state: Option<LinkState>,
    /// How often it may be opened.
    pub openings: u32,
    /// Openings counted so far.
    pub openings_used: u32,
    /// Wrong tries since the last right one.
    pub failures: u32,
    /// Where its transfer stands.
    pub transfer: TransferState,
    /// How far the visitors have come.
    pub delivery: Delivery,
    /// What the gateway shows of it does not agree with what was sent, or proves nothing.
    pub doubt: Option<String>,
}

/// Every link of the record, then whatever else the gateway lists.
pub(super) fn links(
    session: &Session,
    summary: &TransferSummary,
    seal: &Seal,
    record: Option<&mut SentRecord>,
) -> Result<Vec<LinkStatus>, Error> {
    let mut unmatched: Vec<&LinkSummary> = summary.links.iter().collect();
    let mut shown = Vec::with_capacity(unmatched.len());
    let is_known = record.is_some();
    if let Some(record) = record {
        let mut is_new = false;
        for sent in &mut record.links {
            let at = unmatched.iter().position(|listed| listed.link == sent.hash());
            let listed = at.map(|at| unmatched.remove(at));
            is_new |= keep_receipt(session, seal, sent, listed);
            shown.push(status_of(session, summary.state, seal, Some(sent), listed)?);
        }
        if is_new {
            record.put(&session.state, &session.env)?;
        }
    }
    for listed in unmatched {
        let mut status = status_of(session, summary.state, seal, None, Some(listed))?;
        if is_known {
            let doubt = "The gateway lists this link, and this device did not make it.";
            status.doubt.get_or_insert_with(|| doubt.to_owned());
        }
        shown.push(status);
    }
    Ok(shown)
}

/// Keeps the first good *verified* receipt, and says whether it is new.
fn keep_receipt(session: &Session, seal: &Seal, sent: &mut SentLink, listed: Option<&LinkSummary>) -> bool {
    let Some(text) = listed.and_then(|listed| listed.receipt.as_ref()) else {
        return false;
    };
    let verdict = verify::visitors(text, &session.account.at, seal);
    let is_new = sent.verified.is_none() && matches!(verdict, Ok((None, _)));
    if is_new {
        sent.verified = Some(text.clone());
    }
    is_new
}

fn status_of(
    session: &Session,
    state: TransferState,
    seal: &Seal,
    sent: Option<&SentLink>,
    listed: Option<&LinkSummary>,
) -> Result<LinkStatus, Error> {
    let at = &session.account.at;
    let kept = sent.and_then(|sent| sent.verified.as_ref());
    let kept = kept.map(|text| verify::visitors(text, at, seal)).transpose();
    let kept = kept.map_err(|_| Error::State)?;
    let shown = listed.and_then(|listed| listed.receipt.as_ref());
    let (verdict, mut doubt) = match shown.map(|text| verify::visitors(text, at, seal)) {
        None => (None, None),
        Some(Ok(verdict)) => (Some(verdict), None),
        Some(Err(error)) => (None, Some(error.to_string())),
    };
    let is_burned_here = sent.is_some_and(|sent| sent.is_burned);
    if is_burned_here && listed.is_some_and(|listed| listed.state != LinkState::Burned) {
        doubt.get_or_insert_with(|| "This device burned this link, and the gateway shows it as not burned.".to_owned());
    }
    if listed.is_none() {
        doubt = Some("The gateway does not list this link.".to_owned());
    }
    let delivery = match kept.or(verdict) {
        Some((None, at)) => Delivery::Verified { at },
        Some((Some(reason), at)) => Delivery::Rejected { at, reason },
        None => open_state(state, listed),
    };
    Ok(LinkStatus {
        link: listed.map_or_else(
            || sent.map_or(Hash::from_bytes([0; 32]), SentLink::hash),
            |listed| listed.link,
        ),
        id: sent.map(|sent| sent.link.to_string().chars().take(SHOWN_DIGITS).collect()),
        text: sent.and_then(|sent| sent.text(at)),
        state: listed.map(|listed| listed.state),
        openings: listed.map_or(0, |listed| listed.openings),
        openings_used: listed.map_or(0, |listed| listed.openings_used),
        failures: listed.map_or(0, |listed| listed.failures),
        transfer: state,
        delivery,
        doubt,
    })
}

/// The gateway's word, where there is no receipt.
fn open_state(state: TransferState, listed: Option<&LinkSummary>) -> Delivery {
    match listed {
        None => Delivery::NotListed,
        Some(_) if state != TransferState::Available => Delivery::Over(state),
        Some(listed) if listed.openings_used > 0 => Delivery::Opened { at: listed.opened_at },
        Some(listed) if listed.state == LinkState::Burned => Delivery::Over(TransferState::Revoked),
        Some(_) => Delivery::Sealed,
    }
}
