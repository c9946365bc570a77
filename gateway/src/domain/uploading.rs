//! Uploading: announcing a transfer and storing its parts. Nothing here is visible to a recipient.

use sealpost_proto::api::AnnounceRequest;
use sealpost_proto::id::{Hash, Label, TransferId};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::{PayloadLayout, SEGMENT_OVERHEAD, STORED_SEGMENT_LEN};

use super::decision::{Data, Decision, Effects, Refusal, Requester, Stamp, ensure, object};
use super::transfer::{StoredPart, Transfer};
use super::{Change, Loaded};

/// The layout of a payload of `bytes` stored bytes; none if no payload has that length.
#[must_use]
pub fn layout_of(bytes: u64) -> Option<PayloadLayout> {
    let last = bytes.checked_sub(SEGMENT_OVERHEAD as u64)?;
    PayloadLayout::from_sealed(bytes, last / STORED_SEGMENT_LEN as u64 + 1).ok()
}

/// Most parts of a transfer whose bytes wait to be removed because another took their place.
pub const MAX_SUPERSEDED: usize = 16;

/// Bytes that a transfer takes in the store: those announced or sealed, the envelope, and parts whose place another took.
#[must_use]
pub fn stored_bytes(transfer: &Transfer) -> u64 {
    let payload = match &transfer.sealed {
        Some(sealed) => sealed.payload_len.saturating_add(sealed.envelope_len()),
        None => transfer.bytes,
    };
    let layout = layout_of(transfer.bytes);
    let len = |number: &u32| layout.and_then(|layout| layout.part_range(u64::from(*number)));
    let superseded = transfer.superseded.iter().filter_map(|(number, _)| len(number));
    superseded.fold(payload, |sum, range| sum.saturating_add(range.end - range.start))
}

/// Whether `root` would take the place of another part `number`.
#[must_use]
pub fn replaces(transfer: &Transfer, number: u32, root: &Hash) -> bool {
    transfer.parts.get(&number).is_some_and(|before| before.root != *root)
}

/// Announces a transfer of at most `limit` stored bytes. The same announcement again changes nothing and succeeds, while the
/// transfer can still be uploaded.
///
/// # Errors
/// `conflict` if the id is known otherwise, `too_large`, `bad_request` if no payload has that length.
pub fn announce(
    loaded: &Loaded,
    at: Stamp,
    request: &AnnounceRequest,
    sender: Label,
    limit: u64,
    by: &Requester,
) -> Decision<()> {
    if let Some(known) = loaded.transfer(&request.transfer) {
        let is_repeat = own_upload(Some(known), &sender).is_ok() && known.bytes == request.bytes;
        ensure(is_repeat, ProblemKind::Conflict)?;
        return Ok(((), Effects::none()));
    }
    ensure(request.bytes <= limit, ProblemKind::TooLarge)?;
    ensure(layout_of(request.bytes).is_some(), ProblemKind::BadRequest)?;
    let change = Change::TransferAnnounced {
        transfer: request.transfer,
        sender,
        bytes: request.bytes,
        at: at.seconds(),
    };
    let data = Data::default().number("bytes", request.bytes).done();
    let leaf = by.did(EventType::TransferCreated, object::transfer(&request.transfer), data);
    Ok(((), Effects::one(change, leaf)))
}

/// Exact stored length of part `number` of this sender's announced transfer.
///
/// # Errors
/// `not_found`, `already_sealed`, `part_missing` for a number beyond the last part.
pub fn part_len(transfer: Option<&Transfer>, sender: &Label, number: u32) -> Result<u64, Refusal> {
    let transfer = own_upload(transfer, sender)?;
    let range = layout_of(transfer.bytes).and_then(|layout| layout.part_range(u64::from(number)));
    let range = range.ok_or(ProblemKind::PartMissing)?;
    Ok(range.end - range.start)
}

/// What storing a part came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartOutcome {
    /// The first of its number, or one that takes the place of another.
    Stored,
    /// The same part is there already.
    Known,
}

/// Records a part whose bytes and leaves are durable.
///
/// # Errors
/// As [`part_len`], `part_missing` for another length, and `conflict` if [`MAX_SUPERSEDED`] parts had to make room already.
pub fn store_part(
    loaded: &Loaded,
    id: &TransferId,
    number: u32,
    part: StoredPart,
    sender: &Label,
) -> Decision<PartOutcome> {
    let transfer = own_upload(loaded.transfer(id), sender)?;
    ensure(
        part_len(Some(transfer), sender, number)? == part.len,
        ProblemKind::PartMissing,
    )?;
    if transfer.parts.get(&number) == Some(&part) {
        return Ok((PartOutcome::Known, Effects::none()));
    }
    // One that takes its place back leaves as many superseded as there were.
    let is_more = replaces(transfer, number, &part.root) && !transfer.is_superseded(number, &part.root);
    let is_room = !is_more || transfer.superseded.len() < MAX_SUPERSEDED;
    ensure(is_room, ProblemKind::Conflict)?;
    let change = Change::PartStored {
        transfer: *id,
        number,
        len: part.len,
        root: part.root,
    };
    let effects = Effects {
        changes: vec![change],
        leaves: Vec::new(),
    };
    Ok((PartOutcome::Stored, effects))
}

/// This sender's transfer if it still takes parts.
fn own_upload<'a>(transfer: Option<&'a Transfer>, sender: &Label) -> Result<&'a Transfer, Refusal> {
    let transfer = transfer.filter(|t| t.sender == *sender && !t.is_abandoned);
    let transfer = transfer.ok_or(ProblemKind::NotFound)?;
    ensure(transfer.sealed.is_none(), ProblemKind::AlreadySealed)?;
    Ok(transfer)
}
