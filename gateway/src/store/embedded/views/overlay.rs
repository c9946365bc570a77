//! The overlay: two layers over sled, one that is written to and one that is being drained; with what is kept in memory whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sealpost_proto::id::Label;

use super::keys;
use super::layer::{Layer, Mark, Step};
use super::stored::Stored;
use crate::domain::{Key, Organisation};
use crate::store::embedded::journal::Position;

/// Leaves between two frames that are noted, at least: what a reader walks past at most, give or take a frame.
pub(in crate::store::embedded) const STRIDE: u64 = 64;

/// What is durable and not yet in sled, and what readers ask for most.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Overlay {
    active: Layer,
    draining: Option<Arc<Layer>>,
    /// Grows when a layer has been drained and is dropped.
    epoch: u64,
    /// Up to where everything here goes.
    mark: Mark,
    organisation: Arc<Organisation>,
    /// Stored bytes by sender.
    usage: HashMap<Label, u64>,
}

/// A record as far as the views need it.
#[derive(Debug)]
pub(in crate::store::embedded) struct Entry {
    /// Its number.
    pub(in crate::store::embedded) seq: u64,
    /// Its time.
    pub(in crate::store::embedded) millis: u64,
    /// Aggregates that it changed.
    pub(in crate::store::embedded) steps: Vec<Step>,
    /// The organisation, if it changed that.
    pub(in crate::store::embedded) organisation: Option<Arc<Organisation>>,
    /// Hashes of its leaves.
    pub(in crate::store::embedded) leaves: Vec<[u8; 32]>,
    /// Names and hashes of the last leaves on their objects.
    pub(in crate::store::embedded) heads: Vec<(Vec<u8>, [u8; 32])>,
}

impl Overlay {
    /// An empty overlay over views that go up to `mark`.
    pub(in crate::store::embedded) fn over(mark: Mark, organisation: Organisation, usage: HashMap<Label, u64>) -> Self {
        let active = Layer {
            mark: mark.clone(),
            ..Layer::default()
        };
        Self {
            active,
            mark,
            organisation: Arc::new(organisation),
            usage,
            ..Self::default()
        }
    }

    /// Shows the records of one frame, which are durable.
    pub(in crate::store::embedded) fn show(&mut self, frame: Position, hash: [u8; 32], entries: Vec<Entry>) {
        let size = self.mark.tree.size();
        let is_due = self.mark.indexed.is_none_or(|indexed| size - indexed >= STRIDE);
        if is_due && entries.iter().any(|entry| !entry.leaves.is_empty()) {
            let (name, place) = keys::place(size, frame);
            self.active.put(name, place);
            self.mark.indexed = Some(size);
        }
        for entry in entries {
            self.mark.seq = entry.seq;
            self.mark.millis = entry.millis;
            entry.leaves.into_iter().for_each(|leaf| self.mark.tree.push(leaf));
            for (name, hash) in entry.heads {
                self.active.put(name, hash.to_vec());
            }
            if let Some(organisation) = entry.organisation {
                self.active.organisation = Some(Arc::clone(&organisation));
                self.organisation = organisation;
            }
            for step in entry.steps {
                self.count(&step);
                self.active.step(step);
            }
        }
        self.mark.frame = hash;
        self.mark.file = frame.file;
    }

    fn count(&mut self, step: &Step) {
        let (before, after) = (keys::usage(step.before.as_ref()), keys::usage(step.after.as_ref()));
        if before == after {
            return;
        }
        for (label, bytes, is_added) in [before.map(|(l, b)| (l, b, false)), after.map(|(l, b)| (l, b, true))]
            .into_iter()
            .flatten()
        {
            let total = self.usage.entry(label).or_default();
            *total = if is_added {
                total.saturating_add(bytes)
            } else {
                total.saturating_sub(bytes)
            };
            self.active.put(
                keys::name(keys::USAGE, &[label.as_bytes()]),
                total.to_be_bytes().to_vec(),
            );
        }
    }

    pub(in crate::store::embedded) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(in crate::store::embedded) fn mark(&self) -> &Mark {
        &self.mark
    }

    pub(in crate::store::embedded) fn organisation(&self) -> &Arc<Organisation> {
        &self.organisation
    }

    /// Stored bytes of one sender, or of all.
    pub(in crate::store::embedded) fn usage(&self, sender: Option<&Label>) -> u64 {
        match sender {
            Some(label) => self.usage.get(label).copied().unwrap_or(0),
            None => self.usage.values().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
        }
    }

    /// How much it holds that is not in sled.
    pub(in crate::store::embedded) fn len(&self) -> usize {
        self.active.len() + self.draining.as_ref().map_or(0, |layer| layer.len())
    }

    /// How much waits for the next drain.
    pub(in crate::store::embedded) fn waiting(&self) -> usize {
        self.active.len()
    }

    /// An aggregate that was changed lately: `Some(None)` if it was removed, `None` if sled has to be asked.
    pub(in crate::store::embedded) fn aggregate(&self, key: &Key) -> Option<Option<Stored>> {
        let in_active = self.active.aggregates.get(key);
        in_active
            .or_else(|| self.draining.as_ref()?.aggregates.get(key))
            .cloned()
    }

    /// An entry that was changed lately.
    pub(in crate::store::embedded) fn entry(&self, name: &[u8]) -> Option<Option<Vec<u8>>> {
        let in_active = self.active.entries.get(name);
        in_active.or_else(|| self.draining.as_ref()?.entries.get(name)).cloned()
    }

    /// Entries from `low` to `high` that were changed lately: from either end, enough for `limit` that are there.
    pub(in crate::store::embedded) fn range(
        &self,
        low: &[u8],
        high: &[u8],
        backwards: bool,
        limit: usize,
    ) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        for layer in [Some(&self.active), self.draining.as_deref()].into_iter().flatten() {
            let mut range = layer.entries.range(low.to_vec()..=high.to_vec());
            let mut there = 0;
            while there < limit {
                let next = if backwards { range.next_back() } else { range.next() };
                let Some((name, value)) = next else {
                    break;
                };
                // What was removed above counts in no layer below.
                let merged = found.entry(name.clone()).or_insert_with(|| value.clone());
                there += usize::from(merged.is_some());
            }
        }
        found
    }

    /// The layer that is to be drained next: the one that was not finished, or all that waits.
    pub(in crate::store::embedded) fn freeze(&mut self) -> Option<Arc<Layer>> {
        if self.draining.is_none() && self.active.mark.seq < self.mark.seq {
            let mut layer = std::mem::take(&mut self.active);
            layer.mark = self.mark.clone();
            self.active.mark = self.mark.clone();
            self.draining = Some(Arc::new(layer));
        }
        self.draining.clone()
    }

    /// Drops the layer that was drained.
    pub(in crate::store::embedded) fn drained(&mut self) {
        self.draining = None;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::embedded::book::Book;
    use crate::store::embedded::views::blocks::Change;
    use crate::store::embedded::views::shelf::Shelf;

    type Values = BTreeMap<u8, Option<u8>>;

    /// Entries of one layer: some there, some removed.
    fn any_values() -> impl Strategy<Value = Values> {
        proptest::collection::btree_map(0..20_u8, proptest::option::of(any::<u8>()), 0..20)
    }

    fn entry(name: u8, value: Option<u8>) -> Change {
        (vec![keys::DUE, name], value.map(|value| vec![value]))
    }

    fn layer(values: &Values) -> Layer {
        Layer {
            entries: values.iter().map(|(name, value)| entry(*name, *value)).collect(),
            ..Layer::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However the layers hide each other, a page is the beginning of all that is there.
        #[test]
        fn a_page_is_what_three_layers_together_hold(
            kept in any_values(),
            draining in any_values(),
            active in any_values(),
            low in 0..20_u8,
            high in 0..20_u8,
            backwards: bool,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let shelf = Shelf::open(folder.path()).unwrap();
            let in_sled = kept.iter().map(|(name, value)| entry(*name, *value));
            shelf.write(in_sled.collect(), None).unwrap();
            let overlay = Overlay {
                active: layer(&active),
                draining: Some(Arc::new(layer(&draining))),
                ..Overlay::default()
            };
            let book = Book::new(overlay, shelf);
            let mut all = kept;
            all.extend(draining);
            all.extend(active);
            let there = all.into_iter().filter(|(name, _)| low <= *name && *name <= high);
            let mut there: Vec<_> = there.filter_map(|(name, value)| Some((vec![keys::DUE, name], vec![value?]))).collect();
            if backwards {
                there.reverse();
            }
            for limit in 0..6 {
                let page = book.range(&[keys::DUE, low], &[keys::DUE, high], backwards, limit).unwrap();
                prop_assert_eq!(&page, &there[..limit.min(there.len())]);
            }
        }
    }
}
