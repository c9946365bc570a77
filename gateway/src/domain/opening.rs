//! Opening: who gets the share, how often, and what the receipts say that come back (security.md 3.10).
//!
//! An opening is bound to the device that drew its id, good for 24 hours or until it is verified, repeatable, and counted once
//! against the limit of a recipient. The sender's own copy is not counted.

use sealpost_proto::api::{MAX_LIVE_OPENINGS, OpenRequest, TransferState};
use sealpost_proto::crypto::sha256;
use sealpost_proto::id::{Hash, Kid, OpeningId, PublicKey, TransferId};
use sealpost_proto::key::TrustedDevice;
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::{Assurance, Facts, Kind, MAX_TIME_DIFFERENCE, SignedReceipt};
use serde_json::{Map, Value};

use super::decision::{Data, Decision, Effects, Refusal, Requester, Stamp, ensure, object};
use super::enrolment::founded;
use super::sealed::Sealed;
use super::transfer::{Opener, Opening, Transfer};
use super::{Change, Loaded};

/// A signed request to open.
#[derive(Debug, Clone)]
pub struct OpenCommand {
    /// Which transfer.
    pub transfer: TransferId,
    /// What the device asks for.
    pub request: OpenRequest,
    /// The device that signed.
    pub by: TrustedDevice,
    /// The request, of which the first of an opening is kept: signature base, LF, body.
    pub kept: String,
}

/// What may leave the gateway for an opening, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The caller's stanza.
    pub kid: Kid,
    /// Until when the same device may repeat the opening.
    pub expires_at: u64,
    /// The transfer as it stands.
    pub sealed: Sealed,
}

/// Makes an opening, or repeats a live one of the same device.
///
/// # Errors
/// `not_found` for strangers; for parties `expired`, `revoked`, `limit_reached`, `conflict` when the opening id is another
/// device's, or ended, and `too_many_requests` when the device has too many live openings of it.
pub fn open(loaded: &Loaded, at: Stamp, command: &OpenCommand, by: &Requester) -> Decision<Release> {
    let now = at.seconds();
    let device = founded(loaded)?
        .directory
        .as_ref()
        .and_then(|d| d.device(&command.by.key, now));
    ensure(device == Some(command.by), ProblemKind::Disabled)?;
    let (transfer, sealed) = sealed_for(loaded, command)?;
    let (kid, is_counted) = stanza_of(transfer, sealed, command)?;
    check_state(transfer, now)?;
    ensure(sealed.hh == command.request.hh, ProblemKind::Conflict)?;
    let (change, event, opened_at) = match transfer.openings.get(&command.request.opening) {
        Some(opening) => {
            let is_own = opening.device == command.by.key && opening.opener == Opener::Member(command.by.label);
            ensure(is_own && opening.is_live(now), ProblemKind::Conflict)?;
            (reopened(command), EventType::TransferReopened, opening.at)
        }
        None => {
            ensure(
                !is_counted || is_left(transfer, sealed, command),
                ProblemKind::LimitReached,
            )?;
            let live = transfer.live_openings(&command.by.key, now);
            ensure(live < MAX_LIVE_OPENINGS, ProblemKind::TooManyRequests)?;
            (opened(command, now, is_counted), EventType::TransferOpened, now)
        }
    };
    let release = Release {
        kid,
        expires_at: Opening::expiry(opened_at),
        sealed: sealed.clone(),
    };
    let leaf = by.did(event, object::transfer(&transfer.id), leaf_data(sealed, command));
    Ok((release, Effects::one(change, leaf)))
}

/// The sealed transfer if the caller is a party to it.
fn sealed_for<'a>(loaded: &'a Loaded, command: &OpenCommand) -> Result<(&'a Transfer, &'a Sealed), Refusal> {
    let transfer = loaded
        .transfer(&command.transfer)
        .filter(|t| t.is_party(&command.by.label));
    let transfer = transfer.ok_or(ProblemKind::NotFound)?;
    let sealed = transfer.sealed.as_ref().ok_or(ProblemKind::NotFound)?;
    Ok((transfer, sealed))
}

/// The caller's stanza, and whether opening it counts.
fn stanza_of(transfer: &Transfer, sealed: &Sealed, command: &OpenCommand) -> Result<(Kid, bool), Refusal> {
    if let Some(recipient) = transfer.recipient(&command.by.label) {
        return Ok((recipient.kid, true));
    }
    let copy = sealed.sender_copy.filter(|_| transfer.sender == command.by.label);
    let kid = copy.ok_or(ProblemKind::NotFound)?;
    Ok((kid, false))
}

/// Whether anything of the transfer may be released at `now` (unix seconds).
///
/// # Errors
/// `expired`, `revoked`, `limit_reached` or `held`.
pub fn check_state(transfer: &Transfer, now: u64) -> Result<(), Refusal> {
    match transfer.state(now) {
        TransferState::Available => Ok(()),
        TransferState::Expired => Err(ProblemKind::Expired.into()),
        TransferState::Revoked => Err(ProblemKind::Revoked.into()),
        TransferState::Used => Err(ProblemKind::LimitReached.into()),
        TransferState::Held => Err(ProblemKind::Held.into()),
    }
}

fn is_left(transfer: &Transfer, sealed: &Sealed, command: &OpenCommand) -> bool {
    let used = transfer.openings_used(&command.by.label);
    sealed.openings.is_none_or(|allowed| used < allowed)
}

fn opened(command: &OpenCommand, now: u64, counted: bool) -> Change {
    Change::TransferOpened {
        transfer: command.transfer,
        opening: command.request.opening,
        label: command.by.label,
        device: command.by.key,
        at: now,
        counted,
        request: command.kept.clone(),
    }
}

fn reopened(command: &OpenCommand) -> Change {
    Change::TransferReopened {
        transfer: command.transfer,
        opening: command.request.opening,
        request: String::new(),
    }
}

fn leaf_data(sealed: &Sealed, command: &OpenCommand) -> Option<Map<String, Value>> {
    let request = Hash::from_bytes(sha256(&[command.kept.as_bytes()]));
    Data::default()
        .hash("hh", &sealed.hh)
        .text("opening", &command.request.opening)
        .hash("request", &request)
        .done()
}

/// A receipt that a recipient's device posts. Its signature has been verified.
#[derive(Debug, Clone)]
pub struct ReceiptCommand {
    /// About which transfer.
    pub transfer: TransferId,
    /// The opening that it is about.
    pub opening: OpeningId,
    /// The receipt, not countersigned yet.
    pub receipt: SignedReceipt,
    /// Whose opening it is.
    pub opener: Opener,
    /// The device that signed the request.
    pub device: PublicKey,
    /// The identity that the receipt has to name: the person's, or the visitor's device itself.
    pub identity: PublicKey,
    /// The gateway's own clock, unix seconds. It may be behind the ledger's stamps, which never go back.
    pub now: u64,
}

impl ReceiptCommand {
    /// The event that taking it is; none for a receipt that is not a recipient's.
    #[must_use]
    pub fn event(&self) -> Option<EventType> {
        match self.receipt.receipt().kind {
            Kind::Verified(_) => Some(EventType::TransferVerified),
            Kind::Rejected(..) => Some(EventType::TransferRejected),
            _ => None,
        }
    }
}

/// What taking a receipt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptOutcome {
    /// The receipt with both signatures.
    pub receipt: String,
    /// Whether the share has to go now: this was the last allowed opening.
    pub is_used_up: bool,
}

/// Takes a receipt and countersigns it. An opening that is verified already gives the same answer again.
///
/// # Errors
/// `not_found` for strangers and unknown openings; `receipt_refused` when it is another transfer's, another device's, or its time
/// is too far off.
pub fn take_receipt(
    loaded: &Loaded,
    at: Stamp,
    command: &ReceiptCommand,
    countersign: &dyn Fn(SignedReceipt) -> SignedReceipt,
    by: &Requester,
) -> Decision<ReceiptOutcome> {
    let transfer = loaded.transfer(&command.transfer).ok_or(ProblemKind::NotFound)?;
    let sealed = transfer.sealed.as_ref().ok_or(ProblemKind::NotFound)?;
    let opening = transfer.openings.get(&command.opening);
    let opening = opening.filter(|o| o.device == command.device && o.opener == command.opener);
    let opening = opening.ok_or(ProblemKind::NotFound)?;
    if let Some(receipt) = opening.receipt.as_ref().filter(|_| opening.verified_at.is_some()) {
        let outcome = ReceiptOutcome {
            receipt: receipt.clone(),
            is_used_up: false,
        };
        return Ok((outcome, Effects::none()));
    }
    let event = command.event().ok_or(ProblemKind::ReceiptRefused)?;
    check_receipt(sealed, command)?;
    let receipt = countersign(command.receipt.clone());
    let change = Change::ReceiptTaken {
        transfer: transfer.id,
        opening: command.opening,
        verified: event == EventType::TransferVerified,
        at: at.seconds(),
        receipt: receipt.to_string(),
    };
    let leaf = by.did(event, object::transfer(&transfer.id), receipt_data(sealed, command));
    let mut after = transfer.clone();
    ensure(after.apply(&change), ProblemKind::Internal)?;
    let outcome = ReceiptOutcome {
        receipt: receipt.to_string(),
        is_used_up: after.state(at.seconds()) == TransferState::Used,
    };
    Ok((outcome, Effects::one(change, leaf)))
}

/// Whether the receipt says of this transfer what the gateway knows, is the calling device's, and was made just now.
fn check_receipt(sealed: &Sealed, command: &ReceiptCommand) -> Result<(), Refusal> {
    let receipt = command.receipt.receipt();
    let (Kind::Verified(signer) | Kind::Rejected(signer, _)) = &receipt.kind else {
        return Err(ProblemKind::ReceiptRefused.into());
    };
    let expected = Facts {
        transfer: sealed.hh,
        root: sealed.payload_root,
        segments: sealed.segments,
        mic: sealed.mic,
        sealed_at: sealed.sealed_at,
        time: receipt.facts.time,
    };
    let is_callers = signer.device == command.device && signer.identity == command.identity;
    let is_visitor = matches!(command.opener, Opener::Link(_));
    let is_assured = (signer.assurance == Assurance::Link) == is_visitor;
    let is_fresh = receipt.facts.time.abs_diff(command.now) <= MAX_TIME_DIFFERENCE;
    ensure(
        receipt.facts == expected && is_callers && is_assured && is_fresh,
        ProblemKind::ReceiptRefused,
    )
}

fn receipt_data(sealed: &Sealed, command: &ReceiptCommand) -> Option<Map<String, Value>> {
    let data = Data::default()
        .hash("hh", &sealed.hh)
        .text("opening", &command.opening)
        .hash("receipt", &command.receipt.text_hash());
    match &command.receipt.receipt().kind {
        Kind::Rejected(_, reason) => data.text("reason", reason.as_str()).done(),
        _ => data.done(),
    }
}
