//! What readers and decisions ask: the overlay, and sled under it.
//!
//! Only durable records stand here. The overlay's lock is held for moments, never while sled is read: what sled gives after the
//! lock was released is as new as the question or newer, because a layer is dropped only when sled has all of it.

use std::collections::btree_map::Entry;
use std::io;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sealpost_proto::id::Hash;

use super::views::keys;
use super::views::overlay::Overlay;
use super::views::shelf::{Entries, Shelf};
use super::views::stored::Stored;
use crate::domain::{Key, object};

/// The views, shared by readers, the committer and the drain.
#[derive(Debug)]
pub(super) struct Book {
    overlay: RwLock<Overlay>,
    shelf: Shelf,
}

/// What a decision needs, read by its caller before it has its turn.
#[derive(Debug, Default)]
pub(super) struct Preloaded {
    /// Epoch of the overlay before anything was read.
    epoch: u64,
    aggregates: Vec<(Key, Option<Stored>)>,
    /// Last leaves by name.
    heads: Vec<(Vec<u8>, Option<Hash>)>,
}

impl Book {
    pub(super) fn new(overlay: Overlay, shelf: Shelf) -> Self {
        Self {
            overlay: RwLock::new(overlay),
            shelf,
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Overlay> {
        self.overlay.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Whether a question may have to wait for sled.
    pub(super) fn is_busy(&self) -> bool {
        self.shelf.is_busy()
    }

    pub(super) fn aggregate(&self, key: &Key) -> io::Result<Option<Stored>> {
        let lately = self.read().aggregate(key);
        lately.map_or_else(|| self.shelf.aggregate(key), Ok)
    }

    /// The value of an entry.
    pub(super) fn entry(&self, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let lately = self.read().entry(name);
        lately.map_or_else(|| self.shelf.get(name), Ok)
    }

    /// At most `limit` entries from `low` to `high` (of one map, both included), in order or backwards.
    pub(super) fn range(&self, low: &[u8], high: &[u8], backwards: bool, limit: usize) -> io::Result<Entries> {
        if low > high || limit == 0 {
            return Ok(Vec::new());
        }
        let mut found = self.read().range(low, high, backwards, limit);
        let mut there = 0;
        self.shelf.scan(low, high, backwards, &mut |name, value| {
            if let Entry::Vacant(vacant) = found.entry(name) {
                vacant.insert(Some(value));
                there += 1;
            }
            there < limit
        })?;
        let there = found.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Ok(if backwards {
            there.rev().take(limit).collect()
        } else {
            there.take(limit).collect()
        })
    }

    /// All entries of a map whose names begin so, from the first after `after` on.
    pub(super) fn after(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> io::Result<Entries> {
        let low = after.map_or_else(|| prefix.to_vec(), |after| [after, &[0]].concat());
        let high = [prefix, &[0xff; 64]].concat();
        self.range(&low, &high, false, limit)
    }

    /// Reads what a decision on `keys` will need.
    pub(super) fn preload(&self, keys: &[Key]) -> io::Result<Preloaded> {
        let (epoch, log) = {
            let overlay = self.read();
            (overlay.epoch(), overlay.organisation().audit.log)
        };
        let mut preloaded = Preloaded {
            epoch,
            ..Preloaded::default()
        };
        for key in keys {
            if let Key::Transfer(id) = key {
                let name = keys::head(log, &object::transfer(id));
                let head = self.entry(&name)?;
                preloaded.heads.push((name, head.as_deref().and_then(keys::hash_of)));
            }
            if *key != Key::Organisation {
                preloaded.aggregates.push((*key, self.aggregate(key)?));
            }
        }
        Ok(preloaded)
    }
}

impl Preloaded {
    /// An aggregate as it is now: what was read, unless it was changed since.
    pub(super) fn aggregate(&self, book: &Book, key: &Key) -> io::Result<Option<Stored>> {
        {
            let overlay = book.read();
            if let Some(lately) = overlay.aggregate(key) {
                return Ok(lately);
            }
            let read = self.aggregates.iter().find(|(other, _)| other == key);
            // What was changed since stands in the overlay, unless a layer was dropped in between.
            if let (Some((_, stored)), true) = (read, overlay.epoch() == self.epoch) {
                return Ok(stored.clone());
            }
        }
        book.aggregate(key)
    }

    /// The last leaf of this name, as it is now.
    pub(super) fn head(&self, book: &Book, name: &[u8]) -> io::Result<Option<Hash>> {
        {
            let overlay = book.read();
            if let Some(lately) = overlay.entry(name) {
                return Ok(lately.as_deref().and_then(keys::hash_of));
            }
            let read = self.heads.iter().find(|(other, _)| other == name);
            if let (Some((_, hash)), true) = (read, overlay.epoch() == self.epoch) {
                return Ok(*hash);
            }
        }
        Ok(book.entry(name)?.as_deref().and_then(keys::hash_of))
    }
}
