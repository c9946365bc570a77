//! Names of what stands in the views, as bytes whose order is the order of the lists. The first byte says which map it is.

use std::collections::BTreeMap;

use sealpost_proto::id::{Hash, InviteId, Label, TransferId};
use sealpost_proto::log::{Object, ObjectKind};

use super::stored::Stored;
use crate::domain::{Aggregate, Key, Transfer, uploading};
use crate::store::embedded::journal::Position;

/// Aggregates by birth.
pub(in crate::store::embedded) const AGGREGATES: u8 = b'a';
/// Births by key.
pub(in crate::store::embedded) const BIRTHS: u8 = b'b';
/// Transfers with work for the sweep, by time.
pub(in crate::store::embedded) const DUE: u8 = b'd';
/// Transfers whose share must be here, by id.
pub(in crate::store::embedded) const UNENDED: u8 = b'e';
/// Last leaf by audit log and object, of objects of which there are as many as people and things of theirs.
pub(in crate::store::embedded) const RESIDENT: u8 = b'g';
/// Last leaf by audit log and object, of transfers and links.
pub(in crate::store::embedded) const HEADS: u8 = b'h';
/// Transfers by recipient and position.
pub(in crate::store::embedded) const INBOX: u8 = b'i';
/// Transfers by the hash of a link's id and the position at which it was registered.
pub(in crate::store::embedded) const LINKS: u8 = b'k';
/// Frames in the journal by the first leaf in them.
pub(in crate::store::embedded) const LEAVES: u8 = b'l';
/// Idempotency notes by time.
pub(in crate::store::embedded) const NOTES: u8 = b'n';
/// The organisation in pieces.
pub(in crate::store::embedded) const ORGANISATION: u8 = b'o';
/// Transfers by sender and position.
pub(in crate::store::embedded) const SENT: u8 = b's';
/// Stored bytes by sender.
pub(in crate::store::embedded) const USAGE: u8 = b'u';

/// Kinds of keys, as they stand in [`BIRTHS`].
pub(in crate::store::embedded) const INVITE: u8 = 1;
pub(in crate::store::embedded) const TRANSFER: u8 = 2;
const REQUEST: u8 = 3;

/// Joins pieces of a name.
pub(in crate::store::embedded) fn name(map: u8, pieces: &[&[u8]]) -> Vec<u8> {
    let mut name = Vec::with_capacity(1 + pieces.iter().map(|piece| piece.len()).sum::<usize>());
    name.push(map);
    pieces.iter().for_each(|piece| name.extend_from_slice(piece));
    name
}

/// Name of an aggregate that was born so.
pub(in crate::store::embedded) fn aggregate(birth: u64) -> Vec<u8> {
    name(AGGREGATES, &[&birth.to_be_bytes()])
}

/// Name under which the birth of an aggregate stands. The organisation has none.
pub(in crate::store::embedded) fn birth(key: &Key) -> Vec<u8> {
    match key {
        Key::Organisation => name(BIRTHS, &[&[0]]),
        Key::Invite(id) => name(BIRTHS, &[&[INVITE], id.as_bytes()]),
        Key::Transfer(id) => name(BIRTHS, &[&[TRANSFER], id.as_bytes()]),
        Key::Request(hash) => name(BIRTHS, &[&[REQUEST], hash.as_bytes()]),
    }
}

/// Name of the last leaf on an object in this audit log.
pub(in crate::store::embedded) fn head(log: u64, object: &Object) -> Vec<u8> {
    let (kind, id) = (kind_of(object.kind), object.id.as_bytes());
    let map = if is_resident(object.kind) { RESIDENT } else { HEADS };
    let log = log.to_be_bytes();
    match object.id.parse::<TransferId>() {
        Ok(id) => name(map, &[&log, &[kind], id.as_bytes()]),
        Err(_) => name(map, &[&log, &[kind | 0x80], id]),
    }
}

/// Whether the last leaf on such an object is held in memory.
pub(in crate::store::embedded) fn is_resident(object: ObjectKind) -> bool {
    !matches!(object, ObjectKind::Transfer | ObjectKind::Link)
}

fn kind_of(kind: ObjectKind) -> u8 {
    match kind {
        ObjectKind::Transfer => 1,
        ObjectKind::Person => 2,
        ObjectKind::Invite => 3,
        ObjectKind::Org => 4,
        ObjectKind::Log => 5,
        ObjectKind::Link => 6,
    }
}

/// The lists in which an aggregate stands: name and value of each entry.
pub(in crate::store::embedded) fn entries(stored: &Stored) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut entries = BTreeMap::new();
    match &stored.aggregate {
        Aggregate::Invite(_) => {}
        Aggregate::Request(note) => {
            let born = stored.birth.to_be_bytes();
            entries.insert(name(NOTES, &[&note.at.to_be_bytes(), &born]), birth(&stored.key));
        }
        Aggregate::Transfer(transfer) => of_transfer(transfer, stored, &mut entries),
    }
    entries
}

fn of_transfer(transfer: &Transfer, stored: &Stored, entries: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let id = transfer.id.as_bytes();
    if let (Some(sealed), Some(position), Some(arrived)) = (&transfer.sealed, stored.listed, stored.arrived) {
        let position = position.to_be_bytes();
        entries.insert(name(SENT, &[transfer.sender.as_bytes(), &position, id]), Vec::new());
        for link in transfer.links.keys() {
            // Whoever registers an id that somebody has already gets no link by it: the first position counts.
            entries.insert(name(LINKS, &[link.as_bytes(), &position]), id.to_vec());
        }
        let arrived = arrived.to_be_bytes();
        for recipient in &sealed.recipients {
            entries.insert(name(INBOX, &[recipient.label.as_bytes(), &arrived, id]), Vec::new());
        }
    }
    if let Some(due) = transfer.due_at() {
        entries.insert(name(DUE, &[&due.to_be_bytes(), id]), Vec::new());
    }
    let has_share = transfer
        .sealed
        .as_ref()
        .is_some_and(|sealed| sealed.share_commit.is_some());
    if has_share && transfer.shredded.is_none() && transfer.held_at.is_none() {
        entries.insert(name(UNENDED, &[id]), Vec::new());
    }
}

/// Bytes that a transfer takes in the store, and whose they are; none once they are swept.
pub(in crate::store::embedded) fn usage(stored: Option<&Stored>) -> Option<(Label, u64)> {
    let transfer = stored?.aggregate.transfer()?;
    if transfer.shredded.is_some_and(|shredded| shredded.is_swept) {
        return None;
    }
    Some((transfer.sender, uploading::stored_bytes(transfer)))
}

/// The transfer at the end of a name, or in a value.
pub(in crate::store::embedded) fn transfer_of(bytes: &[u8]) -> Option<TransferId> {
    bytes.last_chunk().copied().map(TransferId::from_bytes)
}

/// The invitation at the end of a name.
pub(in crate::store::embedded) fn invite_of(bytes: &[u8]) -> Option<InviteId> {
    bytes.last_chunk().copied().map(InviteId::from_bytes)
}

/// The position in a name of [`INBOX`] or [`SENT`].
pub(in crate::store::embedded) fn position_of(name: &[u8]) -> Option<u64> {
    name.get(33..)?.first_chunk().copied().map(u64::from_be_bytes)
}

/// The first leaf in a name of [`LEAVES`], or the time in one of [`DUE`] or [`NOTES`].
pub(in crate::store::embedded) fn number_of(name: &[u8]) -> Option<u64> {
    name.get(1..)?.first_chunk().copied().map(u64::from_be_bytes)
}

/// A hash that stands as a value.
pub(in crate::store::embedded) fn hash_of(value: &[u8]) -> Option<Hash> {
    value.try_into().ok().map(Hash::from_bytes)
}

/// The entry that says in which frame the leaf with this number stands first.
pub(in crate::store::embedded) fn place(first: u64, frame: Position) -> (Vec<u8>, Vec<u8>) {
    let value = [frame.file.to_be_bytes(), frame.offset.to_be_bytes()].concat();
    (name(LEAVES, &[&first.to_be_bytes()]), value)
}

/// The frame in the value of such an entry.
pub(in crate::store::embedded) fn frame_of(value: &[u8]) -> Option<Position> {
    let (file, offset) = value.split_first_chunk()?;
    Some(Position {
        file: u32::from_be_bytes(*file),
        offset: u32::from_be_bytes(offset.try_into().ok()?),
    })
}
