//! What the ledger knows: the state, what of it is not durable yet, and what readers ask for.
//!
//! The committer applies changes while their frame is still to be written. Until [`Book::publish`] the aggregates they touch
//! are answered from `before`; if the frame fails, the ledger ends and nobody asks any more.

use std::collections::HashMap;
use std::sync::Arc;

use sealpost_proto::id::{InviteId, TransferId};

use super::journal::Position;
use super::leaf_log::LeafLog;
use super::views::Indices;
use crate::domain::{Change, Invite, Key, Loaded, Organisation, State, Transfer, Unfit};

/// Everything in memory, behind one lock.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Ahead of the journal by the group in flight.
    state: State,
    /// Aggregates changed by the group in flight, as they were.
    before: HashMap<Key, Loaded>,
    /// Of durable records alone, as is all below.
    indices: Indices,
    organisation: Arc<Organisation>,
    leaves: LeafLog,
    /// Whether the organisation was changed since it was shown.
    organisation_changed: bool,
    /// Whether readers are there. While the journal is replayed nobody asks, and a copy per statement would be wasted.
    is_open: bool,
}

/// A record as far as the book needs it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number.
    pub(super) seq: u64,
    /// Aggregates that it changed.
    pub(super) changed: Vec<Changed>,
    /// Its lines of the audit log.
    pub(super) lines: Vec<String>,
}

/// An aggregate before and after a record.
#[derive(Debug)]
pub(super) struct Changed {
    key: Key,
    before: Loaded,
    after: Loaded,
}

impl Book {
    /// The aggregates as the last decision left them: for the committer alone.
    pub(super) fn load(&self, keys: &[Key]) -> Loaded {
        self.state.load(keys)
    }

    /// Applies the changes of a record that is not durable yet. The organisation needs no image: readers have one of their own.
    ///
    /// # Errors
    /// [`Unfit`]; the book is of no use then.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<Vec<Changed>, Unfit> {
        let mut keys: Vec<Key> = changes.iter().map(Change::key).collect();
        keys.sort_unstable();
        keys.dedup();
        self.organisation_changed |= keys.contains(&Key::Organisation);
        keys.retain(|key| *key != Key::Organisation);
        let load = |state: &State| keys.iter().map(|key| state.load(&[*key])).collect::<Vec<_>>();
        let before = load(&self.state);
        for change in changes {
            self.state.apply(change)?;
        }
        let after = load(&self.state);
        for (key, before) in keys.iter().zip(&before) {
            self.before.entry(*key).or_insert_with(|| before.clone());
        }
        let images = before.into_iter().zip(after);
        let changed = keys.iter().zip(images).map(|(key, (before, after))| Changed {
            key: *key,
            before,
            after,
        });
        Ok(changed.collect())
    }

    /// Shows what has become durable: the entries of one frame, all that were applied since the last call.
    pub(super) fn publish(&mut self, frame: Position, entries: &[Entry]) {
        self.before.clear();
        for entry in entries {
            self.leaves.push(frame, &entry.lines);
            for changed in &entry.changed {
                self.show(entry.seq, changed);
            }
        }
        if self.organisation_changed && self.is_open {
            self.show_organisation();
        }
    }

    /// Ends the replay: from here on every change of the organisation is shown at once.
    pub(super) fn open(&mut self) {
        self.is_open = true;
        self.show_organisation();
    }

    fn show_organisation(&mut self) {
        let loaded = self.state.load(&[Key::Organisation]);
        self.organisation = loaded.organisation().cloned().unwrap_or_default().into();
        self.organisation_changed = false;
    }

    fn show(&mut self, seq: u64, changed: &Changed) {
        let Changed { key, before, after } = changed;
        match key {
            Key::Organisation | Key::Request(_) => {}
            Key::Invite(id) => self.indices.invite(id, after.invite(id).is_some()),
            Key::Transfer(id) => self.indices.transfer(seq, id, before.transfer(id), after.transfer(id)),
        }
    }

    pub(super) fn leaves(&self) -> &LeafLog {
        &self.leaves
    }

    pub(super) fn indices(&self) -> &Indices {
        &self.indices
    }

    pub(super) fn organisation(&self) -> Arc<Organisation> {
        Arc::clone(&self.organisation)
    }

    pub(super) fn transfer(&self, id: &TransferId) -> Option<Arc<Transfer>> {
        self.durable(Key::Transfer(*id)).shared_transfer(id)
    }

    pub(super) fn invite(&self, id: &InviteId) -> Option<Arc<Invite>> {
        self.durable(Key::Invite(*id)).invite(id).cloned().map(Arc::new)
    }

    fn durable(&self, key: Key) -> Loaded {
        self.before
            .get(&key)
            .cloned()
            .unwrap_or_else(|| self.state.load(&[key]))
    }
}
