//! The views in sled: entries in blocks under their first names, and one entry that says up to where they go.
//!
//! Sled holds nothing that cannot be made again. Whatever it does that it should not (an error, a panic, an entry that cannot be
//! read) is an error here; nothing of it ends the process. What is written together is one batch of one tree, which sled
//! recovers whole or not at all; the two ends of the batch show whether it did.

use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sealpost_proto::tree::Tree;
use serde::{Deserialize, Serialize};

use super::blocks::{Block, Change, merge, split};
use super::keys;
use super::layer::Mark;
use super::stored::Stored;
use crate::domain::Key;
use crate::failpoint;
use crate::store::durable;

/// Version of what stands in it.
const FORMAT: u32 = 2;
/// First entry of all: what [`Meta`] says.
const META: &[u8] = &[0];
/// Last entry of all: the number in it must be that of [`Meta`].
const END: &[u8] = &[0xff];
/// Memory that sled may use for its pages.
const CACHE: u64 = 64 * 1024 * 1024;

/// What the views are of, and up to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store::embedded) struct Meta {
    pub(in crate::store::embedded) format: u32,
    /// What tells this journal from others.
    journal: [u8; 32],
    seq: u64,
    millis: u64,
    frame: [u8; 32],
    tree_size: u64,
    tree_edge: Vec<[u8; 32]>,
    indexed: Option<u64>,
    /// Statements of the directory log that it holds.
    pub(in crate::store::embedded) statements: u64,
    /// Nothing was written after this, and sled was closed.
    pub(in crate::store::embedded) is_clean: bool,
    /// What tells this run of the machine from others, where the system says so.
    pub(in crate::store::embedded) boot: Option<String>,
    file: u32,
}

impl Meta {
    pub(in crate::store::embedded) fn new(
        journal: [u8; 32],
        mark: &Mark,
        statements: u64,
        boot: Option<String>,
    ) -> Self {
        Self {
            format: FORMAT,
            journal,
            seq: mark.seq,
            millis: mark.millis,
            frame: mark.frame,
            tree_size: mark.tree.size(),
            tree_edge: mark.tree.edge().to_vec(),
            indexed: mark.indexed,
            statements,
            is_clean: false,
            boot,
            file: mark.file,
        }
    }

    /// Up to where the views go; `None` if they are not of this journal or this version.
    pub(in crate::store::embedded) fn mark(&self, journal: &[u8; 32]) -> Option<Mark> {
        if self.format != FORMAT || self.journal != *journal {
            return None;
        }
        Some(Mark {
            seq: self.seq,
            millis: self.millis,
            frame: self.frame,
            tree: Tree::from_edge(self.tree_size, &self.tree_edge)?,
            indexed: self.indexed,
            file: self.file,
        })
    }
}

/// Names and values of entries.
pub(in crate::store::embedded) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The views in sled.
#[derive(Debug)]
pub(in crate::store::embedded) struct Shelf {
    db: sled::Db,
    /// Whether a batch is being written: until it is, whoever reads waits.
    is_busy: AtomicBool,
}

impl Shelf {
    /// Opens the views in `folder`, or begins new ones.
    pub(in crate::store::embedded) fn open(folder: &Path) -> io::Result<Self> {
        durable::create_folder(folder)?;
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None);
        let db = guarded(|| config.open())?;
        Ok(Self {
            db,
            is_busy: AtomicBool::new(false),
        })
    }

    /// Throws the views in `folder` away.
    pub(in crate::store::embedded) fn discard(folder: &Path) -> io::Result<()> {
        durable::remove_folder(folder)
    }

    /// Whether a reader may have to wait.
    pub(in crate::store::embedded) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed)
    }

    /// What the views are of; `None` if they were never finished.
    pub(in crate::store::embedded) fn meta(&self) -> io::Result<Option<Meta>> {
        let (meta, end) = guarded(|| Ok((self.db.get(META)?, self.db.get(END)?)))?;
        let (Some(meta), Some(end)) = (meta, end) else {
            return Ok(None);
        };
        let meta: Meta = postcard::from_bytes(&meta).map_err(damaged)?;
        Ok((*end == meta.seq.to_be_bytes()).then_some(meta))
    }

    /// The value of a name.
    pub(in crate::store::embedded) fn get(&self, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        guarded(|| match self.block_of(name)? {
            Some((_, bytes)) => Ok(block(&bytes)?.find(name).map(<[u8]>::to_vec)),
            None => Ok(None),
        })
    }

    /// An aggregate.
    pub(in crate::store::embedded) fn aggregate(&self, key: &Key) -> io::Result<Option<Stored>> {
        let Some(birth) = self.get(&keys::birth(key))? else {
            return Ok(None);
        };
        let birth = birth.as_slice().try_into().map(u64::from_be_bytes).map_err(damaged)?;
        let Some(bytes) = self.get(&keys::aggregate(birth))? else {
            // It was removed between the two questions.
            return Ok(None);
        };
        let stored = Stored::decode(&bytes).filter(|stored| stored.key == *key);
        stored.map(Some).ok_or_else(|| damaged("an aggregate cannot be read"))
    }

    /// Hands entries from `low` to `high` (of one map, both included) to `visit` in order, or backwards, until it returns `false`.
    pub(in crate::store::embedded) fn scan(
        &self,
        low: &[u8],
        high: &[u8],
        backwards: bool,
        visit: &mut dyn FnMut(Vec<u8>, Vec<u8>) -> bool,
    ) -> io::Result<()> {
        guarded(|| {
            let first = match self.block_of(low)? {
                Some((name, _)) => name.to_vec(),
                None => low.to_vec(),
            };
            let mut blocks = self.db.range(first..=high.to_vec());
            let mut next = || if backwards { blocks.next_back() } else { blocks.next() };
            while let Some(found) = next() {
                let (_, bytes) = found?;
                let mut entries = block(&bytes)?.owned();
                if backwards {
                    entries.reverse();
                }
                let within = entries
                    .into_iter()
                    .filter(|(name, _)| low <= name.as_slice() && name.as_slice() <= high);
                for (name, value) in within {
                    if !visit(name, value) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    /// All entries of a map whose names begin so.
    pub(in crate::store::embedded) fn all(&self, prefix: &[u8]) -> io::Result<Entries> {
        let mut found = Vec::new();
        let high = [prefix, &[0xff; 64]].concat();
        self.scan(prefix, &high, false, &mut |name, value| {
            found.push((name, value));
            true
        })?;
        Ok(found)
    }

    /// Writes changes, which are in order, and what the views are of then; as one, if `meta` is given.
    pub(in crate::store::embedded) fn write(&self, changes: Vec<Change>, meta: Option<&Meta>) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        guarded(|| self.stage(changes, &mut batch))?;
        if let Some(meta) = meta {
            batch.insert(META, postcard::to_stdvec(meta).map_err(damaged)?);
            batch.insert(END, &meta.seq.to_be_bytes());
        }
        self.is_busy.store(true, Ordering::Relaxed);
        let written = guarded(|| {
            self.db.apply_batch(batch)?;
            if meta.is_some() {
                failpoint::reach("views-applied");
                self.db.flush()?;
            }
            Ok(())
        });
        self.is_busy.store(false, Ordering::Relaxed);
        written
    }

    fn stage(&self, changes: Vec<Change>, batch: &mut sled::Batch) -> sled::Result<()> {
        let mut changes = changes.into_iter().peekable();
        while let Some((name, _)) = changes.peek() {
            let map = name.get(..1).unwrap_or_default().to_vec();
            let (at, before) = match self.block_of(name)? {
                Some((at, bytes)) => (at.to_vec(), block(&bytes)?.owned()),
                None => (map.clone(), Vec::new()),
            };
            let following = self
                .db
                .range((Bound::Excluded(at.clone()), Bound::Unbounded))
                .next()
                .transpose()?;
            let end = following
                .map(|(name, _)| name)
                .filter(|name| name.get(..1) == Some(&map));
            let is_here =
                |name: &[u8]| name.get(..1) == Some(&map) && end.as_ref().is_none_or(|end| name < end.as_ref());
            let mut here = Vec::new();
            while let Some(change) = changes.next_if(|(name, _)| is_here(name)) {
                here.push(change);
            }
            let merged = merge(before, here);
            let blocks = split(&merged, end.is_none());
            if blocks.is_empty() {
                batch.remove(at);
                continue;
            }
            for (number, (first, bytes)) in blocks.into_iter().enumerate() {
                batch.insert(if number == 0 { at.clone() } else { first }, bytes);
            }
        }
        Ok(())
    }

    /// The block in which a name stands or would stand, and the name of the block.
    fn block_of(&self, name: &[u8]) -> sled::Result<Option<(sled::IVec, sled::IVec)>> {
        let found = self.db.range(..=name).next_back().transpose()?;
        Ok(found.filter(|(at, _)| at.first() == name.first()))
    }
}

fn block(bytes: &[u8]) -> sled::Result<Block<'_>> {
    Block::parse(bytes).ok_or_else(|| sled::Error::ReportableBug("a block cannot be read".to_owned()))
}

/// Calls into sled; a panic there is an error here.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(error),
        Ok(Err(error)) => Err(damaged(error)),
        Err(_) => Err(damaged("sled panicked")),
    }
}

fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
