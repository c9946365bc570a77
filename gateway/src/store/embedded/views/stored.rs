//! An aggregate as it stands in views and snapshots: with what the lists need to know of its history. Encoded by postcard.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::keys;
use crate::domain::{Aggregate, Change, Invite, Key, RequestNote, Transfer, Unfit};

/// An aggregate and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::embedded) struct Stored {
    /// Its name.
    pub(in crate::store::embedded) key: Key,
    /// Number of the record that changed it last.
    pub(in crate::store::embedded) seq: u64,
    /// When it was made, as a number that no other has: aggregates stand in the order of their births, so that new ones are
    /// written side by side.
    pub(in crate::store::embedded) birth: u64,
    /// Number of the record that brought it into the lists of people.
    pub(in crate::store::embedded) listed: Option<u64>,
    /// Number of the record by which it became available to its recipients last: the one that listed or re-armed it.
    pub(in crate::store::embedded) arrived: Option<u64>,
    /// What it is.
    pub(in crate::store::embedded) aggregate: Aggregate,
}

#[derive(Serialize, Deserialize)]
struct Head {
    seq: u64,
    birth: u64,
    listed: Option<u64>,
    arrived: Option<u64>,
}

impl Stored {
    /// What a change, number `index` of record `seq`, makes of `this`.
    ///
    /// # Errors
    /// [`Unfit`].
    pub(in crate::store::embedded) fn after(
        this: Option<Self>,
        change: &Change,
        seq: u64,
        index: usize,
    ) -> Result<Option<Self>, Unfit> {
        let (birth, listed, arrived, before) = match this {
            Some(this) => (this.birth, this.listed, this.arrived, Some(this.aggregate)),
            // A record is at most 256 KiB long: it has fewer changes than 16 bits count.
            None => ((seq << 16) | (index as u64 & 0xffff), None, None, None),
        };
        let Some(aggregate) = Aggregate::after(before, change)? else {
            return Ok(None);
        };
        let is_listed = aggregate.transfer().is_some_and(|transfer| transfer.sealed.is_some());
        let listed = listed.or_else(|| is_listed.then_some(seq));
        let arrived = match change {
            Change::TransferRearmed { .. } => listed.and(Some(seq)),
            _ => arrived.or(listed),
        };
        Ok(Some(Self {
            key: change.key(),
            seq,
            birth,
            listed,
            arrived,
            aggregate,
        }))
    }

    pub(in crate::store::embedded) fn encode(&self) -> postcard::Result<Vec<u8>> {
        let head = Head {
            seq: self.seq,
            birth: self.birth,
            listed: self.listed,
            arrived: self.arrived,
        };
        let name = keys::birth(&self.key);
        let mut bytes = Vec::with_capacity(2048);
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(&name);
        let bytes = postcard::to_extend(&head, bytes)?;
        match &self.aggregate {
            Aggregate::Invite(invite) => postcard::to_extend(invite.as_ref(), bytes),
            Aggregate::Transfer(transfer) => postcard::to_extend(transfer.as_ref(), bytes),
            Aggregate::Request(note) => postcard::to_extend(note, bytes),
        }
    }

    /// The key alone.
    pub(in crate::store::embedded) fn key_of(bytes: &[u8]) -> Option<(Key, &[u8])> {
        let (len, rest) = bytes.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*len))?;
        Some((key_of_name(name)?, rest))
    }

    pub(in crate::store::embedded) fn decode(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = Self::key_of(bytes)?;
        let (head, rest): (Head, _) = postcard::take_from_bytes(rest).ok()?;
        let (aggregate, rest) = match key {
            Key::Invite(_) => postcard::take_from_bytes::<Invite>(rest)
                .map(|(invite, rest)| (Aggregate::Invite(Arc::new(invite)), rest)),
            Key::Transfer(_) => postcard::take_from_bytes::<Transfer>(rest)
                .map(|(transfer, rest)| (Aggregate::Transfer(Arc::new(transfer)), rest)),
            Key::Request(_) => {
                postcard::take_from_bytes::<RequestNote>(rest).map(|(note, rest)| (Aggregate::Request(note), rest))
            }
            Key::Organisation => return None,
        }
        .ok()?;
        rest.is_empty().then_some(Self {
            key,
            seq: head.seq,
            birth: head.birth,
            listed: head.listed,
            arrived: head.arrived,
            aggregate,
        })
    }
}

/// The key that stands under this name in [`keys::BIRTHS`].
pub(in crate::store::embedded) fn key_of_name(name: &[u8]) -> Option<Key> {
    match name {
        [keys::BIRTHS, keys::INVITE, ..] => keys::invite_of(name).map(Key::Invite),
        [keys::BIRTHS, keys::TRANSFER, ..] => keys::transfer_of(name).map(Key::Transfer),
        [keys::BIRTHS, _, hash @ ..] => keys::hash_of(hash).map(Key::Request),
        _ => None,
    }
}
