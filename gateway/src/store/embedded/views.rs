//! Indices behind the questions of [`crate::store::views`], kept from what records changed.
//!
//! The position of a transfer is the number of the record that brought it into a list. What an index needs of a transfer is
//! read in [`Facts::of`] alone.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Bound, RangeInclusive};

use sealpost_proto::id::{Hash, InviteId, Label, TransferId};

use crate::domain::Transfer;

/// Lists by person, and by time.
#[derive(Debug, Default)]
pub(super) struct Indices {
    inbox: Listing,
    sent: Listing,
    /// Of listed transfers.
    positions: HashMap<TransferId, u64>,
    due: BTreeSet<(u64, TransferId)>,
    unended: BTreeSet<TransferId>,
    invites: BTreeSet<InviteId>,
    /// By the hash of the link's id.
    links: HashMap<Hash, TransferId>,
}

impl Indices {
    /// Notes that record `seq` changed a transfer.
    pub(super) fn transfer(&mut self, seq: u64, id: &TransferId, before: Option<&Transfer>, after: Option<&Transfer>) {
        let before = before.map(Facts::of).unwrap_or_default();
        let after = after.map(Facts::of).unwrap_or_default();
        if before.due != after.due {
            before.due.map(|time| self.due.remove(&(time, *id)));
            after.due.map(|time| self.due.insert((time, *id)));
        }
        if after.needs_share {
            self.unended.insert(*id);
        } else if before.needs_share {
            self.unended.remove(id);
        }
        for link in after.links.iter().filter(|link| !before.links.contains(link)) {
            // Whoever registers an id that somebody has already gets no link by it.
            self.links.entry(*link).or_insert(*id);
        }
        if before.sender == after.sender && before.recipients == after.recipients {
            return;
        }
        let position = *self.positions.entry(*id).or_insert(seq);
        self.sent
            .replace(position, id, before.sender.as_slice(), after.sender.as_slice());
        self.inbox.replace(position, id, &before.recipients, &after.recipients);
        if after.sender.is_none() && after.recipients.is_empty() {
            self.positions.remove(id);
        }
    }

    /// Notes that an invitation is or is no longer there.
    pub(super) fn invite(&mut self, id: &InviteId, exists: bool) {
        if exists {
            self.invites.insert(*id);
        } else {
            self.invites.remove(id);
        }
    }

    pub(super) fn inbox(&self) -> &Listing {
        &self.inbox
    }

    pub(super) fn sent(&self) -> &Listing {
        &self.sent
    }

    pub(super) fn link(&self, hash: &Hash) -> Option<TransferId> {
        self.links.get(hash).copied()
    }

    pub(super) fn invites(&self) -> impl Iterator<Item = &InviteId> {
        self.invites.iter()
    }

    /// Transfers whose share must be here, in the order of their ids, behind `after`.
    pub(super) fn unended(&self, after: Option<TransferId>) -> impl Iterator<Item = &TransferId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.unended.range((from, Bound::Unbounded))
    }

    /// Transfers with work at `now`, those that wait longest first.
    pub(super) fn due(&self, now: u64) -> impl Iterator<Item = &TransferId> {
        self.due
            .iter()
            .take_while(move |(time, _)| *time <= now)
            .map(|(_, id)| id)
    }
}

/// Transfers by person, in the order of their positions.
#[derive(Debug, Default)]
pub(super) struct Listing(BTreeSet<(Label, u64, TransferId)>);

impl Listing {
    fn replace(&mut self, position: u64, id: &TransferId, before: &[Label], after: &[Label]) {
        for label in before {
            self.0.remove(&(*label, position, *id));
        }
        for label in after {
            self.0.insert((*label, position, *id));
        }
    }

    /// Newest first, positions below `before`.
    pub(super) fn page(&self, label: &Label, before: Option<u64>) -> impl Iterator<Item = (u64, &TransferId)> {
        let below = before.map_or(Some(u64::MAX), |before| before.checked_sub(1));
        let range = below.map(|below| range_of(label, below));
        let found = range.map(|range| self.0.range(range)).into_iter().flatten().rev();
        found.map(|(_, position, id)| (*position, id))
    }
}

fn range_of(label: &Label, last: u64) -> RangeInclusive<(Label, u64, TransferId)> {
    let first_id = TransferId::from_bytes([0; 16]);
    let last_id = TransferId::from_bytes([0xff; 16]);
    (*label, 0, first_id)..=(*label, last, last_id)
}

/// What the indices need to know of a transfer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    /// In whose list of sent transfers it stands.
    sender: Option<Label>,
    /// In whose inboxes it stands.
    recipients: Vec<Label>,
    /// Its links, by the hashes of their ids.
    links: Vec<Hash>,
    /// From when on the sweep has work with it, unix seconds.
    due: Option<u64>,
    /// Whether its share must be here.
    needs_share: bool,
}

impl Facts {
    fn of(transfer: &Transfer) -> Self {
        let sealed = transfer.sealed.as_ref();
        Self {
            sender: sealed.map(|_| transfer.sender),
            recipients: sealed
                .map(|s| s.recipients.iter().map(|r| r.label).collect())
                .unwrap_or_default(),
            links: transfer.links.keys().copied().collect(),
            due: transfer.due_at(),
            needs_share: transfer.shredded.is_none()
                && transfer.held_at.is_none()
                && sealed.is_some_and(|s| s.share_commit.is_some()),
        }
    }
}
