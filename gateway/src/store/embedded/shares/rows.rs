//! The shares of one day: a file of slots, and which share is in which.
//!
//! `slot(128) = u32 1 || u32 generation || transfer id(16) || share_commit(32) || nonce(12) || wrapped(48) || zero(12)`. A share
//! may stand in two slots for a moment, while the key of its day is replaced; the later generation counts.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use sealpost_proto::id::{Hash, TransferId};

use super::ring::Generation;
use super::slots::Slots;
use super::wrap::{NONCE_LEN, ShareId, WRAPPED_LEN, Wrapped};
use crate::store::embedded::journal::FileIo;
use crate::store::open::OpenError;

const MAGIC: &[u8; 16] = b"sealpost-shares\0";
const SLOT_LEN: usize = 128;

/// A share as it stands in its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: ShareId,
    pub(super) generation: Generation,
    pub(super) wrapped: Wrapped,
}

/// The shares of one day.
#[derive(Debug)]
pub(super) struct Rows {
    slots: Slots<SLOT_LEN>,
    index: HashMap<ShareId, (Generation, u32)>,
}

impl Rows {
    /// Opens the file, or begins it.
    pub(super) fn open(path: &Path, io: &Arc<dyn FileIo>) -> Result<Self, OpenError> {
        let mut index: HashMap<ShareId, (Generation, u32)> = HashMap::new();
        let mut doubled = Vec::new();
        let mut slots = Slots::open(path, MAGIC, io, &mut |slot, bytes| {
            let Some(row) = decode(bytes) else {
                return false;
            };
            let newer = (row.generation, slot);
            match index.get_mut(&row.id) {
                None => {
                    index.insert(row.id, newer);
                }
                Some(known) => {
                    let older = if newer.0 > known.0 {
                        std::mem::replace(known, newer)
                    } else {
                        newer
                    };
                    doubled.push(older.1);
                }
            }
            true
        })?;
        slots.zero(&doubled).map_err(OpenError::io(path, "cleaned"))?;
        Ok(Self { slots, index })
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &ShareId> {
        self.index.keys()
    }

    /// The latest generation of key that a share here was wrapped under.
    pub(super) fn latest_generation(&self) -> Option<Generation> {
        self.index.values().map(|(generation, _)| *generation).max()
    }

    /// Shares by the generation of the key that they were wrapped under.
    pub(super) fn by_generation(&self) -> BTreeMap<Generation, Vec<ShareId>> {
        let mut found: BTreeMap<Generation, Vec<ShareId>> = BTreeMap::new();
        for (id, (generation, _)) in &self.index {
            found.entry(*generation).or_default().push(*id);
        }
        found
    }

    /// The row of a share, if it is kept.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if its slot holds something else by now; others as the system gives them.
    pub(super) fn get(&self, id: &ShareId) -> io::Result<Option<Row>> {
        let Some((_, slot)) = self.index.get(id) else {
            return Ok(None);
        };
        let row = decode(&self.slots.read(*slot)?).filter(|row| row.id == *id);
        row.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Writes a share that is not there yet, durably.
    pub(super) fn insert(&mut self, row: &Row) -> io::Result<()> {
        self.write_all(std::slice::from_ref(row))?;
        Ok(())
    }

    /// Writes shares into free slots, durably, and zeroes the slots they had before, durably.
    pub(super) fn replace_all(&mut self, rows: &[Row]) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let old = self.write_all(rows)?;
        self.slots.zero(&old)
    }

    /// Zeroes the slot of a share, durably.
    pub(super) fn remove(&mut self, id: &ShareId) -> io::Result<()> {
        let Some((_, slot)) = self.index.get(id) else {
            return Ok(());
        };
        self.slots.zero(&[*slot])?;
        self.index.remove(id);
        Ok(())
    }

    /// Zeroes everything and removes the file.
    pub(super) fn remove_all(&self) -> io::Result<()> {
        self.slots.remove()
    }

    fn write_all(&mut self, rows: &[Row]) -> io::Result<Vec<u32>> {
        let encoded: Vec<_> = rows.iter().map(encode).collect();
        let slots = self.slots.fill(&encoded.iter().collect::<Vec<_>>())?;
        let written = rows.iter().zip(slots);
        let before = written.filter_map(|(row, slot)| self.index.insert(row.id, (row.generation, slot)));
        Ok(before.map(|(_, slot)| slot).collect())
    }
}

fn encode(row: &Row) -> [u8; SLOT_LEN] {
    let (used, generation) = (1_u32.to_be_bytes(), row.generation.to_be_bytes());
    let parts: [&[u8]; 6] = [
        &used,
        &generation,
        row.id.transfer.as_bytes(),
        row.id.commit.as_bytes(),
        &row.wrapped.nonce,
        &row.wrapped.bytes,
    ];
    let mut slot = [0; SLOT_LEN];
    slot.iter_mut()
        .zip(parts.into_iter().flatten())
        .for_each(|(to, from)| *to = *from);
    slot
}

/// The row in a slot; `None` if it is not one, as a slot that was being zeroed when the power went.
fn decode(slot: &[u8; SLOT_LEN]) -> Option<Row> {
    let (used, rest) = slot.split_first_chunk::<4>()?;
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    let (transfer, rest) = rest.split_first_chunk::<16>()?;
    let (commit, rest) = rest.split_first_chunk::<32>()?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
    let (wrapped, _) = rest.split_first_chunk::<WRAPPED_LEN>()?;
    (u32::from_be_bytes(*used) == 1).then_some(Row {
        id: ShareId {
            transfer: TransferId::from_bytes(*transfer),
            commit: Hash::from_bytes(*commit),
        },
        generation: u32::from_be_bytes(*generation),
        wrapped: Wrapped {
            nonce: *nonce,
            bytes: *wrapped,
        },
    })
}
