//! Makes a snapshot from the one before and the journal files closed since.
//!
//! Two passes: the files are read once to learn which records change what, then the snapshot before is streamed and each
//! aggregate gets its changes. In memory stand places of records, not records.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sealpost_proto::id::Hash;
use sealpost_proto::log::Leaf;
use sealpost_proto::tree::leaf_hash;

use super::format::{Piece, Reader, Writer};
use crate::domain::{Aggregate, Change, Key, Organisation};
use crate::store::embedded::drain::{organisation_of, pieces_of};
use crate::store::embedded::journal::{self, FileHead, Found, JournalReader, RecordAt};
use crate::store::embedded::record::{OfLeaf, Record};
use crate::store::embedded::views::keys;
use crate::store::embedded::views::layer::Mark;
use crate::store::embedded::views::overlay::STRIDE;
use crate::store::embedded::views::shelf::Meta;
use crate::store::embedded::views::stored::Stored;

/// What the closed files change.
#[derive(Debug)]
struct Gathered {
    mark: Mark,
    /// Records that change an aggregate, in order.
    changes: HashMap<Key, Vec<(u64, RecordAt)>>,
    organisation: Vec<Change>,
    /// Last leaves by name.
    heads: HashMap<Vec<u8>, Hash>,
    /// The audit log that leaves belong to.
    log: u64,
    places: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Makes a snapshot of all of `files` but the last, from `before` (or from nothing), and names it `target`.
///
/// # Errors
/// [`io::ErrorKind::Interrupted`] when it was told to end; others as the files give them.
pub(super) fn make(
    files: &[FileHead],
    before: Option<&super::Snapshot>,
    unfinished: &Path,
    target: impl Fn(u64) -> std::path::PathBuf,
    is_ending: &AtomicBool,
) -> io::Result<u64> {
    let identity = files.first().map(|file| file.continues).unwrap_or_default();
    let mut old = before.map(|before| Reader::open(&before.path, &identity)).transpose()?;
    let mark = old.as_ref().map(|old| old.mark().clone()).unwrap_or_default();
    let from = before.map_or(0, |before| before.next_file);
    // Only the organisation says which audit log leaves belong to.
    let mut organisation = organisation_before(before, &identity)?;
    let mut gathered = Gathered::new(mark, organisation.audit.log);
    let mut take = |found: Found<'_>| {
        if is_ending.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
        gathered.take(&found)
    };
    journal::verify(files, from, &mut take).map_err(|error| match is_ending.load(Ordering::Relaxed) {
        true => io::ErrorKind::Interrupted.into(),
        false => io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    let reader = JournalReader::new(files.iter().map(|file| file.path.clone()).collect());
    let meta = Meta::new(identity, &gathered.mark, 0, None);
    let mut writer = Writer::create(unfinished, &meta)?;
    for change in &gathered.organisation {
        organisation.apply(change).map_err(io::Error::other)?;
    }
    // First, because the next snapshot begins with it.
    for (name, value) in pieces_of(&organisation, 0).map_err(io::Error::other)? {
        writer.entry(&name, &value)?;
    }
    let now = gathered.mark.millis / 1000;
    while let Some(piece) = old.as_mut().map(Reader::next).transpose()?.flatten() {
        go_on(is_ending)?;
        match piece {
            Piece::Aggregate(bytes) => gathered.carry(&bytes, &reader, now, &mut writer)?,
            Piece::Entry(name, _) if name.first() == Some(&keys::ORGANISATION) => {}
            Piece::Entry(name, value) => gathered.carry_entry(&name, &value, &mut writer)?,
        }
    }
    gathered.finish(&reader, now, is_ending, &mut writer)?;
    let seq = gathered.mark.seq;
    writer.finish(&target(seq))?;
    Ok(seq)
}

/// The organisation of the snapshot before: it stands first there.
fn organisation_before(before: Option<&super::Snapshot>, identity: &[u8; 32]) -> io::Result<Organisation> {
    let Some(before) = before else {
        return Ok(Organisation::default());
    };
    let mut reader = Reader::open(&before.path, identity)?;
    let mut pieces = Vec::new();
    while let Some(Piece::Entry(name, value)) = reader.next()? {
        if name.first() != Some(&keys::ORGANISATION) {
            break;
        }
        pieces.push((name, value));
    }
    organisation_of(pieces).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the organisation cannot be read"))
}

impl Gathered {
    fn new(mark: Mark, log: u64) -> Self {
        Self {
            mark,
            changes: HashMap::new(),
            organisation: Vec::new(),
            heads: HashMap::new(),
            log,
            places: Vec::new(),
        }
    }

    fn take(&mut self, found: &Found<'_>) -> Result<(), String> {
        let mut has_leaves = false;
        let size = self.mark.tree.size();
        for (seq, at, bytes) in found.numbered() {
            let record = Record::decode(seq, bytes)?;
            self.mark.millis = record.millis;
            let mut keys: Vec<Key> = record.changes.iter().map(Change::key).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys.into_iter().filter(|key| *key != Key::Organisation) {
                self.changes.entry(key).or_default().push((seq, at));
            }
            for change in record
                .changes
                .into_iter()
                .filter(|change| change.key() == Key::Organisation)
            {
                if let Change::LossAccepted { log, .. } = &change {
                    self.log = *log;
                    self.heads.clear();
                }
                self.organisation.push(change);
            }
            for line in &record.leaves {
                has_leaves = true;
                let leaf = OfLeaf::read(line).map_err(|error| format!("record {seq}: {error}"))?;
                self.heads
                    .insert(keys::head(self.log, &leaf.object), Leaf::hash_of(line));
                self.mark.tree.push(leaf_hash(line.as_bytes()));
            }
        }
        if has_leaves && self.mark.indexed.is_none_or(|indexed| size - indexed >= STRIDE) {
            self.mark.indexed = Some(size);
            self.places.push(keys::place(size, found.position));
        }
        self.mark.seq = found.last_seq();
        self.mark.frame = found.hash;
        self.mark.file = found.position.file;
        Ok(())
    }

    fn carry(&mut self, bytes: &[u8], journal: &JournalReader, now: u64, writer: &mut Writer) -> io::Result<()> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "an aggregate cannot be read");
        let (key, _) = Stored::key_of(bytes).ok_or_else(damaged)?;
        let changes = self.changes.remove(&key);
        if changes.is_none() && !matches!(key, Key::Request(_)) {
            return writer.aggregate(bytes);
        }
        let stored = Stored::decode(bytes).ok_or_else(damaged)?;
        put(key, Some(stored), &changes.unwrap_or_default(), journal, now, writer)
    }

    fn carry_entry(&mut self, name: &[u8], value: &[u8], writer: &mut Writer) -> io::Result<()> {
        match name.first() {
            Some(&(keys::HEADS | keys::RESIDENT)) => {
                // A log that has a successor gets no more leaves.
                if keys::number_of(name) != Some(self.log) {
                    return Ok(());
                }
                match self.heads.remove(name) {
                    Some(hash) => writer.entry(name, hash.as_bytes()),
                    None => writer.entry(name, value),
                }
            }
            _ => writer.entry(name, value),
        }
    }

    /// Adds what the snapshot before did not have.
    fn finish(
        &mut self,
        journal: &JournalReader,
        now: u64,
        is_ending: &AtomicBool,
        writer: &mut Writer,
    ) -> io::Result<()> {
        let mut new: Vec<_> = std::mem::take(&mut self.changes).into_iter().collect();
        new.sort_unstable_by_key(|(_, changes)| changes.first().map(|(seq, _)| *seq));
        for (key, changes) in new {
            go_on(is_ending)?;
            put(key, None, &changes, journal, now, writer)?;
        }
        for (name, hash) in std::mem::take(&mut self.heads) {
            writer.entry(&name, hash.as_bytes())?;
        }
        for (name, value) in std::mem::take(&mut self.places) {
            writer.entry(&name, &value)?;
        }
        Ok(())
    }
}

fn go_on(is_ending: &AtomicBool) -> io::Result<()> {
    if is_ending.load(Ordering::Relaxed) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(())
}

/// Writes an aggregate as it is after these records.
fn put(
    key: Key,
    mut stored: Option<Stored>,
    changes: &[(u64, RecordAt)],
    journal: &JournalReader,
    now: u64,
    writer: &mut Writer,
) -> io::Result<()> {
    for (seq, at) in changes {
        let record = Record::decode(*seq, &journal.record(*at)?).map_err(io::Error::other)?;
        for (index, change) in record.changes.iter().enumerate() {
            if change.key() == key {
                stored = Stored::after(stored, change, *seq, index).map_err(io::Error::other)?;
            }
        }
    }
    let is_old = |stored: &Stored| matches!(stored.aggregate, Aggregate::Request(note) if !note.is_live(now));
    match stored {
        Some(stored) if !is_old(&stored) => writer.aggregate(&stored.encode().map_err(io::Error::other)?),
        _ => Ok(()),
    }
}
