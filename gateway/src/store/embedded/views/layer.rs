//! What was changed since sled was written last: one layer of the overlay. In memory alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sealpost_proto::tree::Tree;

use super::keys;
use super::stored::Stored;
use crate::domain::{Key, Organisation};
use crate::store::views::Concern;

/// A place in the journal, and what follows from all before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store::embedded) struct Mark {
    /// Number of the last record; 0 before the first.
    pub(in crate::store::embedded) seq: u64,
    /// Its time.
    pub(in crate::store::embedded) millis: u64,
    /// Hash of the frame that it stands in, which it ends.
    pub(in crate::store::embedded) frame: [u8; 32],
    /// Number of the journal's file with that frame, from 0.
    pub(in crate::store::embedded) file: u32,
    /// The audit log.
    pub(in crate::store::embedded) tree: Tree,
    /// The last leaf whose frame was noted.
    pub(in crate::store::embedded) indexed: Option<u64>,
}

/// An aggregate before and after a record.
#[derive(Debug, Clone)]
pub(in crate::store::embedded) struct Step {
    pub(in crate::store::embedded) key: Key,
    pub(in crate::store::embedded) before: Option<Stored>,
    pub(in crate::store::embedded) after: Option<Stored>,
}

impl Step {
    /// Whom it concerns: the recipients of what became available to them, and the sender of what changed after it was sealed.
    pub(in crate::store::embedded) fn concerns(&self) -> impl Iterator<Item = Concern> {
        let after = self.after.as_ref();
        let transfer = after.and_then(|stored| stored.aggregate.transfer());
        let sealed = transfer.and_then(|transfer| Some((transfer, transfer.sealed.as_ref()?)));
        let before = self.before.as_ref();
        let was_listed = before.is_some_and(|stored| stored.listed.is_some());
        let has_arrived = before.and_then(|stored| stored.arrived) != after.and_then(|stored| stored.arrived);
        let sender = sealed.filter(|_| was_listed);
        let sender = sender.map(|(transfer, _)| Concern::Sent(transfer.sender, transfer.id));
        let recipients = sealed.filter(|_| has_arrived).map(|(_, sealed)| &sealed.recipients);
        let recipients = recipients.into_iter().flatten();
        recipients
            .map(|recipient| Concern::Inbox(recipient.label))
            .chain(sender)
    }
}

/// Aggregates and entries of lists as they are now; `None` where they are no longer.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Layer {
    pub(in crate::store::embedded) aggregates: HashMap<Key, Option<Stored>>,
    pub(in crate::store::embedded) entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// If it was changed.
    pub(in crate::store::embedded) organisation: Option<Arc<Organisation>>,
    /// Where this layer ends.
    pub(in crate::store::embedded) mark: Mark,
}

impl Layer {
    /// How much it holds, for its bound.
    pub(in crate::store::embedded) fn len(&self) -> usize {
        self.aggregates.len() + self.entries.len() + usize::from(self.organisation.is_some())
    }

    pub(in crate::store::embedded) fn put(&mut self, name: Vec<u8>, value: Vec<u8>) {
        self.entries.insert(name, Some(value));
    }

    /// Takes what a record made of one aggregate.
    pub(in crate::store::embedded) fn step(&mut self, step: Step) {
        let Step { key, before, after } = step;
        let old = before.as_ref().map(keys::entries).unwrap_or_default();
        let new = after.as_ref().map(keys::entries).unwrap_or_default();
        for name in old.into_keys().filter(|name| !new.contains_key(name)) {
            self.entries.insert(name, None);
        }
        // What stood there before stands there still, or in a layer that is being written.
        for (name, value) in new {
            self.put(name, value);
        }
        let births = (
            before.map(|stored| stored.birth),
            after.as_ref().map(|stored| stored.birth),
        );
        match births {
            (Some(birth), None) => {
                self.entries.insert(keys::birth(&key), None);
                self.entries.insert(keys::aggregate(birth), None);
            }
            // A note that has become too old may go at any time; one that is made anew stands again.
            (Some(birth), Some(_)) if matches!(key, Key::Request(_)) => {
                self.put(keys::birth(&key), birth.to_be_bytes().to_vec());
            }
            (None, Some(birth)) => self.put(keys::birth(&key), birth.to_be_bytes().to_vec()),
            _ => {}
        }
        self.aggregates.insert(key, after);
    }
}
